"""What stands around the Services: nodes, namespaces, network policies, as our watches tell them.

Each is optional. What was never listed is not known, which is something else than not there.
"""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from probe.core import kube, meshes, namespaces, nodes, policies
from probe.core.edges import Service
from probe.core.labels import Labels, Pairs, matches
from probe.core.namespaces import Namespace
from probe.core.nodes import Node
from probe.core.policies import NetworkPolicy, Prober, Target
from probe.core.workloads import Workload

Key = tuple[str, str]
"""Namespace ("" for what is in none) and name."""

REMOVED_KEPT = 1000
"""Names of removed nodes remembered: those of the largest cluster's busiest hour. Chosen."""


LEFT_OUT_KEPT = 10_000
"""Answers of policies that are kept until anything changes: in an outage thousands of failing ports
ask each second, and an answer takes as long as judging the rest of a port (measured). Arbitrary."""


class Altered(NamedTuple):
    """Whose judgement may be another one after an event: of what runs on these nodes, of these
    nodes' own expectations (their zone is another one), of the Services of these namespaces.
    Of nodes and NetworkPolicies that changed it holds what they were and what they are now."""

    nodes: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    changed_nodes: tuple[tuple[Node | None, Node | None], ...] = ()
    changed_policies: tuple[tuple[NetworkPolicy | None, NetworkPolicy | None], ...] = ()


