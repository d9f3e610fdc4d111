"""What was dialed of each Service port: the records that the World keeps and nobody else changes.

A Track is one edge's, a PortBook one Service port's, a ServiceRecord one Service's. They hold
facts and counts; what these mean is read off them by the functions here, with the time given.
"""

from collections import Counter, deque
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from probe.core.edges import (
    NO_EDGES,
    Edge,
    Endpoint,
    EndpointSlice,
    Family,
    Kind,
    PortEdges,
    Service,
    Skip,
)
from probe.core.expect import Expectation, Place, answers, expected
from probe.core.health import STATES, UNCONFIRMED, Level, State
from probe.core.losses import CALM_SECONDS, WELL, Spell, Window, counted
from probe.core.results import FAILURES, Outcome, Result
from probe.core.rollouts import Laid, Phase, Removal
from probe.core.verdicts import FAILING, PROXY_PATIENCE, Judgement, Verdict

STALE_SECONDS = 120.0
"""A failure while discovery has been away this long accuses nobody (docs/edge-cases.md, 38): the
endpoints may have moved. Arbitrary."""

FRESH_PERIODS = 3
"""A dial counts as fresh for this many periods: one may be late, one lost to a local fault."""

EXPLAINING = FAILING - {Verdict.LOSSY, Verdict.PROXY_STALE}
"""Verdicts that explain dials lost meanwhile. A ClusterIP that fails now and then may well fail
three times one after the other."""

SILENT = frozenset({Result.TIMEOUT, Result.UNREACHABLE})
"""Results that the host itself has no part in."""

NOT_JUDGED = Judgement(Verdict.UNKNOWN, "not dialed yet")


BEFORE_US = -inf
"""Since when something is there that the first list held: one number for all of them."""


PROXY_SYNC = 5.0
"""Seconds in which kube-proxy follows a change as a rule: its minSyncPeriod of 1 s and the time
that a large set of rules takes it. A single run grants it no more, since somebody waits. Chosen."""


@dataclass(slots=True)
class Track:
    """One edge. `since` is our first sight of the endpoint, or BEFORE_US.

    `outcome` is the last one that says something about the edge; a local fault does not, and
    stands in `fault` until a dial succeeds in being one. `rejected_at` is when a dial began that
    met a reject rule: hosts limit their ICMP errors, so that later ones time out. `failing_since`
    is when the first began of the last dials that failed one after the other, `spell` is what came
    of those before, and `stuck_at` is when the first began of the last that found no way out of
    this node. `placed` is the period over which its dials were spread last, 0 in the first round,
    which is quicker.
    """

    edge: Edge
    endpoint: Endpoint | None
    since: float
    due: float = inf
    period: float = 0.0
    level: Level = Level.NEW
    outcome: Outcome | None = None
    fault: Outcome | None = None
    dialed_at: float = -inf
    rejected_at: float = -inf
    failing_since: float = -inf
    spell: Spell = WELL
    stuck_at: float = -inf
    dials: int = 0
    sent: float = -inf
    in_flight: bool = False
    gone: bool = False
    placed: float = 0.0

    def serves(self, endpoint: Endpoint | None) -> bool:
        """Whether this is still the same pod: its address may have gone to another one."""
        return (self.endpoint and self.endpoint.pod) == (endpoint and endpoint.pod)


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """For what the candidates were dialed: while it stays the same they are not dialed again.

    `declared` pairs each port with whether it is surely not what the target port was meant to be.
    """

    refused: tuple[Edge, ...]
    declared: tuple[tuple[int, bool], ...]


CountKey = tuple[Kind, str, Result, Phase]


