"""Drained nodes: cordoned ones that the endpoints of their Services have left.

`kubectl drain` leaves no mark but the cordon, so the rule is what can be seen: since the node was
cordoned at least one endpoint left it, and now there is none but those of DaemonSets, which a
drain leaves alone. A node that was cordoned before us counts from our first sight of it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from probe.core.changes import Change
from probe.core.edges import Service
from probe.core.ledger import ServiceRecord
from probe.core.node_changes import node_drained
from probe.core.nodes import Node
from probe.core.workloads import DAEMON_SET, Workload


@dataclass(slots=True)
class Drain:
    """A node that was cordoned at this moment, and the addresses that have left it since."""

    since: float
    left: set[str] = field(default_factory=set)
    stirred: bool = False
    done: bool = False


class Drains:
    """The cordoned nodes that are not empty yet. To look at every endpoint takes 10 ms where there
    are 50,000 (measured), so it is done only after one has left such a node."""

    def __init__(self) -> None:
        self._cordoned: dict[str, Drain] = {}

    def follow(self, old: Node | None, new: Node | None, now: float) -> None:
        """The node is the new one now; None if it was, or is, not there."""
        if new is not None and not new.schedulable:
            self._cordoned.setdefault(new.name, Drain(now))
        elif old is not None:
            self._cordoned.pop(old.name, None)

    def left(self, node: str, address: str) -> None:
        """An endpoint is there no longer."""
        drain = self._cordoned.get(node)
        if drain is not None and not drain.done:
            drain.left.add(address)
            drain.stirred = True

    def look(
        self,
        records: Iterable[ServiceRecord],
        workloads_of: Callable[[Service], Iterable[Workload]],
        now: float,
    ) -> Iterator[Change]:
        """Tells of each node that has been drained, once for its cordon."""
        stirred = {name for name, drain in self._cordoned.items() if drain.stirred}
        if not stirred:
            return
        held = {
            endpoint.node
            for record in records
            for endpoint in record.held_endpoints()
            if endpoint.node in stirred and not _stays(record.service, workloads_of)
        }
        for name in sorted(stirred):
            drain = self._cordoned[name]
            drain.stirred = False
            if name not in held:
                yield node_drained(name, len(drain.left), now - drain.since, now)
                drain.done, drain.left = True, set()


def _stays(service: Service | None, workloads_of: Callable[[Service], Iterable[Workload]]) -> bool:
    """Whether the Service's endpoints are of DaemonSets alone."""
    kinds = {workload.kind for workload in workloads_of(service)} if service is not None else set()
    return kinds == {DAEMON_SET}
