"""Kubernetes JSON -> the facts that the core reads.

Whoever decodes JSON (the reflector) builds the objects of `wire`; the functions here turn each
into a fact and raise BadObject when it lacks what the fact needs. RESOURCES is the whole list of
what the daemon asks the API server for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import Any, TypeVar

from probe.core import ports, wire
from probe.core.edges import Author, Endpoint, EndpointSlice, Service, ServicePort, SlicePort

OPT_OUT = "edgeprobe.dev/probe"
SERVICE_NAME = "kubernetes.io/service-name"
CHANGE_CAUSE = "kubernetes.io/change-cause"
REVISION = "deployment.kubernetes.io/revision"


class BadObject(ValueError):
    """An object without what its fact needs. Its holder is skipped and counted, never fatal."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet, as far as rollouts and declared ports go.

    `template` is a hash of what we look at in the pod template, to see it change. `complete` is
    what `kubectl rollout status` calls successfully rolled out; `rolling` that old pods are still
    being replaced; `stuck` that its deadline passed.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int
    replicas: int
    labels: tuple[tuple[str, str], ...]
    template: int
    images: tuple[str, ...]
    declared: tuple[ports.Declared, ...]
    invalid: tuple[tuple[str, str], ...]
    complete: bool
    rolling: bool
    stuck: bool
    paused: bool
    progress_deadline_seconds: int
    grace_seconds: int
    revision: str
    change_cause: str
    author: Author | None


def service(obj: wire.Service) -> Service:
    spec, meta = obj.spec, obj.metadata
    if spec is None:
        raise BadObject("spec is null")
    _named(meta)
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
        selector=_pairs(spec.selector),
        publish_not_ready=bool(spec.publishNotReadyAddresses),
        internal_traffic_local=spec.internalTrafficPolicy == "Local",
        opted_out=(meta.annotations or {}).get(OPT_OUT, "").lower() == "false",
        author=_author(meta),
    )


def endpoint_slice(obj: wire.Slice) -> EndpointSlice:
    _named(obj.metadata)
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
    """k8s.io/api/discovery/v1: nil ready is true, nil serving is ready's, nil terminating false.

    Consumers use the first address only: the others are interchangeable with it.
    """
    conditions = obj.conditions or wire.Conditions()
    ready = conditions.ready is not False
    ref = obj.targetRef
    return Endpoint(
        address=(obj.addresses or [""])[0],
        ready=ready,
        serving=ready if conditions.serving is None else conditions.serving,
        terminating=bool(conditions.terminating),
        node=intern(obj.nodeName or ""),
        pod=ref.name if ref is not None and ref.kind == "Pod" else "",
    )


def deployment(obj: wire.Workload) -> Workload:
    return _workload("Deployment", obj)


def stateful_set(obj: wire.Workload) -> Workload:
    return _workload("StatefulSet", obj)


def daemon_set(obj: wire.Workload) -> Workload:
    return _workload("DaemonSet", obj)


def _workload(kind: str, obj: wire.Workload) -> Workload:
    spec, meta = obj.spec, obj.metadata
    if spec is None or spec.template is None or spec.template.spec is None:
        raise BadObject("spec.template.spec is null")
    _named(meta)
    pod, template_meta = spec.template.spec, spec.template.metadata
    wires = [*(pod.containers or ()), *(pod.initContainers or ())]
    containers = [_container(w) for w in pod.containers or ()]
    containers += [
        _container(w, sidecar=True) for w in pod.initContainers or () if w.restartPolicy == "Always"
    ]
    annotations = meta.annotations or {}
    labels = _pairs(template_meta.labels)
    return Workload(
        kind=kind,
        namespace=intern(meta.namespace),
        name=intern(meta.name),
        uid=meta.uid,
        generation=meta.generation,
        replicas=1 if spec.replicas is None else spec.replicas,
        labels=labels,
        template=hash(
            (
                labels,
                _pairs(template_meta.annotations),
                tuple(w.image for w in wires),
                tuple(containers),
                pod.terminationGracePeriodSeconds,
            )
        ),
        images=tuple(w.image for w in pod.containers or ()),
        declared=ports.declared(containers),
        invalid=ports.invalid_destinations(containers),
        complete=_complete(kind, obj),
        rolling=_rolling(obj),
        stuck=_stuck(obj),
        paused=bool(spec.paused),
        progress_deadline_seconds=spec.progressDeadlineSeconds or 600,
        grace_seconds=30
        if pod.terminationGracePeriodSeconds is None
        else pod.terminationGracePeriodSeconds,
        revision=annotations.get(REVISION, ""),
        change_cause=annotations.get(CHANGE_CAUSE, ""),
        author=_author(meta),
    )


def _container(obj: wire.Container, *, sidecar: bool = False) -> ports.Container:
    probes = (obj.readinessProbe, obj.livenessProbe, obj.startupProbe)
    actions = [a for p in probes if p is not None for a in (p.tcpSocket, p.httpGet, p.grpc)]
    return ports.Container(
        name=obj.name,
        ports=tuple(
            (p.name or "", p.containerPort) for p in obj.ports or () if p.protocol in (None, "TCP")
        ),
        probe_ports=tuple(a.port for a in actions if a is not None and a.port is not None),
        env=tuple((e.name, e.value) for e in obj.env or () if e.value is not None),
        args=(*(obj.command or ()), *(obj.args or ())),
        sidecar=sidecar,
    )