@dataclass(slots=True)
class PortBook:
    """One Service port: its edges' tracks, its counts since discovery, its verdict.

    `leading` counts the endpoints that take traffic of this node and should answer, `idle` are the
    others; where hints leave the ClusterIP here only some of them, `hinted` are these. `anywhere`
    counts the endpoints that some node uses; `connecting` are the families whose ClusterIP should
    answer, `unsure` those whose ClusterIP may lead to a pod that does not, `empty` those whose
    ClusterIP leads nowhere while another one's does, and `empty_since` is since when these are so.
    With `fallback` only endpoints that terminate are left: traffic has nowhere else to go.
    `answered` is whether a pod was ever up whose answer says that we are let in. `since` is our
    first sight of the port, or BEFORE_US; `moved_at` is when those in use last changed under us,
    `moving_since` when they began to after they had long stayed the same.
    `losses` hold what was lost now and then lately, for each kind of edge.
    `laid` are failures laid to removals that are not confirmed to be theirs; `sampled` are when the
    last of the ClusterIP's dials began, `clean` when the last that connected one after the other,
    while something rolls or was removed; `stray_timeout_at` is when one of them last timed out for
    another reason than a removal, `accused_at` when the port was last judged to fail otherwise.
    `failing_since` is when the first of its dials began that fail without a rest since then; inf
    while none does.
    """

    implied: PortEdges
    since: float = BEFORE_US
    tracks: dict[Edge, Track] = field(default_factory=dict)
    counts: Counter[CountKey] = field(default_factory=Counter)
    retransmits: Counter[Kind] = field(default_factory=Counter)
    losses: tuple[Window, ...] = ()
    drain_failures: list[float] = field(default_factory=list)
    laid: tuple[Laid, ...] = ()
    stray_timeout_at: float = -inf
    accused_at: float = -inf
    failing_since: float = inf
    clean: deque[float] | None = None
    sampled: deque[float] | None = None
    last_success: dict[Kind, float] = field(default_factory=dict)
    plan: CandidatePlan | None = None
    judgement: Judgement = NOT_JUDGED
    answered: bool = False
    judged_since: float = 0.0
    judged_at: float = -inf
    held_since: float | None = None
    turned_at: float = -inf
    asked_at: float = -inf
    moved_at: float = -inf
    moving_since: float = -inf
    anywhere: int = 0
    fallback: bool = False
    leading: int = 0
    idle: frozenset[Edge] = NO_EDGES
    hinted: frozenset[Edge] = NO_EDGES
    connecting: tuple[Family, ...] = ()
    unsure: tuple[Family, ...] = ()
    empty: tuple[Family, ...] = ()
    empty_since: float = inf
    ranks: dict[int, int] = field(default_factory=dict)

    def of_kind(self, *kinds: Kind) -> Iterator[Track]:
        return (t for t in self.tracks.values() if t.edge.kind in kinds)

    def expect(self, here: Place, *, local: bool) -> None:
        """Recomputes what ClusterIP dials should meet, for each family there is."""
        advertised = {e.family for e in self.implied.cluster_ips}
        families = advertised | {edge.family for edge in self.implied.edges}
        told = {
            family: expected(
                (b for b in self.implied.backends() if b[0].family == family), here, local=local
            )
            for family in sorted(families)
        }
        self.anywhere = sum(found.anywhere for found in told.values())
        empty = (f for f, found in told.items() if f in advertised and not found.anywhere)
        self.empty = tuple(empty) if self.anywhere else ()
        leading = {
            edge for found in told.values() for edge, endpoint in found.usable if answers(endpoint)
        }
        self.fallback = all(
            endpoint.terminating for found in told.values() for _, endpoint in found.usable
        )
        self.leading = len(leading)
        self.idle = frozenset(e for e in self.implied.edges if e not in leading) or NO_EDGES
        self.hinted = NO_EDGES
        if any(found.led != found.usable for found in told.values()):
            led = frozenset(edge for found in told.values() for edge, _ in found.led)
            self.hinted = led & leading
        self.connecting, self.unsure = (
            tuple(family for family, found in told.items() if found.expectation is expectation)
            for expectation in (Expectation.CONNECT, Expectation.NOTHING)
        )

    def leads_to(self, edge: Edge) -> bool:
        """Whether this endpoint of the port takes traffic of this node, and should answer."""
        return edge.kind is Kind.ENDPOINT and edge not in self.idle

    @property
    def usable(self) -> frozenset[Edge]:
        """The endpoints that the ClusterIP leads to at this node, and that should answer."""
        return self.hinted or frozenset(e for e in self.implied.edges if e not in self.idle)

    def moved(self, now: float) -> None:
        """The endpoints in use have changed: kube-proxy has yet to follow."""
        if now - self.moved_at > PROXY_PATIENCE:
            self.moving_since = now
        self.moved_at = now

    def late(self, vip: Track, patience: float) -> bool:
        """Whether a kube-proxy that follows every change within the `patience` (seconds) may not
        have done so yet when this ClusterIP was dialed last. Endpoints that never come to rest are
        no excuse for one whose dials have all failed for PROXY_PATIENCE."""
        failing = vip.dialed_at - max(self.moving_since, vip.failing_since)
        return vip.dialed_at - self.moved_at <= patience and failing <= PROXY_PATIENCE

    def outran(self, track: Track) -> bool:
        """Whether an edge of this port turned after this one was dialed: together they would tell
        of two moments, as if half of a cause were a cause of its own."""
        return track.outcome is not None and track.dialed_at < self.turned_at

    def unconfirmed(self) -> Iterator[Track]:
        """What a single run dials again before it judges: failures that count and that no second
        dial has met, a ClusterIP while its port is held back since kube-proxy may follow yet, and
        what was dialed before another edge turned."""
        for track in self.tracks.values():
            vip = track.edge.kind is Kind.SERVICE and self.connects(track.edge)
            late = vip and track.level is Level.DOWN and self.held_since is not None
            counts = vip or self.leads_to(track.edge) or track.edge.kind is Kind.CANDIDATE
            faulty = track.edge.kind is Kind.CANDIDATE and track.fault is not None
            again = track.level is Level.SUSPECT or late or faulty or self.outran(track)
            if counts and again:
                yield track

    def connects(self, edge: Edge) -> bool:
        """Whether a dial of this ClusterIP should connect at this node."""
        return edge.family in self.connecting

    def settle(self) -> None:
        """Lays the failures that are not confirmed to be a removal's to none."""
        for laid in self.laid:
            laid.settle()
        self.laid = ()

    def connected(
        self, track: Track, before: tuple[Level, Result | None], now: float, *, told: bool
    ) -> None:
        """Counts the track's last dial, which connected, for what is lost now and then, and the
        failures `before` it that were not confirmed: unless the endpoints moved lately, or may
        have without our being `told`. After a failure a lost SYN is the end of an outage. What
        another verdict explains is forgotten."""
        level, met = before
        again = track.outcome is not None and track.outcome.syn_retransmits > 0
        if level is Level.UP and not again and not self.losses:
            return
        counts = told and met is not Result.REJECTED and now - self.moved_at >= CALM_SECONDS
        failed = UNCONFIRMED.get(level, 0) if counts else 0
        edge, fell = track.edge, counts and level is Level.DOWN
        if failed or fell:
            began = track.failing_since
            track.spell = track.spell.longer(began, now, track.period, fell=fell)
        if self.judgement.verdict in EXPLAINING:
            self.losses = ()
        elif self.leads_to(edge) or (edge.kind is Kind.SERVICE and self.connects(edge)):
            self.losses = counted(
                self.losses,
                edge.kind,
                now,
                track.period,
                failed=failed,
                retransmitted=again and level is Level.UP,
            )


