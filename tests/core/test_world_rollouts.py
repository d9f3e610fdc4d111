"""What is dialed while something rolls, how closely, and in which phase: never that of others."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.core.edges import Kind, PortKey, Service
from probe.core.ledger import Track
from probe.core.results import Result
from probe.core.rollouts import Phase, Rollout
from probe.core.rounds import CLOSE_SHARES, Config
from probe.core.workloads import Workload
from tests.core.facts import (
    CONNECTED,
    KEY,
    NODE,
    REFUSED,
    Story,
    answers,
    endpoint,
    leaving,
    service,
    slice_of,
    workload,
)
from tests.core.rolling import PODS, Rolling, roll

NEW = "10.0.1.1"
SERVICE = KEY[:2]


def rolling(image: str = "app:2") -> Workload:
    return workload(image=image, complete=False, rolling=True)


def begun(*, settled: float = 40.0) -> Story:
    """A Service of two pods whose workload has just begun to roll."""
    story = Story().listed([service()], [slice_of(*PODS)], [workload()]).run(settled)
    story.store(rolling())
    return story


def rate(story: Story, seconds: float, address: str) -> float:
    """Dials a second of that address in the next seconds."""
    at = story.now
    story.run(seconds)
    return sum(d.edge.address == address for d in story.dials_since(at)) / seconds


def the_rollout(story: Story) -> Rollout:
    (found,) = story.world.mirror.rollouts_of(SERVICE)
    return found


# Close watching.


def test_the_cluster_ip_is_dialed_within_a_tenth_of_a_second_of_the_rollouts_begin() -> None:
    story = begun()
    at = story.now
    story.run(0.12)

    assert len(story.dials_since(at, Kind.SERVICE)) >= 1
    assert 12 <= len(story.run(1).dials_since(at, Kind.SERVICE)) <= 24


def test_a_candidate_is_not_watched_closely_even_where_its_pod_terminates() -> None:
    story = begun()
    story.store(slice_of(leaving(PODS[0]), PODS[1]))
    world = story.world
    record = world.mirror.services[SERVICE]
    (book,) = record.books.values()
    (held,) = (t for t in book.of_kind(Kind.ENDPOINT) if t.edge.address == PODS[0])
    edge = held.edge._replace(kind=Kind.CANDIDATE, dial_port=9090)
    book.tracks[edge] = candidate = Track(edge, held.endpoint, story.now)
    world._rounds.put(candidate, story.now)
    story.run(15)

    assert candidate.dials >= 1
    assert candidate.period >= world.config.interval


def test_an_endpoint_that_terminates_is_watched_closely_until_it_stops_to_answer() -> None:
    story = begun()
    assert rate(story, 5, PODS[0]) <= 1
    story.store(slice_of(leaving(PODS[0]), PODS[1], NEW))
    assert 12 <= rate(story, 3, PODS[0]) <= 20
    assert rate(story, 5, PODS[1]) <= 1

    story.answer = answers(at_10_0_0_1=REFUSED)
    story.run(10)
    assert rate(story, 20, PODS[0]) <= 0.2


def test_outside_of_a_rollout_one_that_terminates_is_dialed_in_its_rounds() -> None:
    story = Story().listed([service()], [slice_of(*PODS)], [workload()]).run(40)
    story.store(slice_of(leaving(PODS[0]), PODS[1]))

    assert rate(story, 20, PODS[0]) <= 0.2


def test_a_new_endpoint_is_watched_closely_until_it_answers() -> None:
    story = begun()
    story.answer = answers(at_10_0_1_1=REFUSED)
    story.store(slice_of(*PODS, NEW))
    assert 12 <= rate(story, 3, NEW) <= 20
    assert the_rollout(story).failed_new[Result.REFUSED] >= 36

    story.answer = answers()
    story.run(1)
    failed = the_rollout(story).failed_new.total()
    assert rate(story, 20, NEW) <= 0.2
    story.answer = answers(at_10_0_1_1=REFUSED)  # that is no matter of readiness any more
    story.run(20)
    assert the_rollout(story).failed_new.total() == failed


def test_a_new_endpoint_that_never_answers_is_dialed_as_usual_once_its_rollout_is_over() -> None:
    story = begun()
    story.answer = answers(at_10_0_1_1=REFUSED)
    story.store(slice_of(*PODS, NEW), workload(image="app:2"))
    story.run(40)

    assert story.world.mirror.rollouts_of(SERVICE) == ()
    assert rate(story, 20, NEW) <= 0.2
    story.store(rolling("app:3"))
    story.run(10)
    assert not the_rollout(story).failed_new


@pytest.mark.parametrize("gone", ["endpoint", "terminating", "service"])
def test_a_new_endpoint_that_goes_again_is_not_awaited_any_more(gone: str) -> None:
    story = begun()
    story.answer = answers(at_10_0_1_1=REFUSED)
    story.store(slice_of(*PODS, NEW))
    story.run(2)
    if gone == "endpoint":
        story.store(slice_of(*PODS))
    elif gone == "terminating":
        story.store(slice_of(*PODS, leaving(NEW)))
    else:
        story.remove(service())

    assert story.world._roster.awaited == set()


def test_an_old_endpoint_that_becomes_ready_again_is_no_new_one() -> None:
    story = begun()
    story.answer = answers(at_10_0_0_1=REFUSED)
    story.store(slice_of(endpoint(PODS[0], ready=False), PODS[1]))
    story.store(slice_of(*PODS))
    story.run(5)

    assert not the_rollout(story).failed_new


# The budget.


def numbered(i: int) -> Service:
    return service(name=f"s{i}", ips=(f"10.97.0.{i + 1}",), selector=(("app", f"s{i}"),))


@pytest.mark.slow
def test_a_hundred_services_that_roll_at_once_leave_the_other_edges_their_rounds() -> None:
    """Each with ten pods that terminate; 2000 edges of others need 200 of the 400 dials a second.

    Five dials a second were planned for a ClusterIP and twenty for a pod: 21,500 in all.
    """
    story = Story(Config(NODE, dials_per_second=400.0))
    pods = [f"10.1.{i // 250}.{i % 250 + 1}" for i in range(1000)]
    others = [f"10.2.{i // 250}.{i % 250 + 1}" for i in range(2000)]
    mine = [slice_of(*pods[10 * i : 10 * i + 10], service=f"s{i}") for i in range(100)]
    story.listed(
        [service(name="others", ips=()), *map(numbered, range(100))],
        [slice_of(*others, service="others"), *mine],
        [workload(name=f"s{i}", labels=(("app", f"s{i}"),)) for i in range(100)],
    )
    story.run(30, step=0.1)
    for i in range(100):
        labels = (("app", f"s{i}"),)
        story.store(workload(name=f"s{i}", labels=labels, image="app:2", complete=False))
        story.store(slice_of(*map(leaving, pods[10 * i : 10 * i + 10]), NEW, service=f"s{i}"))
    at, late = story.now, 0.0
    for _ in range(25):
        story.run(1, step=0.1)
        late = max(late, story.world.lateness(story.now))
    dials = story.dials_since(at)
    shares = Counter(d.edge.kind for d in dials if d.edge.key.service != "others")

    assert len(dials) / 25 <= 400 * 1.01
    assert shares[Kind.SERVICE] / 25 == pytest.approx(400 * CLOSE_SHARES[Kind.SERVICE], rel=0.1)
    assert shares[Kind.ENDPOINT] / 25 <= 400 * CLOSE_SHARES[Kind.ENDPOINT] + 100
    assert len({d.edge.address for d in dials} & {*others}) == 2000
    assert late < 1.0


# Phases.


@pytest.mark.parametrize("lag", [0.0, 2.0, 5.0, 15.0])
def test_every_failed_dial_of_a_rollout_is_marked_and_the_drain_is_that_of_the_lag(
    lag: float,
) -> None:
    network = Rolling(lag)
    story = Story(answer=network).listed([service()], [slice_of(*PODS)], [workload()]).run(40)
    roll(story, network)
    story.run(90)
    (found,) = story.world.mirror.finished
    failed = Counter(
        key[3]
        for _, book in story.world.books()
        for key in book.counts.elements()
        if key[2] is Result.REFUSED
    )

    assert set(failed) <= {Phase.ROLLOUT, Phase.TERMINATING}
    assert (failed[Phase.ROLLOUT] > 10) == (lag > 0)
    if not lag:
        assert (found.lag, found.recommended_drain, found.longest_gap) == (None, None, 0.0)
    else:
        assert found.lag is not None
        assert found.lag <= lag + 0.02 <= found.lag + found.error + 0.04
        assert lag < (found.recommended_drain or 0) <= lag + 3


def test_a_rollout_whose_last_pods_end_after_its_status_is_complete_is_not_over() -> None:
    story = begun()
    story.store(workload(image="app:2"))
    story.run(1)
    assert the_rollout(story).ended is not None

    story.store(slice_of(leaving(PODS[0]), PODS[1], NEW))  # the slices are told later
    story.run(60)
    assert (
        the_rollout(story).covers(story.now, 0.0)
        or story.now - (the_rollout(story).ended or 0.0) < 2
    )
    story.store(slice_of(PODS[1], NEW))
    story.run(35)
    assert story.world.mirror.rollouts_of(SERVICE) == ()


def test_a_rollout_that_moves_may_take_longer_than_its_deadline_for_one_step() -> None:
    story = Story().listed([service()], [slice_of(*PODS)], [workload(deadline=60)]).run(40)
    story.store(workload(image="app:2", complete=False, rolling=True, deadline=60))
    for i in range(3):
        story.run(50, step=0.1)
        story.store(slice_of(*PODS, *(f"10.0.1.{n}" for n in range(i + 1))))
    assert the_rollout(story).ended is None

    story.run(62, step=0.1)
    assert the_rollout(story).outcome == "overdue"


A, B = "backend-v1", "other"
B_KEY = PortKey("demo-app", B, 8080)


def phases(story: Story, key: PortKey, since: float) -> set[Phase]:
    return {d.phase for d in story.dials_since(since) if d.edge.key == key}


def labelled(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def test_two_services_in_front_of_one_workload_are_both_in_its_rollout() -> None:
    other = service(name=B, ips=("10.96.0.11",))
    slices = slice_of(*PODS), slice_of(*PODS, service=B)
    story = Story().listed([service(), other], slices, [workload()]).run(40)
    at = story.now
    story.store(rolling())
    story.run(20)

    assert phases(story, KEY, at) == phases(story, B_KEY, at) == {Phase.ROLLOUT}
    (found,) = story.world.mirror.rollouts.values()
    assert found.services == (A, B)


def test_of_two_workloads_behind_a_service_either_rolls_it_and_nobody_elses() -> None:
    """The canary has a Service of its own; that of all pods cannot tell whose pod it met."""
    stable = workload(labels=labelled(app=A, track="stable"))
    canary = workload(name="canary", labels=labelled(app=A, track="canary"))
    mine = service(name=B, ips=("10.96.0.11",), selector=labelled(track="canary"))
    slices = slice_of(*PODS), slice_of(PODS[1], service=B)
    story = Story().listed([service(), mine], slices, [stable, canary]).run(40)
    at = story.now
    story.store(workload(labels=stable.labels, image="app:2", complete=False))
    story.run(20)

    assert phases(story, KEY, at) == {Phase.ROLLOUT}
    assert phases(story, B_KEY, at) == {Phase.STEADY}


happenings = st.lists(
    st.tuples(
        st.sampled_from(["template", "done", "stuck", "pods", "scale", "pause"]),
        st.integers(0, 5),
        st.floats(0.1, 40),
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(happenings)
def test_whatever_one_services_workload_does_another_service_stays_steady(
    events: list[tuple[str, int, float]],
) -> None:
    """Same namespace, pods on the same node, and the ClusterIP in front of what rolls refuses."""
    other = service(name=B, ips=("10.96.0.11",), selector=labelled(app=B))
    story = Story(answer=answers(at_10_96_0_10=REFUSED))
    story.listed(
        [service(), other],
        [slice_of(*PODS), slice_of("10.0.9.1", service=B)],
        [workload(), workload(name=B, labels=labelled(app=B))],
    )
    story.run(40, step=0.2)
    at, image, replicas = story.now, 1, 2
    for what, number, seconds in events:
        if what == "pods":
            held = [f"10.0.2.{i}" for i in range(number)]
            story.store(slice_of(*held, *map(leaving, PODS)))
        else:
            image += what == "template"
            replicas = number if what == "scale" else replicas
            stuck, complete = what == "stuck", what == "done"
            name = f"app:{image}"
            story.store(workload(image=name, replicas=replicas, complete=complete, stuck=stuck))
        story.run(seconds, step=0.2)

    assert phases(story, B_KEY, at) <= {Phase.STEADY}
    assert story.verdicts(B_KEY) == ["healthy"]
    assert {key[1] for key in story.world.mirror.rollout_failures} <= {A}


def test_what_failed_before_is_not_charged_to_it_though_its_new_endpoints_are_not_judged_yet() -> (
    None
):
    story = Story(answer=lambda dial, now: REFUSED)
    story.listed([service()], [slice_of(*PODS)], [workload()]).run(40)
    assert story.verdict() == "not_listening"
    story.store(rolling())
    story.run(1)
    story.store(slice_of(NEW))
    story.run(20)
    found = the_rollout(story)
    assert (story.verdict() == "not_listening", found.dials, found.failed_new.total()) == (
        False,
        0,
        0,
    )

    story.answer = lambda dial, now: CONNECTED
    story.run(5)
    story.answer = lambda dial, now: REFUSED
    story.run(5)
    assert found.dials > found.failed.total() > 50
