"""Which lists of Kubernetes objects are merged item by item, and what names an item.

Every other list is atomic: whoever writes it writes all of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

MERGE_KEYS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("containers",): ("name",),
    ("initContainers",): ("name",),
    ("ephemeralContainers",): ("name",),
    ("env",): ("name",),
    ("containers", "ports"): ("containerPort", "protocol"),
    ("initContainers", "ports"): ("containerPort", "protocol"),
    ("spec", "ports"): ("port", "protocol"),
    ("volumes",): ("name",),
    ("volumeMounts",): ("mountPath",),
    ("volumeDevices",): ("devicePath",),
    ("imagePullSecrets",): ("name",),
    ("hostAliases",): ("ip",),
    ("topologySpreadConstraints",): ("topologyKey", "whenUnsatisfiable"),
    ("ownerReferences",): ("uid",),
    ("conditions",): ("type",),
    ("status", "addresses"): ("type",),
    ("secrets",): ("name",),
    ("taints",): ("key", "effect"),
}
"""The last names of a list's path -> the fields that name an item: x-kubernetes-list-map-keys of
the API's OpenAPI document. The first of them is x-kubernetes-patch-merge-key, which strategic
merge patches use alone. Service ports are `spec.ports`; an EndpointSlice's `ports`, at its top,
are atomic, and so are tolerations."""

SETS = frozenset({"finalizers"})
"""Lists of plain values that are merged as sets."""

KEY_DEFAULTS = {"protocol": "TCP"}
"""What the API fills into a naming field that was left out."""

ATOMIC_MAPS = frozenset(
    {"selector", "nodeSelector", "fieldRef", "configMapKeyRef", "secretKeyRef", "targetRef"}
)
"""Maps with x-kubernetes-map-type: atomic, owned and applied as one value."""


def merge_keys(path: Sequence[str]) -> tuple[str, ...] | None:
    """The fields that name an item of the list at `path` (field names only); None if atomic."""
    return MERGE_KEYS.get(tuple(path[-2:])) or MERGE_KEYS.get(tuple(path[-1:]))


def item_key(item: Any, keys: Sequence[str]) -> tuple[Any, ...] | None:
    """What names `item` in its list; None if it is no object or lacks its first key."""
    if not isinstance(item, dict) or keys[0] not in item:
        return None
    return tuple(item.get(key, KEY_DEFAULTS.get(key)) for key in keys)
