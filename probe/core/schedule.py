"""Which edge is due when, how much may be dialed, and which node dials what.

Everything is spread: an edge has its own offset in the interval, given by a hash, and a little
jitter each time, so that neither a target nor a node sees a burst. The caps are for the whole
cluster; where one binds, intervals stretch.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)

SLOT = 0.02
"""Seconds in one slot of the wheel: measured lateness stays under it, at 3 us per firing."""

SOURCES_MIN = 3
"""Nodes that dial an endpoint at least: one could be broken itself, two could not outvote it."""

TARGET_RATE = 2.0
"""New connections per second to one Service port or endpoint, from the whole cluster."""

CLOSE_RATE = 20.0
"""The same while a rollout is watched closely."""

JITTER = 0.1
"""Share of the period by which one firing may be early or late."""


class Wheel(Generic[Item]):
    """A hashed wheel: items with a time, taken out once it has come, in O(1) each."""

    def __init__(self, now: float) -> None:
        self._slots: dict[int, list[tuple[float, Item]]] = {}
        self._next = int(now / SLOT)

    def put(self, item: Item, due: float) -> None:
        self._slots.setdefault(max(int(due / SLOT), self._next), []).append((due, item))

    def take(self, now: float) -> list[tuple[float, Item]]:
        """All items whose slot has begun, oldest slot first, each with the time it was put for."""
        last = int(now / SLOT)
        if last - self._next > len(self._slots):
            slots = sorted(slot for slot in self._slots if slot <= last)
        else:
            slots = [slot for slot in range(self._next, last + 1) if slot in self._slots]
        self._next = max(self._next, last + 1)
        return [entry for slot in slots for entry in self._slots.pop(slot)]


@dataclass(slots=True)
class Budget:
    """A token bucket: `rate` per second, at most `burst` at once. A rate of 0 means no limit."""

    rate: float
    burst: float
    _tokens: float = 0.0
    _at: float | None = None

    def take(self, now: float, wanted: int) -> int:
        """How many of `wanted` may happen now; those are spent."""
        if self.rate <= 0:
            return wanted
        if self._at is None:
            self._tokens = self.burst
        else:
            self._tokens = min(self.burst, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = now
        granted = min(wanted, int(self._tokens))
        self._tokens -= granted
        return granted


class Lane(Generic[Item]):
    """Items that are due, waiting for their turn under a budget; first come, first served."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._waiting: deque[tuple[float, Item]] = deque()

    def add(self, due: float, item: Item) -> None:
        self._waiting.append((due, item))

    def take(self, now: float, room: int) -> list[tuple[float, Item]]:
        """The next items, no more than `room` and what the budget allows."""
        granted = self._budget.take(now, min(room, len(self._waiting)))
        return [self._waiting.popleft() for _ in range(granted)]

    def lateness(self, now: float) -> float:
        """Seconds for which the longest waiting item has been due; 0 if none waits."""
        return max(0.0, now - self._waiting[0][0]) if self._waiting else 0.0

    def __len__(self) -> int:
        return len(self._waiting)


def fraction(*words: object) -> float:
    """A number in [0, 1) that these words always give: chance without randomness."""
    return _score(*words) / 2**64


def _score(*words: object) -> int:
    text = "\0".join(map(str, words))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def is_source(node: str, nodes: Sequence[str], key: object, count: int) -> bool:
    """Whether `node` is among the `count` of `nodes` that rendezvous hashing picks for `key`.

    Every node answers alike without asking the others, and when one leaves only its share moves.
    """
    if count >= len(nodes):
        return True
    mine = _score(node, key)
    return sum(_score(other, key) > mine for other in nodes if other != node) < count


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often edges are dialed, from the interval and the number of live daemons.

    `sources` is the number of daemons that dial one endpoint, besides the one on its own node.
    """

    interval: float
    daemons: int

    @property
    def sources(self) -> int:
        """As many as the cap allows, never fewer than SOURCES_MIN, all in a small cluster."""
        affordable = int(TARGET_RATE * self.interval + 1e-9)
        return min(self.daemons, max(SOURCES_MIN, affordable))

    def service_period(self, *, close: bool = False) -> float:
        """Seconds between dials of a ClusterIP: every daemon dials it."""
        if close:
            return self.daemons / CLOSE_RATE
        return max(self.interval, self.daemons / TARGET_RATE)

    def endpoint_period(self) -> float:
        """Seconds between dials of an endpoint by one of its sources."""
        return max(self.interval, self._endpoint_sources / TARGET_RATE)

    def confirm_after(self, *, service: bool) -> float:
        """Seconds after which a failure is dialed again: soon, but inside the target's cap."""
        sources = self.daemons if service else self._endpoint_sources
        return max(min(CONFIRM_AFTER, self.interval), sources / TARGET_RATE)

    @property
    def _endpoint_sources(self) -> int:
        """The chosen ones and the endpoint's own node."""
        return min(self.daemons, self.sources + 1)


CONFIRM_AFTER = 1.0
"""Seconds: longer than kube-proxy's minSyncPeriod (1 s), so that a re-dial meets newer rules."""


def spread(period: float, *words: object) -> float:
    """The period with its jitter, for these words (an edge and a count)."""
    return period * (1 + JITTER * (2 * fraction(*words) - 1))
