"""Which edge is due when, how much may be dialed, and which node dials what.

Everything is spread: an edge has its own offset in the interval, given by a hash, and a little
jitter each time, so that neither a target nor a node sees a burst. The caps are for the whole
cluster; where one binds, intervals stretch.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from math import inf
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

PATIENCE_MAX = 5.0
"""Seconds that a ClusterIP's dial may take to come round: what a hundred daemons need. Where more
share its cap, a verdict is given without it. Chosen, for verdicts within a minute."""

JITTER = 0.1
"""Share of the period by which one firing may be early or late."""


class Wheel(Generic[Item]):
    """A hashed wheel: items put for a time, taken out once it has come, in O(1) each.

    It forgets the time: an item that was put twice comes twice, and knows itself what it is due.
    """

    def __init__(self, now: float) -> None:
        self._slots: dict[int, list[Item]] = {}
        self._next = int(now / SLOT)

    def put(self, item: Item, due: float) -> None:
        self._slots.setdefault(max(int(due / SLOT), self._next), []).append(item)

    def take(self, now: float) -> list[Item]:
        """All items whose slot has begun, oldest slot first."""
        last = int(now / SLOT)
        if last - self._next > len(self._slots):
            slots = sorted(slot for slot in self._slots if slot <= last)
        else:
            slots = [slot for slot in range(self._next, last + 1) if slot in self._slots]
        self._next = max(self._next, last + 1)
        return [item for slot in slots for item in self._slots.pop(slot)]


UNLIMITED = 2**62
"""More than may ever be asked for."""


@dataclass(slots=True)
class Budget:
    """A token bucket: `rate` per second, at most `burst` at once. A rate of 0 means no limit.

    What is spent of it is spent of the budget `within` which it stands as well.
    """

    rate: float
    burst: float
    within: "Budget | None" = None
    _tokens: float = 0.0
    _at: float = -inf

    def take(self, now: float, wanted: int) -> int:
        """How many of `wanted` may happen now; those are spent."""
        granted = min(wanted, self.left(now))
        self.spend(granted)
        return granted

    def left(self, now: float) -> int:
        """How many may happen now."""
        most = UNLIMITED if self.within is None else self.within.left(now)
        if self.rate <= 0:
            return most
        self._tokens = min(self.burst, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = max(self._at, now)
        return min(int(self._tokens), most)

    def spend(self, count: int) -> None:
        """Takes away what has happened, no more than was left."""
        self._tokens -= count
        if self.within is not None:
            self.within.spend(count)


class Lane(Generic[Item]):
    """Items that are due, waiting for their turn under a budget; first come, first served."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._waiting: deque[tuple[float, Item]] = deque()

    def add(self, due: float, item: Item) -> None:
        self._waiting.append((due, item))

    def take(
        self, now: float, room: int, valid: Callable[[float, Item], bool] = lambda due, item: True
    ) -> Iterator[Item]:
        """The next items, no more than `room` and what the budget allows.

        Those that are no longer `valid` when it is their turn are dropped and cost nothing.
        """
        waiting = self._waiting
        left = min(room, self._budget.left(now)) if waiting else 0
        while waiting and left > 0:
            due, item = waiting.popleft()
            if valid(due, item):
                left -= 1
                self._budget.spend(1)
                yield item

    def lateness(self, now: float) -> float:
        """Seconds for which the longest waiting item has been due; 0 if none waits."""
        return max(0.0, now - self._waiting[0][0]) if self._waiting else 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, item: Item) -> bool:
        return any(item is held for _, held in self._waiting)


def fraction(*words: object) -> float:
    """A number in [0, 1) that these words always give: chance without randomness."""
    return _score(*words) / 2**64


def _mix(value: int) -> int:
    """The finaliser of splitmix64: a fifth of a hash's time, for every node and every endpoint."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _UINT64
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _UINT64
    return value ^ value >> 31


_UINT64 = 2**64 - 1


@lru_cache(maxsize=10_000)
def _digest(node: str) -> int:
    return _score(node)


def _score(*words: object) -> int:
    text = "\0".join(map(str, words))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def rank(node: str, others: Iterable[str], key: object) -> int:
    """How many of `others` come before `node` in the order that rendezvous hashing gives them for
    `key`: every node answers alike without asking, and when one leaves only its share moves.

    It adds up: when some join and others leave, only these have to be looked at again.
    """
    salt = _score(key)
    mine = _mix(_digest(node) ^ salt)
    return sum(_mix(_digest(other) ^ salt) > mine for other in others if other != node)


def leaders(nodes: Iterable[str], key: object, count: int) -> list[str]:
    """The first `count` of the nodes in that order."""
    salt = _score(key)
    return sorted(nodes, key=lambda node: _mix(_digest(node) ^ salt), reverse=True)[:count]


@dataclass(frozen=True)
class Cadence:
    """How often edges are dialed, from the interval and the number of live daemons.

    `sources` is the number of daemons that dial one endpoint, besides the one on its own node.
    """

    interval: float
    daemons: int

    @cached_property
    def sources(self) -> int:
        """As many as the cap allows, never fewer than SOURCES_MIN, all in a small cluster."""
        affordable = int(TARGET_RATE * self.interval + 1e-9)
        return min(self.daemons, max(SOURCES_MIN, affordable))

    def service_gap(self, addresses: int = 1, *, close: bool = False) -> float:
        """Seconds between two dials of a ClusterIP by one daemon that use up the cap.

        Every daemon dials each of the Service port's `addresses`; the cap is for all of them.
        """
        return self.daemons * addresses / (CLOSE_RATE if close else TARGET_RATE)

    def service_period(self, addresses: int = 1, *, close: bool = False) -> float:
        """Seconds between dials of a ClusterIP."""
        gap = self.service_gap(addresses, close=close)
        return gap if close else max(self.interval, gap)

    @cached_property
    def endpoint_gap(self) -> float:
        """The same as service_gap for an endpoint: the chosen sources and its own node dial it."""
        return min(self.daemons, self.sources + 1) / TARGET_RATE

    @cached_property
    def close_endpoint_gap(self) -> float:
        """The same while it is watched closely."""
        return self.endpoint_gap * TARGET_RATE / CLOSE_RATE

    @cached_property
    def endpoint_period(self) -> float:
        """Seconds between dials of an endpoint by one of its sources."""
        return max(self.interval, self.endpoint_gap)

    def confirm_after(self, close_gap: float) -> float:
        """Seconds after which a failure is dialed again: soon, but inside the target's cap. The
        dials that confirm it are few and have that of close watching: where a hundred daemons
        share the usual one, a verdict would take a minute."""
        return max(min(CONFIRM_AFTER, self.interval), close_gap)

    @cached_property
    def patience(self) -> float:
        """Seconds that a verdict grants to one confirming dial, whatever it is of."""
        vip = min(self.service_gap(close=True), PATIENCE_MAX)
        return self.confirm_after(max(self.close_endpoint_gap, vip))


CONFIRM_AFTER = 1.0
"""Seconds: longer than kube-proxy's minSyncPeriod (1 s), so that a re-dial meets newer rules."""


def salt(name: str) -> int:
    """64 bits that make the chance of a node, or of an address, its own; the same everywhere."""
    return _score(name)


def spread(period: float, due: float, salt: int) -> float:
    """The period with its jitter, given by when it begins: hashing words each time takes 4 us."""
    return period * (1 + JITTER * (2 * _mix(hash(due) & _UINT64 ^ salt) / 2**64 - 1))
