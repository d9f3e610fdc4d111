"""Records -> evidence: what was dialed of a Service port, counted for its verdict."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from probe.core.backing import Backing
from probe.core.candidates import candidates
from probe.core.edges import Edge, Family, Kind
from probe.core.evidence import Evidence
from probe.core.health import Level, State
from probe.core.kube_proxy import KubeProxy
from probe.core.ledger import PortBook, ServiceRecord, Track, View, is_silent, rejected, state
from probe.core.losses import lossy
from probe.core.nodepaths import NodePaths
from probe.core.results import FAILURES, Result
from probe.core.surroundings import Surroundings
from probe.core.verdicts import Verdict

EMPTY_PATIENCE = 2.0
"""Seconds for which the last endpoint may be gone before that is an outage: a watch that stood
still tells "not ready" and "ready again" one after the other, and the slices of a port that was
added come a moment after it (both seen within 1.2 s on a busy cluster)."""

NODES_NAMED = 3
"""Nodes that one sentence names: a lost zone has dozens. Arbitrary."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known besides the records of one Service: the ways to the nodes, what the cluster's
    other objects say, and how this node's kube-proxy stands."""

    paths: NodePaths
    around: Surroundings
    kube_proxy: KubeProxy


def evidence(
    record: ServiceRecord, book: PortBook, view: View, backing: Backing, besides: Circumstances
) -> Evidence:
    """What judge() needs to know of this Service port at this moment."""
    service, paths, around = record.service, besides.paths, besides.around
    seen = _Seen(record, book, view, around)
    endpoints, vips, failing = seen.endpoints, seen.vips, seen.down or seen.vip_down
    told = (
        _shared(failing, book, paths, around) if book.anywhere else _emptied(record, book, around)
    )
    near = seen.near(paths.own) if around.prober.on_host else frozenset()
    proxy, doubt = _of_kube_proxy(seen, book, view, besides.kube_proxy)
    return Evidence(
        target_port=_target_port(book, endpoints),
        usable=book.anywhere,
        expected=len(endpoints),
        dialed=len(seen.dialed),
        up=seen.count(endpoints, State.UP),
        down=_results(seen.down, view),
        undecided=seen.undecided() + sum(paths.in_doubt(t) for t in seen.down) + doubt,
        outrun=seen.outrun(),
        settling=seen.count(endpoints, State.EXCLUDED),
        failing_new=seen.count(filter(_fails, endpoints), State.EXCLUDED),
        unsteady=len(seen.unsteady),
        vips=len(vips),
        vips_dialed=sum(map(seen.tells, vips)),
        vip_down=_results(seen.vip_down, view),
        vip_late=_results(seen.vip_late, view),
        vip_failing=max((t.dialed_at - t.failing_since for t in seen.vip_down), default=0.0),
        proxy=proxy,
        candidates=candidates(record, book),
        candidates_pending=any(t.outcome is None for t in book.of_kind(Kind.CANDIDATE)),
        invalid=tuple(found.text for found in book.implied.invalid),
        local_faults=len(seen.faults),
        local_fault_detail=seen.faults[0].detail if seen.faults else "",
        vip_faults=sum(t.fault is not None for t in vips),
        stale_seconds=view.stale_seconds if _doubtful((*endpoints, *vips), view) else None,
        drain_failures=seen.drain_failures,
        new=view.now - book.since < view.settle,
        backing=backing,
        unresolved=not book.implied.edges and any(e.ready for e in record.held_endpoints()),
        has_selector=service is not None and bool(service.selector),
        lossy=lossy(book.losses, view.now),
        undialed=seen.barred,
        elsewhere=book.leading - len(seen.led) - seen.barred,
        details=seen.details(),
        node=paths.own,
        cause=told[0],
        shared=told[1],
        mesh=around.mesh_of_service(service, backing.workloads),
        policies=_policies(record, seen, near, around, backing),
        near=sum(seen.is_up(edge) for edge in near),
        family=seen.family_of(failing),
        vip_family=_family(book.connecting) if book.empty else "",
        no_way=" and ".join(f"{f.spoken} ({view.lacking[f]})" for f in seen.left_out),
        lost=" and ".join(f"{f.spoken} ({view.lacking[f]})" for f in seen.lost),
        empty="" if seen.emptying else _family(book.empty),
        emptying=seen.emptying,
    )


