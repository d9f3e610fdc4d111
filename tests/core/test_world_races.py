"""Events between a dial and its outcome, our own faults, single runs, and many edges at once."""

from dataclasses import replace

import pytest

from probe.core import kube
from probe.core.edges import Kind, PortKey
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    KEY,
    LOCAL_FAULT,
    NODE,
    REFUSED,
    Story,
    answers,
    endpoint,
    leaving,
    port,
    service,
    slice_of,
    standing,
    workload,
)


def test_34_local_faults_change_no_state_and_accuse_nobody() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.run(30)
    story.answer = lambda dial, now: LOCAL_FAULT
    story.run(20)
    assert story.verdicts() == ["healthy"]

    story.run(60)
    assert story.verdict() == "probe_fault"
    assert story.summary().startswith("the prober itself could not dial: our own fault: Too many")

    story.answer = answers()
    story.run(5)
    assert story.verdict() == "healthy"


def test_35_the_outcome_of_a_dial_to_an_endpoint_that_has_gone_accuses_nobody() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"), of=service(ips=()))
    story.run(30)
    world, now = story.world, story.now + 20
    flying = world.due(now, 1000)
    world.apply(kube.Stored("endpointslices", slice_of("10.0.0.2")), now)
    met = {"10.0.0.1": REFUSED, "10.0.0.2": CONNECTED}
    world.record([(dial, met[dial.edge.address]) for dial in flying], now + 1)
    story.now = now + 1
    story.run(60)

    assert len(flying) == 2
    assert story.verdicts() == ["healthy"]


@pytest.mark.parametrize("newest_first", [True, False])
def test_35_a_pod_that_follows_another_at_its_nodes_address_settles(newest_first: bool) -> None:
    """hostNetwork: both have one address for as long as the old one ends, in any order."""
    others = ("10.0.0.2", "10.0.0.3")
    story = standing(slice_of(endpoint("10.0.0.1", pod="old"), *others)).run(60)
    new, old = endpoint("10.0.0.1", pod="new"), replace(leaving("10.0.0.1"), pod="old")
    both = (new, old) if newest_first else (old, new)
    story.answer = lambda dial, now: REFUSED if dial.edge.address == "10.0.0.1" else CONNECTED
    story.store(slice_of(*both, *others))
    story.run(20)
    story.store(slice_of(new, *others))
    story.run(5)
    assert story.verdicts() == ["healthy"]

    story.run(30)
    assert story.verdict() == "endpoint_down"


def test_35_an_address_taken_over_by_another_pod_starts_anew() -> None:
    story = standing(slice_of(endpoint("10.0.0.1", pod="old")), answer=answers(at_10_0_0_1=REFUSED))
    story.run(30)
    assert story.verdict() == "not_listening"

    story.answer = answers()
    story.store(slice_of(endpoint("10.0.0.1", pod="new")))
    story.run(3)
    assert story.verdict() == "healthy"


def test_35_an_outcome_from_before_an_endpoint_came_back_does_not_count() -> None:
    story = standing(slice_of("10.0.0.1"), of=service(ips=()))
    story.run(30)
    world, now = story.world, story.now
    old = next(d for t in range(1000) for d in world.due(now + t / 50, 9))
    now += 30
    for held in (slice_of(), slice_of("10.0.0.1")):
        world.apply(kube.Stored("endpointslices", held), now)
    (new,) = world.due(now + 2, 9)
    world.record([(old, REFUSED)], now + 2)
    (track,) = (t for _, b in world.books() for t in b.tracks.values())

    assert (track.in_flight, track.outcome) == (True, None)
    world.record([(new, CONNECTED)], now + 2)
    assert track.outcome == CONNECTED


@pytest.mark.parametrize("between", [0, 0.5, 1.5])
def test_35_an_endpoint_that_moves_to_another_slice_is_the_one_that_it_was(between: float) -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"), answer=answers(at_10_0_0_1=REFUSED)).run(60)
    assert story.verdict() == "endpoint_down"
    story.store(slice_of("10.0.0.2"))
    story.run(between)
    story.store(slice_of("10.0.0.1", name="other"))
    story.run(5)

    assert story.verdict() == "endpoint_down"


def test_35_a_slice_that_is_made_anew_leaves_what_fails_failing() -> None:
    held = slice_of("10.0.0.1", "10.0.0.2")
    story = standing(held, answer=lambda dial, now: REFUSED).run(60)
    story.remove(held)
    story.run(0.5)
    story.store(slice_of("10.0.0.1", "10.0.0.2", name="anew"))
    story.run(60)

    assert story.verdicts() == ["not_listening"]


def test_38_failures_while_the_api_server_is_away_accuse_nobody() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"))
    story.run(30)
    story.world.stale_seconds = 121.0
    story.answer = answers(at_10_0_0_1=REFUSED)
    story.run(30)

    assert story.verdicts() == ["healthy", "unknown"]
    assert story.summary() == (
        "dials fail, but the API server has been away for 121 s: the endpoints may have moved"
    )
    story.world.stale_seconds = None
    story.run(10)
    assert story.verdict() == "endpoint_down"


def test_38_what_answers_stays_healthy_while_the_api_server_is_away() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.world.stale_seconds = 1000.0
    story.run(60)

    assert story.verdicts() == ["healthy"]
    assert len(story.dials) >= 10


