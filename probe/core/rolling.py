"""The rollouts that run: when each begins, which Services it concerns, when it ends."""

from collections import deque
from collections.abc import Iterable
from itertools import islice

from probe.core import rollouts, workload_changes
from probe.core.changes import Change, ChangeKind
from probe.core.edges import Service, ServiceKey
from probe.core.rollouts import Rollout, WorkloadKey
from probe.core.selection import selects
from probe.core.workloads import Workload

ROLLOUTS_KEPT = 1000
"""So many may end at once and be asked for by other nodes' daemons; about 2 KB each (measured)."""


class Rolling:
    """`rollouts` run or ended less than the linger time ago, `finished` are over, the last ones."""

    def __init__(self, linger: float) -> None:
        self.rollouts: dict[WorkloadKey, Rollout] = {}
        self.finished: deque[Rollout] = deque(maxlen=ROLLOUTS_KEPT)
        self._behind: dict[ServiceKey, list[Rollout]] | None = None
        self._linger = linger

    def runs(self, key: WorkloadKey) -> bool:
        rollout = self.rollouts.get(key)
        return rollout is not None and rollout.ended is None

    def of(self, service: ServiceKey) -> tuple[Rollout, ...]:
        """Those behind this Service."""
        if self._behind is None:
            self._behind = {}
            for rollout in self.rollouts.values():
                for name in rollout.services:
                    self._behind.setdefault((rollout.workload[1], name), []).append(rollout)
        return tuple(self._behind.get(service, ()))

    def last_of(self, service: ServiceKey) -> tuple[Rollout, ...]:
        """The same, and the last one that is over."""
        over = (
            r
            for r in reversed(self.finished)
            if r.workload[1] == service[0] and service[1] in r.services
        )
        return (*self.of(service), *islice(over, 1))

    def begin(
        self, workload: Workload, services: tuple[str, ...], edit: Change | None, now: float
    ) -> None:
        """A further change inside a running rollout prolongs it; a report covers them all. The
        `edit` that begins one is not known where it was under way when we started."""
        key = rollouts.key_of(workload)
        running = self.rollouts.get(key)
        if running is not None and running.ended is None:
            running.patience = workload.progress_deadline_seconds
            running.progressed(now)
            running.scaling &= _scales(edit)
            return
        if running is not None:
            self.finished.append(running)
        begun = rollouts.begin(workload, services, "already in progress", now)
        if edit is not None:
            begun.detail, begun.by, begun.managed = edit.detail, edit.by, edit.managed
        begun.scaling = _scales(edit)
        self.rollouts[key] = begun
        self._behind = None

    def select(self, service: Service, workloads: Iterable[tuple[WorkloadKey, Workload]]) -> None:
        """Tells the rollouts of these workloads of a Service that is new or selects other pods."""
        for key, workload in workloads:
            if key[1] == service.namespace:
                rollout = self.rollouts[key]
                names = set(rollout.services) - {service.name}
                names |= {service.name} if selects(service, workload) else set()
                rollout.services = tuple(sorted(names))
                self._behind = None

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
            self.finished.append(self.rollouts.pop(key))
            self._behind = None
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


def _scales(edit: Change | None) -> bool:
    return edit is not None and edit.kind is ChangeKind.SCALE
