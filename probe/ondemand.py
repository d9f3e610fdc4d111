"""Checks on demand: has a Service dialed now and waits for what the dials mean.

Who asks does not make the daemon dial more than its caps allow: the World decides what is dialed
at once, and those who ask for the same Service while it is checked wait for the same dials.
"""

import asyncio
from collections.abc import Callable
from math import inf

from probe.core.edges import ServiceKey
from probe.core.ledger import Track
from probe.core.world import World
from probe.server import Busy

TICK = 0.05
"""Seconds between two looks at the dials: two ticks of the daemon and a little, so that what is
recorded at one look is judged by the next."""

CONFIRMATIONS = 3
"""A new failure is down after two more dials (core/health.py), each up to its timeout."""

TURNS = 8.0
"""Seconds given to these for waiting their turn: up to one for the first and one before each of the
others (core/schedule.py, CONFIRM_AFTER), candidates after them, and as much again where the caps of
several daemons or a busy machine stretch that. Arbitrary."""

LONGEST = 25.0
"""Seconds after which the answer is what is known, whatever is still under way: the asker waits
for 30 s at most (probe/vantages.py)."""

AT_ONCE = 20
"""Services checked at a time; people ask for one each. Arbitrary."""


class OnDemand:
    """The checks that are running, one per Service at most. `timeout` is that of a dial."""

    def __init__(self, world: World, timeout: float, clock: Callable[[], float]) -> None:
        self._world = world
        self._clock = clock
        self._seconds = min(CONFIRMATIONS * timeout + TURNS, LONGEST)
        self._running: dict[ServiceKey, asyncio.Event] = {}

    async def check(self, key: ServiceKey) -> None:
        """Returns when each edge of a known Service was dialed since, and a failure that is new
        is confirmed or not; at the latest after LONGEST seconds. Raises Busy."""
        running = self._running.get(key)
        if running is not None:
            await running.wait()
            return
        if len(self._running) >= AT_ONCE:
            raise Busy(f"{AT_ONCE} checks are running already")
        done = self._running[key] = asyncio.Event()
        try:
            await self._dialed(key)
        finally:
            del self._running[key]
            done.set()

    async def _dialed(self, key: ServiceKey) -> None:
        since = self._clock()
        end = since + self._seconds
        self._world.ask(key, since)
        decided = False
        while self._clock() < end:
            await asyncio.sleep(TICK)
            before, decided = decided, not self._undecided(key, since, end)
            if before and decided:
                return

    def _undecided(self, key: ServiceKey, since: float, end: float) -> bool:
        record = self._world.mirror.services.get(key)
        if record is None:
            return False
        books = record.books.values()
        if any((book.held_since or -inf) > since - LONGEST for book in books):
            return True  # what has been held back for longer flaps, and will not settle for us
        if self._world.answered(key, since):
            return False
        return any(_comes(track, since, end) for book in books for track in book.tracks.values())


def _comes(track: Track, since: float, end: float) -> bool:
    """Whether its dial is worth waiting for: in a large cluster the caps may put it off for
    minutes."""
    return track.in_flight or (track.sent < since and track.due < end)
