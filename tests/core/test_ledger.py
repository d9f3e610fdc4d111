from math import inf

import pytest

from probe.core.edges import Kind
from probe.core.health import Level, State
from probe.core.ledger import (
    FRESH_PERIODS,
    Track,
    View,
    fresh,
    state,
)
from probe.core.results import Outcome
from probe.core.verdicts import PROXY_PATIENCE
from tests.core.books import NOW, VIEW, book, track
from tests.core.facts import (
    CONNECTED,
    REFUSED,
    TIMEOUT,
    edge,
)


def test_a_dial_is_fresh_for_a_few_periods_and_their_deadlines() -> None:
    lasts = FRESH_PERIODS * (10.0 + 4.0)
    held = track("10.0.0.1", Level.UP, CONNECTED, at=NOW - lasts)
    assert fresh(held, VIEW)

    held.dialed_at -= 0.1
    assert not fresh(held, VIEW)
    held.period = 20.0  # a cap binds: what is dialed less often stays fresh for longer
    assert fresh(held, VIEW)
    assert not fresh(track("10.0.0.1", Level.NEW, None), VIEW)


@pytest.mark.parametrize(
    ("level", "outcome", "stale", "found"),
    [
        (Level.UP, CONNECTED, None, State.UP),
        (Level.DOWN, TIMEOUT, None, State.DOWN),
        (Level.DOWN, TIMEOUT, 120.0, State.DOWN),
        (Level.DOWN, TIMEOUT, 121.0, State.UNKNOWN),
        (Level.UP, CONNECTED, 121.0, State.UP),
        (Level.NEW, None, None, State.UNKNOWN),
    ],
)
def test_38_the_state_of_an_edge_and_a_silent_api_server(
    level: Level, outcome: Outcome | None, stale: float | None, found: State
) -> None:
    held = track("10.0.0.1", level, outcome)
    record, of = book(held)
    view = View(NOW, 30.0, 30.0, 10.0, 4.0, stale)

    assert state(held, record, of, view) is found


def test_a_failure_of_a_new_endpoint_is_excluded_and_its_success_is_not() -> None:
    held = track("10.0.0.1", Level.DOWN, REFUSED)
    record, of = book(held)
    held.since = NOW - 20
    assert state(held, record, of, VIEW) is State.EXCLUDED

    held.outcome, held.level = CONNECTED, Level.UP
    assert state(held, record, of, VIEW) is State.UP


def test_a_candidate_has_a_state_whatever_its_service_does() -> None:
    held = Track(edge("10.0.0.9", kind=Kind.CANDIDATE), None, NOW, level=Level.UP)
    held.outcome, held.dialed_at = CONNECTED, NOW
    record, of = book(held)

    assert state(held, record, of, VIEW) is State.UP


@pytest.mark.parametrize(
    ("changed", "failing", "dialed", "found"),
    [
        ((), 0, 5, False),
        ((0,), 1, 30, True),
        ((0,), 1, 30.1, False),
        ((0,), -90, 30, True),
        ((0, 20), 1, 31, True),
        ((0, 20), 1, 31.1, False),
        ((0, 20), -90, 30.1, False),
        ((0, 20, 40), 41, 70, True),
        ((0, 20, 40), 41, 70.1, False),
        ((0, 60), 61, 90, True),
    ],
    ids=[
        *("nothing changed", "just so late", "later", "it failed before", "it changed again"),
        *("failing for longer", "failing before", "it followed in between", "not that", "at rest"),
    ],
)
def test_39_for_how_long_a_proxy_may_be_late(
    changed: tuple[float, ...], failing: float, dialed: float, found: bool
) -> None:
    """All in seconds after NOW: when the endpoints changed, since when the dials have failed, and
    when the last of them began."""
    vip = Track(edge("10.96.0.10", kind=Kind.SERVICE), None, -inf, failing_since=NOW + failing)
    _, of = book(vip)
    for at in changed:
        of.moved(NOW + at)
    vip.dialed_at = NOW + dialed

    assert of.late(vip, PROXY_PATIENCE) is found
