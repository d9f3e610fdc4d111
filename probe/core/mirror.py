"""The cluster as our watches tell it: objects in, changes and touched Services out.

Nothing is forgotten because the API server is away: an object goes only when an event says so.
`now` is monotonic seconds of receipt; the first list of a resource counts as `-inf`, since what
stood before us is neither new nor a change.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from math import inf

from probe.core import changes, kube, rollouts
from probe.core.changes import Change, ChangeKind
from probe.core.edges import Endpoint, EndpointSlice, Service, ServiceKey
from probe.core.ledger import ServiceRecord
from probe.core.results import Result
from probe.core.rollouts import REMOVAL_WINDOW, Removal, Rollout, WorkloadKey
from probe.core.selection import LabelIndex, selects
from probe.core.surroundings import Altered, Surroundings
from probe.core.workloads import REPLICA_SET, Workload

CHANGES_KEPT = 1000
ROLLOUTS_KEPT = 100

KINDS = {
    kube.DEPLOYMENTS.name: "Deployment",
    kube.STATEFUL_SETS.name: "StatefulSet",
    kube.DAEMON_SETS.name: "DaemonSet",
    kube.REPLICA_SETS.name: REPLICA_SET,
}


class Mirror:
    """Services with their slices, workloads with their rollouts, and the last changes.

    `lags` gathers the lag (seconds) of each removal that is over, for the daemon's histogram;
    `rollout_failures` counts failed ClusterIP dials by workload, Service and result, for as long
    as the Service is there. `touched` collects the records whose edges or facts may have changed,
    gone ones too, for the World to take. A record may stand without its Service (slices can be
    seen first) and is then not dialed. `surroundings` are what is known of nodes and namespaces;
    `node` is ours. `namespaces` are those that are listed one by one; with none, one list is the
    whole of what there is to see.
    """

    def __init__(self, linger: float, namespaces: Collection[str] = (), *, node: str = "") -> None:
        self.services: dict[ServiceKey, ServiceRecord] = {}
        self.workloads: dict[WorkloadKey, Workload] = {}
        self._raised: dict[WorkloadKey, float] = {}
        self.rollouts: dict[WorkloadKey, Rollout] = {}
        self.finished: deque[Rollout] = deque(maxlen=ROLLOUTS_KEPT)
        self.changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self.endpoint_changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self.listed: set[tuple[str, str]] = set()
        self.touched: dict[ServiceKey, ServiceRecord] = {}
        self.surroundings = Surroundings()
        self.lags: list[float] = []
        self.rollout_failures: Counter[tuple[WorkloadKey, str, Result]] = Counter()
        self._owners: dict[tuple[str, str], ServiceKey] = {}
        self._behind: dict[ServiceKey, list[Rollout]] | None = None
        self._selection = LabelIndex()
        self._namespaces = frozenset(namespaces)
        self._linger = linger
        self._node = node
        self._turned: set[str] = set()
        self._now = -inf

    @property
    def synced(self) -> bool:
        """Whether Services and EndpointSlices have been listed: before that nothing is judged."""
        return all(self._all_listed(r.name) for r in (kube.SERVICES, kube.SLICES))

    def _all_listed(self, resource: str) -> bool:
        seen = {namespace for found, namespace in self.listed if found == resource}
        return bool(seen) and ("" in seen or seen >= self._namespaces)

    def apply(self, event: kube.Event, now: float) -> list[Change]:
        """Takes in one event and returns what it changed, already remembered."""
        self._now = now
        found = list(self._apply(event, now))
        concerned = {r.workload for key in self.touched for r in self.rollouts_of(key)}
        found.extend(self._end_rollouts(concerned, now))
        return self._remember(found)

    def tick(self, now: float) -> list[Change]:
        """Lets time pass: ends overdue rollouts, closes removals that nothing can follow."""
        self._look_at_nodes()
        for record in self.services.values():
            if record.removals:
                self._close_removals(record, now)
        return self._remember(list(self._end_rollouts(list(self.rollouts), now)))

    def _remember(self, found: list[Change]) -> list[Change]:
        """Keeps endpoints apart: one large rollout must not push the edit out that began it."""
        for change in found:
            endpoint = change.kind is ChangeKind.ENDPOINT
            (self.endpoint_changes if endpoint else self.changes).append(change)
        return found

    def newest_changes(self) -> list[Change]:
        """All remembered changes, the newest first."""
        # Endpoints follow what moved them, so at the same moment they are the newer ones.
        kept = [*self.changes, *self.endpoint_changes]
        return sorted(kept, key=lambda change: change.at)[::-1]

    def services_of(self, workload: Workload) -> tuple[str, ...]:
        """Names of the Services of its namespace whose selector matches the workload's pods."""
        return self._selection.services_of(workload)

    def workloads_of(self, service: Service) -> list[Workload]:
        """The workloads whose pods the Service selects."""
        return self._selection.workloads_of(service)

    def raised_at(self, workloads: Iterable[Workload]) -> float:
        """When the last of these was made, or scaled up from zero, before our eyes."""
        return max((self._raised.get(rollouts.key_of(w), -inf) for w in workloads), default=-inf)

    def rollouts_of(self, key: ServiceKey) -> tuple[Rollout, ...]:
        """Rollouts behind this Service that run or ended less than the linger time ago."""
        if self._behind is None:
            self._behind = {}
            for rollout in self.rollouts.values():
                for name in rollout.services:
                    self._behind.setdefault((rollout.workload[1], name), []).append(rollout)
        return tuple(self._behind.get(key, ()))

    def last_rollouts_of(self, key: ServiceKey) -> tuple[Rollout, ...]:
        """The same, and the last one that is over."""
        over = (
            r for r in reversed(self.finished) if r.workload[1] == key[0] and key[1] in r.services
        )
        return (*self.rollouts_of(key), *islice(over, 1))

    def _apply(self, event: kube.Event, now: float) -> Iterator[Change]:
        if self.surroundings.holds(event.resource):
            self._look_around(self.surroundings.apply(event))
            return
        match event:
            case kube.Listed():
                listed = event.resource, event.namespace
                yield from self._list(event, now if listed in self.listed else -inf)
                self.listed.add(listed)
            case kube.Stored(_, fact):
                yield from self._store(fact, now)
            case kube.Removed(resource, namespace, name):  # pragma: no branch
                yield from self._remove(resource, namespace, name, now)

    def _list(self, event: kube.Listed, now: float) -> Iterator[Change]:
        names = {(fact.namespace, fact.name) for fact in event.facts}
        for namespace, name in self._names(event.resource) - names:
            if event.namespace in ("", namespace):
                yield from self._remove(event.resource, namespace, name, self._now)
        for fact in event.facts:
            yield from self._store(fact, now)

    def _names(self, resource: str) -> set[tuple[str, str]]:
        if resource == kube.SERVICES.name:
            return {key for key, record in self.services.items() if record.service}
        if resource == kube.SLICES.name:
            return set(self._owners)
        return {key[1:] for key in self.workloads if key[0] == KINDS[resource]}

    def _store(self, fact: Service | EndpointSlice | Workload, now: float) -> Iterator[Change]:
        match fact:
            case Service():
                yield from self._store_service(fact, now)
            case EndpointSlice():
                yield from self._store_slice(fact, now)
            case Workload():  # pragma: no branch
                yield from self._store_workload(fact, now)

    def _store_service(self, service: Service, now: float) -> Iterator[Change]:
        key = service.namespace, service.name
        record = self.services.setdefault(key, ServiceRecord())
        if record.service == service:  # listed again, and nothing missed
            return
        edits = list(changes.service_changes(record.service, service, now))
        if record.service is None or record.service.uid != service.uid:
            record.since = now
        elif edits:
            record.edited_at = now
        self._selection.replace_service(record.service, service)
        record.service = service
        self._move(key, record)
        self._find_rollouts(service)
        if now > -inf:
            yield from edits

    def _store_slice(self, slice_: EndpointSlice, now: float) -> Iterator[Change]:
        key = slice_.namespace, slice_.service
        if self._owners.get((slice_.namespace, slice_.name), key) != key:
            yield from self._drop_slice(slice_.namespace, slice_.name, now)
        self._owners[slice_.namespace, slice_.name] = key
        record = self.services.setdefault(key, ServiceRecord(since=now))
        if record.slices.get(slice_.name) == slice_:
            return
        before = record.by_address()
        record.slices[slice_.name] = slice_
        yield from self._note_endpoints(key, record, before, now)

    def _drop_slice(self, namespace: str, name: str, now: float) -> Iterator[Change]:
        key = self._owners.pop((namespace, name), None)
        if key is not None:
            record = self.services[key]
            before = record.by_address()
            del record.slices[name]
            yield from self._note_endpoints(key, record, before, now)
            if record.service is None and not record.slices:
                del self.services[key]

    def _store_workload(self, workload: Workload, now: float) -> Iterator[Change]:
        key = rollouts.key_of(workload)
        old = self.workloads.get(key)
        if old == workload:
            return
        self.workloads[key] = workload
        if workload.replicas and (old is None or not old.replicas):
            self._raised[key] = now
        self._selection.replace_workload(old, workload)
        behind = self.services_of(workload)
        self._touch(workload.namespace, behind)
        if workload.kind == REPLICA_SET:  # listed now and then: when it changed is not known
            return
        rollout = self.rollouts.get(key)
        running = rollout is not None and rollout.ended is None
        edits = list(changes.workload_changes(old, workload, behind, now, running=running))
        if edits:
            self._begin_rollout(workload, behind, edits[0].detail, now)
        elif old is None and workload.rolling:
            self._begin_rollout(workload, behind, "already in progress", self._now)
        yield from edits
        yield from changes.invalid_targets(old, workload, behind, self._now)

    def _remove(self, resource: str, namespace: str, name: str, now: float) -> Iterator[Change]:
        if resource == kube.SLICES.name:
            yield from self._drop_slice(namespace, name, now)
        elif resource == kube.SERVICES.name:
            record = self.services.get((namespace, name))
            if record is not None and record.service is not None:
                yield changes.service_removed(record.service, now)
                self._selection.replace_service(record.service, None)
                record.service = None
                self._move((namespace, name), record)
                self._forget_failures(namespace, name)
                if not record.slices:
                    del self.services[namespace, name]
        else:
            gone = self.workloads.pop((KINDS[resource], namespace, name), None)
            self._raised.pop((KINDS[resource], namespace, name), None)
            if gone is not None:
                self._selection.replace_workload(gone, None)
                self._touch(namespace, self.services_of(gone))

    def _move(self, key: ServiceKey, record: ServiceRecord) -> None:
        """Tells the World that the Service's edges may have changed."""
        record.moved = True
        self.touched[key] = record

    def _touch(self, namespace: str, names: Iterable[str]) -> None:
        found = ((namespace, name) for name in names)
        self.touched.update((key, self.services[key]) for key in found if key in self.services)

    def _look_around(self, altered: Altered) -> None:
        """Has those judged anew that stand in what was altered; their edges may be other ones only
        where zones decide which endpoints we are led to."""
        self._turned |= altered.nodes
        moved = self._node in altered.zones
        if not moved and not altered.namespaces:
            return
        for key, record in self.services.items():
            if moved and any(e.hints.zones for e in record.held_endpoints()):
                self._move(key, record)
            elif key[0] in altered.namespaces:
                self.touched[key] = record

    def _look_at_nodes(self) -> None:
        """The same for the nodes that turned: many may at once, and to find what runs there takes
        10 ms where there are 50,000 endpoints (measured)."""
        turned, self._turned = self._turned, set()
        for key, record in self.services.items() if turned else ():
            if any(e.node in turned for e in record.held_endpoints()):
                self.touched[key] = record

    def _forget_failures(self, namespace: str, service: str) -> None:
        gone = [k for k in self.rollout_failures if k[0][1] == namespace and k[1] == service]
        for key in gone:
            del self.rollout_failures[key]

    def _note_endpoints(
        self, key: ServiceKey, record: ServiceRecord, old: dict[str, Endpoint], now: float
    ) -> Iterator[Change]:
        """Remembers since when each endpoint is there and which of them are being removed."""
        self._move(key, record)
        new = record.by_address()
        for address in {**old, **new}:
            was, now_is = old.get(address), new.get(address)
            if now_is is None:
                record.endpoint_since.pop(address, None)
            elif now > -inf and (was is None or was.pod != now_is.pod):
                record.endpoint_since[address] = now
            if _leaves(was, now_is):
                record.removals.append(Removal(address, self._now))
            elif record.removals and _takes_traffic(now_is) and not _takes_traffic(was):
                # It is back: what is sent there is meant for it.
                record.removals = [r for r in record.removals if r.address != address]
        if now > -inf:
            yield from changes.endpoint_changes(*key, old, new, now)

    def _begin_rollout(
        self, workload: Workload, services: tuple[str, ...], detail: str, now: float
    ) -> None:
        """A further change inside a running rollout prolongs it; a report covers them all."""
        running = self.rollouts.get(rollouts.key_of(workload))
        if running is not None and running.ended is None:
            running.deadline = now + workload.progress_deadline_seconds
        else:
            if running is not None:
                self.finished.append(running)
            begun = rollouts.begin(workload, services, detail, now)
            self.rollouts[rollouts.key_of(workload)] = begun
            self._behind = None

    def _find_rollouts(self, service: Service) -> None:
        """Tells running rollouts of a Service that is new or selects other pods now."""
        for key, rollout in self.rollouts.items():
            workload = self.workloads.get(key)
            if workload is not None and key[1] == service.namespace:
                names = set(rollout.services) - {service.name}
                names |= {service.name} if selects(service, workload) else set()
                rollout.services = tuple(sorted(names))
                self._behind = None

    def _end_rollouts(self, keys: Iterable[WorkloadKey], now: float) -> Iterator[Change]:
        for key in keys:
            rollout = self.rollouts[key]
            if rollout.ended is not None:
                if not rollout.covers(now, self._linger):
                    self.finished.append(self.rollouts.pop(key))
                    self._behind = None
                    yield changes.rollout_report(key, rollout.text(), rollout.services, now)
                continue
            workload = self.workloads.get(key)
            records = [self.services.get((key[1], name)) for name in rollout.services]
            terminating = any(r is not None and r.terminating for r in records)
            rollout.outcome = rollouts.ending(rollout, workload, terminating, now)
            if rollout.outcome:
                rollout.ended = now
                self._touch(key[1], rollout.services)
                detail = f"{rollout.outcome} after {now - rollout.started:.0f} s"
                yield changes.rollout_ended(key, detail, rollout.services, now)

    def _close_removals(self, record: ServiceRecord, now: float) -> None:
        over = [r for r in record.removals if now >= r.at + REMOVAL_WINDOW]
        self.lags.extend(r.lag for r in over if r.lag is not None)
        record.removals = [r for r in record.removals if now < r.at + REMOVAL_WINDOW]


def _takes_traffic(endpoint: Endpoint | None) -> bool:
    return endpoint is not None and endpoint.ready and not endpoint.terminating


def _leaves(was: Endpoint | None, now_is: Endpoint | None) -> bool:
    """Whether an endpoint that received traffic no longer should."""
    if was is None or not _takes_traffic(was):
        return False
    return now_is is None or now_is.terminating or was.pod != now_is.pod
