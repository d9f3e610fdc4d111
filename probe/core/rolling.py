"""The rollouts that run: when each begins, which Services it concerns, when it ends."""

from collections import deque
from collections.abc import Collection, Iterable

from probe.core import rollouts, workload_changes
from probe.core.changes import Change, ChangeKind
from probe.core.edges import Service, ServiceKey
from probe.core.rollouts import Rollout, WorkloadKey
from probe.core.selection import selects
from probe.core.workloads import Workload

ROLLOUTS_KEPT = 1000
"""So many may end at once and be asked for by other nodes' daemons; about 2 KB each (measured)."""


class Rolling:
    """`rollouts` run or ended less than the linger time ago, `finished` are over, the last ones.

    A rollout concerns the Services of the new pods and of those that they replace: where the labels
    change, a Service may lose the old ones and never select the new ones.
    """

    def __init__(self, linger: float) -> None:
        self.rollouts: dict[WorkloadKey, Rollout] = {}
        self.finished: deque[Rollout] = deque(maxlen=ROLLOUTS_KEPT)
        self._behind: dict[ServiceKey, dict[WorkloadKey, Rollout]] = {}
        self._over: dict[ServiceKey, list[Rollout]] = {}
        self._last: dict[WorkloadKey, Rollout] = {}
        self._replaced: dict[WorkloadKey, Workload] = {}
        self._linger = linger

    def runs(self, key: WorkloadKey) -> bool:
        rollout = self.rollouts.get(key)
        return rollout is not None and rollout.ended is None

    def services_of(self, key: WorkloadKey) -> tuple[str, ...]:
        """The Services that this workload's rollout concerns while it runs."""
        return self.rollouts[key].services if self.runs(key) else ()

    def of(self, service: ServiceKey) -> tuple[Rollout, ...]:
        """Those behind this Service."""
        return tuple(self._behind.get(service, {}).values())

    def last_of(self, service: ServiceKey) -> tuple[Rollout, ...]:
        """The same, and the last one that is over."""
        return (*self.of(service), *self._over.get(service, ())[-1:])

    def ever_of(self, service: ServiceKey) -> tuple[Rollout, ...]:
        """The same, and all that are over, as far as they are kept."""
        return (*self._over.get(service, ()), *self.of(service))

    def last(self, key: WorkloadKey) -> Rollout | None:
        """This workload's rollout, or its last one that is over."""
        return self.rollouts.get(key) or self._last.get(key)

    def begin(
        self,
        workload: Workload,
        services: tuple[str, ...],
        edit: Change | None,
        now: float,
        before: Workload | None = None,
    ) -> None:
        """A further change inside a running rollout prolongs it; a report covers them all. The
        `edit` that begins one, and what the workload was `before`, are not known where it was under
        way when we started."""
        key = rollouts.key_of(workload)
        running = self.rollouts.get(key)
        if running is not None and running.ended is None:
            running.patience = workload.progress_deadline_seconds
            running.progressed(now)
            running.scaling &= _scales(edit)
            self._concern(running, {*running.services, *services})
            self._replace(key, before, workload)
            return
        if running is not None:
            self._finish(key)
        begun = rollouts.begin(workload, services, "already in progress", now)
        if edit is not None:
            begun.detail, begun.by, begun.managed = edit.detail, edit.by, edit.managed
        begun.scaling = _scales(edit)
        self.rollouts[key] = begun
        self._concern(begun, set(services))
        self._replace(key, before, workload)

    def select(
        self, service: Service, selected: Iterable[Workload], known: Collection[WorkloadKey]
    ) -> None:
        """Tells the rollouts of a Service that is new or selects other pods: it selects these
        workloads now. What is no longer `known` was deleted, and its rollout stands still."""
        chosen = [rollouts.key_of(workload) for workload in selected]
        chosen += [key for key, before in self._replaced.items() if selects(service, before)]
        for rollout in self.of((service.namespace, service.name)):
            if rollout.workload in known and rollout.workload not in chosen:
                self._concern(rollout, {*rollout.services} - {service.name})
        for rollout in [self.rollouts[key] for key in chosen if key in self.rollouts]:
            self._concern(rollout, {*rollout.services, service.name})

    def end(
        self, key: WorkloadKey, workload: Workload | None, now: float, *, terminating: bool
    ) -> Change | None:
        """What is to be told of the rollout at this moment: its end, and later what it cost."""
        rollout = self.rollouts[key]
        if rollout.ended is not None:
            if rollout.outcome == rollouts.COMPLETE and terminating:
                # Slices tell of the last old pods after the status said that these are done.
                rollout.ended = min(now, rollout.deadline)
            if rollout.covers(now, self._linger):
                return None
            rollout.cut(now)  # it is watched closely no longer
            self._finish(key)
            if not rollout.services:  # nothing of it was dialed: it cost nobody anything
                return None
            return workload_changes.rollout_report(key, rollout.text(), rollout.services, now)
        rollout.outcome = rollouts.ending(rollout, workload, terminating, now)
        if not rollout.outcome:
            return None
        rollout.ended = now
        seconds = now - rollout.started
        # A list after we were away may tell of the beginning and the end at once.
        lasted = f"after {seconds:.0f} s" if seconds else "before we heard of it"
        detail = f"{rollout.outcome} {lasted}"
        if rollout.outcome == rollouts.COMPLETE and workload is not None and workload.revision:
            detail += f", revision {workload.revision}"
        return workload_changes.rollout_ended(key, detail, rollout.services, now)

    def _concern(self, rollout: Rollout, names: set[str]) -> None:
        """From now on the rollout concerns the Services of these names."""
        namespace = rollout.workload[1]
        for name in {*rollout.services} - names:
            held = self._behind[namespace, name]
            del held[rollout.workload]
            if not held:
                del self._behind[namespace, name]
        for name in names:
            self._behind.setdefault((namespace, name), {})[rollout.workload] = rollout
        rollout.services = tuple(sorted(names))

    def _replace(self, key: WorkloadKey, before: Workload | None, now: Workload) -> None:
        """Remembers what the pods were that are being replaced, if their labels were others."""
        if before is not None and before.labels != now.labels:
            self._replaced.setdefault(key, before)

    def _finish(self, key: WorkloadKey) -> None:
        """The rollout is over, and the oldest of those that are kept makes room for it."""
        over = self.rollouts.pop(key)
        services = over.services
        self._concern(over, set())
        over.services = services
        self._replaced.pop(key, None)
        if len(self.finished) == ROLLOUTS_KEPT:
            self._forget(self.finished[0])
        self.finished.append(over)
        self._last[key] = over
        for name in services:
            self._over.setdefault((key[1], name), []).append(over)

    def _forget(self, oldest: Rollout) -> None:
        key = oldest.workload
        if self._last[key] is oldest:
            del self._last[key]
        for service in [(key[1], name) for name in oldest.services]:
            del self._over[service][0]
            if not self._over[service]:
                del self._over[service]


def _scales(edit: Change | None) -> bool:
    return edit is not None and edit.kind is ChangeKind.SCALE
