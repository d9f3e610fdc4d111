"""What is lost now and then: counted over a few minutes, for one Service port.

A dial is lost when it failed though the next one or two of the same edge connected, or when it
connected only after its SYN had been sent again. One is nothing: in a cluster's day that is normal
(SNAT races, kubernetes/kubernetes#76699). A share of them is what callers meet. Edges that go down
are not lost now and then, they have verdicts of their own; an endpoint that does so and fails again
and again is unsteady, however few of all dials those are.
"""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from probe.core.edges import Kind

SHARE = 0.05
LEAST = 3
"""Lossy from 3 lost dials and 5 % of the recent ones: one in twenty is a fault. Chosen."""

BACK = 0.5
"""It is over below this share of that share: a rate about the bound does not flap. Chosen."""

BUCKETS = 8
BUCKET_SECONDS = 30.0
"""A window of four minutes, in half minutes of which two must have lost something: a blip, however
many edges it met, is over by then. Shorter than the five minutes for which EdgeprobeLossyPath
holds, so that it never fires for what was over before. Chosen."""

ROUNDS = 3
BUCKET_SECONDS_MAX = 150.0
"""Where daemons share a ClusterIP's cap, each dials it seldom: a bucket lasts for three of its
rounds, so that the whole window holds two dozen, up to a window of 20 min. Chosen."""

CALM_SECONDS = 120.0
"""A failure within so many seconds after the endpoints in use have changed is not counted: it may
be a removed pod's, and for so long conntrack keeps the backend of a SYN that nobody answered
(blame.UNREPLIED_SECONDS), twice as long as a failure may be laid to a removal."""

WELL_ROUNDS = 12
"""Rounds in which an unsteady endpoint must answer to be well again, two minutes by default: one
that fails half of its dials does so once in 4096 times. Chosen."""

UNSTEADY_RUNS = 4
"""Times that an endpoint must have failed, with answers in between, to be unsteady. A pod that
restarts, or a network that is away for a while, does so once. Chosen."""

Bucket = tuple[int, int, int]
"""Dials, those that never connected, those that lost a SYN."""

_EMPTY: Bucket = (0, 0, 0)


class Lost(NamedTuple):
    """Of so many `dials` to the edges of one kind in the last `seconds`, how many `failed` and how
    many were `retransmitted`."""

    kind: Kind
    dials: int
    failed: int
    retransmitted: int
    seconds: float

    @property
    def total(self) -> int:
        return self.failed + self.retransmitted


@dataclass(slots=True)
class Window:
    """The dials of one Service port's edges of one kind since one of them was lost. `seconds` is
    how long a bucket lasts, `began` when the newest one did."""

    kind: Kind
    seconds: float
    began: float
    buckets: tuple[Bucket, ...] = (_EMPTY,) * BUCKETS
    lossy: bool = False

    def count(self, now: float, failed: int, retransmitted: int) -> None:
        self.buckets = self._recent(now)
        self.began += (now - self.began) // self.seconds * self.seconds
        dials, others, again = self.buckets[-1]
        newest = dials + 1 + failed, others + failed, again + retransmitted
        self.buckets = (*self.buckets[:-1], newest)
        lost, bad = self.lost(now), sum(map(_any_lost, self.buckets))
        # Less the one for which we began to count: no dial is known that was made before it.
        share = (lost.total - 1) / lost.dials
        begins = bad > 1 and lost.total >= LEAST and share >= SHARE
        self.lossy = begins or (self.lossy and _goes_on(lost))

    def lost(self, now: float) -> Lost:
        dials, failed, retransmitted = map(sum, zip(*self._recent(now), strict=True))
        return Lost(self.kind, dials, failed, retransmitted, self.seconds * BUCKETS)

    def over(self, now: float) -> bool:
        """Whether nothing of what it holds still was lost."""
        return not any(map(_any_lost, self._recent(now)))

    def _recent(self, now: float) -> tuple[Bucket, ...]:
        passed = min(BUCKETS, int((now - self.began) // self.seconds))
        return self.buckets[passed:] + (_EMPTY,) * passed


@dataclass(frozen=True, slots=True)
class Spell:
    """How often an endpoint has failed, with answers in between, since it was well; whether it was
    ever down meanwhile, and from when on it is well if it fails no more."""

    ends: float
    runs: int = 0
    fell: bool = False

    def unsteady(self, now: float) -> bool:
        """Whether it fails again and again. A link that loses a tenth of all dials hardly ever
        takes an endpoint down."""
        return self.fell and self.runs >= UNSTEADY_RUNS and now < self.ends

    def longer(self, began: float, now: float, period: float, *, fell: bool) -> "Spell":
        """The spell once it answers again, after failures that `began` then and by which it `fell`
        or did not; it is dialed every `period` seconds."""
        before = self if began < self.ends else WELL
        return Spell(now + WELL_ROUNDS * period, before.runs + 1, before.fell or fell)


WELL = Spell(-inf)


def _any_lost(bucket: Bucket) -> bool:
    return bucket[1] + bucket[2] > 0


def _goes_on(lost: Lost) -> bool:
    return lost.total >= max(1, SHARE * BACK * lost.dials)


def counted(
    windows: tuple[Window, ...],
    kind: Kind,
    now: float,
    period: float,
    *,
    failed: int,
    retransmitted: bool,
) -> tuple[Window, ...]:
    """A Service port's windows, after a dial of that kind connected that followed so many `failed`
    ones; the edge is dialed every `period` seconds. Each kind has one, while something is lost."""
    found = next((window for window in windows if window.kind is kind), None)
    if found is None:
        if not failed and not retransmitted:
            return windows
        seconds = min(max(BUCKET_SECONDS, ROUNDS * period), BUCKET_SECONDS_MAX)
        found = Window(kind, seconds, now)
        windows = (*windows, found)
    found.count(now, failed, retransmitted)
    return tuple([w for w in windows if w is not found]) if found.over(now) else windows


def lossy(windows: tuple[Window, ...], now: float) -> Lost | None:
    """What is lost now and then, if it is a fault: the endpoints' before the ClusterIP's, which
    leads to them."""
    found = [window.lost(now) for window in windows if window.lossy]
    worst = sorted(filter(_goes_on, found), key=lambda lost: lost.kind is not Kind.ENDPOINT)
    return worst[0] if worst else None