class _Seen:
    """The edges of one port that count, with their states at this moment."""

    def __init__(
        self, record: ServiceRecord, book: PortBook, view: View, around: Surroundings
    ) -> None:
        self._book, self._view = book, view
        self.barred = sum(book.leads_to(edge) for edge in book.implied.barred)
        self.emptying = bool(book.empty) and view.now - book.empty_since < view.settle
        self.led = [t for t in book.tracks.values() if book.leads_to(t.edge)]
        vips = [t for t in book.of_kind(Kind.SERVICE) if book.connects(t.edge)]
        families = {t.edge.family for t in (*self.led, *vips)}
        self.left_out = sorted(families & view.lacking.keys())
        self.lost = [family for family in self.left_out if family in view.lost]
        if len(self.left_out) == len(families):
            self.left_out = []  # no other family is there to judge it by: that is our own fault
        self.endpoints = [t for t in self._judged(self.led) if not _leaves(t, around)]
        self.vips = self._judged(vips)
        self.tracks = (*self.endpoints, *self.vips)
        self.faults = [t.fault for t in self.tracks if t.fault is not None]
        self._states = {t.edge: state(t, record, book, view) for t in self.tracks}
        self.dialed = [t for t in self.endpoints if self.tells(t)]
        self.down = [t for t in self.dialed if self._is(t, State.DOWN)]
        up = (t for t in self.dialed if t not in self.down)
        self.unsteady = [t for t in up if t.spell.unsteady(view.now)]
        vips_down = [t for t in self.vips if self._is(t, State.DOWN)]
        self.vip_late = [t for t in vips_down if _tells_nothing(t, self.endpoints, book, view)]
        self.vip_down = [t for t in vips_down if t not in self.vip_late]
        self.drain_failures = sum(view.now - at < view.linger for at in book.drain_failures)

    def _judged(self, tracks: Iterable[Track]) -> list[Track]:
        """Those of families that have a way out of this node."""
        return [t for t in tracks if t.edge.family not in self.left_out]

    def family_of(self, tracks: Iterable[Track]) -> str:
        """The one family of all these edges where several are judged, else ""."""
        several = len({t.edge.family for t in self.tracks}) > 1
        return _family({t.edge.family for t in tracks}) if several else ""

    def _is(self, track: Track, *states: State) -> bool:
        return self._states[track.edge] in states

    def tells(self, track: Track) -> bool:
        """Whether the edge's dials say something."""
        return not self._is(track, State.EXCLUDED, State.UNKNOWN)

    def near(self, node: str) -> frozenset[Edge]:
        """The endpoints on that node of which dials tell something."""
        return frozenset(t.edge for t in self.dialed if t.endpoint and t.endpoint.node == node)

    def is_up(self, edge: Edge) -> bool:
        return self._states[edge] is State.UP

    def count(self, tracks: Iterable[Track], *states: State) -> int:
        return sum(self._is(track, *states) for track in tracks)

    def details(self) -> tuple[str, ...]:
        """What each edge that fails has met."""
        failing = (*self.down, *self.unsteady, *self.vip_down)
        return tuple(_sentence(t) for t in failing if t.outcome)

    def outrun(self) -> int:
        """How many edges were dialed before another one turned, and may have turned since."""
        told = (State.UP, State.DOWN)
        return sum(self._is(t, *told) and self._book.outran(t) for t in self.tracks)

    def undecided(self) -> int:
        """How much is under way that may decide otherwise: dials that confirm, first ones, and what
        kube-proxy has yet to follow. The ClusterIP's confirm where all that we dial is down, and it
        has to speak for the endpoints that only others dial."""
        book, view = self._book, self._view
        speaks = len(self.down) == len(self.dialed) > 0 and len(self.led) < book.leading
        return (
            self.count(self.endpoints, State.FAILING)
            + (self.count(self.vips, State.FAILING) if speaks else 0)
            + sum(t.outcome is None and t.fault is None for t in self.tracks)
            + (0 if self.down or self.drain_failures else len(self.vip_late))
            + len(book.laid)
            + (not book.anywhere and _just_emptied(book, view))
        )


def _of_kube_proxy(
    seen: _Seen, book: PortBook, view: View, kube_proxy: KubeProxy
) -> tuple[str, bool]:
    """Where the ClusterIP fails and only other nodes dial some endpoints: why kube-proxy is to
    blame for it, and else whether that may turn out yet."""
    blind = bool(seen.vip_down) and not seen.down and len(seen.led) < book.leading
    proxy = kube_proxy.explains(book, view) if blind else ""
    return proxy, blind and not proxy and kube_proxy.in_doubt(view)


def _family(families: Collection[Family]) -> str:
    """The family's name, if it is one."""
    return next(iter(families)).spoken if len(families) == 1 else ""


