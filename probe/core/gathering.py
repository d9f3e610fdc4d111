"""Records -> evidence: what was dialed of a Service port, counted for its verdict."""

from collections.abc import Collection, Iterable
from math import inf

from probe.core.candidates import candidates
from probe.core.edges import Kind
from probe.core.evidence import Evidence
from probe.core.health import Level, State
from probe.core.ledger import PortBook, ServiceRecord, Track, View, rejected, state
from probe.core.nodepaths import NodePaths, is_silent
from probe.core.results import FAILURES, Result
from probe.core.surroundings import Surroundings
from probe.core.verdicts import PROXY_PATIENCE
from probe.core.workloads import Workload

EMPTY_PATIENCE = 2.0
"""Seconds for which the last endpoint may be gone before that is an outage: a watch that stood
still tells "not ready" and "ready again" one after the other, and the slices of a port that was
added come a moment after it (both seen within 1.2 s on a busy cluster)."""


def evidence(
    record: ServiceRecord,
    book: PortBook,
    view: View,
    paths: NodePaths,
    around: Surroundings,
    workloads: Collection[Workload],
    *,
    scaled_to_zero: bool,
    starting: bool = False,
    rolling: bool = False,
) -> Evidence:
    """What judge() needs to know of this Service port at this moment; `workloads` are those whose
    pods the Service selects."""
    service, seen = record.service, _Seen(record, book, view, around)
    endpoints, vips = seen.endpoints, seen.vips
    down = seen.down or seen.vip_down
    told = _shared(down, paths, around) if book.anywhere else _emptied(record, book, around)
    faults = [t.fault for t in book.tracks.values() if t.fault is not None]
    barred = sum(book.leads_to(edge) for edge in book.implied.barred)
    return Evidence(
        target_port=_target_port(book, endpoints),
        usable=book.anywhere,
        expected=len(endpoints),
        dialed=len(seen.dialed),
        up=seen.count(endpoints, State.UP),
        down=_results(seen.down, view),
        undecided=seen.undecided() + sum(paths.in_doubt(t) for t in seen.down),
        settling=seen.count(endpoints, State.EXCLUDED),
        failing_new=seen.count(filter(_fails, endpoints), State.EXCLUDED),
        vips=len(vips),
        vips_dialed=sum(map(seen.tells, vips)),
        vip_down=_results(seen.vip_down, view),
        candidates=candidates(record, book),
        candidates_pending=any(t.outcome is None for t in book.of_kind(Kind.CANDIDATE)),
        invalid=tuple(found.text for found in book.implied.invalid),
        local_faults=len(faults),
        local_fault_detail=faults[0].detail if faults else "",
        vip_faults=sum(t.fault is not None for t in vips),
        stale_seconds=view.stale_seconds if _doubtful((*endpoints, *vips), view) else None,
        drain_failures=sum(view.now - at < view.linger for at in book.drain_failures),
        new=view.now - book.since < view.settle,
        scaled_to_zero=scaled_to_zero,
        starting=starting,
        rolling=rolling,
        unresolved=not book.implied.edges and any(e.ready for e in record.held_endpoints()),
        has_selector=service is not None and bool(service.selector),
        recent_dials=book.recent_dials,
        recent_retransmits=book.recent_retransmits,
        undialed=barred,
        elsewhere=book.leading - len(seen.led) - barred,
        details=tuple(_sentence(t) for t in (*seen.down, *seen.vip_down) if t.outcome),
        removed_ago=view.now - max((r.at for r in record.removals), default=-inf),
        answered_ago=view.now - book.last_success.get(Kind.SERVICE, view.now),
        node=paths.own,
        cause=told[0],
        shared=told[1],
        mesh=around.mesh_of_service(service, workloads),
        policies=_policies(record, seen.down, around, workloads),
    )


class _Seen:
    """The edges of one port that count, with their states at this moment."""

    def __init__(
        self, record: ServiceRecord, book: PortBook, view: View, around: Surroundings
    ) -> None:
        self._book, self._view = book, view
        self.led = [t for t in book.tracks.values() if book.leads_to(t.edge)]
        self.endpoints = [t for t in self.led if not _leaves(t, around)]
        self.vips = [t for t in book.of_kind(Kind.SERVICE) if book.connects(t.edge)]
        self._tracks = (*self.endpoints, *self.vips)
        self._states = {t.edge: state(t, record, book, view) for t in self._tracks}
        self.dialed = [t for t in self.endpoints if self.tells(t)]
        self.down = [t for t in self.dialed if self._is(t, State.DOWN)]
        self._behind = [
            t for t in self.vips if _tells_nothing(t, self.endpoints, record, book, view)
        ]
        self.vip_down = [t for t in self.vips if self._is(t, State.DOWN) and t not in self._behind]

    def _is(self, track: Track, *states: State) -> bool:
        return self._states[track.edge] in states

    def tells(self, track: Track) -> bool:
        """Whether the edge's dials say something."""
        return not self._is(track, State.EXCLUDED, State.UNKNOWN)

    def count(self, tracks: Iterable[Track], *states: State) -> int:
        return sum(self._is(track, *states) for track in tracks)

    def undecided(self) -> int:
        """How much is under way that may decide otherwise: dials that confirm, first ones, those
        that a turn has outrun, and what kube-proxy has yet to follow. The ClusterIP's confirm where
        all that we dial is down, and it has to speak for the endpoints that only others dial."""
        book, view = self._book, self._view
        speaks = len(self.down) == len(self.dialed) > 0 and len(self.led) < book.leading
        told = (State.UP, State.DOWN)
        return (
            self.count(self.endpoints, State.FAILING)
            + (self.count(self.vips, State.FAILING) if speaks else 0)
            + sum(t.outcome is None and t.fault is None for t in self._tracks)
            + sum(self._is(t, *told) and book.outran(t) for t in self._tracks)
            + (0 if self.down else self.count(self._behind, State.DOWN))
            + len(book.laid)
            + (not book.anywhere and view.now - book.moved_at < EMPTY_PATIENCE)
        )


