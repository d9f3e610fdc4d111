"""What stands in the cells of kubectl's tables, as k8s.io/kubernetes/pkg/printers writes it."""

from datetime import datetime, timedelta
from typing import Any

Obj = dict[str, Any]

NONE = "<none>"
UNKNOWN = "<unknown>"

SHOWN_ENDPOINTS = 3
"""Ports and addresses shown before `+ N more...` (formatDiscoveryPorts and its neighbour)."""


def age(since: str | None, now: datetime) -> str:
    """The time from an RFC 3339 stamp to now as `37s`, `3m4s`, `5h2m`, `3d4h`; never negative."""
    if not since:
        return UNKNOWN
    return duration(now - datetime.fromisoformat(since))


def duration(span: timedelta) -> str:
    """As HumanDuration of k8s.io/apimachinery: two units at most, fewer as it gets longer."""
    seconds = max(int(span.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 60 * 2:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 60 * 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def count(obj: Obj, *fields: str) -> int:
    return sum(len(obj.get(field) or ()) for field in fields)


def service_external(service: Obj) -> str:
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return spec.get("externalName") or NONE
    given = list(spec.get("externalIPs") or [])
    if spec.get("type") == "LoadBalancer":
        ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
        given = [i.get("ip") or i.get("hostname", "") for i in ingress] + given
        return ",".join(given) or "<pending>"
    return ",".join(given) or NONE


def service_ports(service: Obj) -> str:
    ports = service["spec"].get("ports") or []
    return (
        ",".join(
            f"{p['port']}:{p['nodePort']}/{p.get('protocol', 'TCP')}"
            if p.get("nodePort")
            else f"{p['port']}/{p.get('protocol', 'TCP')}"
            for p in ports
        )
        or NONE
    )


def slice_ports(endpoint_slice: Obj) -> str:
    ports = endpoint_slice.get("ports")
    if not ports:
        return "<unset>"
    return _some([str(port["port"]) if port.get("port") else "*" for port in ports])


def slice_addresses(endpoint_slice: Obj) -> str:
    endpoints = endpoint_slice.get("endpoints")
    if not endpoints:
        return "<unset>"
    return _some([address for e in endpoints for address in e.get("addresses") or []])


def pod_ready(pod: Obj) -> str:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    ready = sum(1 for s in statuses if s.get("ready") and "running" in s.get("state", {}))
    return f"{ready}/{len(pod['spec'].get('containers') or [])}"


def pod_status(pod: Obj) -> str:
    """The phase, or what a container says louder; Terminating once it is being deleted."""
    status = pod.get("status", {})
    said = status.get("reason") or status.get("phase") or "Unknown"
    for container in reversed(status.get("containerStatuses") or []):
        state = container.get("state", {})
        if reason := state.get("waiting", {}).get("reason"):
            said = reason
        elif ended := state.get("terminated"):
            said = ended.get("reason") or f"ExitCode:{ended.get('exitCode', 0)}"
    if pod["metadata"].get("deletionTimestamp") and status.get("phase") not in (
        "Succeeded",
        "Failed",
    ):
        return "Terminating"
    return said


def pod_restarts(pod: Obj, now: datetime) -> str:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    restarts = sum(s.get("restartCount", 0) for s in statuses)
    ended = (s.get("lastState", {}).get("terminated", {}) for s in statuses)
    ends = [state["finishedAt"] for state in ended if state.get("finishedAt")]
    return f"{restarts} ({age(max(ends), now)} ago)" if restarts and ends else str(restarts)


def template_containers(workload: Obj) -> str:
    return ",".join(c.get("name", "") for c in _containers(workload)) or NONE


def images(workload: Obj) -> str:
    return ",".join(c.get("image", "") for c in _containers(workload)) or NONE


def node_status(node: Obj) -> str:
    conditions = node.get("status", {}).get("conditions") or []
    ready = next((c["status"] for c in conditions if c.get("type") == "Ready"), None)
    said = {"True": "Ready", None: "Unknown"}.get(ready, "NotReady")
    return f"{said},SchedulingDisabled" if node.get("spec", {}).get("unschedulable") else said


def node_roles(node: Obj) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    roles = sorted(label.removeprefix(prefix) for label in labels if label.startswith(prefix))
    return ",".join(roles) or NONE


def node_address(node: Obj, kind: str) -> str:
    addresses = node.get("status", {}).get("addresses") or []
    return next((a["address"] for a in addresses if a.get("type") == kind), NONE)


def event_object(event: Obj) -> str:
    about = event.get("involvedObject", {})
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def event_source(event: Obj) -> str:
    source = event.get("source") or {}
    said = source.get("component") or event.get("reportingComponent") or ""
    return f"{said}, {source['host']}" if source.get("host") else said


def event_times(event: Obj, now: datetime) -> str:
    """When it was last seen, and how often in which time if more than once."""
    series = event.get("series") or {}
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    times = series.get("count") or event.get("count") or 1
    if times > 1:
        return f"{age(last, now)} (x{times} over {event_times_first(event, now)})"
    return age(last or event["metadata"].get("creationTimestamp"), now)


def event_times_first(event: Obj, now: datetime) -> str:
    first = event.get("firstTimestamp") or event.get("eventTime")
    return age(first or event["metadata"].get("creationTimestamp"), now)


def _containers(workload: Obj) -> list[Obj]:
    return workload["spec"].get("template", {}).get("spec", {}).get("containers") or []


def _some(values: list[str]) -> str:
    more = len(values) - SHOWN_ENDPOINTS
    shown = ",".join(values[:SHOWN_ENDPOINTS])
    return f"{shown} + {more} more..." if more > 0 else shown


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