def _complete(kind: str, obj: wire.Workload) -> bool:
    """As kubectl's rollout status judges it (k8s.io/kubectl/pkg/polymorphichelpers)."""
    spec, status = obj.spec, obj.status
    if spec is None or status is None:
        return False
    if (status.observedGeneration or 0) < obj.metadata.generation:
        return False
    if kind == "DaemonSet":
        wanted = status.desiredNumberScheduled or 0
        moved = wanted if _on_delete(spec) else status.updatedNumberScheduled or 0
        return min(moved, status.numberAvailable or 0) >= wanted
    wanted = 1 if spec.replicas is None else spec.replicas
    updated = status.updatedReplicas or 0
    if kind == "StatefulSet":
        settled = not status.updateRevision or status.updateRevision == status.currentRevision
        moved = settled or updated >= wanted - _kept_back(spec)
        return moved and (status.readyReplicas or 0) >= wanted
    return (
        updated >= wanted
        and (status.replicas or 0) <= updated
        and (status.availableReplicas or 0) >= updated
    )


def _rolling(obj: wire.Workload) -> bool:
    """Pods of another template are there; unavailable ones alone make no rollout."""
    spec, status = obj.spec, obj.status
    if spec is None or status is None or _on_delete(spec):
        return False
    if status.desiredNumberScheduled is not None:
        return (status.updatedNumberScheduled or 0) < status.desiredNumberScheduled
    return (status.updatedReplicas or 0) < (status.replicas or 0) - _kept_back(spec)


def _on_delete(spec: wire.WorkloadSpec) -> bool:
    """Whether pods get the new template only when somebody deletes them: nothing rolls."""
    return spec.updateStrategy is not None and spec.updateStrategy.type == "OnDelete"


def _kept_back(spec: wire.WorkloadSpec) -> int:
    """Pods of a StatefulSet that are meant to stay on the old template."""
    if _on_delete(spec):
        return 1 if spec.replicas is None else spec.replicas
    rolling = spec.updateStrategy.rollingUpdate if spec.updateStrategy is not None else None
    return (rolling.partition or 0) if rolling is not None else 0


def _stuck(obj: wire.Workload) -> bool:
    conditions = (obj.status.conditions or ()) if obj.status is not None else ()
    return any(
        c.type == "Progressing" and c.reason == "ProgressDeadlineExceeded" for c in conditions
    )


def _named(meta: wire.Meta) -> None:
    if not meta.name or not meta.namespace:
        raise BadObject("metadata.name or metadata.namespace is missing")


def _author(meta: wire.Meta) -> Author | None:
    """The manager whose write is the newest; status writers change no intent."""
    writers = [m for m in meta.managedFields or () if m.time and m.subresource != "status"]
    if not writers:
        return None
    last = max(reversed(writers), key=lambda m: m.time)  # times are whole seconds; later ones win
    return Author(intern(last.manager), last.time)


Ports = TypeVar("Ports", tuple[ServicePort, ...], tuple[SlicePort, ...])


@lru_cache(maxsize=1024)
def _ports(ports: Ports) -> Ports:
    """The same ones for all who have them: most Services of a cluster are `http`, 80 to 8080."""
    return ports


def _pairs(found: dict[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Labels, sorted. One text for all objects that carry it, as for names and nodes: of a hundred
    bytes that an endpoint's facts take, half would be copies (measured)."""
    return tuple(sorted((intern(key), intern(value)) for key, value in (found or {}).items()))


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing to list and watch: its plural name and group, its wire form, the way to its fact.

    Without an optional one the daemon knows less; without a required one it knows nothing.
    """

    name: str
    group_version: str
    wire: type
    fact: Callable[[Any], Any]
    required: bool = False

    @property
    def group(self) -> str:
        """The API group as RBAC names it: "" is the core group."""
        return self.group_version.partition("/")[0] if "/" in self.group_version else ""

    def path(self, namespace: str = "") -> str:
        """The list's URL path, of one namespace if given."""
        root = f"/apis/{self.group_version}" if self.group else f"/api/{self.group_version}"
        return f"{root}/namespaces/{namespace}/{self.name}" if namespace else f"{root}/{self.name}"


SERVICES = Resource("services", "v1", wire.Service, service, required=True)
SLICES = Resource(
    "endpointslices", "discovery.k8s.io/v1", wire.Slice, endpoint_slice, required=True
)
DEPLOYMENTS = Resource("deployments", "apps/v1", wire.Workload, deployment)
STATEFUL_SETS = Resource("statefulsets", "apps/v1", wire.Workload, stateful_set)
DAEMON_SETS = Resource("daemonsets", "apps/v1", wire.Workload, daemon_set)

RESOURCES = (SERVICES, SLICES, DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS)
"""Everything the daemon reads, and so its whole RBAC: list and watch on these."""


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
