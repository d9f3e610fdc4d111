"""The one object that changes: what is known, what is due, what the dials mean.

Events and outcomes go in, dials and turns come out; nothing here waits, looks at a clock or
speaks. `now` is monotonic seconds and never goes back. All of a method happens in one step.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from math import ceil, inf

from probe.core import blame, judging, kube
from probe.core.backing import Backing, any_watched
from probe.core.changes import Change
from probe.core.docket import Docket
from probe.core.edges import Kind, PortKey, ServiceKey
from probe.core.gathering import Circumstances, evidence
from probe.core.health import ACCUSING, CONTINUOUS, FIRST_FAILURE, HEALS, ONCE, TURNS, UNSURE, Level
from probe.core.judging import Turn
from probe.core.ledger import PROXY_SYNC, PortBook, ServiceRecord, Track, View, fresh
from probe.core.mirror import Mirror
from probe.core.nodepaths import NodePaths
from probe.core.replica_sets import ReplicaSets
from probe.core.results import FAILURES, Outcome, Result
from probe.core.rollouts import Phase
from probe.core.roster import Roster
from probe.core.rounds import CANDIDATE_ROUNDS, Config, Dial, Rounds
from probe.core.schedule import Cadence
from probe.core.sharing import Sharing
from probe.core.verdicts import PROXY_PATIENCE

SIBLINGS_ASKED = 20
"""Edges of a Service port that are dialed out of turn when one of them turns. Arbitrary: enough
to settle a usual Service at once, little beside the 1000 dials a second of the default budget."""


AGING_TICKS = 10
"""Seconds in which every port is looked at once for stale dials: a third of the time after which
they are stale, and 5,000 edges a second of 50,000 (2 ms, measured)."""


class World:
    """What one daemon, or one check, knows and does. `mirror` is the cluster as it was told;
    `dialed` counts the dials to all Services, also to those that are gone."""

    def __init__(self, config: Config, now: float) -> None:
        self.config = config
        self.started = now
        self._young_until = -inf if config.once else now + config.settle
        namespaces = () if config.once else config.scope.namespaces
        self.mirror = Mirror(config.linger, namespaces, node=config.node, peers=config.peers)
        if not config.once:
            self.mirror.start(now)
        self._sharing = Sharing(config)
        self.dialed: Counter[tuple[Kind, Result]] = Counter()
        self.stale_seconds: float | None = None
        self._rounds = Rounds(config, now)
        self._steps = ONCE if config.once else CONTINUOUS
        self._docket = Docket(once=config.once)
        quiet = 0.0 if config.once else config.interval + config.timeout
        laptop = config.once and not config.on_node
        self._paths = NodePaths("" if laptop else config.node, quiet)
        self._roster = Roster(
            config, self.mirror, self._sharing, self._rounds, self._docket, self._paths
        )
        self._besides = Circumstances(
            self._paths, self.mirror.surroundings, self._roster.kube_proxy
        )
        self._replica_sets = ReplicaSets()
        self._aging: list[tuple[ServiceRecord, PortBook]] = []
        self._aged_at_once = 0

    @property
    def cadence(self) -> Cadence:
        return self._sharing.cadence

    @property
    def skipped_dials(self) -> Counter[str]:
        """What is not dialed, by reason."""
        return self._roster.skipped_dials

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes of the live daemons, ours among them."""
        return self._sharing.nodes

    def view(self, now: float) -> View:
        """The moment, for reading records."""
        config = self.config
        times = config.settle, config.linger, config.interval, config.timeout
        known = self._young_until, self._paths.proven, self._roster.lacking, self._roster.lost
        patience = PROXY_SYNC if config.once else PROXY_PATIENCE
        return View(now, *times, self.stale_seconds, *known, patience)

    def books(self) -> Iterator[tuple[ServiceRecord, PortBook]]:
        """Every Service port there is, with its Service's record."""
        return self._roster.books()

    def apply(self, event: kube.Event, now: float) -> list[Change]:
        """Takes in what the API server told; returns what the cluster has changed by it."""
        self._replica_sets.hear(event, now)
        found = self.mirror.apply(event, now)
        self._roster.follow(now)
        return found

    def tick(self, now: float) -> list[Change]:
        """Lets time pass where nothing else happens; to be called about once a second."""
        found = self.mirror.tick(now)
        self._roster.follow(now)
        self._docket.stir()
        self._age(now)
        self._review_nodes(now)
        return found

    def _review_nodes(self, now: float) -> None:
        """Has the Services judged anew whose endpoints are on nodes that fell silent or answer."""
        for key in self._paths.review(now):
            record = self.mirror.services[key]
            for book in record.books.values():
                self._docket.add(record, book)
        for track in self._paths.outrun():
            self._rounds.soon(track, now, self.cadence.close_endpoint_gap)

    def _age(self, now: float) -> None:
        """Has those judged anew whose dials have become stale; a part of all ports each second."""
        if not self._aging:
            self._aging = list(self.books())
            self._aged_at_once = ceil(len(self._aging) / AGING_TICKS)
        view = self.view(now)
        for _ in range(min(self._aged_at_once, len(self._aging))):
            record, book = self._aging.pop()
            gone = record.books.get(book.implied.key.port) is not book
            if not gone and any(t.outcome and not fresh(t, view) for t in book.tracks.values()):
                self._docket.add(record, book)

    # From tracks to dials.

    def due(self, now: float, room: int) -> list[Dial]:
        """The dials to make now, at most `room`; each edge again only once it is recorded."""
        self._roster.share(now)
        tracks = self._rounds.take(now, room, self._expects_nothing)
        return [Dial(t.edge, self.phase(t, now), now, not self._expects_nothing(t)) for t in tracks]

    def _expects_nothing(self, track: Track) -> bool:
        if track.edge.kind is not Kind.SERVICE:
            return False
        found = self._find(track.edge.key)
        return found is None or not found[1].connects(track.edge)

    def ask(self, key: ServiceKey, now: float) -> None:
        """Has every edge of the Service dialed again as soon as its target's cap allows.

        Raises KeyError if the Service is not known.
        """
        record = self.mirror.services[key]
        for book in record.books.values():
            for track in book.tracks.values():
                self._rounds.soon(track, now, self._roster.pace(record, book, track)[0])

    def answered(self, key: ServiceKey, since: float) -> bool:
        """Whether every edge that the Service's verdict is read off was dialed since then.

        ClusterIPs from which nothing is expected are sampled, and not waited for.
        """
        record = self.mirror.services.get(key)
        return record is None or all(
            track.sent >= since and not track.in_flight
            for book in record.books.values()
            for track in book.tracks.values()
            if book.leads_to(track.edge)
            or (track.edge.kind is Kind.SERVICE and book.connects(track.edge))
        )

    def undecided(self) -> bool:
        """Whether a single run has to look again: something failed and is not confirmed, or will
        be decided by what is under way."""
        return self._roster.undecided()

    def confirm(self, now: float) -> None:
        """Has a single run dial that again; the slices were read again since."""
        self._roster.confirm(now)

    @property
    def waiting(self) -> int:
        """Dials that are due and wait for room or budget; samples of empty Services excepted."""
        return self._rounds.waiting

    @property
    def outstanding(self) -> bool:
        """Whether a candidate still has to be dialed before its Service port can be judged, or
        what could not leave this node at first."""
        return any(
            track.outcome is None and track.fault is None
            for _, book in self.books()
            for track in book.tracks.values()
            if track.edge.kind is Kind.CANDIDATE or track.dials
        )

    def lateness(self, now: float) -> float:
        """Seconds by which the most overdue dial is late; 0 when the budget suffices."""
        return self._rounds.lateness(now)

    def phase(self, track: Track, now: float) -> Phase:
        """What goes on around this edge now."""
        key = track.edge.key[:2]
        record, running = self.mirror.services[key], self.mirror.rollouts_of(key)
        started, settle = self.started, self.config.settle
        return blame.phase(record, track, running, now, started=started, settle=settle)

    # From outcomes to verdicts.

    def record(self, outcomes: Iterable[tuple[Dial, Outcome]], now: float) -> None:
        """Takes in what the dials met."""
        for dial, outcome in outcomes:
            edge = dial.edge
            found = self._find(edge.key)
            if found is None:
                continue
            record, book = found
            outcome = self._roster.met(dial, outcome, now)
            self.dialed[edge.kind, outcome.result] += 1
            book.counts[edge.kind, edge.family, outcome.result, dial.phase] += 1
            if outcome.syn_retransmits:
                book.retransmits[edge.kind] += outcome.syn_retransmits
            if edge.kind is Kind.SERVICE and dial.expected and not self.config.once:
                self._blame(record, book, dial, outcome, now)
            elif self._roster.awaited and edge in self._roster.awaited:
                running = self.mirror.rollouts_of(edge.key[:2])
                blame.newly_ready(book, outcome.result, running)
                if outcome.result is Result.CONNECTED:
                    self._roster.awaited.discard(edge)
            track = book.tracks.get(edge)
            if track is not None and track.in_flight and track.sent == dial.at:
                self._step(record, book, track, dial, outcome, now)

    def _step(
        self,
        record: ServiceRecord,
        book: PortBook,
        track: Track,
        dial: Dial,
        outcome: Outcome,
        now: float,
    ) -> None:
        track.in_flight = False
        track.dials += 1
        heard = True
        if outcome.result is Result.LOCAL_FAULT:
            track.fault = outcome
        else:
            before = track.level, track.outcome and track.outcome.result
            connected = outcome.result is Result.CONNECTED
            accuses = (track.level, connected) in ACCUSING
            heard = not accuses or self.view(now).heard_since(track.dialed_at)
            track.outcome, track.fault, track.dialed_at = outcome, None, dial.at
            if outcome.result is Result.REJECTED:
                track.rejected_at = dial.at
            if dial.expected and heard:
                level, track.level = track.level, self._steps[track.level, connected]
                step = level, track.level
                if track.level is Level.SUSPECT:
                    track.failing_since = dial.at
                    book.failing_since = min(book.failing_since, dial.at)
                if step in TURNS:
                    self._ask_siblings(book, dial.at, now)
                    self._roster.ask_witnesses(track, now)
                elif step == FIRST_FAILURE and track.edge.kind is Kind.SERVICE:
                    self._roster.ask_witnesses(track, now)
                elif step in HEALS and track.edge.kind is Kind.ENDPOINT:
                    book.turned_at = dial.at
                self._paths.met(track)
            if connected:
                book.last_success[track.edge.kind] = now
                book.connected(track, before, now, told=self.stale_seconds is None)
            if before == (track.level, outcome.result) and not outcome.syn_retransmits:
                self._again(record, book, track, now, heard=heard)
                return
        self._docket.add(record, book)
        self._again(record, book, track, now, heard=heard)

    def _ask_siblings(self, book: PortBook, turned_at: float, now: float) -> None:
        """Dials the port's other edges again soon, since one has turned: some, once a round, so
        that a flapping one costs no more than another; the others come by themselves."""
        book.turned_at = turned_at
        if self._may_ask(book, now):
            self._ask(book, now)

    def _ask(self, book: PortBook, now: float) -> None:
        book.asked_at = now
        outrun = filter(book.outran, book.of_kind(Kind.SERVICE, Kind.ENDPOINT))
        for track in islice(outrun, SIBLINGS_ASKED):
            self._rounds.soon(track, now, self._roster.close_gap(book, track))

    def _may_ask(self, book: PortBook, now: float) -> bool:
        return now - book.asked_at >= self.cadence.service_period(len(book.implied.cluster_ips))

    def _again(
        self, record: ServiceRecord, book: PortBook, track: Track, now: float, *, heard: bool
    ) -> None:
        """Plans the edge's next dial: soon while it is unsure, else in its next round.

        Unless the slices were `heard` of, another dial soon would tell no more than this one.
        """
        if self.config.once:
            track.due = inf  # until it is to be confirmed
            return
        gap, track.period = self._roster.pace(record, book, track)
        candidate = track.edge.kind is Kind.CANDIDATE
        late = self._may_be_late(book, track, now)
        unsure = heard and (track.level in UNSURE or late) and not candidate
        unsure = unsure and not self._expects_nothing(track)
        if track.fault is not None:
            unsure = track.edge.family not in self._roster.lacking and self._rounds.may_retry(now)
        wait = track.period * (CANDIDATE_ROUNDS if candidate else 1)
        if unsure:
            close = self._roster.close_gap(book, track) * (2 if late else 1)  # it takes a while
            wait = min(wait, self.cadence.confirm_after(close))
            if late or (track.level, False) in ACCUSING:
                gap = close
        self._rounds.again(track, now, wait, gap, unsure=unsure)

    def _may_be_late(self, book: PortBook, track: Track, now: float) -> bool:
        """Whether the ClusterIP is down, and only a later dial tells whether that is kube-proxy's.
        Where others dial most endpoints they tell so together: a round is too long for that."""
        down = track.edge.kind is Kind.SERVICE and track.level is Level.DOWN
        if not down or self._sharing.dials_all:
            return False
        return book.late(track, self.view(now).patience)

    def _blame(
        self, record: ServiceRecord, book: PortBook, dial: Dial, outcome: Outcome, now: float
    ) -> None:
        """Files a ClusterIP dial under the rollouts and the removal that it may have met."""
        running = self.mirror.rollouts_of(dial.edge.key[:2])
        failed = outcome.result in FAILURES
        for rollout in running:
            if blame.broken_before(book, rollout, outcome.result):
                continue
            rollout.count(dial.edge.key, outcome.result, dial.at)
            if failed:
                total = rollout.workload, dial.edge.key.service, outcome.result
                self.mirror.rollout_failures[total] += 1
        period = self._roster.service_pace(record, book)[1]
        waited = now - dial.at
        result = outcome.result
        laid = blame.cluster_ip(record, book, result, dial.at, period, running, waited=waited)
        if laid and self._may_ask(book, now):
            self._ask_siblings(book, dial.at, now)

    def judge(self, now: float) -> list[Turn]:
        """The verdicts that changed since the last call; nothing before everything is listed."""
        if not self._docket.waiting or not self.mirror.synced:  # most ticks have nothing to judge
            return []
        view, patience = self.view(now), self.cadence.patience
        turns = []
        for record, book in self._docket.take(now):
            blame.confirm(record, book, now)
            if blame.unsettled(book, now):
                book.turned_at = max(book.turned_at, book.laid[-1].at)
                self._ask(book, now)
            backing = self.backing(record, book, now)
            self._roster.plan_candidates(record, book, view, backing.workloads)
            self._replica_sets.ask(record, book, view, backing)
            found = evidence(record, book, view, backing, self._besides)
            turn = judging.judge(book, found, view, patience)
            if judging.overtaken(book, found):
                self._ask(book, now)
            if turn is not None:
                turns.append(turn)
            self._docket.rest(record, book, restless=not judging.calm(book, found))
        return turns

    def backing(self, record: ServiceRecord, book: PortBook, now: float) -> Backing:
        """What stands behind this port; whether pods are wanted matters where none is led to. Of
        ReplicaSets, listed now and then, it is not known whether they were scaled to zero."""
        service = record.service
        workloads = [] if service is None else self.mirror.workloads_of(service)
        return Backing(
            tuple(workloads),
            scaled_to_zero=not book.leading and self.mirror.wants_nothing(service),
            starting=not book.leading and self.mirror.starts.under_way(workloads, now),
            served=record.served and any_watched(workloads),
            rolling=self._roster.watched_closely(record),
        )

    def wanted_replica_sets(self) -> set[str]:
        """Namespaces, since the last call, whose ReplicaSets may explain what no other workload
        does."""
        return self._replica_sets.take()

    def _find(self, key: PortKey) -> tuple[ServiceRecord, PortBook] | None:
        namespace, service, port = key
        record = self.mirror.services.get((namespace, service))
        book = record.books.get(port) if record is not None else None
        return None if record is None or book is None else (record, book)
