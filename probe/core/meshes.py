"""Which service mesh stands before a Service's pods: behind one, every port accepts.

A sidecar or a node proxy that redirects what comes in completes the handshake itself, whether the
application listens or not (istio.io#8907, linkerd2#7777): success proves nothing. Sidecars are
injected into pods, which we do not watch; so it is read off what the injectors read: the wishes
of the namespace and of the pod template, each mesh with its own precedence. A pod older than the
wish may still be without; `masked` is then the cautious error.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Protocol, TypeAlias


class Wish(Enum):
    """What one object says to one mesh: take its pods in, leave them out, or that they carry the
    redirection already (`istioctl kube-inject`, `linkerd inject --manual`)."""

    IN = "in"
    OUT = "out"
    INJECTED = "injected"


Wishes: TypeAlias = tuple[tuple[str, Wish], ...]
"""Mesh and wish, for those meshes alone of which something is said: mostly none."""

NOTHING_WISHED: Wishes = ()

Texts: TypeAlias = Mapping[str, str]
"""Labels or annotations."""


_ISTIO_INJECT = "sidecar.istio.io/inject"
_ISTIO_REVISION = "istio.io/rev"
_ISTIO_DATAPLANE = "istio.io/dataplane-mode"
_LINKERD = "linkerd.io/inject"
_KUMA = "kuma.io/sidecar-injection"
_OSM = "openservicemesh.io/sidecar-injection"


class Meshed(Protocol):
    """Whoever wishes something: a workload by its pod template."""

    @property
    def mesh(self) -> Wishes: ...


class Place(Meshed, Protocol):
    """A namespace."""

    @property
    def name(self) -> str: ...


def _either(namespace: Wish | None, template: Wish | None) -> bool:
    """Either can ask for it, either can forbid it."""
    wishes = (namespace, template)
    return Wish.IN in wishes and Wish.OUT not in wishes


def _template_first(namespace: Wish | None, template: Wish | None) -> bool:
    """The template's word counts, else the namespace's."""
    return (template or namespace) is Wish.IN


def _members_only(namespace: Wish | None, template: Wish | None) -> bool:
    """The template's word counts, but only in a namespace that is of the mesh."""
    return namespace is not None and _template_first(namespace, template)


RULES: dict[str, Callable[[Wish | None, Wish | None], bool]] = {
    # istio.io, "Controlling the injection policy"; the selectors of the four webhooks of
    # istio-sidecar-injector; injectRequired in istio/pkg/kube/inject/inject.go.
    "istio": _either,
    # PodRedirectionEnabled in istio/cni/pkg/util/podutil.go.
    "istio-ambient": _template_first,
    # The truth table in linkerd2/pkg/inject/report.go.
    "linkerd": _template_first,
    # needToInject in kuma/pkg/plugins/runtime/k8s/webhooks/injector/precheck.go.
    "kuma": _template_first,
    # mustInject in osm/pkg/injector/webhook.go.
    "openservicemesh": _members_only,
    # shouldInject in consul-k8s/control-plane/connect-inject/webhook/mesh_webhook.go.
    "consul": _template_first,
}
"""Each mesh, and whether its injector takes a pod, by what namespace and template wish."""

HOST_NETWORK: Wishes = tuple((mesh, Wish.OUT) for mesh in RULES)
"""No mesh redirects what belongs to the node (the sources above)."""

SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces that injectors leave alone whatever these say (the sources above)."""

REDIRECTING = {
    "istio-init": "istio",
    "istio-validation": "istio",
    "linkerd-init": "linkerd",
    "linkerd-network-validator": "linkerd",
    "kuma-init": "kuma",
    "kuma-validation": "kuma",
    "osm-init": "openservicemesh",
}
"""Init containers that set the redirection up, or check that a CNI plugin did. A gateway has the
proxy's container without them: it listens by itself, and its ports tell the truth."""

_YAML_YES = ("true", "yes", "y", "on")
"""YAML 1.1's words, which Istio's injector takes."""


