"""Of which namespaces the ReplicaSets are to be listed: they are not watched.

They are asked for where they could explain what nothing else does: no workload that is watched is
behind a Service, and all its endpoints refuse (a ReplicaSet may declare another port), or it has
none (it may be scaled to zero, as an Argo Rollout is).
"""

from math import inf

from probe.core import kube
from probe.core.backing import Backing
from probe.core.ledger import PortBook, ServiceRecord, View


class ReplicaSets:
    """Times are monotonic seconds."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._listed: dict[str, float] = {}

    def hear(self, event: kube.Event, now: float) -> None:
        """Takes note of a list, and of a namespace that is gone."""
        match event:
            case kube.Listed(resource, _, namespace) if resource == kube.REPLICA_SETS.name:
                self._listed[namespace] = now
            case kube.Removed(resource, _, name) if resource == kube.NAMESPACES.name:
                self._listed.pop(name, None)

    def ask(
        self,
        record: ServiceRecord,
        book: PortBook,
        view: View,
        backing: Backing,
    ) -> None:
        """Asks for those behind this port if they matter.

        Many Services are empty for good, so that one list after the last endpoint went has to do;
        but a ReplicaSet that was scaled to zero may have been scaled up again meanwhile.
        """
        service = record.service
        if service is None or not service.selector or backing.watched:
            return
        namespace = service.namespace
        empty = not book.anywhere and view.now - book.since >= view.settle
        outdated = self._listed.get(namespace, -inf) <= book.moved_at
        if book.plan is not None or (empty and (backing.scaled_to_zero or outdated)):
            self._wanted.add(namespace)

    def take(self) -> set[str]:
        """The namespaces that were asked for since the last call."""
        wanted, self._wanted = self._wanted, set()
        return wanted
