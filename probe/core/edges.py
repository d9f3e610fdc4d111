"""Which edges Services and their EndpointSlices imply, and what of them is not dialed and why.

An edge leads from this node to one address and port of one Service port: kind `service` for a
ClusterIP, `endpoint` for a pod's address, `candidate` for a port that the pods declare besides.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from probe.core.targets import Network, fault, numeric
from probe.core.words import Word


class Kind(Word):
    SERVICE = "service"
    ENDPOINT = "endpoint"
    CANDIDATE = "candidate"


class Family(Word):
    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def spoken(self) -> str:
        """As people write it."""
        return "IPv4" if self is Family.IPV4 else "IPv6"


class Skip(StrEnum):
    """Why something that a Service names is not dialed. The labels of dials_skipped_total."""

    EXTERNAL_NAME = "external_name"
    UDP = "udp"
    SCTP = "sctp"
    OPTED_OUT = "opted_out"
    OTHER_PROXY = "other_proxy"
    NAMESPACE = "namespace"
    MANUAL = "manual"
    BLOCKS_HOSTS = "blocks_hosts"
    FQDN = "fqdn"
    NO_PORT = "no_port"


_SPOKEN: dict[str, str] = {Skip.BLOCKS_HOSTS: "MySQL (PROBE_DIAL_MYSQL=true dials it)"}


def spoken(skip: str) -> str:
    """A Skip as people read it; where a setting would have it dialed though it does harm, which."""
    return _SPOKEN.get(skip, skip)


ServiceKey = tuple[str, str]
"""A Service's namespace and name."""


class Invalid(NamedTuple):
    """An address that nobody may dial: where it entered, and one sentence about it."""

    source: str
    text: str


class PortKey(NamedTuple):
    """One TCP port of one Service."""

    namespace: str
    service: str
    port: int


class Edge(NamedTuple):
    """An edge's identity. `dial_port` is the endpoint's port, or the Service's own for a VIP."""

    key: PortKey
    kind: Kind
    family: Family
    address: str
    dial_port: int

    @property
    def place(self) -> str:
        """`address:port` for people; an IPv6 address is in brackets."""
        host = f"[{self.address}]" if self.family is Family.IPV6 else self.address
        return f"{host}:{self.dial_port}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    name: str
    port: int
    protocol: str
    target_port: int | str


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote an object last, by its managedFields; times are the server's, for showing only."""

    manager: str
    time: str


@dataclass(frozen=True, slots=True)
class Service:
    namespace: str
    name: str
    uid: str
    type: str
    cluster_ips: tuple[str, ...]
    ports: tuple[ServicePort, ...]
    selector: tuple[tuple[str, str], ...]
    publish_not_ready: bool
    internal_traffic_local: bool
    opted_out: bool
    author: Author | None
    managed: str = ""
    other_proxy: bool = False

    @property
    def headless(self) -> bool:
        return not self.cluster_ips


class Hints(NamedTuple):
    """The zones and nodes that should use an endpoint."""

    zones: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One backend as its slice tells it; nil conditions are resolved as the API documents them."""

    address: str
    ready: bool
    serving: bool
    terminating: bool
    node: str
    pod: str
    hints: Hints = NO_HINTS


@dataclass(frozen=True, slots=True)
class SlicePort:
    name: str
    port: int | None
    protocol: str


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    namespace: str
    name: str
    service: str
    address_type: str
    ports: tuple[SlicePort, ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What the administrator lets us dial. Empty `namespaces` means all."""

    namespaces: frozenset[str] = frozenset()
    denied_namespaces: frozenset[str] = frozenset()
    allow_targets: tuple[Network, ...] = ()
    manual_targets: tuple[Network, ...] = ()
    dial_blocking_ports: bool = False

    def admits(self, namespace: str) -> bool:
        if namespace in self.denied_namespaces:
            return False
        return not self.namespaces or namespace in self.namespaces


NO_EDGES: frozenset[Edge] = frozenset()
"""One for all: an empty one of its own would be 216 bytes for every Service port."""


@dataclass(frozen=True, slots=True)
class PortEdges:
    """Everything one Service port implies.

    `endpoints` holds every endpoint of the port, `edges` their edges; `barred` those that are
    outside of what the administrator lets us dial; `invalid` the addresses that nobody may dial.
    """

    key: PortKey
    port: ServicePort
    cluster_ips: tuple[Edge, ...]
    edges: tuple[Edge, ...]
    endpoints: tuple[Endpoint, ...]
    barred: frozenset[Edge]
    invalid: tuple[Invalid, ...]

    def backends(self) -> Iterator[tuple[Edge, Endpoint]]:
        """Each endpoint with its edge. Kept apart: a pair of them costs another 64 bytes."""
        return zip(self.edges, self.endpoints, strict=True)


@dataclass(frozen=True, slots=True)
class Implied:
    ports: tuple[PortEdges, ...]
    skipped: tuple[Skip, ...]


