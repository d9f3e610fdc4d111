"""Events in their two forms: core/v1, which the store keeps, and events.k8s.io/v1."""

from typing import Any

Obj = dict[str, Any]

NEW_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
"""Field of core/v1 -> field of events.k8s.io/v1, as k8s.io/kubernetes converts them."""

OLD_NAMES = {new: old for old, new in NEW_NAMES.items()}


def stored_name(field: str) -> str:
    """The stored field that a path means, which may have its name of events.k8s.io/v1."""
    first, dot, rest = field.partition(".")
    return OLD_NAMES.get(first, first) + dot + rest


def as_new(event: Obj) -> Obj:
    """The event as events.k8s.io/v1 has it."""
    renamed = {NEW_NAMES.get(name, name): value for name, value in event.items()}
    return {**renamed, "kind": "Event", "apiVersion": "events.k8s.io/v1"}


def as_core(event: Obj) -> Obj:
    """The event as core/v1 has it."""
    renamed = {OLD_NAMES.get(name, name): value for name, value in event.items()}
    return {**renamed, "kind": "Event", "apiVersion": "v1"}
