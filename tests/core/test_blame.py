from math import inf

import pytest

from probe.core import blame, rollouts
from probe.core.health import Level
from probe.core.ledger import ServiceRecord, Track
from probe.core.results import Result
from probe.core.rollouts import REMOVAL_WINDOW, Phase, Removal
from probe.core.verdicts import Judgement, Verdict
from tests.core.facts import edge, endpoint, leaving, service
from tests.core.laying import NOW, PODS, answer, answers_still, dial, port_of, rollout


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
        assert dial(record, book, Result.REFUSED, at, running)
    blame.confirm(record, book, NOW + 4)
    assert book.drain_failures == []
    answer(record, book, NOW + 5)

    assert record.removals[0].lag == 4.0
    assert (running.lag, running.error) == (4.0, 3 * 3 * 0.5)  # three pods, two dials a second
    assert book.drain_failures == [NOW + 1, NOW + 4]
    assert book.laid == ()


def test_the_error_is_of_the_dials_really_made_and_of_all_that_the_proxy_may_send_to() -> None:
    """Two pods in use and two that went together; a dial each 0.1 s, where one each 0.05 s was
    planned."""
    record, book = port_of(Level.UP, Level.UP)
    record.removals.append(Removal("10.0.0.4", NOW))
    running = rollout()
    for i in range(10):
        dial(record, book, Result.CONNECTED, NOW + i / 10, running, period=0.05)
    assert running.window == pytest.approx(3 * 4 * 0.1)

    dial(record, book, Result.REFUSED, NOW + 1, running, period=0.05)
    answer(record, book, NOW + 2)
    assert running.lag == 1.0
    assert running.error == pytest.approx(3 * 4 * 0.1)


def test_the_window_is_that_of_the_worst_moment_of_the_rollout() -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    for at in (*(i / 10 for i in range(50)), *range(5, 40), *(40 + i / 10 for i in range(50))):
        dial(record, book, Result.CONNECTED, NOW + at, running)

    assert running.window == pytest.approx(3 * 3 * 1.0)


def test_dials_are_counted_while_something_rolls_or_was_removed_and_forgotten_then() -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    for i in range(99):
        dial(record, book, Result.CONNECTED, NOW + i)
    assert book.sampled is not None
    assert len(book.sampled) == rollouts.RATE_DIALS

    record.removals = []
    dial(record, book, Result.CONNECTED, NOW + 100, running)
    assert book.sampled is not None
    assert running.window == 0.0  # nothing was removed
    dial(record, book, Result.CONNECTED, NOW + 101)
    assert book.sampled is None


def test_a_pod_that_answers_still_is_not_the_one_that_a_failed_dial_met() -> None:
    """It sleeps in its preStop hook, while the one that was removed before it has gone."""
    record, book = port_of(Level.UP, Level.UP)
    record.removals.append(Removal("10.0.0.4", NOW + 3))
    answers_still(book, "10.0.0.4", NOW + 5)
    assert dial(record, book, Result.REFUSED, NOW + 4)
    book.tracks[edge(PODS[0])].dialed_at = book.tracks[edge(PODS[1])].dialed_at = NOW + 6
    blame.confirm(record, book, NOW + 6)

    assert [removal.lag for removal in record.removals] == [4.0, None]


def test_failures_that_no_removed_pod_can_have_caused_are_nobodys() -> None:
    record, book = port_of(Level.UP, Level.UP)
    answers_still(book, "10.0.0.3", NOW + 3)
    dial(record, book, Result.REFUSED, NOW + 2)
    for pod in PODS:
        book.tracks[edge(pod)].dialed_at = NOW + 4
    blame.confirm(record, book, NOW + 4)

    assert record.removals[0].lag is None
    assert (book.drain_failures, book.laid) == ([], ())


def test_failed_dials_of_a_new_pod_are_its_rollouts_unless_the_port_failed_before() -> None:
    _, book = port_of(Level.UP, Level.UP)
    running = rollout()
    for result in (Result.REFUSED, Result.CONNECTED, Result.TIMEOUT, Result.REFUSED):
        blame.newly_ready(book, result, [running])
    assert running.failed_new == {Result.REFUSED: 2, Result.TIMEOUT: 1}

    book.judgement, book.judged_since = Judgement(Verdict.PORT_MISMATCH, ""), 800.0
    blame.newly_ready(book, Result.REFUSED, [running])
    assert running.failed_new.total() == 3