BLOCKING_PORTS: frozenset[int | str | None] = frozenset({3306})
BLOCKING_NAMES: frozenset[int | str] = frozenset({"mysql", "mariadb", "tcp-mysql"})
"""MySQL blocks a host after max_connect_errors (100) connections closed before the handshake."""


API_SERVER: ServiceKey = ("default", "kubernetes")
"""The one manual Service that nobody else can point elsewhere: every API server writes its own
address there, again and again (kube-apiserver's endpoint reconciler)."""


def implied(service: Service | None, slices: Iterable[EndpointSlice], scope: Scope) -> Implied:
    """The edges of one Service; every family of a dual-stack one, every TCP port.

    A Service that is not there implies nothing.
    """
    if service is None:
        return Implied((), ())
    if not scope.admits(service.namespace):
        return Implied((), (Skip.NAMESPACE,))
    if service.opted_out:
        return Implied((), (Skip.OPTED_OUT,))
    if service.other_proxy:  # of what it makes of the ClusterIP and the slices nothing is known
        return Implied((), (Skip.OTHER_PROXY,))
    if service.type == "ExternalName":
        return Implied((), (Skip.EXTERNAL_NAME,))
    ports: list[PortEdges] = []
    skipped: list[Skip] = []
    held = tuple(slices)
    for port in service.ports:
        if port.protocol != "TCP":
            skipped.append(Skip.SCTP if port.protocol == "SCTP" else Skip.UDP)
        elif _blocks_hosts(port, held) and not scope.dial_blocking_ports:
            skipped.append(Skip.BLOCKS_HOSTS)
        else:
            ports.append(_port_edges(service, port, held, scope, skipped))
    return Implied(tuple(ports), tuple(skipped))


def _blocks_hosts(port: ServicePort, slices: Sequence[EndpointSlice]) -> bool:
    """By name or number, of the Service's port, of its target, or of what the target became."""
    resolved = {p.port for s in slices for p in s.ports if p.name == port.name}
    return bool(
        BLOCKING_PORTS & {port.port, port.target_port, *resolved}
        or BLOCKING_NAMES & {port.name, port.target_port}
    )


def _port_edges(
    service: Service,
    port: ServicePort,
    slices: Sequence[EndpointSlice],
    scope: Scope,
    skipped: list[Skip],
) -> PortEdges:
    key = PortKey(service.namespace, service.name, port.port)
    invalid: list[Invalid] = []
    vips: list[Edge] = []
    for address in service.cluster_ips:
        if reason := fault(address, port.port, scope.allow_targets):
            invalid.append(Invalid("service", f"ClusterIP {address}:{port.port}: {reason}"))
        else:
            vips.append(Edge(key, Kind.SERVICE, family_of(address), address, port.port))
    found: dict[Edge, Endpoint] = {}
    for slice_ in slices:
        if slice_.address_type == "FQDN":
            skipped.append(Skip.FQDN)
            continue
        for number in _numbers(slice_, port, skipped):
            for endpoint in slice_.endpoints:
                if reason := fault(endpoint.address, number, scope.allow_targets):
                    text = f"endpoint {endpoint.address}:{number}: {reason}"
                    invalid.append(Invalid("endpointslice", text))
                    continue
                family = family_of(endpoint.address)
                edge = Edge(key, Kind.ENDPOINT, family, endpoint.address, number)
                found[edge] = better(found.get(edge), endpoint)
    barred = frozenset(
        edge
        for edge, endpoint in found.items()
        if not endpoint.pod and not _listed(endpoint.address, scope.manual_targets)
    )
    skipped.extend(Skip.MANUAL for _ in barred)
    edges = tuple(sorted(found))
    endpoints = tuple(found[edge] for edge in edges)
    if (barred or invalid) and (service.namespace, service.name) != API_SERVER:
        vips = []  # behind the ClusterIP stand addresses that may not be dialed
    return PortEdges(
        *(key, port, tuple(vips), edges, endpoints, barred or NO_EDGES),
        invalid=tuple(dict.fromkeys(invalid)),
    )


def _numbers(slice_: EndpointSlice, port: ServicePort, skipped: list[Skip]) -> Iterable[int]:
    """The slice's port numbers for this Service port: they meet by name (empty for unnamed)."""
    for candidate in slice_.ports:
        if candidate.name != port.name or candidate.protocol != port.protocol:
            continue
        if candidate.port is None:
            skipped.append(Skip.NO_PORT)
        else:
            yield candidate.port


def better(old: Endpoint | None, new: Endpoint) -> Endpoint:
    """Of two in two slices the one that kube-proxy would use: one is being moved, or the address
    of a pod that terminates went to another pod already (pkg/proxy/endpointslicecache.go)."""
    if old is None:
        return new
    return max(old, new, key=lambda e: (not e.terminating, e.ready, e.serving))


def _listed(address: str, networks: Sequence[Network]) -> bool:
    found = numeric(address)
    return found is not None and any(
        found in network for network in networks if network.version == found.version
    )


def family_of(address: str) -> Family:
    """The family of a numeric address."""
    return Family.IPV6 if ":" in address else Family.IPV4