def test_a_service_that_goes_leaves_nothing_behind_and_is_not_dialed_again() -> None:
    story = standing(slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=REFUSED))
    story.run(30)
    story.remove(slice_of("10.0.0.1"))
    story.remove(service())
    gone = story.now
    story.run(60)

    assert story.dials_since(gone) == []
    assert not story.world.mirror.services
    assert not story.world._docket.waiting
    assert not story.world._docket.restless


def test_the_outcome_of_a_dial_to_a_service_that_has_gone_is_dropped() -> None:
    story = standing(slice_of("10.0.0.1"))
    flying = story.world.due(story.now + 5, 1000)
    story.remove(service())
    story.world.record([(dial, REFUSED) for dial in flying], story.now + 6)

    assert len(flying) == 2
    assert list(story.world.books()) == []


def test_an_external_name_that_becomes_an_ordinary_service_is_dialed() -> None:
    story = Story().listed([service(kind="ExternalName", ips=())], [slice_of("10.0.0.1")])
    story.run(10)
    assert story.dials == []

    story.store(service())
    story.run(40)
    assert story.verdict() == "healthy"


def test_a_port_that_is_taken_away_takes_its_book_along() -> None:
    other = PortKey("demo-app", "backend-v1", 9090)
    story = standing(slice_of("10.0.0.1"))
    story.store(service(port(), port(9090, 9090, name="admin")))
    story.run(5)
    assert other in {d.edge.key for d in story.dials}

    story.store(service())
    gone = story.now
    story.run(30)
    assert {d.edge.key for d in story.dials_since(gone)} == {KEY}


def test_a_change_while_the_dial_is_in_flight_is_looked_at_soon_after() -> None:
    story = standing(slice_of("10.0.0.1"))
    story.run(30)
    world = story.world
    flying = next(
        d
        for t in range(1000)
        for d in world.due(story.now + t / 50, 9)
        if d.edge.kind is Kind.SERVICE
    )
    now = flying.at + 0.1
    world.apply(kube.Stored("endpointslices", slice_of("10.0.0.1", "10.0.0.2")), now)
    world.record([(flying, CONNECTED)], now + 0.1)
    soon = [d for t in range(60) for d in world.due(now + t / 50, 9)]

    assert Kind.SERVICE in {d.edge.kind for d in soon}


def test_room_bounds_what_is_handed_out_and_the_rest_waits() -> None:
    pods = [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(300)]
    story = standing(slice_of(*pods))
    first = story.world.due(story.now + 5, 100)

    assert len(first) == 100
    assert story.world.waiting == 201
    assert story.world.lateness(story.now + 5) > 2
    assert len(story.world.due(story.now + 5, 1000)) == 0  # the rest of the budget's burst is spent
    assert len(story.world.due(story.now + 6, 1000)) > 0


def test_a_large_service_is_judged_less_often_than_a_small_one() -> None:
    pods = [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(1000)]
    story = standing(slice_of(*pods))
    story.run(1)
    judged = story.world.mirror.services["demo-app", "backend-v1"].books[8080]

    assert story.now - judged.judged_at <= 0.3
    assert story.verdict() == "unknown"
    story.run(20)
    assert story.verdict() == "healthy"


def test_a_single_run_dials_nothing_again_by_itself() -> None:
    story = Story(Config(NODE, once=True), answer=answers(at_10_0_0_1=REFUSED))
    story.listed([service()], [slice_of("10.0.0.1")], [workload(DECLARED_8080)])
    dials = story.world.due(story.now, 1000)
    story.world.record([(d, story.answer(d, story.now)) for d in dials], story.now)
    story.world.judge(story.now)
    assert story.verdict() == "unknown"

    story.run(20)
    assert len(story.dials) == 0
    assert not story.world.outstanding


def test_a_single_run_waits_for_the_candidates_that_its_dials_ask_for() -> None:
    story = Story(Config(NODE, once=True), answer=answers())
    story.listed(
        [service(port(80, 8081))], [slice_of("10.0.0.1", number=8081)], [workload(DECLARED_8080)]
    )
    world = story.world
    for _ in range(2):
        world.confirm(story.now)
        dials = world.due(story.now, 1000)
        world.record([(d, REFUSED) for d in dials], story.now)
        world.judge(story.now)
        story.now += 0.05
    assert world.outstanding

    (candidate,) = world.due(story.now + 0.1, 1000)
    world.record([(candidate, CONNECTED)], story.now + 0.1)
    world.judge(story.now + 0.1)
    assert story.verdict(KEY._replace(port=80)) == "port_mismatch"


def test_a_candidate_that_met_our_own_fault_is_dialed_again() -> None:
    faults = iter([LOCAL_FAULT])

    def answer(dial: Dial, now: float) -> Outcome:
        return next(faults, CONNECTED) if dial.edge.kind is Kind.CANDIDATE else REFUSED

    story = Story(answer=answer).listed(
        [service(port(80, 8081))], [slice_of("10.0.0.1", number=8081)], [workload(DECLARED_8080)]
    )
    story.run(20)

    assert story.verdict(KEY._replace(port=80)) == "port_mismatch"
