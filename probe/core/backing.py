"""What stands behind a Service: the workloads whose pods it selects, and what is done to them."""

from dataclasses import dataclass

from probe.core.workloads import Workload


@dataclass(frozen=True, slots=True)
class Backing:
    """`scaled_to_zero` tells that some are known and none is to have pods, `starting` that somebody
    has just had the first pods made, `rolling` that one of them rolls."""

    workloads: tuple[Workload, ...] = ()
    scaled_to_zero: bool = False
    starting: bool = False
    rolling: bool = False

    @property
    def unplaced(self) -> bool:
        """Whether one of them is a DaemonSet that fits no node."""
        return any(workload.unplaced for workload in self.workloads)

    @property
    def empty_on_purpose(self) -> bool:
        """Whether nobody wanted a pod to be there now."""
        return self.scaled_to_zero or self.starting


NOTHING = Backing()
"""No workload is known, and so nothing of it."""
