"""What the cluster changed, told by comparing an object with what it was before.

No Event is read: Events are rate-limited and expire, objects are the truth. `at` is our own
monotonic receipt, which orders changes; `time` is the server's, for showing only.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from probe.core.edges import Endpoint, Service, ServicePort
from probe.core.workloads import Workload

UNSEEN = "earlier values were not seen"
"""In the detail of a change that stands for an edit before our time."""


class ChangeKind(StrEnum):
    SERVICE_EDIT = "service_edit"
    SERVICE_ADDED = "service_added"
    SERVICE_REMOVED = "service_removed"
    ROLLOUT = "rollout"
    ROLLOUT_END = "rollout_end"
    ROLLOUT_REPORT = "rollout_report"
    SCALE = "scale"
    ENDPOINT = "endpoint"
    INVALID_TARGET = "invalid_target"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the cluster did. `object` reads like `Service demo-app/backend-v1`.

    `services` names, within the namespace, the Services it may explain something about.
    """

    at: float
    kind: ChangeKind
    namespace: str
    object: str
    detail: str
    by: str | None = None
    time: str | None = None
    services: tuple[str, ...] = ()


def service_changes(old: Service | None, new: Service, at: float) -> Iterator[Change]:
    """What an edit of ports, selector or type means; nothing else of a Service moves traffic."""
    if old is None or old.uid != new.uid:
        yield _of_service(new, at, ChangeKind.SERVICE_ADDED, _ports_text(new.ports))
        return
    details = list(_port_edits(old.ports, new.ports))
    if old.selector != new.selector:
        details.append(f"selector: {_labels(old.selector)} -> {_labels(new.selector)}")
    if old.type != new.type:
        details.append(f"type: {old.type} -> {new.type}")
    if old.cluster_ips != new.cluster_ips:
        details.append(f"clusterIPs: {', '.join(old.cluster_ips)} -> {', '.join(new.cluster_ips)}")
    if details:
        yield _of_service(new, at, ChangeKind.SERVICE_EDIT, "; ".join(details))


def service_removed(old: Service, at: float) -> Change:
    return Change(
        at,
        ChangeKind.SERVICE_REMOVED,
        old.namespace,
        f"Service {old.namespace}/{old.name}",
        "deleted",
        services=(old.name,),
    )


def last_write(service: Service, at: float) -> Change | None:
    """The Service's newest write by its managedFields: who and when, the old values unseen."""
    if service.author is None:
        return None
    detail = f"last written with {_ports_text(service.ports)}; {UNSEEN}"
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


def workload_changes(
    old: Workload | None, new: Workload, services: tuple[str, ...], at: float, *, running: bool
) -> Iterator[Change]:
    """A changed pod template starts a rollout, changed replicas a scaling.

    Only a part of the template is kept: where nothing of it changed and pods are being replaced
    all the same, outside of a `running` rollout, the rest did. Some writes leave no author, such
    as `kubectl scale`; the one before them is not to be blamed.
    """
    if old is None:
        return
    if new.author == old.author:
        new = replace(new, author=None)
    unseen = new.rolling and not old.rolling and not running
    if old.template != new.template or unseen:
        yield _of_workload(new, at, ChangeKind.ROLLOUT, _template_detail(old, new), services)
    if old.replicas != new.replicas:
        detail = f"replicas: {old.replicas} -> {new.replicas}"
        yield _of_workload(new, at, ChangeKind.SCALE, detail, services)


def invalid_targets(
    old: Workload | None, new: Workload, services: tuple[str, ...], at: float
) -> Iterator[Change]:
    """Addresses that a workload was newly told and that nobody may dial."""
    known = old.invalid if old is not None else ()
    for found in new.invalid:
        if found not in known:
            yield _of_workload(new, at, ChangeKind.INVALID_TARGET, found[1], services)


def rollout_ended(
    workload: tuple[str, str, str], detail: str, services: tuple[str, ...], at: float
) -> Change:
    return _of_rollout(workload, at, ChangeKind.ROLLOUT_END, detail, services)


def rollout_report(
    workload: tuple[str, str, str], detail: str, services: tuple[str, ...], at: float
) -> Change:
    """What a rollout cost, told once the proxies have had their time to catch up."""
    return _of_rollout(workload, at, ChangeKind.ROLLOUT_REPORT, detail, services)


def _of_rollout(
    workload: tuple[str, str, str],
    at: float,
    kind: ChangeKind,
    detail: str,
    services: tuple[str, ...],
) -> Change:
    what, namespace, name = workload
    return Change(at, kind, namespace, f"{what} {namespace}/{name}", detail, services=services)


def _of_workload(
    workload: Workload,
    at: float,
    kind: ChangeKind,
    detail: str,
    services: tuple[str, ...],
) -> Change:
    writer = workload.author
    return Change(
        at,
        kind,
        workload.namespace,
        f"{workload.kind} {workload.namespace}/{workload.name}",
        detail,
        by=writer.manager if writer else None,
        time=writer.time if writer else None,
        services=services,
    )


def _template_detail(old: Workload, new: Workload) -> str:
    if old.images != new.images:
        detail = f"image {', '.join(old.images)} -> {', '.join(new.images)}"
    else:
        detail = "pod template changed"
    if new.change_cause and new.change_cause != old.change_cause:
        detail += f" ({new.change_cause})"
    return detail


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
