"""Work to do, by key: each key once however often it was asked for, one per turn of the loop.

One per turn, because that is what makes intermediate states visible to watches, as they are in a
real cluster where every controller is a process of its own.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")

log = logging.getLogger(__name__)


class WorkQueue(Generic[K]):
    """Calls `work(key)` for every key added. Work that raises is logged and not repeated."""

    def __init__(self, work: Callable[[K], None]) -> None:
        self._work = work
        self._keys: dict[K, None] = {}
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._turn: asyncio.Handle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def idle(self) -> bool:
        """Nothing to do now; work put off by add_later does not count."""
        return not self._keys

    def add(self, key: K) -> None:
        self._keys.setdefault(key)
        if self._turn is None:
            self._turn = self._loop.call_soon(self._run)

    def add_later(self, key: K, delay: float) -> None:
        """Adds the key in `delay` seconds, instead of any time it was put off to before."""
        if timer := self._later.pop(key, None):
            timer.cancel()
        self._later[key] = self._loop.call_later(delay, self._due, key)

    def close(self) -> None:
        """Drops all work."""
        self._keys.clear()
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()
        if self._turn is not None:
            self._turn.cancel()

    def _due(self, key: K) -> None:
        del self._later[key]
        self.add(key)

    def _run(self) -> None:
        key = next(iter(self._keys))
        del self._keys[key]
        self._turn = None
        try:
            self._work(key)
        except Exception as error:
            # Mostly a user's object that makes no sense, which is no news of our code.
            work = getattr(self._work, "__qualname__", "work")
            log.error("%s failed for %s: %r", work, key, error)
            log.debug("where it failed", exc_info=error)
        if self._keys and self._turn is None:
            self._turn = self._loop.call_soon(self._run)
