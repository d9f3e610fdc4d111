"""Incidents in any order of turns, against what is plainly true of them."""

from hypothesis import given
from hypothesis import strategies as st

from probe.core.edges import PortKey
from probe.core.incident import Standing, standing
from probe.core.verdicts import Judgement
from tests.core.turning import (
    API,
    CUT_OFF,
    DB,
    HEALTHY,
    MASKED,
    MISMATCH,
    REFUSED,
    STALE,
    UNKNOWN,
    WEB,
    ZERO,
    Desk,
)

JUDGEMENTS = st.sampled_from([HEALTHY, MASKED, ZERO, UNKNOWN, REFUSED, MISMATCH, CUT_OFF, STALE])
STEPS = st.lists(
    st.tuples(
        st.sampled_from([WEB, API, DB]), st.none() | JUDGEMENTS, st.sampled_from([0, 1, 3, 15])
    ),
    max_size=30,
)


@given(STEPS)
def test_in_any_order_what_fails_is_open_once_and_what_is_quiet_for_long_is_not(
    steps: list[tuple[PortKey, Judgement | None, int]],
) -> None:
    desk = Desk(quiet=10.0)
    opened: set[str] = set()
    closed: set[str] = set()
    for key, judgement, seconds in steps:
        if judgement is None:
            desk.judgements.pop(key, None)
        else:
            desk.turn(key, judgement)
        told = len(desk.told)
        desk.run(seconds)
        assert len(desk.told) - told <= 8 * max(1, seconds)
        _hold(desk, seconds)
    opened = {i.id for i in desk.shown}
    closed = {i.id for i in desk.incidents.history}
    assert len(opened) == len(desk.shown)
    assert closed <= opened


def _hold(desk: Desk, seconds: int) -> None:
    """What is true of every moment."""
    standing_open = list(desk.incidents._open.values())
    for key, judgement in desk.judgements.items():
        mine = [i for i in standing_open if i.ports.get(key) is Standing.FAILING]
        fails = standing(judgement) is Standing.FAILING
        assert [i.cause for i in mine] == ([judgement.cause] if fails else [])
    for incident in standing_open:
        assert incident.opened <= incident.updated <= desk.now
        if seconds and incident.quiet_since is not None and incident.told:
            assert desk.now - incident.quiet_since < 10.0
        if seconds:
            assert incident.ports.keys() <= desk.judgements.keys()
    for incident in desk.incidents.history:
        assert incident.closed is not None
        assert incident.told
        assert incident.opened <= incident.closed <= desk.now


FLAPS = st.lists(st.tuples(st.sampled_from([HEALTHY, REFUSED]), st.integers(1, 40)), max_size=30)


@given(FLAPS)
def test_one_port_is_told_as_a_list_of_its_turns_tells_it(
    steps: list[tuple[Judgement, int]],
) -> None:
    desk, naive = Desk(quiet=20.0), Naive()
    for judgement, seconds in [*steps, (HEALTHY, 40)]:
        naive.turn(judgement is REFUSED, desk.now)
        desk.turn(WEB, judgement).run(seconds)

    found = [(i.opened, i.closed, i.flaps) for i in reversed(desk.shown)]
    assert found == naive.incidents


class Naive:
    """Times of failing and of health, joined where the health between two was short."""

    def __init__(self) -> None:
        self.incidents: list[tuple[float, float | None, int]] = []
        self._failing = False

    def turn(self, failing: bool, at: float) -> None:
        if failing and not self._failing:
            last = self.incidents[-1] if self.incidents else None
            if last is not None and last[1] is not None and at - last[1] < 20.0:
                self.incidents[-1] = (last[0], None, last[2] + 1)
            else:
                self.incidents.append((at, None, 0))
        if not failing and self._failing:
            opened, _, flaps = self.incidents[-1]
            self.incidents[-1] = (opened, at, flaps)
        self._failing = failing
