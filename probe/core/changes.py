"""What the cluster changed, told by comparing an object with what it was before.

No Event is read: Events are rate-limited and expire, objects are the truth. `at` is our own
monotonic receipt, which orders changes; `time` is the server's, for showing only.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from probe.core.edges import Endpoint, Service, ServicePort
from probe.core.meta import newly
from probe.core.words import Word

UNSEEN = "earlier values were not seen"
"""In the detail of a change that stands for an edit before our time."""


class ChangeKind(Word):
    SERVICE_EDIT = "service_edit"
    SERVICE_ADDED = "service_added"
    SERVICE_REMOVED = "service_removed"
    ROLLOUT = "rollout"
    ROLLOUT_END = "rollout_end"
    ROLLOUT_REPORT = "rollout_report"
    SCALE = "scale"
    ENDPOINT = "endpoint"
    INVALID_TARGET = "invalid_target"
    NODE = "node"
    POLICY = "network_policy"
    PROXY = "proxy_rollout"
    NETWORK = "network_rollout"
    PROBER = "prober"


class Aspect(StrEnum):
    """What of its object a change touched, where the kind alone does not say what may follow."""

    PORT = "a port"
    SELECTOR = "the selector"
    ADDRESS = "the type or the clusterIPs"
    ROUTING = "internalTrafficPolicy or publishNotReadyAddresses"
    DECLARED = "the ports that the containers declare"
    UP = "more replicas"
    DOWN = "fewer replicas"
    ADMITTED = "who may dial the pods"
    NOT_READY = "NotReady"
    CORDONED = "cordoned"
    LEAVING = "being removed"
    DRAINED = "drained"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the cluster did. `object` reads like `Service demo-app/backend-v1`.

    `services` names, within the namespace, the Services it may explain something about. `node` is
    the node that it is about, `managed` what the object's marks say it is kept by (Argo CD, Flux,
    Helm); "" for nearly all. `ports` are the Service ports that an edit touched.
    """

    at: float
    kind: ChangeKind
    namespace: str
    object: str
    detail: str
    by: str | None = None
    time: str | None = None
    services: tuple[str, ...] = ()
    node: str = ""
    managed: str = ""
    aspects: tuple[Aspect, ...] = ()
    ports: tuple[int, ...] = ()


def service_changes(old: Service | None, new: Service, at: float) -> Iterator[Change]:
    """What an edit means that moves traffic; other fields of a Service, as its labels, do not.

    A write that only removes something leaves no author: the one before it is not to be blamed.
    """
    if old is None or old.uid != new.uid:
        yield _of_service(new, at, ChangeKind.SERVICE_ADDED, _ports_text(new.ports))
        return
    details = list(_port_edits(old.ports, new.ports))
    aspects = [Aspect.PORT] if details else []
    if old.selector != new.selector:
        details.append(f"selector: {_labels(old.selector)} -> {_labels(new.selector)}")
        aspects.append(Aspect.SELECTOR)
    if old.type != new.type:
        details.append(f"type: {old.type} -> {new.type}")
    if old.cluster_ips != new.cluster_ips:
        details.append(f"clusterIPs: {', '.join(old.cluster_ips)} -> {', '.join(new.cluster_ips)}")
    if routing := list(_routing_edits(old, new)):
        details.extend(routing)
        aspects.append(Aspect.ROUTING)
    if (old.type, old.cluster_ips) != (new.type, new.cluster_ips):
        aspects.append(Aspect.ADDRESS)
    if details:
        written = replace(new, author=newly(old.author, new.author))
        edit = _of_service(written, at, ChangeKind.SERVICE_EDIT, "; ".join(details))
        touched = {port.port for port in {*old.ports} ^ {*new.ports}}
        yield replace(edit, aspects=tuple(aspects), ports=tuple(sorted(touched)))


def _routing_edits(old: Service, new: Service) -> Iterator[str]:
    if old.internal_traffic_local != new.internal_traffic_local:
        was, now = ("Local" if s.internal_traffic_local else "Cluster" for s in (old, new))
        yield f"internalTrafficPolicy: {was} -> {now}"
    if old.publish_not_ready != new.publish_not_ready:
        was, now = (str(s.publish_not_ready).lower() for s in (old, new))
        yield f"publishNotReadyAddresses: {was} -> {now}"


def service_removed(old: Service, at: float) -> Change:
    return Change(
        at,
        ChangeKind.SERVICE_REMOVED,
        old.namespace,
        f"Service {old.namespace}/{old.name}",
        "deleted",
        services=(old.name,),
        managed=old.managed,
    )


def last_write(service: Service, at: float) -> Change | None:
    """The Service's newest write by its managedFields: who and when, the old values unseen."""
    if service.author is None:
        return None
    selector = f"selector {_labels(service.selector)}"
    detail = f"last written with {_ports_text(service.ports)}, {selector}; {UNSEEN}"
    return _of_service(service, at, ChangeKind.SERVICE_EDIT, detail)


def _of_service(service: Service, at: float, kind: ChangeKind, detail: str) -> Change:
    author = service.author
    return Change(
        at,
        kind,
        service.namespace,
        f"Service {service.namespace}/{service.name}",
        detail,
        by=author.manager if author else None,
        time=author.time if author else None,
        services=(service.name,),
        managed=service.managed,
    )


def _port_edits(old: Iterable[ServicePort], new: Iterable[ServicePort]) -> Iterator[str]:
    before = {(p.port, p.protocol): p for p in old}
    after = {(p.port, p.protocol): p for p in new}
    for key, port in after.items():
        was = before.get(key)
        if was is None:
            yield f"port {_port_text(port)} added"
        elif was.target_port != port.target_port:
            yield f"port {port.port}: targetPort {was.target_port} -> {port.target_port}"
        elif was.name != port.name:
            yield f"port {port.port}: name {was.name or '(none)'} -> {port.name or '(none)'}"
    for key, port in before.items():
        if key not in after:
            yield f"port {_port_text(port)} removed"


def _ports_text(ports: Iterable[ServicePort]) -> str:
    return "ports " + (", ".join(map(_port_text, ports)) or "none")


def _port_text(port: ServicePort) -> str:
    suffix = "" if port.protocol == "TCP" else f"/{port.protocol}"
    return f"{port.port}{suffix} (targetPort {port.target_port})"


def _labels(selector: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f"{key}={value}" for key, value in selector) or "(none)"


def endpoint_changes(
    namespace: str,
    service: str,
    old: Mapping[str, Endpoint],
    new: Mapping[str, Endpoint],
    at: float,
) -> Iterator[Change]:
    """Endpoints by address that came, went, became ready or not, or began to terminate."""
    for address in {**old, **new}:
        detail = _endpoint_detail(old.get(address), new.get(address))
        if detail:
            endpoint = new.get(address) or old[address]
            yield Change(
                at,
                ChangeKind.ENDPOINT,
                namespace,
                f"Endpoint {namespace}/{endpoint.pod or address}",
                f"{address} {detail}",
                services=(service,),
                node=endpoint.node,
            )


def _endpoint_detail(old: Endpoint | None, new: Endpoint | None) -> str:
    if new is None:
        return "gone"
    if old is None:
        return "added, ready" if new.ready else "added, not ready"
    if new.terminating and not old.terminating:
        return "terminating"
    if new.ready != old.ready and not new.terminating:
        return "ready" if new.ready else "not ready"
    return ""
