"""The wall's time of what happened, while that clock is set."""

from datetime import UTC, datetime, timedelta

from probe.wallclock import STEP, WallClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clocks:
    """The machine's two clocks; `ahead` is what the wall's was set ahead by."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.ahead = 0.0

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self.monotonic - 1000.0 + self.ahead)


def test_a_moment_has_the_time_that_the_wall_showed() -> None:
    clocks = Clocks()
    clock = WallClock(lambda: clocks.monotonic, clocks.wall)
    clocks.monotonic += 3600.0
    clock.renew()

    assert clock(1000.0) == NOON
    assert clock(4600.0) == NOON + timedelta(hours=1)


def test_once_the_wall_clock_is_set_all_moments_are_told_by_its_new_time() -> None:
    clocks = Clocks()
    clock = WallClock(lambda: clocks.monotonic, clocks.wall)
    for ahead in (7200.0, -90.0, STEP.total_seconds() + 0.001):
        clocks.ahead = ahead
        clocks.monotonic += 1.0
        clock.renew()

        assert clock(clocks.monotonic) == clocks.wall()
        assert clock(1000.0) == NOON + timedelta(seconds=ahead)
        clocks.ahead = 0.0
        clock.renew()


def test_what_two_readings_differ_by_moves_no_moment() -> None:
    clocks = Clocks()
    clock = WallClock(lambda: clocks.monotonic, clocks.wall)
    for ahead in (0.3, -0.3, 0.001):
        clocks.ahead = ahead
        clock.renew()

        assert clock(1000.0) == NOON