@dataclass(slots=True)
class ServiceRecord:
    """One Service with its slices (by name), its ports' books (by number) and its removals.

    `moved` is whether the Service or its slices changed since the books were made from them.
    `served` is whether a pod came into use since none was wanted; a new Service's has not.
    """

    service: Service | None = None
    since: float = -inf
    edited_at: float = -inf
    slices: dict[str, EndpointSlice] = field(default_factory=dict)
    books: dict[int, PortBook] = field(default_factory=dict)
    skipped: tuple[Skip, ...] = ()
    endpoint_since: dict[str, float] = field(default_factory=dict)
    removals: list[Removal] = field(default_factory=list)
    moved: bool = True
    served: bool = False

    def held_endpoints(self) -> Iterator[Endpoint]:
        return (endpoint for s in self.slices.values() for endpoint in s.endpoints)

    @property
    def terminating(self) -> bool:
        return any(e.terminating for e in self.held_endpoints())


@dataclass(frozen=True, slots=True)
class View:
    """The moment and the settings under which records are read. Until `young_until` we are new
    ourselves; `proven` are the nodes that have answered since we began; `lacking` are the families
    for which this node has no way out, and why, `lost` those of them that had one. kube-proxy is
    granted `patience` (seconds) to follow a change."""

    now: float
    settle: float
    linger: float
    interval: float
    timeout: float
    stale_seconds: float | None = None
    young_until: float = -inf
    proven: Container[str] = frozenset()
    lacking: Mapping[Family, str] = field(default_factory=dict)
    lost: Container[Family] = frozenset()
    patience: float = PROXY_PATIENCE

    @property
    def stale(self) -> bool:
        return self.stale_seconds is not None and self.stale_seconds > STALE_SECONDS

    def heard_since(self, failed_at: float) -> bool:
        """Whether the slices have been read again since a dial that failed was begun.

        It is the watch that reads them: while it stands, what it has not told has not happened.
        One that is silent counts as standing for 90 s (probe.apiserver's Limits.silence; API
        servers send a bookmark each minute). No GET for each failure: in an outage of thousands
        of edges that would be as many requests from every node, to an API server that may be a
        part of it.
        """
        return self.stale_seconds is None or self.now - self.stale_seconds > failed_at


