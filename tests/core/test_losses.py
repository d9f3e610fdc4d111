"""What is lost now and then: a share of the last minutes' dials, in more than one half minute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.edges import Kind
from probe.core.losses import (
    BUCKET_SECONDS,
    BUCKET_SECONDS_MAX,
    BUCKETS,
    LEAST,
    SHARE,
    UNSTEADY_RUNS,
    WELL,
    WELL_ROUNDS,
    Lost,
    Spell,
    Window,
    counted,
    lossy,
)

PERIOD = 10.0
WINDOW = BUCKET_SECONDS * BUCKETS


class Port:
    """A Service port's windows with their clock."""

    def __init__(self, kind: Kind = Kind.ENDPOINT, period: float = PERIOD) -> None:
        self.now = 1000.0
        self.windows: tuple[Window, ...] = ()
        self._kind, self._period = kind, period

    def dial(self, dials: int = 1, *, failed: int = 0, again: bool = False) -> "Port":
        """So many dials that connect, all of them alike."""
        for _ in range(dials):
            self.windows = counted(
                self.windows, self._kind, self.now, self._period, failed=failed, retransmitted=again
            )
        return self

    def wait(self, seconds: float = BUCKET_SECONDS) -> "Port":
        self.now += seconds
        return self

    @property
    def lost(self) -> Lost | None:
        return lossy(self.windows, self.now)


def test_nothing_is_held_while_nothing_is_lost() -> None:
    assert Port().dial(100).windows == ()


def test_33_three_lost_in_two_half_minutes_are_told_with_what_they_were() -> None:
    port = Port().dial(again=True).dial(10).wait().dial(again=True).dial(10)
    assert port.lost is None

    port.dial(failed=1)
    assert port.lost == Lost(Kind.ENDPOINT, dials=24, failed=1, retransmitted=2, seconds=WINDOW)


def test_a_blip_is_no_loss_however_many_edges_it_met() -> None:
    port = Port().dial(60, again=True).wait(BUCKET_SECONDS - 1).dial(60, failed=1)
    assert port.lost is None

    port.wait(1).dial(failed=1)
    assert port.lost is not None


@pytest.mark.parametrize(("clean", "found"), [(39, True), (40, False)])
def test_the_one_that_opened_the_window_is_none_of_the_twentieth(clean: int, found: bool) -> None:
    """No dial before it was counted: its share would always be a large one."""
    port = Port().dial(again=True).wait().dial(clean - 2).dial(2, again=True)

    assert (port.lost is not None) is found


def test_a_share_about_the_bound_does_not_flap() -> None:
    port = Port().dial(3, failed=1).wait().dial(failed=1)
    assert port.lost is not None

    port.dial(160 - 8)
    assert port.lost is not None
    port.dial(1)
    assert port.lost is None
    port.dial(failed=1)
    assert port.lost is None


def test_it_is_over_when_the_window_is_whether_or_not_anything_is_dialed() -> None:
    port = Port().dial(again=True).wait().dial(3, again=True)
    port.wait(WINDOW - BUCKET_SECONDS - 0.1)
    assert port.lost is not None
    port.wait(BUCKET_SECONDS + 0.1)
    assert port.lost is None
    assert port.dial().windows == ()


def test_each_kind_has_its_own_and_the_endpoints_are_told_before_the_cluster_ip() -> None:
    port, vip = Port(), Port(Kind.SERVICE)
    for each in (vip, port):
        each.dial(failed=2).wait().dial(failed=1)
        assert each.lost is not None
    both = (*vip.windows, *port.windows)

    assert lossy(both, port.now) == port.lost
    assert lossy(vip.windows, vip.now) == vip.lost
    assert [w.kind for w in counted(both, Kind.SERVICE, 1e6, PERIOD, failed=0, retransmitted=False)]


@pytest.mark.parametrize(
    ("period", "bucket"),
    [(0.5, BUCKET_SECONDS), (10.0, BUCKET_SECONDS), (25.0, 75.0), (500.0, BUCKET_SECONDS_MAX)],
)
def test_a_window_is_as_long_as_what_is_dialed_seldom_needs_and_no_longer(
    period: float, bucket: float
) -> None:
    (window,) = Port(period=period).dial(failed=1).windows

    assert window.lost(1000.0).seconds == bucket * BUCKETS <= 1200.0


Step = st.tuples(st.floats(0.0, 2 * WINDOW), st.integers(1, 40), st.integers(0, 2), st.booleans())


@given(st.lists(Step, max_size=30))
def test_whatever_happens_it_counts_what_the_window_met_and_no_more_than_that(
    steps: list[tuple[float, int, int, bool]],
) -> None:
    port, met = Port(), list[tuple[float, int, int]]()
    for seconds, dials, failed, again in steps:
        port.wait(seconds).dial(dials, failed=failed, again=again)
        met.append((port.now, dials * (1 + failed), dials * (failed + again)))
        found = port.lost
        assert len(port.windows) <= 1
        if found is not None:
            within = [each for each in met if each[0] > port.now - WINDOW]
            surely = [each for each in met if each[0] > port.now - WINDOW + BUCKET_SECONDS]
            assert sum(n for _, _, n in surely) <= found.total <= sum(n for _, _, n in within)
            assert 0 < found.total <= found.dials <= sum(n for _, n, _ in within)


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_fewer_than_three_or_one_in_twenty_never_are_a_fault(dials: list[bool]) -> None:
    port = Port(Kind.SERVICE)
    told = False
    for lost in dials:
        port.wait(PERIOD / 2).dial(failed=int(lost))
        told |= port.lost is not None
    if told:
        assert sum(dials) >= LEAST
        assert sum(dials) >= SHARE * len(dials) or len(dials) > WINDOW / PERIOD * 2


def spell(*fell: bool, every: float = PERIOD) -> Spell:
    """Of an endpoint that answers again at 0, and then each `every` seconds, after failures that
    took it down or did not, and began two seconds before."""
    found = WELL
    for number, down in enumerate(fell):
        at = number * every
        found = found.longer(at - 2, at, PERIOD, fell=down)
    return found


def test_an_endpoint_is_unsteady_that_was_down_and_fails_again_and_again() -> None:
    often = UNSTEADY_RUNS

    assert spell(*[False] * (often - 1), True).unsteady(100)
    assert spell(True, *[False] * (often - 1)).unsteady(100)
    assert not spell(*[False] * 99).unsteady(1000)
    assert not spell(*[True] * (often - 1)).unsteady(100)
    assert not WELL.unsteady(100)


def test_an_unsteady_endpoint_is_well_once_it_has_answered_for_its_rounds() -> None:
    lasts = WELL_ROUNDS * PERIOD
    found = spell(*[True] * UNSTEADY_RUNS)

    assert found.unsteady(found.ends - 0.1)
    assert not found.unsteady(found.ends)
    assert spell(*[True] * UNSTEADY_RUNS, every=lasts + 1.9).runs == UNSTEADY_RUNS
    assert spell(*[True] * UNSTEADY_RUNS, every=lasts + 2).runs == 1


def test_an_endpoint_that_is_down_for_long_is_not_well_meanwhile() -> None:
    found = spell(*[True] * (UNSTEADY_RUNS - 1)).longer(40, 4000, PERIOD, fell=True)

    assert found.unsteady(4001)