def test_it_is_the_removals_only_from_when_every_endpoint_in_use_has_answered_since() -> None:
    record, book = port_of(Level.UP, Level.UP)
    dial(record, book, Result.REFUSED, NOW + 1)
    book.tracks[edge(PODS[0])].dialed_at = NOW + 2
    blame.confirm(record, book, NOW + 2)
    assert (book.drain_failures, len(book.laid)) == ([], 1)

    answer(record, book, NOW + 3)
    assert book.drain_failures == [NOW + 1]


def test_an_endpoint_that_turns_out_to_fail_explains_it_as_well() -> None:
    record, book = port_of(Level.UP, Level.UP)
    dial(record, book, Result.REFUSED, NOW + 1)
    book.tracks[edge(PODS[0])].level = Level.SUSPECT
    blame.confirm(record, book, NOW + 2)

    assert book.laid == ()
    answer(record, book, NOW + 3)
    assert record.removals[0].lag is None
    assert not dial(record, book, Result.TIMEOUT, NOW + 50), "it may be conntrack's"


def test_what_a_port_is_judged_to_be_explains_all_before_it() -> None:
    record, book = port_of(Level.UP, Level.UP)
    dial(record, book, Result.REFUSED, NOW + 1)
    book.drain_failures.append(NOW)
    book.judgement = Judgement(Verdict.PROXY_STALE, "")
    blame.confirm(record, book, NOW + 2)

    assert (book.laid, book.drain_failures) == ((), [])
    assert not dial(record, book, Result.REFUSED, NOW + 3)
    book.judgement = Judgement(Verdict.HEALTHY, "")
    assert not dial(record, book, Result.REFUSED, NOW + 1 + blame.AFTERMATH_SECONDS)
    assert dial(record, book, Result.REFUSED, NOW + 2 + blame.AFTERMATH_SECONDS)


def test_a_port_that_had_no_endpoints_a_moment_ago_may_race() -> None:
    """A new Service whose pods have just come rolls out: what is late of the beginning rejects."""
    record, book = port_of(Level.UP, Level.UP)
    book.judgement = Judgement(Verdict.NO_ENDPOINTS, "")
    blame.confirm(record, book, NOW)
    book.judgement = Judgement(Verdict.HEALTHY, "")

    assert dial(record, book, Result.REFUSED, NOW + 1)


def test_what_nobody_can_confirm_is_forgotten() -> None:
    record, book = port_of(Level.UP, Level.UP)
    dial(record, book, Result.REFUSED, NOW + 1)
    blame.confirm(record, book, NOW + 1 + REMOVAL_WINDOW)

    assert (book.laid, book.drain_failures) == ((), [])


def test_a_proxy_that_has_shown_itself_clean_sends_nothing_to_a_removed_pod() -> None:
    """Three backends, so nine dials in a row that connect once the removed pod is gone."""
    record, book = port_of(Level.UP, Level.UP)
    for i in range(9):
        dial(record, book, Result.CONNECTED, NOW + i)

    assert not dial(record, book, Result.REFUSED, NOW + 10)
    assert dial(record, book, Result.REFUSED, NOW + 11)


@pytest.mark.parametrize(("dials", "blamed"), [(8, True), (9, False)])
def test_a_pod_that_has_long_gone_is_not_blamed_anew_when_another_one_goes(
    dials: int, blamed: bool
) -> None:
    """Conntrack sends a dial after an unanswered one of two minutes before, during a rollout whose
    own pods all answer still. Three backends, so nine dials in a row."""
    record, book = port_of(Level.UP, Level.UP)
    record.removals.append(Removal("10.0.0.4", NOW + 20))
    for i in range(dials):
        dial(record, book, Result.CONNECTED, NOW + 20 + i / 10)
    assert dial(record, book, Result.TIMEOUT, NOW + 22)
    answers_still(book, "10.0.0.4", NOW + 24)
    answer(record, book, NOW + 24)

    assert book.laid == ()
    assert bool(book.drain_failures) is blamed


def test_dials_that_began_after_it_clear_nobody_of_one_that_timed_out() -> None:
    record, book = port_of(Level.UP, Level.UP)
    for i in range(20):
        dial(record, book, Result.CONNECTED, NOW + 5 + i / 10)

    assert dial(record, book, Result.TIMEOUT, NOW + 4)


