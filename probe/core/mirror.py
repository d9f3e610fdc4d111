"""The cluster as our watches tell it: objects in, changes and touched Services out.

Nothing is forgotten because the API server is away: an object goes only when an event says so.
`now` is monotonic seconds of receipt; the first list of a resource counts as `-inf`, since what
stood before us is neither new nor a change.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from heapq import merge
from math import inf

from probe.core import (
    changes,
    kube,
    node_changes,
    policy_changes,
    removals,
    rollouts,
    workload_changes,
)
from probe.core.changes import Change, ChangeKind
from probe.core.drains import Drains
from probe.core.edges import EndpointSlice, Service, ServiceKey
from probe.core.ledger import ServiceRecord
from probe.core.policies import NetworkPolicy
from probe.core.rolling import Rolling
from probe.core.rollout_failures import RolloutFailures
from probe.core.rollouts import Rollout, WorkloadKey
from probe.core.selection import LabelIndex
from probe.core.starts import Starts
from probe.core.surroundings import Surroundings, pods_selected
from probe.core.templates import Revisions
from probe.core.workloads import REPLICA_SET, Workload

CHANGES_KEPT = 1000

KINDS = {
    kube.DEPLOYMENTS.name: "Deployment",
    kube.STATEFUL_SETS.name: "StatefulSet",
    kube.DAEMON_SETS.name: "DaemonSet",
    kube.REPLICA_SETS.name: REPLICA_SET,
}


class Mirror:
    """Services with their slices, workloads with their rollouts, and the last changes.

    `lags` gathers the lag (seconds) of each removal that is over, for the daemon's histogram;
    `rollout_failures` are of the Services and workloads that are there, `starts` of the workloads
    without a pod yet. `touched` collects the records whose edges or facts may have changed, gone
    ones too, for the World to take. A record may stand without its Service (slices can be seen
    first) and is then not dialed. `surroundings` are what is known of nodes and namespaces; `node`
    is ours, `peers` the daemons' own Service. `namespaces` are those that are listed one by
    one; with none, one list is the whole of what there is to see.
    """

    def __init__(
        self,
        linger: float,
        namespaces: Collection[str] = (),
        *,
        node: str = "",
        peers: ServiceKey | None = None,
    ) -> None:
        self.services: dict[ServiceKey, ServiceRecord] = {}
        self.workloads: dict[WorkloadKey, Workload] = {}
        self.changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self.endpoint_changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self.node_changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self.listed: set[tuple[str, str]] = set()
        self.touched: dict[ServiceKey, ServiceRecord] = {}
        self.surroundings = Surroundings()
        self.lags: list[float] = []
        self.rollout_failures = RolloutFailures()
        self.starts = Starts()
        self._owners: dict[tuple[str, str], ServiceKey] = {}
        self._selection = LabelIndex()
        self._namespaces = frozenset(namespaces)
        self._rolling = Rolling(linger)
        self.rollouts, self.finished = self._rolling.rollouts, self._rolling.finished
        self._revisions = Revisions()
        self._drains = Drains()
        self._node = node
        self._peers = peers
        self._turned: set[str] = set()
        self._now = -inf

    @property
    def synced(self) -> bool:
        """Whether Services and EndpointSlices have been listed: before that nothing is judged."""
        return all(self._all_listed(r.name) for r in (kube.SERVICES, kube.SLICES))

    def _all_listed(self, resource: str) -> bool:
        seen = {namespace for found, namespace in self.listed if found == resource}
        return bool(seen) and ("" in seen or seen >= self._namespaces)

    def start(self, now: float) -> None:
        """Remembers that we began to look: of what was before, nothing is known."""
        self._remember([node_changes.prober_started(self._node, now)])

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
                self.lags.extend(removals.close(record, now))
        found = list(self._end_rollouts(list(self.rollouts), now))
        found.extend(self._drains.look(self.services.values(), self.workloads_of, now))
        self.rollout_failures.prune(self.services, self.workloads, self.rollouts)
        return self._remember(found)

    def _remember(self, found: list[Change]) -> list[Change]:
        """Keeps endpoints and nodes apart: neither a large rollout nor the loss of a zone must push
        the edit out that went before."""
        apart = {ChangeKind.ENDPOINT: self.endpoint_changes, ChangeKind.NODE: self.node_changes}
        for change in found:
            apart.get(change.kind, self.changes).append(change)
        return found

    def causes(self) -> Iterator[Change]:
        """Remembered changes, the newest first, without the endpoints, which only follow them."""
        kept = reversed(self.changes), reversed(self.node_changes)
        return merge(*kept, key=lambda change: -change.at)

    def newest_changes(self) -> list[Change]:
        """All remembered changes, the newest first."""
        # Endpoints follow what moved them, so at the same moment they are the newer ones.
        kept = [*self.node_changes, *self.changes, *self.endpoint_changes]
        return sorted(kept, key=lambda change: change.at)[::-1]

    def services_of(self, workload: Workload) -> tuple[str, ...]:
        """Names of the Services of its namespace whose selector matches the workload's pods."""
        return self._selection.services_of(workload)

    def workloads_of(self, service: Service) -> list[Workload]:
        """The workloads whose pods the Service selects; no ReplicaSets that are to have none."""
        return self._selection.workloads_of(service)

    def wants_nothing(self, service: Service | None) -> bool:
        """Whether workloads are known behind the Service, and no pod of any is wanted."""
        return service is not None and self._selection.wants_nothing(service)

    def rollouts_of(self, key: ServiceKey) -> tuple[Rollout, ...]:
        """Rollouts behind this Service that run or ended less than the linger time ago."""
        return self._rolling.of(key)

    def last_rollouts_of(self, key: ServiceKey) -> tuple[Rollout, ...]:
        """The same, and the last one that is over."""
        return self._rolling.last_of(key)

    def all_rollouts_of(self, key: ServiceKey) -> tuple[Rollout, ...]:
        """The same, and all that are over and still remembered, these first."""
        return self._rolling.ever_of(key)

    def last_rollout(self, key: WorkloadKey) -> Rollout | None:
        """This workload's rollout, or its last one that is over."""
        return self._rolling.last(key)

    def _apply(self, event: kube.Event, now: float) -> Iterator[Change]:
        if self.surroundings.holds(event.resource):
            yield from self._look_around(event, now)
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
        for fact in event.facts:  # first, for an endpoint that is in another slice now has not gone
            yield from self._store(fact, now)
        for namespace, name in self._names(event.resource) - names:
            if event.namespace in ("", namespace):
                yield from self._remove(event.resource, namespace, name, self._now)

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
            record.served &= record.service is None and not self.wants_nothing(service)
        elif edits:
            record.edited_at = now
        self._selection.replace_service(record.service, service)
        record.service = service
        self._move(key, record)
        self._rolling.select(service, self.workloads_of(service), self.workloads)
        if now > -inf:
            yield from edits

    def _store_slice(self, slice_: EndpointSlice, now: float) -> Iterator[Change]:
        key = slice_.namespace, slice_.service
        if self._owners.get((slice_.namespace, slice_.name), key) != key:
            yield from self._drop_slice(slice_.namespace, slice_.name, now)
        self._owners[slice_.namespace, slice_.name] = key
        record = self.services.setdefault(key, ServiceRecord(since=now))
        if record.slices.get(slice_.name) != slice_:
            yield from self._replace_slice(key, slice_.name, slice_, now)

    def _drop_slice(self, namespace: str, name: str, now: float) -> Iterator[Change]:
        key = self._owners.pop((namespace, name), None)
        if key is not None:
            yield from self._replace_slice(key, name, None, now)
            record = self.services[key]
            if record.service is None and not record.slices:
                del self.services[key]

    def _store_workload(self, workload: Workload, now: float) -> Iterator[Change]:
        key = rollouts.key_of(workload)
        old = self.workloads.get(key)
        if old == workload:
            return
        self.workloads[key] = workload
        self.starts.follow(old, workload, now)
        self._selection.replace_workload(old, workload)
        behind = self._behind(workload, old)
        self.touched.update(self._known(workload.namespace, behind))
        if workload.kind == REPLICA_SET:  # listed now and then: when it changed is not known
            return
        yield from self._follow_workload(old, workload, behind, now)
        yield from workload_changes.invalid_targets(old, workload, behind, self._now)

    def _follow_workload(
        self, old: Workload | None, new: Workload, behind: tuple[str, ...], now: float
    ) -> Iterator[Change]:
        """Tells how it changed, and begins a rollout where its pods are being replaced."""
        if new.idle and not (old and old.idle):  # somebody wants no pods: no caller lost them
            for record in self._known(new.namespace, behind).values():
                record.served &= not self.wants_nothing(record.service)
        if old is None:
            if new.rolling and not new.stuck and not new.paused:
                self._rolling.begin(new, behind, None, self._now)
            if now > -inf:
                yield workload_changes.workload_created(new, behind, now)
            return
        key, earlier = rollouts.key_of(new), None
        running = self._rolling.runs(key)
        if old.template != new.template:
            earlier = self._revisions.replaced(key, old.template, old.revision, new.template)
        ours = self._peers is not None and self._peers in ((new.namespace, name) for name in behind)
        edits = list(
            workload_changes.workload_changes(
                old, new, behind, now, running=running, earlier=earlier, ours=ours
            )
        )
        if workload_changes.replaces_pods(old, new, running=running):
            self._rolling.begin(new, behind, edits[0], now, old)
        yield from edits

    def _behind(self, workload: Workload, old: Workload | None = None) -> tuple[str, ...]:
        """The Services of its pods, of those that it had before, and of all that it replaces."""
        names = {*self.services_of(workload), *self._rolling.services_of(rollouts.key_of(workload))}
        if old is not None and old.labels != workload.labels:
            names.update(self.services_of(old))
        return tuple(sorted(names))

    def _remove(self, resource: str, namespace: str, name: str, now: float) -> Iterator[Change]:
        if resource == kube.SLICES.name:
            yield from self._drop_slice(namespace, name, now)
        elif resource == kube.SERVICES.name:
            record = self.services.get((namespace, name))
            if record is not None and record.service is not None:
                yield changes.service_removed(record.service, now)
                self._selection.replace_service(record.service, None)
                record.service, record.served = None, False
                self._move((namespace, name), record)
                if not record.slices:
                    del self.services[namespace, name]
        else:
            yield from self._remove_workload((KINDS[resource], namespace, name), now)

    def _remove_workload(self, key: WorkloadKey, now: float) -> Iterator[Change]:
        gone = self.workloads.pop(key, None)
        self.starts.forget(key)
        self._revisions.forget(key)
        if gone is not None:
            behind = self._behind(gone)
            self._selection.replace_workload(gone, None)
            self.touched.update(self._known(key[1], behind))
            if gone.kind != REPLICA_SET:
                yield workload_changes.workload_deleted(gone, behind, now)

    def _move(self, key: ServiceKey, record: ServiceRecord) -> None:
        """Tells the World that the Service's edges may have changed."""
        record.moved = True
        self.touched[key] = record

    def _known(self, namespace: str, names: Iterable[str]) -> dict[ServiceKey, ServiceRecord]:
        keys = ((namespace, name) for name in names)
        return {key: self.services[key] for key in keys if key in self.services}

    def _look_around(self, event: kube.Event, now: float) -> Iterator[Change]:
        """Has those judged anew that stand in what was altered; their edges may be other ones only
        where zones decide which endpoints we are led to."""
        altered = self.surroundings.apply(event)
        self._turned |= altered.nodes
        moved = self._node in altered.zones
        for key, record in self.services.items() if moved or altered.namespaces else ():
            if moved and any(e.hints.zones for e in record.held_endpoints()):
                self._move(key, record)
            elif key[0] in altered.namespaces:
                self.touched[key] = record
        news = True
        if isinstance(event, kube.Listed):
            listed = event.resource, event.namespace
            news = listed in self.listed
            self.listed.add(listed)
        for was, node in altered.changed_nodes:
            self._drains.follow(was, node, now)
            if news:
                yield from node_changes.node_changes(was, node, now)
        for old, new in altered.changed_policies if news else ():
            services = self._selected_by([policy for policy in (old, new) if policy is not None])
            yield from policy_changes.policy_changes(old, new, services, now)

    def _selected_by(self, chosen: list[NetworkPolicy]) -> tuple[str, ...]:
        """The Services with pods that one of these policies of a namespace selects, or may."""
        return tuple(
            sorted(
                name
                for (namespace, name), record in self.services.items()
                if namespace == chosen[0].namespace
                and record.service is not None
                and pods_selected(chosen, record.service, self.workloads_of(record.service))
            )
        )

    def _look_at_nodes(self) -> None:
        """The same for the nodes that turned: many may at once, and to find what runs there takes
        10 ms where there are 50,000 endpoints (measured)."""
        turned, self._turned = self._turned, set()
        for key, record in self.services.items() if turned else ():
            if any(e.node in turned for e in record.held_endpoints()):
                self.touched[key] = record

    def _replace_slice(
        self, key: ServiceKey, name: str, slice_: EndpointSlice | None, now: float
    ) -> Iterator[Change]:
        """Remembers since when each endpoint is there and which of them are being removed."""
        record = self.services[key]
        self._move(key, record)
        old, new = removals.replace_slice(record, name, slice_)
        running = self.rollouts_of(key)
        wanted = not self.wants_nothing(record.service)
        progress = removals.follow(record, old, new, now, self._now, running, wanted=wanted)
        for address in old.keys() - new.keys():
            self._drains.left(old[address].node, address)
        for rollout in running if progress else ():
            rollout.progressed(self._now)
        if now > -inf:
            yield from changes.endpoint_changes(*key, old, new, now)

    def _end_rollouts(self, keys: Iterable[WorkloadKey], now: float) -> Iterator[Change]:
        for key in keys:
            known = self._known(key[1], self.rollouts[key].services)
            terminating = any(record.terminating for record in known.values())
            workload = self.workloads.get(key)
            found = self._rolling.end(key, workload, now, terminating=terminating)
            if found is not None:
                self.touched.update(known)
                yield found
