"""What a stranger's first look at the World found wrong, each once and for good."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from probe.core import kube, report
from probe.core.advice import advice
from probe.core.changes import ChangeKind
from probe.core.edges import Kind, ServicePort, Skip
from probe.core.rounds import Config
from tests.core.facts import (
    DECLARED_8080,
    REFUSED,
    TIMEOUT,
    Story,
    answers,
    endpoint,
    service,
    slice_of,
    standing,
    workload,
)

KEY = ("demo-app", "backend-v1")


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def test_from_outside_of_the_cluster_a_local_traffic_policy_excuses_nothing() -> None:
    story = Story(
        Config("laptop", once=True, on_node=False), answer=answers(at_10_0_0_1=REFUSED)
    ).listed([service(local=True)], [slice_of("10.0.0.1")])
    story.confirmed(1)

    assert story.verdict() == "not_listening"


def test_a_rollout_of_many_endpoints_does_not_push_out_the_edit_before_it() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.store(service(ServicePort("http", 8080, "TCP", 8081)))
    for n in range(600):
        story.now += 0.01
        story.store(slice_of(f"10.0.{n // 250}.{n % 250 + 1}"))

    document = report.service(story.world, KEY, story.now, at, "pod")
    kinds = [c["kind"] for c in document["changes"]]
    assert len(story.world.mirror.endpoint_changes) == 1000
    assert story.world.mirror.changes[-1].kind is ChangeKind.SERVICE_EDIT
    assert kinds == ["endpoint"] * 19 + ["service_edit"]
    times = [c.at for c in story.world.mirror.newest_changes()]
    assert times == sorted(times, reverse=True)


def test_what_failed_before_a_rollout_is_not_the_rollouts() -> None:
    story = standing(
        slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=REFUSED, at_10_96_0_10=REFUSED)
    )
    story.store(workload())
    story.run(30)
    assert story.verdict() == "not_listening"

    story.store(replace(workload(image="app:2", complete=False), generation=2))
    story.run(10)

    (rollout,) = story.world.mirror.rollouts_of(KEY)
    assert (rollout.dials, rollout.failed.total()) == (0, 0)


@pytest.mark.parametrize(
    "port",
    [
        ServicePort("http", 13306, "TCP", "mysql"),
        ServicePort("http", 13306, "TCP", "db"),
        ServicePort("mysql", 80, "TCP", 8080),
    ],
)
def test_mysql_is_known_by_the_name_and_the_number_that_its_target_has(port: ServicePort) -> None:
    of = service(port)
    story = standing(slice_of("10.0.0.1", number=3306, port_name=port.name), of=of)
    story.run(30)

    assert story.dials == []
    assert story.world.mirror.services[KEY].skipped == (Skip.BLOCKS_HOSTS,)


def test_mysql_is_no_candidate_and_hides_none() -> None:
    declared = replace(DECLARED_8080, port=3306), DECLARED_8080
    of = service(ServicePort("http", 8080, "TCP", 8081))
    refused = slice_of("10.0.0.1", number=8081)
    story = Story(
        answer=lambda dial, now: answers()(dial, now) if dial.edge.dial_port == 8080 else REFUSED
    ).listed([of], [refused], [workload(*declared)])
    story.run(10)

    candidates = {d.edge.dial_port for d in story.dials if d.edge.kind is Kind.CANDIDATE}
    assert (candidates, story.verdict()) == ({8080}, "port_mismatch")


def test_a_target_port_that_no_pod_has_by_that_name_is_said_so() -> None:
    of = service(ServicePort("http", 8080, "TCP", "nosuch"))
    nameless = replace(slice_of("10.0.0.1"), ports=())
    story = standing(nameless, of=of)
    story.run(1)

    assert story.summary() == (
        "no endpoints: targetPort nosuch is declared by no container of the pods"
    )


def test_scaled_to_zero_is_on_purpose_and_asks_for_nothing() -> None:
    story = Story().listed([service()], [slice_of()], [workload(replicas=0)])
    story.run(1)

    (book,) = story.world.mirror.services[KEY].books.values()
    assert (book.judgement.on_purpose, advice(service(), book)) == (True, ())


def test_an_address_nobody_may_dial_is_told_when_a_workload_is_given_it() -> None:
    found = ("env", "container web: env UPSTREAM_ADDR=0:80: it would dial the prober itself")
    story = Story().listed([service()], [slice_of("10.0.0.1")], [workload(invalid=(found,))])
    story.store(workload(invalid=(found,)))

    told = [c for c in story.world.mirror.changes if c.kind is ChangeKind.INVALID_TARGET]
    assert [(c.object, c.detail) for c in told] == [("Deployment demo-app/backend-v1", found[1])]


def test_what_is_accused_while_the_api_server_is_away_says_that_it_is() -> None:
    story = standing(slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=REFUSED))
    story.run(30)
    story.world.stale_seconds = 20.0
    story.answer = answers(at_10_0_0_1=TIMEOUT)
    story.run(30)

    assert story.verdicts() == ["not_listening", "blackholed"]
    assert story.summary().endswith("; the API server is away for 20 s: endpoints may have moved")


def test_before_everything_is_listed_nothing_is_healthy() -> None:
    story = Story()

    def clock(at: float) -> object:
        raise AssertionError(at)

    found = report.services(story.world, 0.0, clock, "pod")  # type: ignore[arg-type]

    assert (list(found["services"]), found["verdict"]) == ([], "unknown")


@pytest.mark.parametrize(
    ("kind", "spec", "status", "complete", "rolling"),
    [
        (
            "daemonsets",
            {},
            {"desiredNumberScheduled": 2, "updatedNumberScheduled": 3},
            False,
            False,
        ),
        (
            "daemonsets",
            {"updateStrategy": {"type": "OnDelete"}},
            {"desiredNumberScheduled": 2, "updatedNumberScheduled": 0, "numberAvailable": 2},
            True,
            False,
        ),
        (
            "statefulsets",
            {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
            {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 1, "updateRevision": "b"},
            True,
            False,
        ),
        (
            "statefulsets",
            {"replicas": 3, "updateStrategy": {"type": "OnDelete"}},
            {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 0, "updateRevision": "b"},
            True,
            False,
        ),
        (
            "statefulsets",
            {"replicas": 3},
            {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 1, "updateRevision": "b"},
            False,
            True,
        ),
    ],
)
def test_pods_that_are_meant_to_stay_old_make_no_rollout(
    kind: str, spec: dict[str, object], status: dict[str, object], complete: bool, rolling: bool
) -> None:
    resource = {r.name: r for r in kube.RESOURCES}[kind]
    template: dict[str, object] = {"spec": {"containers": []}}
    raw = msgspec.json.encode(
        {
            "metadata": {"name": "db", "namespace": "demo-app", "generation": 1},
            "spec": {"template": template, **spec},
            "status": {"observedGeneration": 1, **status},
        }
    )
    found = resource.fact(msgspec.json.decode(raw, type=resource.wire))

    assert (found.complete, found.rolling) == (complete, rolling)


def test_the_clusterip_of_an_undialable_backend_is_not_dialed() -> None:
    story = standing(slice_of(endpoint("0.0.0.0", pod="")), of=service(selector=()))
    story.run(30)

    assert (story.dials, story.verdict()) == ([], "invalid_target")


def test_a_clusterip_on_loopback_asks_to_look_at_the_service() -> None:
    of = service(ips=("127.0.0.9",))
    story = standing(slice_of("10.0.0.1"), of=of)
    story.run(10)

    (book,) = story.world.mirror.services[KEY].books.values()
    assert story.verdict() == "invalid_target"
    assert advice(of, book) == (
        "look at the ClusterIP: kubectl get service backend-v1 -n demo-app; "
        "a cluster on loopback is dialed only inside --allow-targets",
    )