class Surroundings:
    """`nodes` and `namespaces` are by name, `policies` by namespace and name. An object is kept
    until an event says that it is gone. `prober` is who dials, as far as meet() was told, and
    `own_mesh` what takes everything that it dials; "" if it is let be."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.namespaces: dict[str, Namespace] = {}
        self.policies: dict[str, dict[str, NetworkPolicy]] = {}
        self.prober = policies.NOBODY
        self.own_mesh = ""
        self._left_out: dict[tuple[str, int, tuple[_Pods, ...]], tuple[str, ...]] = {}
        self._removed: dict[str, None] = {}
        self._held: dict[str, dict[str, dict[str, Any]]] = {
            kube.NODES.name: {"": self.nodes},
            kube.NAMESPACES.name: {"": self.namespaces},
            kube.NETWORK_POLICIES.name: self.policies,
        }
        """By resource, namespace ("" for what is in none) and name."""

    def holds(self, resource: str) -> bool:
        """Whether events of this resource are for us."""
        return resource in self._held

    def apply(self, event: kube.Event) -> Altered:
        """Takes in one event; what changed nothing that we keep alters nothing."""
        self._left_out.clear()
        told, keys = self._told(event)
        changed: list[tuple[Any, Any]] = []
        for key in dict.fromkeys([*keys, *told]):
            names, new = self._held[event.resource].setdefault(key[0], {}), told.get(key)
            old = names.pop(key[1], None)
            if new is not None:
                names[key[1]] = new
            if not names and key[0]:
                del self._held[event.resource][key[0]]
            if old != new:
                changed.append((old, new))
        if event.resource == kube.NODES.name:
            return self._altered_nodes(changed)
        facts = [new or old for old, new in changed]
        spaces = frozenset(fact.namespace or fact.name for fact in facts)
        policies = changed if event.resource == kube.NETWORK_POLICIES.name else ()
        return Altered(namespaces=spaces, changed_policies=tuple(policies))

    def _told(self, event: kube.Event) -> tuple[dict[Key, Any], list[Key]]:
        """The objects that are there by this event, and the keys that it speaks of besides."""
        match event:
            case kube.Stored():
                return {(event.fact.namespace, event.fact.name): event.fact}, []
            case kube.Removed():
                return {}, [(event.namespace, event.name)]
            case kube.Listed():  # pragma: no branch
                held = self._held[event.resource]
                spaces = (event.namespace,) if event.namespace else tuple(held)
                keys = [(space, name) for space in spaces for name in held.get(space, ())]
                return {(fact.namespace, fact.name): fact for fact in event.facts}, keys

    def zone_of(self, node: str) -> str:
        """The node's zone; "" if it has none or is not known."""
        known = self.nodes.get(node)
        return known.zone if known is not None else ""

    def leaving(self, node: str) -> bool:
        """Whether somebody removes the node, or has: what ran there will not come back."""
        known = self.nodes.get(node)
        return bool(known.leaving) if known is not None else node in self._removed

    def doubtful(self, node: str) -> str:
        """Why failures of what runs on the node accuse nobody, as a sentence; "" if they do."""
        known = self.nodes.get(node)
        if known is not None:
            return nodes.doubtful(known)
        return f"node {node} is gone" if node in self._removed else ""

    def _altered_nodes(self, changed: Collection[tuple[Node | None, Node | None]]) -> Altered:
        moved, turned = set(), set()
        for old, new in changed:
            node = new or old
            assert node is not None
            if self._turns(node.name, old, new):
                turned.add(node.name)
            if (new.zone if new else "") != (old.zone if old else ""):
                moved.add(node.name)
        return Altered(frozenset(turned), frozenset(moved), changed_nodes=tuple(changed))

    def _turns(self, name: str, old: Node | None, new: Node | None) -> bool:
        """Whether we come to believe, or cease to believe, failures of what runs on the node."""
        if new is None:
            self._removed[name] = None
            if len(self._removed) > REMOVED_KEPT:
                del self._removed[next(iter(self._removed))]
            return True
        back = name in self._removed
        self._removed.pop(name, None)
        return back or bool(nodes.doubtful(new)) or (old is not None and bool(nodes.doubtful(old)))

    def mesh_of_service(self, service: Service | None, workloads: Iterable[Workload]) -> str:
        """The mesh on the path to the Service's pods, "" if there is none; `workloads` are those
        that it selects. What stands behind a Service without a selector is not of this cluster."""
        if self.own_mesh or service is None or not service.selector:
            return self.own_mesh
        return meshes.mesh_of(self.namespaces.get(service.namespace), workloads)

    def meet(
        self, service: Service | None, workloads: Collection[Workload], addresses: Iterable[str]
    ) -> bool:
        """Learns who dials: one of the pods behind the daemons' own Service, which selects
        `workloads` and has `addresses` on our own node. Whether that puts all our dials behind
        another mesh than before."""
        self._left_out.clear()
        before, self.own_mesh = self.own_mesh, ""
        self.own_mesh = self.mesh_of_service(service, workloads)
        self._know_prober(service, workloads, addresses)
        return self.own_mesh != before

    def _know_prober(
        self, service: Service | None, workloads: Collection[Workload], addresses: Iterable[str]
    ) -> None:
        if service is None:
            self.prober = policies.NOBODY
            return
        place, pods = service.namespace, _pods_of(service, workloads)
        self.prober = Prober(
            place,
            namespaces.labels_of(place, self.namespaces.get(place)),
            pods[0].known_labels() if pods else None,
            policies.own_addresses(addresses),
            on_host=bool(workloads) and all(w.host_network for w in workloads),
        )

    def policies_leaving_out(
        self, service: Service | None, workloads: Iterable[Workload], port: int
    ) -> tuple[str, ...]:
        """The NetworkPolicies, sorted by name, that leave the prober out of this port of the
        Service's pods; () unless that is certain, for the pods of each of its workloads."""
        here = self.policies.get(service.namespace) if service is not None else None
        if service is None or not here:
            return ()
        asked = service.namespace, port, _pods_of(service, workloads)
        if asked not in self._left_out:
            if len(self._left_out) >= LEFT_OUT_KEPT:
                self._left_out.clear()
            targets = (pods.target(port) for pods in asked[2])
            found = [policies.leaving_out(here.values(), t, self.prober) for t in targets]
            names = {name for each in found for name in each} if all(found) else ()
            self._left_out[asked] = tuple(sorted(names))
        return self._left_out[asked]


class _Pods(NamedTuple):
    """Pods behind a Service: their labels, if not `whole` perhaps more, and the names of their
    ports, None if not known."""

    labels: Pairs
    whole: bool
    named_ports: tuple[tuple[str, int], ...] | None

    def known_labels(self) -> Labels:
        return Labels(dict(self.labels), complete=self.whole)

    def target(self, port: int) -> Target:
        named = self.named_ports
        names = None if named is None else {name for name, number in named if number == port}
        return Target(self.known_labels(), port, names)


def _pods_of(service: Service, workloads: Iterable[Workload]) -> tuple[_Pods, ...]:
    """The pods by workload; where none is known, those that the selector tells of. None of those
    on their node's network: to a policy they are the node (NetworkPolicy's documentation)."""
    known = list(workloads)
    if not known and service.selector:
        return (_Pods(service.selector, whole=False, named_ports=None),)
    return tuple(_Pods(w.labels, True, w.named_ports) for w in known if not w.host_network)


def pods_selected(
    chosen: Iterable[NetworkPolicy], service: Service, workloads: Iterable[Workload]
) -> bool:
    """Whether one of these NetworkPolicies selects pods of the Service, or may."""
    held = [pods.known_labels() for pods in _pods_of(service, workloads)]
    return any(matches(p.pods, labels) is not False for p in chosen for labels in held)
