"""What every object of the API has: a name, who wrote it last, and what keeps it."""

from collections.abc import Callable
from sys import intern

from probe.core import wire
from probe.core.edges import Author
from probe.core.wire_managers import Spec

MARKS = (
    # Argo CD's documentation, "Resource Tracking": the annotation, and the label of its own.
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    # Flux's documentation: kustomize-controller's and helm-controller's ownership labels.
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
    # helm.sh/helm/pkg/action/validate.go. The label managed-by: Helm alone is no mark: charts carry
    # it, and whoever applies what `helm template` prints.
    ("meta.helm.sh/release-name", "Helm"),
)
"""Labels and annotations that a tool puts on what it keeps, the most telling first: what Flux
installs by Helm is Flux's. Marks that people write into manifests (sync waves) are none."""


class BadObject(ValueError):
    """An object without what its fact needs. Its holder is skipped and counted, never fatal."""


def named(meta: wire.Meta) -> None:
    if not meta.name or not meta.namespace:
        raise BadObject("metadata.name or metadata.namespace is missing")


def author(meta: wire.Meta) -> Author | None:
    """The manager whose write to the spec is the newest, as far as we read the spec: labels,
    annotations, finalizers and the status change no intent."""
    return _newest(meta, bool)


def teller(meta: wire.Meta, container: str, variable: str) -> Author | None:
    """Who wrote a container's variable in the pod template last, or ("") its command line."""
    name = 'k:{{"name":"{}"}}'.format

    def owns(spec: Spec) -> bool:
        pod = spec.get("f:template", {}).get("f:spec", {})
        told = pod.get("f:containers", {}).get(name(container))
        told = told or pod.get("f:initContainers", {}).get(name(container), {})
        if variable:
            return "f:value" in told.get("f:env", {}).get(name(variable), {})
        return "f:args" in told or "f:command" in told

    return _newest(meta, owns)


def _newest(meta: wire.Meta, owns: Callable[[Spec], bool]) -> Author | None:
    """The manager whose write is the newest of those that own such a field; who does not say what
    is his may own anything."""
    writers = [
        manager
        for manager in meta.managedFields or ()
        if manager.time
        and manager.subresource != "status"
        and (manager.fieldsV1 is None or owns(manager.fieldsV1.get("f:spec", {})))
    ]
    if not writers:
        return None
    last = max(reversed(writers), key=lambda m: m.time)  # times are whole seconds; later ones win
    return Author(intern(last.manager), last.time)


def newly(old: Author | None, new: Author | None) -> Author | None:
    """The new author if he wrote since the old one did, else None: nobody knows who it was.

    A write that only removes fields leaves no trace of its own (structured-merge-diff), and may
    take the last fields of the one before away, so that an older author is the newest then.
    """
    if new is None or (old is not None and (new == old or new.time < old.time)):
        return None
    return new


def scaler(meta: wire.Meta) -> str:
    """The manager that wrote the replicas through the scale subresource, if they are still as it
    wrote them; "" if somebody else did. Such entries have no time (seen on 1.36)."""
    writers = (m.manager for m in meta.managedFields or () if m.subresource == "scale")
    return intern(next(writers, ""))


def managed(meta: wire.Meta) -> str:
    """The tool that keeps the object by its marks, "" for none: an edit may be undone by it."""
    labels, annotations = meta.labels or {}, meta.annotations or {}
    return next((tool for mark, tool in MARKS if mark in labels or mark in annotations), "")