def state(track: Track, record: ServiceRecord, book: PortBook, view: View) -> State:
    """The state of one edge now; `excluded` when its dials say nothing about health."""
    failing = track.outcome is not None and track.outcome.result in FAILURES
    if _excluded(track, book, view, failing=failing):
        return State.EXCLUDED
    if not fresh(track, view) or (view.stale and failing):
        return State.UNKNOWN
    return STATES[track.level]


def _excluded(track: Track, book: PortBook, view: View, *, failing: bool) -> bool:
    """A failure counts only if its dial was begun when the edge had settled, and no pod's that is
    left only to end: it stops listening before its slice says that it is gone."""
    if track.edge.kind is Kind.CANDIDATE:
        return False
    if track.edge.kind is Kind.SERVICE:
        told, since = book.connects(track.edge), book.since
    else:
        told, since = book.leads_to(track.edge) and not (failing and book.fallback), track.since
    if not told or not failing:
        return not told
    return track.dialed_at - since < view.settle or _unproven(track, book, view)


def _unproven(track: Track, book: PortBook, view: View) -> bool:
    """Whether we are new, and a silent edge leads to a node of which we have heard nothing yet: on
    a node that is as new as we are, the routes to the others may come after us."""
    if track.dialed_at >= view.young_until or not is_silent(track):
        return False
    ends = (track.endpoint,) if track.endpoint is not None else book.implied.endpoints
    return any(end.node not in view.proven for end in ends)


def is_silent(track: Track) -> bool:
    """Whether the edge's last dial was answered by nobody."""
    return track.outcome is not None and track.outcome.result in SILENT


def fresh(track: Track, view: View) -> bool:
    """Whether the edge's last dial still tells something."""
    return track.outcome is not None and _recent(track.dialed_at, track, view)


def rejected(track: Track, view: View) -> bool:
    """Whether a reject rule answers for the edge: its last dial met one, or timed out after one
    that did, since hosts send no more than an ICMP error a second (net.ipv4.icmp_ratelimit)."""
    if track.outcome is None or track.outcome.result not in (Result.REJECTED, Result.TIMEOUT):
        return False
    return _recent(track.rejected_at, track, view)


def _recent(at: float, track: Track, view: View) -> bool:
    period = max(track.period, view.interval) + view.timeout
    return view.now - at <= FRESH_PERIODS * period
