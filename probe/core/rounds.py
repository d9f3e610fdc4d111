"""The rounds of dials: which tracks are due, in which lane they wait, and when each comes again.

All edges share one budget. ClusterIPs of Services without usable endpoints wait in a lane of their
own: a node sends one ICMP error per second and client, so they are sampled, never swept. What is
watched closely does so, too, and may take no more than its share of the budget.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from probe.core.edges import Edge, Kind, Scope, ServiceKey
from probe.core.ledger import Track
from probe.core.rollouts import Phase
from probe.core.schedule import SLOT, Budget, Lane, Wheel, fraction, salt, spread

SAMPLE_RATE = 1.0
"""Dials per second, from this node in all, to ClusterIPs without usable endpoints
(net.ipv4.icmp_ratelimit=1000 ms; faster ones time out, measured)."""

RETRY_RATE = 50.0
"""Dials per second, from this node in all, that are made again soon after a fault of our own. The
others come again in their round: where descriptors or ports are scarce, more dials make them
scarcer, and a few suffice to notice that it is over. Chosen."""

FIRST_ROUND_SHARE = 0.25
"""Share of the interval over which an edge's first dial is spread: a failure needs two more
dials to be confirmed, and a verdict must stand within one interval."""

NEW_EDGE_SECONDS = 1.0
"""The same, in seconds, for edges that come while we run: a change is looked at soon."""

CLOSE_SHARES = {Kind.SERVICE: 0.25, Kind.ENDPOINT: 0.1}
"""Shares of this node's budget that ClusterIPs and endpoints may have while they are watched
closely: a hundred Services that roll at once leave two thirds of it to all the others. Apart,
since a thousand pods that end must not be in the way of the ClusterIP in front of them. Chosen."""

GROWN = 1.5
"""How much longer than its last one an edge's period must be for its dials to be spread anew: what
was spread over a short round stands in a heap in a long one. Chosen."""

CANDIDATE_ROUNDS = 6
"""Rounds between two looks at a candidate port: the application may still be starting, or may
have stopped since. Chosen: once a minute at the default interval."""


@dataclass(frozen=True, slots=True)
class Config:
    """What a World is told once. Times in seconds; 0 dials per second means no limit.

    `once` is for a single run: one dial decides, and a second one if it fails. `peers` names the
    headless Service whose endpoints' nodes are those of the live daemons. Without `on_node` we
    dial from outside of the cluster, and no rule of a node's kube-proxy holds for us.
    """

    node: str
    interval: float = 10.0
    timeout: float = 4.0
    settle: float = 30.0
    linger: float = 30.0
    dials_per_second: float = 1000.0
    scope: Scope = field(default_factory=Scope)
    peers: ServiceKey | None = None
    once: bool = False
    on_node: bool = True


class Dial(NamedTuple):
    """One dial to make, or made: `at` is when it was handed out, `phase` what went on then.

    `expected` is whether it should have connected, by the rules of kube-proxy at that moment.
    """

    edge: Edge
    phase: Phase
    at: float
    expected: bool


class Rounds:
    """Tracks with their times. A track is in flight from `take` until `put` follows `landed`."""

    def __init__(self, config: Config, now: float) -> None:
        self._config = config
        self._started = now
        self._salt = salt(config.node)  # each daemon's chance is its own
        self._wheel: Wheel[Track] = Wheel(now)
        rate = config.dials_per_second
        budget = Budget(rate, _burst(rate))
        self._lane: Lane[Track] = Lane(budget)
        self._close: dict[Kind, Lane[Track]] = {
            kind: Lane(Budget(rate * share, _burst(rate * share), budget))
            for kind, share in CLOSE_SHARES.items()
        }
        self._sampled: Lane[Track] = Lane(Budget(SAMPLE_RATE, 1))
        self._retries = Budget(RETRY_RATE, RETRY_RATE)

    @property
    def waiting(self) -> int:
        """Tracks that are due in their round and wait for room or budget."""
        return len(self._lane)

    def lateness(self, now: float) -> float:
        """Seconds for which the longest waiting of them has been due; 0 if none waits."""
        return self._lane.lateness(now)

    def soon(self, track: Track, now: float, gap: float) -> None:
        """Puts a track's next dial near, unless it is nearer already.

        All daemons do so at once: each takes its own moment within the `gap` seconds that the
        target's cap leaves to it, and no two of its dials are nearer to each other.
        """
        if self._config.once:
            gap = 0.0
        within = gap if self._is_close(track) else max(self._within(now), gap)
        due = max(now + within * self._spot(track), track.sent + gap)
        overdue = track.due < now + 2 * SLOT  # as in `take`: it may wait in a lane by now
        if due < track.due or (overdue and (track.in_flight or track in self._sampled)):
            self.put(track, due)

    def _spot(self, track: Track) -> float:
        """The edge's place in a round of ours, in [0, 1): another one for each Service in front
        of the same pod."""
        return fraction(self._config.node, *track.edge)

    def _within(self, now: float) -> float:
        if self._config.once:
            return 0.0
        first_round = self._config.interval * FIRST_ROUND_SHARE
        if now - self._started < first_round:
            return first_round
        return min(NEW_EDGE_SECONDS, self._config.interval)

    def again(self, track: Track, now: float, wait: float, gap: float, *, unsure: bool) -> None:
        """Plans the dial after the one just recorded: `wait` seconds after that one was due, or,
        if it left us unsure, from now; sooner if it was asked for `soon` while in flight.

        The first wait of its length is a part of it, but at least `gap`: it takes the edges of a
        first round, or of shorter ones, to places all over the interval.
        """
        asked = track.due if track.due > track.sent + SLOT else inf
        base = now if unsure else max(track.due, now - wait)
        if not unsure and not self._is_close(track):
            period, before = wait, track.placed
            track.placed = period
            if period > GROWN * before:
                first = period * FIRST_ROUND_SHARE
                wait = max(gap, first) + max(gap, period - first) * self._spot(track)
        due = min(asked, base + spread(wait, track.due, self._salt))
        self.put(track, max(due, track.sent + gap))

    def put_off(self, track: Track, gap: float) -> None:
        """Gives a track that was never dialed its place in a longer first round: others have turned
        up who dial its target too, and `gap` is what their number leaves to each."""
        begun = max(self._started, track.since)
        due = begun + max(self._within(begun), gap) * self._spot(track)
        if not track.dials and not track.in_flight and due > track.due:
            self.put(track, due)

    def may_retry(self, now: float) -> bool:
        """Whether one more dial may be made again soon after a fault of our own."""
        return self._retries.take(now, 1) == 1

    def put(self, track: Track, due: float) -> None:
        """Sets the track's next time; what was planned before is void."""
        track.due = due
        if not track.in_flight:
            self._wheel.put(track, due)

    def take(self, now: float, room: int, empty: Callable[[Track], bool]) -> list[Track]:
        """The tracks to dial now, at most `room`, each in flight from here on.

        `empty` tells those whose Service has no usable endpoint.
        """
        for track in self._wheel.take(now):
            # One that was put off meanwhile comes again; a slot more, for its edges are not exact.
            if track.due < now + 2 * SLOT and _planned(track.due, track):
                lane = self._close[track.edge.kind] if self._is_close(track) else self._lane
                lane = self._sampled if empty(track) else lane
                lane.add(track.due, track)

        def ordinary(due: float, track: Track) -> bool:
            if not _planned(due, track):
                return False
            if empty(track):  # its Service has lost its endpoints while it waited here
                self._sampled.add(due, track)
                return False
            return True

        found: list[Track] = []
        lanes = ((lane, ordinary) for lane in (*self._close.values(), self._lane))
        for lane, valid in ((self._sampled, _planned), *lanes):
            for track in lane.take(now, room - len(found), valid):
                track.in_flight, track.sent = True, now
                found.append(track)
        return found

    def _is_close(self, track: Track) -> bool:
        """Whether it is watched closely: it comes more often than once an interval."""
        return 0.0 < track.period < self._config.interval


def _burst(rate: float) -> float:
    """A tenth of a second's worth at once."""
    return max(1.0, rate / 10)


def _planned(due: float, track: Track) -> bool:
    """Whether this is still the track's plan: it is there, and nothing newer was put."""
    return track.due == due and not track.gone and not track.in_flight
