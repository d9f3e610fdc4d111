"""Namespaces: what their labels tell of meshes and to network policies."""

from dataclasses import dataclass
from sys import intern

from probe.core import meshes, wire
from probe.core.labels import Labels, Pairs, pairs
from probe.core.meshes import NOTHING_WISHED, Wishes

NAME = "kubernetes.io/metadata.name"
"""The label by which every namespace carries its own name (KEP-2161)."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace. `mesh` is what it wishes of each mesh."""

    name: str
    labels: Pairs = ()
    mesh: Wishes = NOTHING_WISHED

    @property
    def namespace(self) -> str:
        """Namespaces are in none."""
        return ""


def namespace(obj: wire.Namespace) -> Namespace:
    """What is kept of a Namespace."""
    meta = obj.metadata
    wished = meshes.of_namespace(meta.labels or {}, meta.annotations or {})
    return Namespace(intern(meta.name), pairs(meta.labels), wished)


def labels_of(name: str, known: Namespace | None) -> Labels:
    """The namespace's labels, as far as anybody told them."""
    if known is None:
        return Labels({NAME: name}, complete=False)
    return Labels({NAME: name, **dict(known.labels)})
