"""How failures that were laid to removals are settled, and what a lag is told of them."""

from math import inf

import pytest

from probe.core import blame
from probe.core.health import Level
from probe.core.results import Result
from probe.core.rollouts import REMOVAL_WINDOW, Removal
from probe.core.verdicts import Judgement, Verdict
from tests.core.facts import edge
from tests.core.laying import NOW, PODS, answer, answers_still, dial, port_of, rollout


def test_a_failure_is_unconfirmed_until_every_endpoint_in_use_has_answered_since() -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    for at in (NOW + 1, NOW + 2):
        dial(record, book, Result.REFUSED, at, running)
    blame.confirm(record, book, NOW + 2)
    assert (running.unconfirmed, running.lag) == (2, None)

    answer(record, book, NOW + 2)  # begun with the second one
    assert (running.unconfirmed, running.lag) == (1, 1.0)
    answer(record, book, NOW + 3)
    assert (running.unconfirmed, running.lag, running.censored) == (0, 2.0, False)


def test_what_an_endpoint_explains_is_unconfirmed_no_longer_and_nobodys_lag() -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    dial(record, book, Result.REFUSED, NOW + 1, running)
    book.tracks[edge(PODS[0])].level = Level.SUSPECT
    blame.confirm(record, book, NOW + 2)

    assert (running.unconfirmed, running.lag, running.censored) == (0, None, False)


@pytest.mark.parametrize("known", [True, False])
def test_what_nobody_could_confirm_in_time_makes_a_lag_doubtful(known: bool) -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    if known:
        dial(record, book, Result.REFUSED, NOW + 1, running)
        answer(record, book, NOW + 2)
    dial(record, book, Result.REFUSED, NOW + 9, running)
    blame.confirm(record, book, NOW + 9 + REMOVAL_WINDOW)

    assert (running.unconfirmed, running.censored) == (0, known)
    assert running.recommended_drain is None


def test_a_failure_that_is_confirmed_after_its_removal_is_closed_is_not_dropped_silently() -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    dial(record, book, Result.REFUSED, NOW + 1, running)
    answer(record, book, NOW + 2)
    dial(record, book, Result.REFUSED, NOW + REMOVAL_WINDOW - 1, running)
    record.removals = []
    answer(record, book, NOW + REMOVAL_WINDOW + 1)

    assert (running.lag, running.censored) == (1.0, True)


def test_what_a_removed_pod_that_answers_cannot_have_caused_leaves_the_lag_as_it_is() -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    for at in (NOW + 1, NOW + 9):
        dial(record, book, Result.REFUSED, at, running)
        answer(record, book, at + 1)
        answers_still(book, "10.0.0.3", NOW + 10)

    assert (running.unconfirmed, running.lag, running.censored) == (0, 1.0, False)


def test_a_lag_up_to_the_end_of_the_window_is_not_told_as_exact() -> None:
    """Three backends and two dials a second: an error bar of 4.5 s."""
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    dial(record, book, Result.REFUSED, NOW + REMOVAL_WINDOW - 4.6, running)
    answer(record, book, NOW + REMOVAL_WINDOW - 4)
    assert (running.censored, running.recommended_drain) == (False, 61)

    dial(record, book, Result.REFUSED, NOW + REMOVAL_WINDOW - 4.5, running)
    answer(record, book, NOW + REMOVAL_WINDOW - 4)
    assert (running.censored, running.recommended_drain) == (True, None)


@pytest.mark.parametrize(
    ("confirmed", "verdict", "censored"),
    [
        (True, Verdict.PROXY_STALE, True),
        (False, Verdict.PROXY_STALE, True),
        (True, Verdict.ENDPOINT_DOWN, False),
    ],
)
def test_a_proxy_that_turns_out_to_be_stale_has_no_lag_that_a_drain_could_outlast(
    confirmed: bool, verdict: Verdict, censored: bool
) -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    dial(record, book, Result.REFUSED, NOW + 30, running)
    answer(record, book, NOW + 31)
    if not confirmed:
        dial(record, book, Result.REFUSED, NOW + 40, running)
    book.judgement = Judgement(verdict, "")
    blame.confirm(record, book, NOW + (33 if confirmed else 41))

    assert (running.unconfirmed, running.censored) == (0, censored)


def test_a_lag_that_was_over_for_long_is_none_of_a_proxy_that_becomes_stale() -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    dial(record, book, Result.REFUSED, NOW + 1, running)
    answer(record, book, NOW + 2)
    book.judgement = Judgement(Verdict.PROXY_STALE, "")
    for at in (NOW + 40, NOW + 41):
        blame.confirm(record, book, at)

    assert (running.lag, running.censored) == (1.0, False)


def test_a_removal_from_before_the_port_was_there_is_not_its_even_if_a_later_one_answers() -> None:
    record, book = port_of(Level.UP, Level.UP)
    book.since = NOW + 1
    record.removals.append(Removal("10.0.0.4", NOW + 3))
    answers_still(book, "10.0.0.4", NOW + 5)
    assert dial(record, book, Result.REFUSED, NOW + 4)
    book.tracks[edge(PODS[0])].dialed_at = book.tracks[edge(PODS[1])].dialed_at = NOW + 6
    blame.confirm(record, book, NOW + 6)

    assert (book.laid, book.drain_failures) == ((), [])
    assert [removal.lag for removal in record.removals] == [None, None]


def test_a_lag_is_of_the_rollout_that_ran_as_the_pod_was_removed() -> None:
    record, book = port_of(Level.UP, Level.UP)
    first, second = rollout(), rollout()
    second.started = NOW + 5
    dial(record, book, Result.REFUSED, NOW + 1, first)
    dial(record, book, Result.REFUSED, NOW + 9, second)
    answer(record, book, NOW + 10)

    assert (first.lag, second.lag) == (9.0, None)
    assert (first.unconfirmed, second.unconfirmed) == (0, 0)


def test_without_a_rollout_the_last_dials_tell_of_a_pace_that_may_be_over() -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    record.removals[0].gone_at = inf
    for i in range(40):
        dial(record, book, Result.CONNECTED, NOW + i / 20, running, period=0.05)
    dial(record, book, Result.REFUSED, NOW + 2, running, period=0.05)
    answer(record, book, NOW + 2.1)
    assert running.error == pytest.approx(3 * 3 / 20)

    dial(record, book, Result.REFUSED, NOW + 5, period=2.0)
    answer(record, book, NOW + 6)
    assert (running.lag, running.error) == (5.0, 3 * 3 * 2.0)


def test_the_failures_that_wait_to_be_settled_are_bounded() -> None:
    record, book = port_of(Level.UP, Level.UP)
    running = rollout()
    for i in range(blame.LAID_KEPT + 10):
        dial(record, book, Result.REFUSED, NOW + i / 100, running)
    assert running.unconfirmed == len(book.laid) == blame.LAID_KEPT

    book.settle()
    assert (running.unconfirmed, book.laid) == (0, ())


def test_a_moment_after_a_burst_the_endpoints_are_asked_until_it_is_settled() -> None:
    record, book = port_of(Level.UP, Level.UP)
    assert not blame.unsettled(book, NOW)
    dial(record, book, Result.REFUSED, NOW + 1)
    assert not blame.unsettled(book, NOW + 1.9)
    assert blame.unsettled(book, NOW + 2)
    book.asked_at = NOW + 2
    assert not blame.unsettled(book, NOW + 2.5)
    assert blame.unsettled(book, NOW + 3)

    answer(record, book, NOW + 3)
    assert not blame.unsettled(book, NOW + 9)
