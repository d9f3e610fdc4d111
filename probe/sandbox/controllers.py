"""All controllers of the sandbox, as one thing to start, ask and stop."""

from probe.sandbox.daemonsets import DaemonSetController
from probe.sandbox.deployments import DeploymentController
from probe.sandbox.garbage import GarbageCollector
from probe.sandbox.index import Index
from probe.sandbox.nodes import Scheduler
from probe.sandbox.replicasets import ReplicaSetController
from probe.sandbox.slices import SliceController
from probe.sandbox.statefulsets import StatefulSetController
from probe.sandbox.store import Store


class Controllers:
    """The control plane's loops over a store. Jobs and CronJobs are stored and never run."""

    def __init__(self, store: Store, index: Index) -> None:
        self._queues = [
            controller(store, index).queue
            for controller in (
                DeploymentController,
                ReplicaSetController,
                StatefulSetController,
                DaemonSetController,
                Scheduler,
                SliceController,
                GarbageCollector,
            )
        ]

    @property
    def idle(self) -> bool:
        """Everything that happened has been reacted to."""
        return all(queue.idle for queue in self._queues)

    def close(self) -> None:
        for queue in self._queues:
            queue.close()