def test_a_timeout_that_follows_another_one_may_be_conntracks() -> None:
    record, book = port_of(Level.UP, Level.DOWN)
    assert not dial(record, book, Result.TIMEOUT, NOW + 1)
    book.tracks[edge(PODS[1])].level = Level.UP

    assert not dial(record, book, Result.TIMEOUT, NOW + 50)
    assert dial(record, book, Result.REFUSED, NOW + 51)
    book.stray_timeout_at = NOW + 52 - blame.UNREPLIED_SECONDS
    assert dial(record, book, Result.TIMEOUT, NOW + 52)


def test_while_the_pod_terminates_its_own_answers_prove_nothing_of_the_proxy() -> None:
    record, book = port_of(Level.UP, Level.UP)
    record.removals[0].gone_at = inf
    for i in range(99):
        dial(record, book, Result.CONNECTED, NOW + i / 10)

    assert dial(record, book, Result.REFUSED, NOW + 10)


def test_while_a_dial_waits_for_its_answer_no_other_could_tell() -> None:
    """Else two timeouts of a pod whose address is gone would ask for too short a drain."""
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    dial(record, book, Result.TIMEOUT, NOW + 4, running, period=0.05, waited=4.05)
    answer(record, book, NOW + 9)

    assert (running.lag, running.error) == (4.0, 3 * 3 * 0.05 + 4.0)


def test_while_one_waits_for_its_answer_the_other_familys_dials_go_on() -> None:
    record, book = port_of(Level.UP, Level.UP)
    record.removals[0].gone_at = inf
    running = rollout()
    for i in range(40):
        dial(record, book, Result.CONNECTED, NOW + i / 10, running)
    dial(record, book, Result.TIMEOUT, NOW, running, waited=4.0)
    answer(record, book, NOW + 5)

    assert running.error == pytest.approx(3 * 3 * 0.1, rel=0.3)


def test_the_rate_of_dials_is_not_lowered_by_those_that_wait_in_vain() -> None:
    """What was missed while the last one waited is in the error by itself, and only once."""
    record, book = port_of(Level.UP, Level.UP)
    running, at, last = rollout(), NOW, NOW
    for result in (Result.CONNECTED, Result.CONNECTED, Result.CONNECTED, Result.TIMEOUT) * 5:
        waited = 4.0 if result is Result.TIMEOUT else 0.0
        dial(record, book, result, at, running, period=0.1, waited=waited)
        last, at = at, at + waited + 0.1
    answer(record, book, at)

    assert running.error == pytest.approx(3 * 3 * 0.12 + 3.9, rel=0.01)
    assert running.window == pytest.approx(3 * 3 * 0.12, rel=0.1)
    assert running.lag == last - NOW


@pytest.mark.parametrize("result", [Result.CONNECTED, Result.LOCAL_FAULT, Result.REJECTED])
def test_a_success_our_own_fault_and_a_reject_rule_are_no_removed_pod(result: Result) -> None:
    record, book = port_of(Level.UP, Level.UP)

    assert not dial(record, book, result, NOW + 1, rollout())


def test_without_a_removal_there_is_nothing_to_lay_a_failure_to() -> None:
    record, book = port_of(Level.UP, Level.UP)
    record.removals = []

    assert not dial(record, book, Result.REFUSED, NOW + 1)


def test_where_only_removed_pods_are_left_no_proxy_could_do_better() -> None:
    record, book = port_of(Level.UP, Level.UP)
    book.fallback = True

    assert not dial(record, book, Result.REFUSED, NOW + 1)


@pytest.mark.parametrize("level", [Level.SUSPECT, Level.CONFIRMED, Level.DOWN])
def test_nothing_is_laid_to_a_removal_while_an_endpoint_in_use_fails_by_itself(
    level: Level,
) -> None:
    record, book = port_of(Level.UP, level)

    assert not dial(record, book, Result.REFUSED, NOW + 1, rollout())


def test_a_dial_from_before_the_removal_is_not_laid_to_it() -> None:
    record, book = port_of(Level.UP, Level.UP)

    assert not dial(record, book, Result.REFUSED, NOW - 1)


def test_a_removal_from_before_the_port_was_there_is_not_its() -> None:
    record, book = port_of(Level.UP, Level.UP)
    book.since = NOW + 1

    assert not dial(record, book, Result.REFUSED, NOW + 2)


def test_the_failures_that_are_remembered_are_bounded() -> None:
    record, book = port_of(Level.UP, Level.UP)
    for i in range(300):
        dial(record, book, Result.TIMEOUT, NOW + i / 100)
    answer(record, book, NOW + 4)

    assert len(book.drain_failures) == blame.DRAIN_FAILURES_KEPT
    assert book.drain_failures[-1] == NOW + 2.99