def _just_emptied(book: PortBook, view: View) -> bool:
    """Whether the last endpoint is only just gone. While a watch is away nobody knows: the Service
    and its slices come by two, and a port that is taken away leaves its slices first."""
    new = view.now - book.moved_at < EMPTY_PATIENCE
    return new or not view.heard_since(book.moved_at + EMPTY_PATIENCE)


def _tells_nothing(vip: Track, endpoints: list[Track], book: PortBook, view: View) -> bool:
    """Whether kube-proxy is not to blame for a failure of the ClusterIP yet: it follows the
    endpoints with some delay, and the last pods that end may have stopped meanwhile."""
    if not book.fallback:
        return book.late(vip, view.patience)
    return book.late(vip, view.patience) or not any(
        t.dialed_at >= vip.dialed_at and t.outcome and t.outcome.result is Result.CONNECTED
        for t in endpoints
    )


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
    seen: _Seen,
    near: Collection[Edge],
    around: Surroundings,
    backing: Backing,
) -> tuple[str, ...]:
    """The NetworkPolicies that leave us out of every port that fails; none of them does so of the
    pods `near` us."""
    failing = {t.edge for t in seen.down}
    if not failing.isdisjoint(near):
        return ()
    ports = {edge.dial_port for edge in failing or (near if seen.vip_down else ())}
    behind = record.service, backing.workloads
    found = [around.policies_leaving_out(*behind, port) for port in ports]
    return tuple(dict.fromkeys(name for names in found for name in names)) if all(found) else ()


def _leaves(track: Track, around: Surroundings) -> bool:
    """Whether a silent endpoint went with its node, which somebody removes."""
    if not is_silent(track) or track.endpoint is None or not track.endpoint.node:
        return False
    return around.leaving(track.endpoint.node)


def _shared(
    down: list[Track], book: PortBook, paths: NodePaths, around: Surroundings
) -> tuple[str, str]:
    """What the failing edges share with those of other Services: a cause and its sentence. Once a
    node is dead, others of which nobody has answered since went with it."""
    if not down or not all(map(is_silent, down)):
        return "", ""
    if paths.cut_off.issuperset(t.edge.family for t in down):
        return _cut_off(paths)
    nodes: dict[str, list[Track]] = {}
    for track in down:
        nodes.setdefault(track.endpoint.node if track.endpoint else "", []).append(track)
    said = {node: _why_silent(node, nodes[node], paths, around) for node in sorted(nodes)}
    why = {node: sentence for node, sentence in said.items() if sentence}
    others = [track for node in nodes.keys() - why.keys() for track in nodes[node]]
    if others and paths.dead.keys().isdisjoint(why):
        return _coming_back(down, book, paths)
    if not all(paths.unheard(track) or paths.in_doubt(track) for track in others):
        return "", ""
    named = list(why.values())[:NODES_NAMED]
    if more := len(nodes) - len(named):
        named.append(f"nothing that is dialed on {more} more node{'s' * (more > 1)} does")
    return f"node/{min(why)}", " and ".join(named)


def _coming_back(down: list[Track], book: PortBook, paths: NodePaths) -> tuple[str, str]:
    """The cause that was, until all that failed by it was dialed again."""
    before = book.judgement
    if before.verdict is not Verdict.NODE_PATH or not all(map(paths.in_doubt, down)):
        return "", ""
    return before.cause, "what did not answer is back, and these were not dialed since"


def _cut_off(paths: NodePaths) -> tuple[str, str]:
    """Our own node as the cause, and what says so."""
    by = "" if len(paths.cut_off) > 1 else f" by {_family(paths.cut_off)}"
    others = f"{len(paths.dead)} other nodes answers node {paths.own}"
    if not paths.own:
        others = f"{len(paths.dead)} nodes answers us, outside of the cluster"
    return f"node/{paths.own}", f"nothing on the {others}{by}, for {paths.services()} Services"


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


def _why_silent(node: str, silent: list[Track], paths: NodePaths, around: Surroundings) -> str:
    """The sentence for a node whose endpoints are silent for a reason of its own; else ""."""
    doubt, dead = around.doubtful(node), paths.dead.get(node, frozenset())
    if not dead.issuperset(t.edge.family for t in silent):
        return doubt
    by = "" if node in paths.whole else f" by {_family(dead)}"
    what = f"nothing on node {node} answers{by}, for {paths.services(node)} Services"
    return f"{what}; {doubt}" if doubt else what


def _sentence(track: Track) -> str:
    detail = track.outcome.detail if track.outcome else ""
    return f"{track.edge.place} {detail}".strip()
