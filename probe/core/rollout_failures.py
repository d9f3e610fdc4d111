"""What rollouts cost their callers, in failed dials of the ClusterIP: a counter of its own, since
it outlives each rollout."""

from collections import Counter
from collections.abc import Container, Mapping

from probe.core.edges import ServiceKey
from probe.core.ledger import ServiceRecord
from probe.core.results import Result
from probe.core.rollouts import WorkloadKey


class RolloutFailures(Counter[tuple[WorkloadKey, str, Result]]):
    """Failed ClusterIP dials by workload, Service and result."""

    def prune(
        self, services: Mapping[ServiceKey, ServiceRecord], *workloads: Container[WorkloadKey]
    ) -> None:
        """Forgets those of Services that are gone, and of workloads that none of these has."""
        for key in list(self):
            workload, service, _ = key
            record = services.get((workload[1], service))
            known = any(workload in held for held in workloads)
            if not known or record is None or record.service is None:
                del self[key]
