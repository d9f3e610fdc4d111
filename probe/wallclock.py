"""Wall time for people: what our monotonic seconds are on a clock that may be set meanwhile."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

STEP = timedelta(seconds=0.5)
"""From here on the wall clock was set, or the machine slept: CLOCK_MONOTONIC follows NTP's slewing,
but neither a step nor a suspend (clock_gettime(2)). Less is what passes between two readings of a
process that waits for its CPU, and would move the time of what is over. Chosen."""


class WallClock:
    """Tells a moment, in seconds of `monotonic`, as time of the `wall`, as that is set now."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._monotonic, self._wall = monotonic, wall
        self._epoch = self._read()

    def __call__(self, at: float) -> datetime:
        return self._epoch + timedelta(seconds=at)

    def renew(self) -> None:
        """Follows the wall clock if it was set; to be called about once a second."""
        found = self._read()
        if abs(found - self._epoch) >= STEP:
            self._epoch = found

    def _read(self) -> datetime:
        """When our monotonic clock was 0."""
        return self._wall() - timedelta(seconds=self._monotonic())
