"""What there is to count over all edges at one moment, taken in steps.

To look at fifty thousand edges takes longer than dials may wait (1.5 us each, measured), so others
may run between two steps, and the World may change. Every Service port that was there at the first
step and still is when its turn comes is told once, as it is then.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from probe.core.edges import Family, Kind
from probe.core.health import State
from probe.core.ledger import PortBook, ServiceRecord, Track, View, fresh, state
from probe.core.nodes import doubtful
from probe.core.placement import ANYWHERE
from probe.core.verdicts import Verdict
from probe.core.workloads import DAEMON_SET
from probe.core.world import World

STEP = 200
"""Edges looked at in one step: 0.3 ms (measured)."""

_DIALED = frozenset({State.UP, State.DOWN, State.FAILING})
"""States that only a fresh dial gives."""

States = Mapping[tuple[Kind, Family, State], int]
"""How many edges are of which kind and family and in which state; candidates are not counted."""


class SurveyedPort(NamedTuple):
    """One Service port with its edges by state, and the tracks of its endpoints that are down."""

    book: PortBook
    states: States
    down: Sequence[Track]


class Survey:
    """One look at every edge at `now` (monotonic seconds); whole once `walk` has come to its end.

    `edges` is how many there are to be dialed in each round: a ClusterIP that leads nowhere is only
    sampled. `ports` is how many Service ports have which verdict, and whether that is a failure.
    `invalid_targets` is how many configured addresses nobody may dial, by namespace and where they
    entered.
    """

    def __init__(self, world: World, now: float) -> None:
        self.edges = 0
        self.ports: Counter[tuple[Verdict, bool]] = Counter()
        self.invalid_targets: Counter[tuple[str, str]] = Counter()
        self._fresh = 0
        self._world = world
        self._now = now

    @property
    def coverage(self) -> float:
        """The share of the edges that were dialed when they should have been; 1 without any."""
        return self._fresh / self.edges if self.edges else 1.0

    @property
    def without_prober(self) -> tuple[str, ...]:
        """The nodes that are ready and to stay, where the daemons' own DaemonSet, if we see it, is
        to run, and that have no ready daemon, by name; none where no Service tells of them."""
        mirror = self._world.mirror
        peers = mirror.services.get(self._world.config.peers or ("", ""))
        probed = {e.node for e in peers.held_endpoints() if e.ready} if peers else set()
        if not probed:
            return ()
        behind = mirror.workloads_of(peers.service) if peers and peers.service else ()
        places = [w.placement for w in behind if w.kind == DAEMON_SET] or [ANYWHERE]
        return tuple(
            sorted(
                node.name
                for node in mirror.surroundings.nodes.values()
                if node.name not in probed
                and not doubtful(node)
                and any(place.admits(node.name, node.labels) for place in places)
            )
        )

    def walk(self) -> Iterator[SurveyedPort | None]:
        """Each Service port, and None after a step that has not come to the end of one."""
        view = self._world.view(self._now)
        for record in list(self._world.mirror.services.values()):
            for book in list(record.books.values()):
                states: dict[tuple[Kind, Family, State], int] = {}
                down: list[Track] = []
                tracks = list(book.tracks.values())
                for start in range(0, len(tracks), STEP):
                    if start:
                        yield None
                    down += self._look(tracks[start : start + STEP], record, book, view, states)
                namespace = book.implied.key.namespace
                for invalid in book.implied.invalid:
                    self.invalid_targets[namespace, invalid.source] += 1
                judged = book.judgement
                self.ports[judged.verdict, judged.failing] += 1
                yield SurveyedPort(book, states, down)
        self._look_at_workloads()

    def _look(
        self,
        tracks: list[Track],
        record: ServiceRecord,
        book: PortBook,
        view: View,
        states: dict[tuple[Kind, Family, State], int],
    ) -> list[Track]:
        """Counts these; the endpoints among them that are down."""
        down = []
        for track in tracks:
            kind, family = track.edge.kind, track.edge.family
            if kind is Kind.CANDIDATE:
                continue
            found = state(track, record, book, view)
            key = kind, family, found
            states[key] = states.get(key, 0) + 1
            if kind is Kind.ENDPOINT or book.connects(track.edge):
                self.edges += 1
                self._fresh += found in _DIALED or fresh(track, view)
            if found is State.DOWN and kind is Kind.ENDPOINT:
                down.append(track)
        return down

    def _look_at_workloads(self) -> None:
        scope = self._world.config.scope
        for workload in self._world.mirror.workloads.values():
            if workload.invalid and scope.admits(workload.namespace):
                for source, _ in workload.invalid:
                    self.invalid_targets[workload.namespace, source] += 1
