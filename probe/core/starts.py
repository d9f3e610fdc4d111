"""Workloads whose first pods, or the first since none were wanted, are not available yet.

A Service without endpoints is no outage while they start. How long that may take the workload says
itself, by its progressDeadlineSeconds (600 by default, as long as kubectl waits for it).
"""

from collections.abc import Collection
from math import inf

from probe.core import rollouts
from probe.core.rollouts import WorkloadKey
from probe.core.workloads import REPLICA_SET, Workload

SLICES_BEHIND = 2.0
"""Seconds by which a workload's status may tell of its first available pod before the slices do:
two controllers write them, and two watches tell (seen within 0.2 s on a busy cluster)."""


class Starts:
    """Until when (monotonic seconds) each workload may be without an available pod."""

    def __init__(self) -> None:
        self._until: dict[WorkloadKey, float] = {}

    def follow(self, old: Workload | None, new: Workload, now: float) -> None:
        """The workload is the new one now; `now` is -inf for what stood before us: then its status
        tells whether its first rollout goes on, and its end. Of ReplicaSets, listed now and then,
        it is not known when they changed."""
        key = rollouts.key_of(new)
        if new.idle:
            self._until.pop(key, None)
        elif new.available:
            if key in self._until:
                self._until[key] = min(self._until[key], now + SLICES_BEHIND)
        elif (old is None or old.idle) and new.kind != REPLICA_SET:
            end = inf if new.fresh and now == -inf else now + new.progress_deadline_seconds
            self._until[key] = end

    def forget(self, key: WorkloadKey) -> None:
        """The workload is gone."""
        self._until.pop(key, None)

    def under_way(self, workloads: Collection[Workload], now: float) -> bool:
        """Whether pods of these are wanted, and all that are only start: none has been available,
        and there is time left."""
        wanted = [w for w in workloads if not w.idle]
        return bool(wanted) and all(self._starts(w, now) for w in wanted)

    def _starts(self, workload: Workload, now: float) -> bool:
        return not workload.stuck and now < self._until.get(rollouts.key_of(workload), -inf)