def _tells_nothing(
    vip: Track, endpoints: list[Track], record: ServiceRecord, book: PortBook, view: View
) -> bool:
    """Whether kube-proxy is not to blame for a failure of the ClusterIP yet: it follows the
    endpoints with some delay, and the last pods that end may have stopped meanwhile."""
    if not book.fallback:
        return book.catching_up(vip, view.now) or _may_follow(record, book, view)
    return not any(
        t.dialed_at >= vip.dialed_at and t.outcome and t.outcome.result is Result.CONNECTED
        for t in endpoints
    )


def _may_follow(record: ServiceRecord, book: PortBook, view: View) -> bool:
    """Whether a removal that kube-proxy may still have to follow would explain the failures as
    well, although they were laid to none: the port had failed otherwise just before."""
    answered = book.last_success.get(Kind.SERVICE, -inf)
    removed = max((r.at for r in record.removals), default=-inf)
    return not book.drain_failures and view.now - min(removed, answered) <= PROXY_PATIENCE


def _doubtful(tracks: Iterable[Track], view: View) -> bool:
    """Whether edges are down, or would be had we heard of the API server lately."""
    failing = (Level.SUSPECT, Level.CONFIRMED, Level.DOWN)
    return view.stale and any(t.level in failing for t in tracks)


def _target_port(book: PortBook, endpoints: list[Track]) -> str:
    """What was dialed, for people: slices may be newer than the Service, or not made from it."""
    meant, dialed = book.implied.port.target_port, {t.edge.dial_port for t in endpoints}
    return str(*dialed) if isinstance(meant, int) and len(dialed) == 1 else str(meant)


def _fails(track: Track) -> bool:
    return track.outcome is not None and track.outcome.result in FAILURES


def _results(tracks: list[Track], view: View) -> tuple[Result, ...]:
    return tuple(
        Result.REJECTED if rejected(t, view) else t.outcome.result
        for t in tracks
        if t.outcome is not None
    )


def _policies(
    record: ServiceRecord,
    down: list[Track],
    around: Surroundings,
    workloads: Collection[Workload],
) -> tuple[str, ...]:
    """The NetworkPolicies that leave us out of every port that fails."""
    ports = {t.edge.dial_port for t in down}
    found = [around.policies_leaving_out(record.service, workloads, port) for port in ports]
    return tuple(dict.fromkeys(name for names in found for name in names)) if all(found) else ()


def _leaves(track: Track, around: Surroundings) -> bool:
    """Whether a silent endpoint went with its node, which somebody removes."""
    if not is_silent(track) or track.endpoint is None or not track.endpoint.node:
        return False
    return around.leaving(track.endpoint.node)


def _shared(down: list[Track], paths: NodePaths, around: Surroundings) -> tuple[str, str]:
    """What the failing edges share with those of other Services: a cause and its sentence."""
    if paths.cut_off and all(map(is_silent, down)):
        others = len(paths.dead)
        return f"node/{paths.own}", (
            f"nothing on the {others} other nodes answers node {paths.own}, "
            f"for {paths.services()} Services"
        )
    nodes = {t.endpoint.node if t.endpoint and is_silent(t) else "" for t in down}
    said = [_why_silent(node, paths, around) for node in sorted(nodes)]
    if not said or not all(said):
        return "", ""
    return f"node/{min(nodes)}", " and ".join(said)


def _emptied(record: ServiceRecord, book: PortBook, around: Surroundings) -> tuple[str, str]:
    """The node whose loss left no endpoint usable, as cause and sentence: Kubernetes calls the pods
    on a node not ready when it gives the node up."""
    nodes = {e.node for e in record.held_endpoints() if not e.terminating}
    causes = [f"node/{node}" for node in sorted(nodes)]
    said = [around.doubtful(node) for node in sorted(nodes) if node]
    if book.judgement.cause in causes and len(nodes) == 1:  # the Node itself is told later
        said = [said[0] or f"node {min(nodes)} does not answer"] if said else said
    if not nodes or len(said) < len(nodes) or not all(said):
        return "", ""
    return causes[0], " and ".join(said)


def _why_silent(node: str, paths: NodePaths, around: Surroundings) -> str:
    """The sentence for a node whose endpoints are silent for a reason of its own; else ""."""
    if not node:
        return ""
    doubt = around.doubtful(node)
    if node not in paths.dead:
        return doubt
    what = f"nothing on node {node} answers, for {paths.services(node)} Services"
    return f"{what}; {doubt}" if doubt else what


def _sentence(track: Track) -> str:
    detail = track.outcome.detail if track.outcome else ""
    return f"{track.edge.place} {detail}".strip()
