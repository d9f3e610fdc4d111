"""Kubernetes JSON -> the facts that the core reads.

Whoever decodes JSON (the reflector) builds the objects of `wire`; the functions here turn each
into a fact and raise BadObject when it lacks what the fact needs. RESOURCES is the whole list of
what the daemon watches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import Any, TypeVar
from urllib.parse import quote

from probe.core import namespaces, nodes, policies, wire
from probe.core.edges import (
    NO_HINTS,
    Endpoint,
    EndpointSlice,
    Hints,
    Service,
    ServicePort,
    SlicePort,
)
from probe.core.labels import pairs
from probe.core.meta import BadObject, author, managed, named
from probe.core.workloads import Workload, replica_set, workload

OPT_OUT = "edgeprobe.dev/probe"
SERVICE_NAME = "kubernetes.io/service-name"
SERVICE_PROXY_NAME = "service.kubernetes.io/service-proxy-name"
"""A label. kube-proxy leaves Services that have it, whatever its value, to another proxy
(k8s.io/kubernetes/pkg/proxy/apis/well_known_labels.go)."""


def service(obj: wire.Service) -> Service:
    spec, meta = obj.spec, obj.metadata
    if spec is None:
        raise BadObject("spec is null")
    named(meta)
    ips = spec.clusterIPs or ([spec.clusterIP] if spec.clusterIP else [])
    return Service(
        namespace=intern(meta.namespace),
        name=intern(meta.name),
        uid=meta.uid,
        type=intern(spec.type),
        cluster_ips=tuple(ip for ip in ips if ip not in ("", "None")),
        ports=_ports(
            tuple(
                ServicePort(p.name or "", p.port, p.protocol or "TCP", p.targetPort or p.port)
                for p in spec.ports or ()
            )
        ),
        selector=pairs(spec.selector),
        publish_not_ready=bool(spec.publishNotReadyAddresses),
        internal_traffic_local=spec.internalTrafficPolicy == "Local",
        opted_out=(meta.annotations or {}).get(OPT_OUT, "").lower() == "false",
        author=author(meta),
        managed=managed(meta),
        other_proxy=SERVICE_PROXY_NAME in (meta.labels or {}),
    )


def endpoint_slice(obj: wire.Slice) -> EndpointSlice:
    named(obj.metadata)
    owner = (obj.metadata.labels or {}).get(SERVICE_NAME, "")
    return EndpointSlice(
        namespace=intern(obj.metadata.namespace),
        name=obj.metadata.name,
        service=intern(owner),
        address_type=intern(obj.addressType),
        ports=_ports(
            tuple(SlicePort(p.name or "", p.port, p.protocol or "TCP") for p in obj.ports or ())
        ),
        endpoints=tuple(_endpoint(e) for e in obj.endpoints or () if e.addresses),
    )


def _endpoint(obj: wire.Endpoint) -> Endpoint:
    """k8s.io/api/discovery/v1: nil ready and nil serving are true, nil terminating is false.

    Consumers use the first address only: the others are interchangeable with it.
    """
    conditions = obj.conditions or wire.Conditions()
    ref = obj.targetRef
    return Endpoint(
        address=(obj.addresses or [""])[0],
        ready=conditions.ready is not False,
        serving=conditions.serving is not False,
        terminating=bool(conditions.terminating),
        node=intern(obj.nodeName or ""),
        pod=ref.name if ref is not None and ref.kind == "Pod" else "",
        hints=_hints(obj.hints) if obj.hints is not None else NO_HINTS,
    )


def _hints(obj: wire.Hints) -> Hints:
    zones, nodes = (
        tuple(sorted({hint.name for hint in hints or ()} - {""}))
        for hints in (obj.forZones, obj.forNodes)
    )
    return _shared(Hints(zones, nodes))


@lru_cache(maxsize=1024)
def _shared(hints: Hints) -> Hints:
    """The same ones for all who have them: endpoints of a zone, or of a node."""
    return hints


def node(obj: wire.Node) -> nodes.Node:
    if not obj.metadata.name:
        raise BadObject("metadata.name is missing")
    return nodes.node(obj)


def namespace(obj: wire.Namespace) -> namespaces.Namespace:
    if not obj.metadata.name:
        raise BadObject("metadata.name is missing")
    return namespaces.namespace(obj)


def network_policy(obj: wire.NetworkPolicy) -> policies.NetworkPolicy:
    named(obj.metadata)
    return policies.network_policy(obj)


def deployment(obj: wire.Workload) -> Workload:
    return workload("Deployment", obj)


def stateful_set(obj: wire.Workload) -> Workload:
    return workload("StatefulSet", obj)


def daemon_set(obj: wire.Workload) -> Workload:
    return workload("DaemonSet", obj)


Ports = TypeVar("Ports", tuple[ServicePort, ...], tuple[SlicePort, ...])


@lru_cache(maxsize=1024)
def _ports(ports: Ports) -> Ports:
    """The same ones for all who have them: most Services of a cluster are `http`, 80 to 8080."""
    return ports


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing to list and watch: its plural name and group, its wire form, the way to its fact.

    Without an optional one the daemon knows less; without a required one it knows nothing. One
    that is not `namespaced` is listed for the whole cluster only.
    """

    name: str
    group_version: str
    wire: type
    fact: Callable[[Any], Any]
    required: bool = False
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group as RBAC names it: "" is the core group."""
        return self.group_version.partition("/")[0] if "/" in self.group_version else ""

    def path(self, namespace: str = "") -> str:
        """The list's URL path, of one namespace if given, quoted."""
        root = f"/apis/{self.group_version}" if self.group else f"/api/{self.group_version}"
        if namespace and self.namespaced:
            root = f"{root}/namespaces/{quote(namespace, safe='')}"
        return f"{root}/{self.name}"


SERVICES = Resource("services", "v1", wire.Service, service, required=True)
SLICES = Resource(
    "endpointslices", "discovery.k8s.io/v1", wire.Slice, endpoint_slice, required=True
)
DEPLOYMENTS = Resource("deployments", "apps/v1", wire.Workload, deployment)
STATEFUL_SETS = Resource("statefulsets", "apps/v1", wire.Workload, stateful_set)
DAEMON_SETS = Resource("daemonsets", "apps/v1", wire.Workload, daemon_set)
NODES = Resource("nodes", "v1", wire.Node, node, namespaced=False)
NAMESPACES = Resource("namespaces", "v1", wire.Namespace, namespace, namespaced=False)
NETWORK_POLICIES = Resource(
    "networkpolicies", "networking.k8s.io/v1", wire.NetworkPolicy, network_policy
)

REPLICA_SETS = Resource("replicasets", "apps/v1", wire.ReplicaSet, replica_set)
"""Not watched: there are ten for each Deployment. Listed once where nothing else tells."""

RESOURCES = (
    SERVICES,
    SLICES,
    DEPLOYMENTS,
    STATEFUL_SETS,
    DAEMON_SETS,
    NODES,
    NAMESPACES,
    NETWORK_POLICIES,
)
"""Everything the daemon watches, and so its RBAC: list and watch on these."""


@dataclass(frozen=True, slots=True)
class Listed:
    """All there is of a resource (of one namespace if given): what is not in it is gone.

    `facts` hold namespace and name.
    """

    resource: str
    facts: tuple[Any, ...]
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """One object added or changed."""

    resource: str
    fact: Any


@dataclass(frozen=True, slots=True)
class Removed:
    """One object deleted."""

    resource: str
    namespace: str
    name: str


Event = Listed | Stored | Removed
