"""What stands behind a Service: the workloads whose pods it selects, and what is done to them."""

from collections.abc import Iterable
from dataclasses import dataclass

from probe.core.workloads import REPLICA_SET, Workload


def any_watched(workloads: Iterable[Workload]) -> bool:
    """Whether one of them is watched: ReplicaSets are listed now and then only."""
    return any(workload.kind != REPLICA_SET for workload in workloads)


@dataclass(frozen=True, slots=True)
class Backing:
    """`scaled_to_zero` tells that some are known and none is to have pods, `starting` that somebody
    has just had the first pods made, `rolling` that one of them rolls. `served` is whether the
    Service led to pods, and nobody has scaled these to zero since: it was pointed at others, or
    they were deleted."""

    workloads: tuple[Workload, ...] = ()
    scaled_to_zero: bool = False
    starting: bool = False
    served: bool = False
    rolling: bool = False

    @property
    def watched(self) -> bool:
        """Whether one of them tells at once when it changes."""
        return any_watched(self.workloads)

    @property
    def unplaced(self) -> bool:
        """Whether one of them is a DaemonSet that fits no node."""
        return any(workload.unplaced for workload in self.workloads)

    @property
    def empty_on_purpose(self) -> bool:
        """Whether nobody wanted a pod to be there now, and no caller has lost one."""
        return (self.scaled_to_zero or self.starting) and not self.served


NOTHING = Backing()
"""No workload is known, and so nothing of it."""
