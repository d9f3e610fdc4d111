"""The cluster's objects, as documents that stand in no file.

What controllers make of others is left out where the others are listed: a fault is one of the
Deployment's, not of each of its pods.
"""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from probe.core.kube import Resource
from probe.lint.documents import Document, of_value
from probe.reflector import ApiError, Connection

SOURCE = "cluster"
"""What findings about them have for a file."""

SLICES_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")
"""Who writes EndpointSlices by itself (pkg/controller/endpointslice, endpointslicemirroring)."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Meta:
    name: str = ""
    namespace: str = ""
    resourceVersion: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    ownerReferences: list[Json] | None = None


@dataclass(frozen=True, slots=True)
class _Object:
    """The fields that rules look at, whatever the kind; `data` is a ConfigMap's, `addressType`,
    `endpoints` and `ports` are an EndpointSlice's."""

    metadata: _Meta = field(default_factory=_Meta)
    spec: Json | None = None
    data: Json | None = None
    addressType: str | None = None
    endpoints: list[Json] | None = None
    ports: list[Json] | None = None

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def name(self) -> str:
        return self.metadata.name


def _as_it_is(read: _Object) -> _Object:
    return read


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind that is listed. Without a `vital` one nothing can be said: whoever lacks the pods
    takes every selector for one that matches nothing."""

    kind: str
    plural: str
    version: str = "v1"
    vital: bool = False

    @property
    def resource(self) -> Resource:
        return Resource(self.plural, self.version, _Object, _as_it_is)


KINDS = (
    _Kind("Service", "services", vital=True),
    _Kind("Pod", "pods", vital=True),
    _Kind("Deployment", "deployments", "apps/v1", vital=True),
    _Kind("StatefulSet", "statefulsets", "apps/v1", vital=True),
    _Kind("DaemonSet", "daemonsets", "apps/v1", vital=True),
    _Kind("ReplicaSet", "replicasets", "apps/v1", vital=True),
    _Kind("Job", "jobs", "batch/v1", vital=True),
    _Kind("CronJob", "cronjobs", "batch/v1"),
    _Kind("ConfigMap", "configmaps"),
    _Kind("EndpointSlice", "endpointslices", "discovery.k8s.io/v1"),
    _Kind("Ingress", "ingresses", "networking.k8s.io/v1"),
    _Kind("Gateway", "gateways", "gateway.networking.k8s.io/v1"),
    _Kind("HTTPRoute", "httproutes", "gateway.networking.k8s.io/v1"),
    _Kind("GRPCRoute", "grpcroutes", "gateway.networking.k8s.io/v1"),
    _Kind("TCPRoute", "tcproutes", "gateway.networking.k8s.io/v1alpha2"),
    _Kind("Rollout", "rollouts", "argoproj.io/v1alpha1"),
)

_OWNERS = frozenset(each.kind for each in KINDS)


async def objects(connection: Connection, namespace: str) -> tuple[list[Document], list[str]]:
    """All objects of the namespace, or of all if it is empty; and a sentence for each kind that
    the API server does not let us see. Raises ApiTrouble."""
    found: list[Document] = []
    warnings = []
    for kind in KINDS:
        try:
            listed, _ = await connection.list(kind.resource, namespace)
        except ApiError as refused:
            if refused.code == HTTPStatus.NOT_FOUND:
                continue  # not every cluster has Gateways and Rollouts
            if kind.vital or not refused.denied:
                raise
            warnings.append(str(refused))
            continue
        for read in listed.facts:
            if not _is_made(kind, read.metadata):
                found.append(of_value(SOURCE, len(found), _value(kind, read)))
    return found, warnings


def _is_made(kind: _Kind, meta: _Meta) -> bool:
    if kind.kind == "EndpointSlice" and (meta.labels or {}).get(SLICES_BY) in CONTROLLERS:
        return True
    owners = (each for each in meta.ownerReferences or () if each.get("controller"))
    return any(each.get("kind") in _OWNERS for each in owners)


def _value(kind: _Kind, read: _Object) -> Json:
    meta = read.metadata
    value: Json = {
        "apiVersion": kind.version,
        "kind": kind.kind,
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "labels": meta.labels or {},
            "annotations": meta.annotations or {},
        },
    }
    for name in ("spec", "data", "addressType", "endpoints", "ports"):
        if (part := getattr(read, name)) is not None:
            value[name] = part
    return value
