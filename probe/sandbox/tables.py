"""Server-side tables: the columns that `kubectl get` prints, as a real API server names them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from probe.sandbox import selectors
from probe.sandbox.cells import (
    NONE,
    UNKNOWN,
    age,
    count,
    event_object,
    event_source,
    event_times,
    event_times_first,
    images,
    node_address,
    node_roles,
    node_status,
    pod_ready,
    pod_restarts,
    pod_status,
    service_external,
    service_ports,
    slice_addresses,
    slice_ports,
    template_containers,
)

Obj = dict[str, Any]

CONTENT_TYPE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `wide` ones are printed by `-o wide` only. `cell` gets the object and now."""

    name: str
    cell: Callable[[Obj, datetime], str | int]
    wide: bool = False
    type: str = "string"

    def definition(self) -> Obj:
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": "",
            "priority": 1 if self.wide else 0,
        }


def at(path: str, otherwise: str | int = NONE) -> Callable[[Obj, datetime], str | int]:
    """The cell that shows the field at a dotted path."""

    def cell(obj: Any, _now: datetime) -> str | int:
        for name in path.split("."):
            obj = obj.get(name) if isinstance(obj, dict) else None
        return otherwise if obj in (None, "") else obj

    return cell


def of(value: Callable[[Obj], str | int]) -> Callable[[Obj, datetime], str | int]:
    """The cell of a function that needs no clock."""
    return lambda obj, _now: value(obj)


def number(name: str, path: str) -> Column:
    return Column(name, at(path, 0), type="integer")


NAME = Column("Name", at("metadata.name"))
AGE = Column("Age", lambda obj, now: age(obj["metadata"].get("creationTimestamp"), now))
CONTAINERS = Column("Containers", of(template_containers), wide=True)
IMAGES = Column("Images", of(images), wide=True)
SELECTOR = Column(
    "Selector", of(lambda obj: selectors.text(obj["spec"].get("selector")) or NONE), wide=True
)
GENERIC = (NAME, AGE)


def fraction(part: str, whole: str) -> Callable[[Obj, datetime], str]:
    """The cell `1/2` of two counts, absent ones being 0."""
    return lambda obj, now: f"{at(part, 0)(obj, now)}/{at(whole, 0)(obj, now)}"


COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "services": (
        NAME,
        Column("Type", at("spec.type")),
        Column("Cluster-IP", at("spec.clusterIP")),
        Column("External-IP", of(service_external)),
        Column("Port(s)", of(service_ports)),
        AGE,
        Column(
            "Selector",
            of(lambda o: selectors.text({"matchLabels": o["spec"].get("selector")}) or NONE),
            wide=True,
        ),
    ),
    "pods": (
        NAME,
        Column("Ready", of(pod_ready)),
        Column("Status", of(pod_status)),
        Column("Restarts", pod_restarts),
        AGE,
        Column("IP", at("status.podIP"), wide=True),
        Column("Node", at("spec.nodeName"), wide=True),
        Column("Nominated Node", at("status.nominatedNodeName"), wide=True),
        Column("Readiness Gates", of(lambda _: NONE), wide=True),
    ),
    "deployments": (
        NAME,
        Column("Ready", fraction("status.readyReplicas", "spec.replicas")),
        number("Up-to-date", "status.updatedReplicas"),
        number("Available", "status.availableReplicas"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    "replicasets": (
        NAME,
        number("Desired", "spec.replicas"),
        number("Current", "status.replicas"),
        number("Ready", "status.readyReplicas"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    "statefulsets": (
        NAME,
        Column("Ready", fraction("status.readyReplicas", "spec.replicas")),
        AGE,
        CONTAINERS,
        IMAGES,
    ),
    "daemonsets": (
        NAME,
        number("Desired", "status.desiredNumberScheduled"),
        number("Current", "status.currentNumberScheduled"),
        number("Ready", "status.numberReady"),
        number("Up-to-date", "status.updatedNumberScheduled"),
        number("Available", "status.numberAvailable"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    "endpointslices": (
        NAME,
        Column("AddressType", at("addressType")),
        Column("Ports", of(slice_ports)),
        Column("Endpoints", of(slice_addresses)),
        AGE,
    ),
    "nodes": (
        NAME,
        Column("Status", of(node_status)),
        Column("Roles", of(node_roles)),
        AGE,
        Column("Version", at("status.nodeInfo.kubeletVersion", "")),
        Column("Internal-IP", of(lambda o: node_address(o, "InternalIP")), wide=True),
        Column("External-IP", of(lambda o: node_address(o, "ExternalIP")), wide=True),
        Column("OS-Image", at("status.nodeInfo.osImage", "<unknown>"), wide=True),
        Column("Kernel-Version", at("status.nodeInfo.kernelVersion", "<unknown>"), wide=True),
        Column(
            "Container-Runtime",
            at("status.nodeInfo.containerRuntimeVersion", "<unknown>"),
            wide=True,
        ),
    ),
    "namespaces": (NAME, Column("Status", at("status.phase", "Active")), AGE),
    "configmaps": (NAME, Column("Data", of(lambda o: count(o, "data", "binaryData"))), AGE),
    "secrets": (
        NAME,
        Column("Type", at("type")),
        Column("Data", of(lambda o: count(o, "data"))),
        AGE,
    ),
    "leases": (NAME, Column("Holder", at("spec.holderIdentity", "")), AGE),
    "networkpolicies": (
        NAME,
        Column("Pod-Selector", of(lambda o: selectors.text(o["spec"].get("podSelector")) or NONE)),
        AGE,
    ),
    "events": (
        Column("Last Seen", event_times),
        Column("Type", at("type", "")),
        Column("Reason", at("reason", "")),
        Column("Object", of(event_object)),
        Column("Subobject", at("involvedObject.fieldPath", ""), wide=True),
        Column("Source", of(event_source), wide=True),
        Column("Message", of(lambda o: (o.get("message") or "").strip())),
        Column("First Seen", event_times_first, wide=True),
        Column("Count", at("count", 1), wide=True),
        Column("Name", at("metadata.name"), wide=True),
    ),
}


def table(
    resource: str,
    objects: Iterable[Obj],
    *,
    metadata: Obj | None = None,
    include: str = "Metadata",
    with_columns: bool = True,
    now: datetime | None = None,
) -> Obj:
    """The objects as a meta.k8s.io/v1 Table. `include` is includeObject of the request.

    `with_columns=False` leaves the definitions out, as the second and later events of a watch do.
    Ages are those at `now`, by default the clock's.
    """
    columns = COLUMNS.get(resource, GENERIC)
    now = now or datetime.now(UTC)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata or {},
        "columnDefinitions": [c.definition() for c in columns] if with_columns else [],
        "rows": [
            {"cells": [_cell(c, obj, now) for c in columns], **_row_object(obj, include)}
            for obj in objects
        ],
    }


def _cell(column: Column, obj: Obj, now: datetime) -> str | int:
    try:
        return column.cell(obj, now)
    except (LookupError, TypeError, AttributeError, ValueError):
        return UNKNOWN  # one odd object must not hide the others of the list


def _row_object(obj: Obj, include: str) -> Obj:
    match include:
        case "None":
            return {}
        case "Object":
            return {"object": obj}
        case _:
            kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
            return {"object": {**kind, "metadata": obj["metadata"]}}
