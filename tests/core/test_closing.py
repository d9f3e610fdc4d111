from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.closing import (
    CONNTRACK_SECONDS,
    SHARE,
    TIME_WAIT_SECONDS,
    Bounds,
    Choice,
    Closing,
    Left,
    Mode,
    decide,
)

USUAL = Bounds(conntrack=262_144, time_wait=131_072)
"""What Linux sets on a machine with 8 GB; kube-proxy raises the first from four cores on."""

FIN, RST = Mode.FIN, Mode.RST


def after(
    closing: Closing, *rates: int, seconds: int, bounds: Bounds = USUAL, start: int = 0
) -> list[Mode]:
    """The modes in force, second by second, while so many are dialed each second in turn."""
    modes = []
    for second in range(start, start + seconds):
        closing.dialed(rates[second % len(rates)], float(second), bounds)
        modes.append(closing.mode)
    return modes


@pytest.mark.parametrize(
    ("left", "mode", "then"),
    [
        (Left(26_214, 13_107), FIN, FIN),
        (Left(26_215, 0), FIN, RST),
        (Left(0, 13_108), FIN, RST),
        (Left(13_107, 6_553), RST, FIN),
        (Left(13_108, 0), RST, RST),
        (Left(0, 6_554), RST, RST),
        (Left(10**9, 10**9), FIN, RST),
    ],
)
def test_a_tenth_of_each_bound_may_be_left_and_back_is_half_of_that(
    left: Left, mode: Mode, then: Mode
) -> None:
    assert then is decide(left, USUAL, mode)


@pytest.mark.parametrize("mode", Mode)
def test_where_nothing_is_bounded_connections_end_by_fin(mode: Mode) -> None:
    assert FIN is decide(Left(10**9, 10**9), Bounds(), mode)


def test_the_usual_bounds_carry_218_dials_a_second() -> None:
    assert {FIN} == set(after(Closing(Choice.AUTO), 218, seconds=600))
    assert RST is after(Closing(Choice.AUTO), 219, seconds=600)[-1]


def test_5000_dials_a_second_are_reset_before_a_tenth_is_full() -> None:
    modes = after(Closing(Choice.AUTO), 5000, seconds=600)
    fin = modes.index(RST)

    assert (fin + 1) * 5000 <= SHARE * 262_144 + 5000
    assert {RST} == set(modes[fin:])


def test_fin_comes_back_once_the_rate_has_been_far_below_for_the_window() -> None:
    closing = Closing(Choice.AUTO)
    after(closing, 1000, seconds=200)
    modes = after(closing, 100, seconds=200, start=200)
    back = modes.index(FIN)

    assert CONNTRACK_SECONDS * 0.9 < back < CONNTRACK_SECONDS * 1.1
    assert {FIN} == set(modes[back:])


def test_a_rate_about_the_bound_does_not_flap() -> None:
    """A rollout every half a minute, around a rate that alone just stays below."""
    modes = after(Closing(Choice.AUTO), *[210] * 25, *[300] * 5, seconds=3600)

    assert sum(old is not new for old, new in pairwise(modes)) == 1


@pytest.mark.parametrize(("choice", "mode"), [(Choice.FIN, FIN), (Choice.RST, RST)])
def test_what_the_administrator_says_stays_in_force(choice: Choice, mode: Mode) -> None:
    closing = Closing(choice)

    assert {mode} == set(after(closing, 0, 10_000, seconds=300))


def test_a_change_is_told_once_with_its_arithmetic() -> None:
    closing = Closing(Choice.AUTO)
    bounds = Bounds(conntrack=10_000)
    said = [closing.dialed(rate, float(t), bounds) for t, rate in enumerate([600, 600, 600, 0])]

    assert said[0] is said[2] is said[3] is None
    assert said[1] == (
        "closing connections by RST from now on: closed by FIN, the dials of the last 120 s leave "
        "1200 conntrack entries and those of the last 60 s 1200 sockets in TIME_WAIT, over 10% of "
        "nf_conntrack_max (10000) or tcp_max_tw_buckets (none)"
    )
    assert closing.dialed(5, 200.0, bounds) == (
        "closing connections by FIN from now on: closed by FIN, the dials of the last 120 s leave "
        "5 conntrack entries and those of the last 60 s 5 sockets in TIME_WAIT, both far below "
        "10% of nf_conntrack_max (10000) and tcp_max_tw_buckets (none)"
    )


bounds = st.one_of(st.none(), st.integers(1_000, 300_000))


@given(st.lists(st.integers(0, 6_000), min_size=1, max_size=400), st.builds(Bounds, bounds, bounds))
def test_what_fin_leaves_never_exceeds_the_share_by_more_than_a_second_of_dials(
    rates: list[int], bounds: Bounds
) -> None:
    closing, by_fin = Closing(Choice.AUTO), [0] * len(rates)
    for second, rate in enumerate(rates):
        by_fin[second] = rate if closing.mode is FIN else 0  # what is dialed before we look again
        closing.dialed(rate, float(second), bounds)
        for bound, seconds in (
            (bounds.conntrack, CONNTRACK_SECONDS),
            (bounds.time_wait, TIME_WAIT_SECONDS),
        ):
            standing = sum(by_fin[max(0, second + 1 - int(seconds)) : second + 1])
            assert bound is None or standing <= SHARE * bound + max(by_fin)
