from math import inf

import pytest

from probe.core import blame
from probe.core.edges import Scope, implied
from probe.core.expect import Place
from probe.core.health import Level
from probe.core.ledger import PortBook, ServiceRecord, Track
from probe.core.results import Result
from probe.core.rollouts import Phase, Removal, Rollout
from tests.core.facts import NODE, edge, endpoint, leaving, service, slice_of

NOW = 1000.0
PODS = ("10.0.0.1", "10.0.0.2")
ROLLOUT = ("Deployment", "demo-app", "backend-v1")


def rollout() -> Rollout:
    return Rollout(ROLLOUT, ("backend-v1",), 900.0, 1500.0)


def port_of(*levels: Level) -> tuple[ServiceRecord, PortBook]:
    """A Service port whose endpoints have come so far, one of three pods having gone at NOW."""
    book = PortBook(implied(service(), [slice_of(*PODS)], Scope()).ports[0])
    book.expect(Place(NODE), local=False)
    for pod, level in zip(PODS, levels, strict=False):
        book.tracks[edge(pod)] = Track(edge(pod), endpoint(pod), -inf, level=level)
    return ServiceRecord(service(), removals=[Removal("10.0.0.3", NOW)]), book


def phase(
    *, terminating: bool = False, rolling: bool = False, edited: float = -inf, since: float = -inf
) -> Phase:
    held = leaving("10.0.0.1") if terminating else endpoint("10.0.0.1")
    track = Track(edge("10.0.0.1"), held, since)
    record = ServiceRecord(service(), edited_at=edited)
    running = [rollout()] if rolling else []
    return blame.phase(record, track, running, NOW, started=0.0, settle=30.0)


def test_the_first_phase_that_applies_is_the_one() -> None:
    fresh = NOW - 1

    assert phase(terminating=True, rolling=True, edited=fresh, since=fresh) is Phase.TERMINATING
    assert phase(rolling=True, edited=fresh, since=fresh) is Phase.ROLLOUT
    assert phase(edited=fresh, since=fresh) is Phase.SERVICE_EDIT
    assert phase(since=fresh) is Phase.SETTLING
    assert phase() is Phase.STEADY


def test_an_edit_lasts_a_minute_and_settling_its_time() -> None:
    assert phase(edited=NOW - 60) is Phase.STEADY
    assert phase(since=NOW - 30) is Phase.STEADY


def test_a_failed_dial_is_laid_to_the_removal_and_lengthens_its_lag() -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    for at in (NOW + 1, NOW + 4):
        blame.removal(record, book, Result.REFUSED, at, 0.5, [running])

    assert record.removals[0].lag == 4.0
    assert (running.lag, running.error) == (4.0, 3 * 3 * 0.5)  # three pods, two dials a second
    assert book.drain_failures == [NOW + 1, NOW + 4]


def test_while_a_dial_waits_for_its_answer_no_other_could_tell() -> None:
    """Else two timeouts of a pod whose address is gone would ask for too short a drain."""
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    blame.removal(record, book, Result.TIMEOUT, NOW + 4, 0.05, [running], waited=4.0)

    assert (running.lag, running.error) == (4.0, 3 * 3 * 0.05 + 4.0)


@pytest.mark.parametrize("result", [Result.CONNECTED, Result.LOCAL_FAULT, Result.REJECTED])
def test_a_success_our_own_fault_and_a_reject_rule_are_no_removed_pod(result: Result) -> None:
    record, book = port_of(Level.UP, Level.UP)
    blame.removal(record, book, result, NOW + 1, 0.5, [rollout()])

    assert record.removals[0].lag is None
    assert book.drain_failures == []


@pytest.mark.parametrize("level", [Level.SUSPECT, Level.CONFIRMED, Level.DOWN])
def test_nothing_is_laid_to_a_removal_while_an_endpoint_in_use_fails_by_itself(
    level: Level,
) -> None:
    record, book = port_of(Level.UP, level)
    blame.removal(record, book, Result.REFUSED, NOW + 1, 0.5, [rollout()])

    assert record.removals[0].lag is None


def test_a_dial_from_before_the_removal_is_not_laid_to_it() -> None:
    record, book = port_of(Level.UP, Level.UP)
    blame.removal(record, book, Result.REFUSED, NOW - 1, 0.5, [])

    assert book.drain_failures == []


def test_the_failures_that_are_remembered_are_bounded() -> None:
    record, book = port_of(Level.UP, Level.UP)
    for i in range(300):
        blame.removal(record, book, Result.TIMEOUT, NOW + i / 100, 0.5, [])

    assert len(book.drain_failures) == blame.DRAIN_FAILURES_KEPT
    assert book.drain_failures[-1] == NOW + 2.99