def mesh_of(namespace: Place | None, workloads: Iterable[Meshed]) -> str:
    """The mesh before the pods of these workloads, as one of RULES; "" if there is none.

    One meshed workload is enough: behind one ClusterIP nobody can tell them apart. Without a
    workload (bare pods) the namespace speaks for itself; without a namespace (nobody told of it)
    the templates do.
    """
    templates = [w.mesh for w in workloads] or [NOTHING_WISHED]
    wishes = namespace.mesh if namespace is not None else NOTHING_WISHED
    if not wishes and not any(templates):
        return ""
    if namespace is not None and namespace.name in SYSTEM:
        return ""
    place = dict(wishes)
    for mesh, takes in RULES.items():
        for template in templates:
            wish = dict(template).get(mesh)
            if wish is Wish.INJECTED or takes(place.get(mesh), wish):
                return mesh
    return ""


def of_namespace(labels: Texts, annotations: Texts) -> Wishes:
    """What a namespace's labels and annotations wish."""
    # A revision counts only where the other label is not (the webhooks' namespaceSelectors).
    revision = Wish.IN if labels.get(_ISTIO_REVISION) else None
    sidecars = _wish(annotations.get(_OSM), "enabled", "yes", "true")
    return _wishes(
        _wish(labels.get("istio-injection"), "enabled") or revision,
        _wish(labels.get(_ISTIO_DATAPLANE), "ambient"),
        _wish(annotations.get(_LINKERD), "enabled", "ingress"),
        _wish(labels.get(_KUMA) or annotations.get(_KUMA), "enabled", "true"),
        (sidecars or Wish.OUT) if "openservicemesh.io/monitored-by" in labels else None,
        None,
    )


def of_template(
    labels: Texts, annotations: Texts, init_containers: Iterable[str], *, host_network: bool
) -> Wishes:
    """What a pod template wishes. `init_containers` are the names of those."""
    if host_network:
        return HOST_NETWORK
    found = _wishes(
        _istio(labels, annotations),
        _wish(labels.get(_ISTIO_DATAPLANE), "ambient"),
        _wish(annotations.get(_LINKERD), "enabled", "ingress"),
        _wish(labels.get(_KUMA) or annotations.get(_KUMA), "enabled", "true"),
        _wish(annotations.get(_OSM), "enabled", "yes", "true"),
        _wish(annotations.get("consul.hashicorp.com/connect-inject"), "true", "t", "1"),
    )
    injected = {REDIRECTING[name] for name in init_containers if name in REDIRECTING}
    if not injected:
        return found
    return tuple({**dict(found), **dict.fromkeys(sorted(injected), Wish.INJECTED)}.items())


def _istio(labels: Texts, annotations: Texts) -> Wish | None:
    """The label goes before the annotation, which can only forbid: the webhook is not called for
    a pod that has nothing but that. A gateway's template redirects nothing, nor does mode NONE."""
    templates = annotations.get("inject.istio.io/templates")
    if templates is not None and "sidecar" not in templates.split(","):
        return Wish.OUT
    if annotations.get("sidecar.istio.io/interceptionMode") == "NONE":
        return Wish.OUT
    said = _wish(labels.get(_ISTIO_INJECT, annotations.get(_ISTIO_INJECT)), *_YAML_YES)
    if said is Wish.OUT:
        return said
    asked = labels.get(_ISTIO_INJECT) == "true" or bool(labels.get(_ISTIO_REVISION))
    return Wish.IN if asked else None


def _wish(said: str | None, *yes: str) -> Wish | None:
    """Whatever else is said is a no."""
    if not said:
        return None
    return Wish.IN if said.lower() in yes else Wish.OUT


@lru_cache(maxsize=256)
def _wishes(*wishes: Wish | None) -> Wishes:
    """Of the meshes in the order of RULES; the same ones for all who wish the same."""
    return tuple((mesh, w) for mesh, w in zip(RULES, wishes, strict=True) if w is not None)
