"""Which edges are dialed, and how often: books and tracks, kept in line with the Services.

The Mirror says what the cluster implies, the Sharing what of it is ours; here a Service's change
begins, moves and ends the records of its ports and edges, and asks for the dials it calls for.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import inf

from probe.core.candidates import CANDIDATE_ENDPOINTS, candidate_plan
from probe.core.docket import EDGES, PORT, Docket
from probe.core.edges import Edge, Endpoint, Family, Kind, PortKey, implied
from probe.core.expect import Place
from probe.core.health import Level
from probe.core.kube_proxy import KubeProxy
from probe.core.ledger import BEFORE_US, PortBook, ServiceRecord, Track, View, is_silent
from probe.core.mirror import Mirror
from probe.core.nodepaths import NodePaths
from probe.core.results import Outcome, Result, refused_by_proxy
from probe.core.rounds import Config, Dial, Rounds
from probe.core.routes import Routes, found_no_way
from probe.core.sharing import Sharing
from probe.core.workloads import Workload


class Roster:
    """The books and tracks of one World. `skipped_dials` counts what is not dialed, by reason.

    `awaited` are the endpoints' edges that began during a rollout and have not connected yet.
    """

    def __init__(
        self,
        config: Config,
        mirror: Mirror,
        sharing: Sharing,
        rounds: Rounds,
        docket: Docket,
        paths: NodePaths,
    ) -> None:
        self._config = config
        self._mirror = mirror
        self._sharing = sharing
        self._rounds = rounds
        self._docket = docket
        self._paths = paths
        self._routes = Routes(inf if config.once else config.interval + config.timeout)
        self.kube_proxy = KubeProxy(mirror.services)
        self.skipped_dials: Counter[str] = Counter()
        self.awaited: set[Edge] = set()
        self._unshared: dict[PortKey, tuple[ServiceRecord, PortBook]] = {}

    def books(self) -> Iterator[tuple[ServiceRecord, PortBook]]:
        for record in self._mirror.services.values():
            for book in record.books.values():
                yield record, book

    def follow(self, now: float) -> None:
        """Brings books and tracks in line with the Services that were touched."""
        touched, self._mirror.touched = self._mirror.touched, {}
        if self._config.peers in touched:
            self._meet_peers(now)
        for record in touched.values():
            self._sync(record, now)

    def _sync(self, record: ServiceRecord, now: float) -> None:
        if record.moved:
            record.moved = False
            self._sync_ports(record, now)
        elif self.watched_closely(record):
            for book in record.books.values():
                self._hasten(record, book, now)
        for book in record.books.values():
            self._docket.add(record, book)

    def _sync_ports(self, record: ServiceRecord, now: float) -> None:
        """Begins, changes and ends the books of what the Service and its slices imply."""
        found = implied(record.service, record.slices.values(), self._config.scope)
        if found.skipped != record.skipped:
            names, before = map(str, found.skipped), map(str, record.skipped)
            self.skipped_dials += Counter(names) - Counter(before)
            record.skipped = found.skipped
        wanted = {port.port.port: port for port in found.ports}
        for number in record.books.keys() - wanted.keys():
            self._drop(record.books.pop(number))
        here = self._here()
        for number, port in wanted.items():
            book = record.books.get(number)
            if book is None:
                book = PortBook(port, since=max(record.since, record.edited_at))
                record.books[number] = book
            book.since = max(book.since, record.since)  # made anew, perhaps
            used, ended, held, book.implied = book.usable, book.fallback, book.anywhere, port
            empty = book.empty
            local = record.service is not None and record.service.internal_traffic_local
            book.expect(here, local=local and self._config.on_node)
            if book.empty != empty:
                book.empty_since = BEFORE_US if self._config.once else now
            if ended and not book.fallback:
                record.removals = []  # a proxy that is late now is late with the first endpoint
            if held and not book.anywhere:
                book.moved(now)
            self._sync_tracks(record, book, used, now)

    def _here(self) -> Place:
        """Where we dial from; outside of the cluster no rule of a node's kube-proxy holds."""
        if not self._config.on_node:
            return Place()
        node = self._config.node
        return Place(node, self._mirror.surroundings.zone_of(node))

    def _sync_tracks(
        self, record: ServiceRecord, book: PortBook, before: frozenset[Edge], now: float
    ) -> None:
        """Begins and ends the edges' tracks; `before` is what the ClusterIP led to until now."""
        wanted: dict[Edge, Endpoint | None] = dict.fromkeys(book.implied.cluster_ips)
        wanted |= self._sharing.mine(book)
        usable = book.usable
        moved = usable != before or self.watched_closely(record)
        if usable != before:  # how long ago that was what the first list tells is not known
            book.moved(now)
        for edge in [e for e in book.tracks if e.kind is not Kind.CANDIDATE and e not in wanted]:
            book.tracks.pop(edge).gone = True
            self.awaited.discard(edge)
        for edge, endpoint in wanted.items():
            known = book.tracks.get(edge)
            if known is not None and known.serves(endpoint):
                ends = _terminates(endpoint) and not _terminates(known.endpoint)
                known.endpoint = endpoint
                if ends:
                    self.awaited.discard(edge)
                    self._watch(record, book, known, now)
                continue
            if known is not None:
                known.gone = True
            since = book.since
            if endpoint is not None:
                since = record.endpoint_since.get(edge.address, BEFORE_US)
            book.tracks[edge] = track = Track(edge, endpoint, since)
            self._paths.begun(track)
            self._await(track)
            self._watch(record, book, track, now)
        if usable != before and before.isdisjoint(usable):
            for track in book.of_kind(Kind.SERVICE):
                track.level, track.outcome = Level.NEW, None  # it leads elsewhere altogether
        if moved:
            self._hasten(record, book, now)

    def _hasten(self, record: ServiceRecord, book: PortBook, now: float) -> None:
        """Dials the ClusterIP soon, since what it leads to is changing."""
        for track in book.of_kind(Kind.SERVICE):
            self._watch(record, book, track, now)

    def _watch(self, record: ServiceRecord, book: PortBook, track: Track, now: float) -> None:
        """Dials an edge soon; from now on closely, if it is to be watched so."""
        gap, period = self.pace(record, book, track)
        if period < self._config.interval:
            track.period = period
        self._rounds.soon(track, now, gap)

    def _await(self, track: Track) -> None:
        """Remembers an endpoint that came during a rollout: calls of it that fail before it has
        ever answered ask for a readinessProbe."""
        came = [r.started <= track.since for r in self._mirror.rollouts_of(track.edge.key[:2])]
        if any(came) and not _terminates(track.endpoint):
            self.awaited.add(track.edge)

    @property
    def lost(self) -> frozenset[Family]:
        """Those of them that had one while we looked."""
        return self._routes.lost

    @property
    def lacking(self) -> Mapping[Family, str]:
        """The families for which this node has no way out, and why."""
        return self._routes.lacking

    def met(self, dial: Dial, outcome: Outcome, now: float) -> Outcome:
        """What a dial has met, as far as it tells something of the edge and not of this node. Where
        its family has a way out again, what could not leave is dialed soon."""
        family, lacking = dial.edge.family, self._routes.lacking
        if not dial.expected:
            namespace, service, port = dial.edge.key
            book = self._mirror.services[namespace, service].books[port]
            outcome = refused_by_proxy(outcome, unsure=family in book.unsure)
        lacked = family in lacking
        stuck = self._stuck(dial) if found_no_way(outcome) else dial.at
        outcome = self._routes.met(family, outcome, dial.at, expected=dial.expected, stuck=stuck)
        if lacked and family not in lacking:
            self._dial_again(family, now)
        return outcome

    def _stuck(self, dial: Dial) -> float:
        """When the first of the edge's last dials began that all found no way out of this node."""
        namespace, service, port = dial.edge.key
        track = self._mirror.services[namespace, service].books[port].tracks.get(dial.edge)
        if track is None:
            return dial.at
        last = track.fault or track.outcome
        if last is None or not found_no_way(last):
            track.stuck_at = dial.at
        return track.stuck_at

    def _dial_again(self, family: Family, now: float) -> None:
        for record, book in self.books():
            for track in book.tracks.values():
                if track.edge.family is family and track.fault is not None:
                    track.level, track.outcome, track.fault = Level.NEW, None, None
                    gap = 0.0 if self._config.once else self.pace(record, book, track)[0]
                    self._rounds.put(track, max(now, track.sent + gap))
                    self._docket.add(record, book)

    def _meet_peers(self, now: float) -> None:
        """Takes the live daemons from the peers' Service; if they changed, shares anew."""
        record = self._mirror.services.get(self._config.peers or ("", ""))
        held = list(record.held_endpoints()) if record else []
        alive = {e.node for e in held if e.node and not e.terminating}
        service = record.service if record else None
        remeshed = self._mirror.surroundings.meet(
            service,
            self._mirror.workloads_of(service) if service else (),
            (e.address for e in held if e.node == self._config.node),
        )
        if self._sharing.meet(alive, (book for _, book in self.books())) or remeshed:
            for other, book in self.books():
                self._unshared.setdefault(book.implied.key, (other, book))

    def share(self, now: float) -> None:
        """Shares the dials anew with the daemons that there are now; in each step some, since each
        daemon of a large cluster comes and goes as their DaemonSet is updated."""
        looked = 0
        while self._unshared and looked < EDGES:
            key = next(iter(self._unshared))
            record, book = self._unshared.pop(key)
            self._sync_tracks(record, book, book.usable, now)
            for track in book.of_kind(Kind.SERVICE):
                self._rounds.put_off(track, self.service_pace(record, book)[0])
            self._docket.add(record, book)
            looked += PORT + len(book.implied.edges)

    def _drop(self, book: PortBook) -> None:
        for edge, track in book.tracks.items():
            track.gone = True
            self.awaited.discard(edge)
        book.settle()
        self._unshared.pop(book.implied.key, None)
        self._docket.drop(book)

    def pace(self, record: ServiceRecord, book: PortBook, track: Track) -> tuple[float, float]:
        """Seconds between our dials of that edge: at least the first, usually the second.

        An endpoint is awaited no longer than its rollout lasts. A candidate is never watched
        closely: it has no share of the budget for that (rounds.CLOSE_SHARES).
        """
        if track.edge.kind is Kind.SERVICE:
            return self.service_pace(record, book)
        cadence = self._sharing.cadence
        may_turn = track.edge.kind is Kind.ENDPOINT and (self._mirror.rollouts or self.awaited)
        if may_turn and self._turning(track):
            if self.watched_closely(record):
                return cadence.close_endpoint_gap, cadence.close_endpoint_gap
            self.awaited.discard(track.edge)
        return cadence.endpoint_gap, cadence.endpoint_period

    def service_pace(self, record: ServiceRecord, book: PortBook) -> tuple[float, float]:
        """The same for a ClusterIP of the Service port."""
        cadence = self._sharing.cadence
        addresses, close = len(book.implied.cluster_ips), self.watched_closely(record)
        return (
            cadence.service_gap(addresses, close=close),
            cadence.service_period(addresses, close=close),
        )

    def _turning(self, track: Track) -> bool:
        """Whether an endpoint has yet to answer for the first time, or for the last one."""
        if _terminates(track.endpoint):
            return track.outcome is None or track.outcome.result is Result.CONNECTED
        return track.edge in self.awaited

    def close_gap(self, book: PortBook, track: Track) -> float:
        """Seconds between two dials of that edge at least, while it is watched closely or a failure
        is confirmed."""
        if track.edge.kind is Kind.SERVICE:
            return self._sharing.cadence.service_gap(len(book.implied.cluster_ips), close=True)
        return self._sharing.cadence.close_endpoint_gap

    def ask_witnesses(self, track: Track, now: float) -> None:
        """Dials other Services' pods on the node of an edge that has fallen silent: is it alone?
        Where other nodes dial most endpoints, other ClusterIPs too when one fails."""
        if track.edge.kind is Kind.SERVICE and not self._sharing.dials_all:
            for witness in self.kube_proxy.witnesses(now):
                namespace, service, port = witness.edge.key
                book = self._mirror.services[namespace, service].books[port]
                self._rounds.soon(witness, now, self.close_gap(book, witness))
        if not is_silent(track):
            return
        gap = self._sharing.cadence.endpoint_gap
        for witness in self._paths.witnesses(track):
            self._rounds.soon(witness, now, gap)

    def plan_candidates(
        self, record: ServiceRecord, book: PortBook, view: View, workloads: Iterable[Workload]
    ) -> None:
        """Dials the declared ports, once per change, when every endpoint refuses the target."""
        plan = candidate_plan(record, book, view, workloads)
        if plan == book.plan:
            return
        for edge in [e for e in book.tracks if e.kind is Kind.CANDIDATE]:
            book.tracks.pop(edge).gone = True
        book.plan = plan
        if plan is None:
            return
        for refused in plan.refused[:CANDIDATE_ENDPOINTS]:
            endpoint = book.tracks[refused].endpoint
            for port, _ in plan.declared:
                edge = refused._replace(kind=Kind.CANDIDATE, dial_port=port)
                book.tracks[edge] = track = Track(edge, endpoint, view.now)
                self._rounds.put(track, view.now)

    def undecided(self) -> bool:
        """Whether a port is held back, or has edges that a single run has yet to confirm."""
        held = (book for _, book in self.books())
        return any(b.held_since is not None or any(b.unconfirmed()) for b in held)

    def confirm(self, now: float) -> None:
        """Dials those now, and what would clear the node of a silent one."""
        for track in [track for _, book in self.books() for track in book.unconfirmed()]:
            self._rounds.put(track, now)
            self.ask_witnesses(track, now)

    def watched_closely(self, record: ServiceRecord) -> bool:
        """In a rollout and the linger time after, in which the proxies must have caught up."""
        service = record.service
        if service is None or not self._mirror.rollouts:
            return False
        return bool(self._mirror.rollouts_of((service.namespace, service.name)))


def _terminates(endpoint: Endpoint | None) -> bool:
    return endpoint is not None and endpoint.terminating
