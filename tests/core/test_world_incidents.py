"""The three incidents that the project exists for, told to a World and answered by a network."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from probe.core import report
from probe.core.edges import Author, Kind
from probe.core.results import Outcome, Result
from probe.core.rollouts import Phase
from probe.core.rounds import Dial
from probe.core.survey import Survey
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    KEY,
    REFUSED,
    Answer,
    Story,
    endpoint,
    leaving,
    port,
    service,
    slice_of,
    workload,
)
from tests.core.rolling import PODS, Rolling, roll

INTERVAL = 10.0
EPOCH = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
MISMATCH = (
    "targetPort 8081 is refused on 2 of 2 endpoints, port 8080 accepts: set targetPort to 8080"
)
PATCH = (
    "set targetPort to 8080: kubectl patch service backend-v1 -n demo-app "
    '-p \'{"spec":{"ports":[{"port":8080,"targetPort":8080}]}}\''
)


def told(story: Story) -> dict[str, Any]:
    """What `probe check svc backend-v1 -o json` and the API say now."""
    key = (KEY.namespace, KEY.service)
    return report.service(story.world, key, story.now, clock, "pod")


def clock(at: float) -> datetime:
    return EPOCH + timedelta(seconds=at)


def listens_on(number: int, *, targets: list[int]) -> Answer:
    """Every pod listens on this one port; the ClusterIP leads to the newest of the targets."""

    def answer(dial: Dial, now: float) -> Outcome:
        wanted = targets[-1] if dial.edge.kind is Kind.SERVICE else dial.edge.dial_port
        return CONNECTED if wanted == number else REFUSED

    return answer


# 1. Port mismatch.


def test_a_service_edit_to_a_wrong_port_is_named_within_an_interval_with_its_fix() -> None:
    targets = [8080]
    story = Story(answer=listens_on(8080, targets=targets)).listed(
        [service(port(8080, 8080))], [slice_of(*PODS)], [workload(DECLARED_8080)]
    )
    story.run(60)
    assert story.verdicts() == ["healthy"]

    edited = story.now
    targets.append(8081)
    argo = Author("argocd-controller", "2026-11-20T10:16:40Z")
    story.store(service(port(8080, 8081), author=argo))
    story.run(0.3)
    story.store(slice_of(*PODS, number=8081))
    story.run(INTERVAL)

    assert story.verdicts() == ["healthy", "port_mismatch"]
    assert story.turns[-1].at - edited < INTERVAL
    assert told(story)["change"]["by"] == "argocd-controller"
    assert told(story)["seconds_before"] < INTERVAL
    assert story.summary() == MISMATCH
    after = [d for d in story.dials_since(edited) if d.edge.kind is not Kind.CANDIDATE]
    assert {d.phase for d in after} == {Phase.SERVICE_EDIT}

    found = told(story)
    assert (found["verdict"], found["summary"]) == ("port_mismatch", MISMATCH)
    assert found["advice"][0] == PATCH
    edit = next(c for c in found["changes"] if c["kind"] == "service_edit")
    assert edit == {
        "time": "2026-11-20T10:16:40Z",
        "kind": "service_edit",
        "object": "Service demo-app/backend-v1",
        "by": "argocd-controller",
        "managed": None,
        "detail": "port 8080: targetPort 8080 -> 8081",
    }

    patched = story.now
    targets.append(8080)
    story.store(service(port(8080, 8080)), slice_of(*PODS, number=8080))
    story.run(2 * INTERVAL)

    assert story.verdict() == "healthy"
    assert story.turns[-1].at - patched < 2 * INTERVAL
    assert {e.kind for e in story.edges()} == {Kind.SERVICE, Kind.ENDPOINT}


def test_a_mismatch_that_stood_before_us_is_named_within_an_interval_with_its_last_writer() -> None:
    author = Author("kubectl-client-side-apply", "2026-11-19T08:00:00Z")
    story = Story(answer=listens_on(8080, targets=[8081])).listed(
        [service(port(8080, 8081), author=author)],
        [slice_of(*PODS, number=8081)],
        [workload(DECLARED_8080)],
    )
    story.run(INTERVAL)

    assert story.summary() == MISMATCH
    (change,) = told(story)["changes"]
    assert change["by"] == "kubectl-client-side-apply"
    assert "earlier values were not seen" in change["detail"]


def test_an_application_that_starts_late_is_still_found_on_its_other_port() -> None:
    started = 1000.0 + 60.0

    def answer(dial: Dial, now: float) -> Outcome:
        return CONNECTED if dial.edge.dial_port == 8080 and now > started else REFUSED

    story = Story(answer=answer).listed(
        [service(port(80, 8081), ips=())],
        [slice_of(*PODS, number=8081)],
        [workload(DECLARED_8080)],
    )
    key = KEY._replace(port=80)
    story.run(30)
    assert story.verdict(key) == "not_listening"

    story.run(120)
    assert story.verdict(key) == "port_mismatch"


# 2. Invalid address.


def test_an_invalid_address_is_never_dialed_counted_and_named() -> None:
    story = Story().listed(
        [service(ips=())],
        [slice_of("0.0.0.0", "127.0.0.1", "10.0.0.1")],
        [workload(invalid=(("env", "container app: env BACKEND=0:80: zero"),))],
    )
    story.run(3 * INTERVAL)

    assert {d.edge.address for d in story.dials} == {"10.0.0.1"}
    assert story.verdicts() == ["invalid_target"]
    assert story.summary() == (
        "endpoint 0.0.0.0:8080: 0.0.0.0 is the unspecified address and would dial the caller "
        "itself; it was not dialed"
    )
    survey = Survey(story.world, story.now)
    assert len(list(survey.walk())) == 1
    assert dict(survey.invalid_targets) == {
        ("demo-app", "endpointslice"): 2,
        ("demo-app", "env"): 1,
    }


# 3. Drain race.


@pytest.fixture
def lagging() -> tuple[Story, Rolling]:
    network = Rolling(lag=10.0)
    story = Story(answer=network).listed([service()], [slice_of(*PODS)], [workload()])
    story.run(30)
    roll(story, network)
    return story, network


def test_failures_while_a_proxy_lags_are_a_drain_race_filed_under_the_rollout(
    lagging: tuple[Story, Rolling],
) -> None:
    story, _ = lagging
    failed = [
        (phase, count)
        for _, book in story.world.books()
        for (kind, _, result, phase), count in book.counts.items()
        if kind is Kind.SERVICE and result is Result.REFUSED
    ]

    assert story.verdict() == "drain_race"
    assert set(story.verdicts()) == {"healthy", "drain_race"}
    assert [phase for phase, _ in failed] == [Phase.ROLLOUT]
    assert story.world.mirror.rollout_failures.total() == failed[0][1] > 10


def test_the_removal_lag_is_the_last_failure_after_the_removal(
    lagging: tuple[Story, Rolling],
) -> None:
    story, network = lagging
    (rollout,) = story.world.mirror.rollouts_of(("demo-app", "backend-v1"))

    assert rollout.lag is not None
    assert rollout.lag <= network.lag <= rollout.lag + rollout.error
    # Three endpoints; of the twenty dials a second that are allowed ticks leave some fifteen.
    assert 3 * 3 / 20 < rollout.error < 3 * 3 / 12
    assert 3 * 3 / 20 < rollout.window < 3 * 3 / 12
    assert rollout.recommended_drain in (11, 12)
    assert told(story)["advice"] == [
        "add to the container of Deployment demo-app/backend-v1: lifecycle: "
        f"{{preStop: {{sleep: {{seconds: {rollout.recommended_drain}}}}}}}, "
        f"and set terminationGracePeriodSeconds: {30 + rollout.recommended_drain}"
    ]


def test_each_removal_gives_one_sample_of_lag_and_health_returns(
    lagging: tuple[Story, Rolling],
) -> None:
    story, _ = lagging
    story.run(90)

    assert [round(lag) for lag in story.world.mirror.lags] == [10, 10]
    assert story.verdict() == "healthy"
    assert not story.world.mirror.rollouts
    (rollout,) = story.world.mirror.finished
    assert rollout.outcome == "complete"


def test_without_a_failure_there_is_no_sample_and_no_advice() -> None:
    network = Rolling(lag=0.0)
    story = Story(answer=network).listed([service()], [slice_of(*PODS)], [workload()])
    story.run(30)
    roll(story, network)
    story.run(90)

    assert story.verdicts() == ["healthy"]
    assert story.world.mirror.lags == []
    (rollout,) = story.world.mirror.finished
    assert (rollout.lag, rollout.recommended_drain) == (None, None)
    assert rollout.dials > 500


def test_13_a_terminating_endpoint_that_refuses_directly_is_expected() -> None:
    network = Rolling(lag=0.0)
    network.remove("10.0.0.2", 0.0)
    story = Story(answer=network).listed(
        [service()], [slice_of("10.0.0.1", leaving("10.0.0.2", serving=False))]
    )
    story.run(30)

    assert story.verdicts() == ["healthy"]
    refused = [d for d in story.dials if d.edge.address == "10.0.0.2"]
    assert {d.phase for d in refused} == {Phase.TERMINATING}


def test_scaling_to_zero_is_no_drain_race_and_no_lag() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return CONNECTED if now < 1030.0 else REFUSED

    story = Story(answer=answer).listed([service()], [slice_of(*PODS)], [workload()])
    story.run(30)
    story.store(workload(replicas=0, complete=False), slice_of())
    story.run(100)

    assert story.verdict() == "no_endpoints"
    assert story.summary() == "no endpoints: its workload is scaled to zero"
    assert "drain_race" not in story.verdicts()
    assert story.world.mirror.lags == []


def test_failures_of_a_new_pod_are_not_laid_to_the_removed_one() -> None:
    network = Rolling(lag=0.0)
    story = Story(answer=network).listed([service()], [slice_of(*PODS)], [workload()])
    story.run(30)
    story.store(workload(image="app:2", complete=False, rolling=True))
    new = endpoint("10.0.1.0")  # ready at once for want of a readiness probe, and not listening
    story.store(slice_of(*PODS, new))
    story.answer = lambda dial, now: (
        REFUSED if dial.edge.address == "10.0.1.0" or dial.edge.kind is Kind.SERVICE else CONNECTED
    )
    story.run(2)  # it was dialed: the removed one is not the only one that may refuse
    network.remove("10.0.0.1", story.now)
    story.store(slice_of("10.0.0.2", new))
    story.run(70)

    assert story.verdict() == "endpoint_down"
    lags = [r.lag for r in story.world.mirror.rollouts_of(("demo-app", "backend-v1"))]
    assert lags == [None]
