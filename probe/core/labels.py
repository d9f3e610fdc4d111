"""Labels, and selectors that match them: as Kubernetes does, and with what is not known.

We do not watch pods. Of a workload's pods we know what the template gives them, of a Service's at
least its selector; so a match has three values, None being "cannot be told from here".
"""

from collections.abc import Iterable, Mapping
from sys import intern
from typing import NamedTuple, TypeAlias

from probe.core import wire
from probe.core.wire_selectors import Expression

Pairs: TypeAlias = tuple[tuple[str, str], ...]


def pairs(found: Mapping[str, str] | None) -> Pairs:
    """Labels, sorted. One text for all objects that carry it, as for names and nodes: of a hundred
    bytes that an endpoint's facts take, half would be copies (measured)."""
    return tuple(sorted((intern(key), intern(value)) for key, value in (found or {}).items()))


class Labels(NamedTuple):
    """Labels of an object; not `complete` if there may be more of them."""

    known: Mapping[str, str]
    complete: bool = True


class Requirement(NamedTuple):
    """One line of a selector; `operator` is the API's: In, NotIn, Exists, DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


Selector: TypeAlias = tuple[Requirement, ...]
"""All of it must match; the empty one matches everything."""

EVERYTHING: Selector = ()


def selector(obj: wire.LabelSelector | None) -> Selector:
    """matchLabels and matchExpressions as one (k8s.io/apimachinery, LabelSelectorAsSelector)."""
    if obj is None:
        return EVERYTHING
    return (
        *(Requirement(key, "In", (value,)) for key, value in pairs(obj.matchLabels)),
        *requirements(obj.matchExpressions),
    )


def requirements(told: Iterable[Expression] | None) -> Selector:
    """Expressions as they are."""
    return tuple(
        Requirement(intern(e.key), intern(e.operator), tuple(map(intern, e.values or ())))
        for e in told or ()
    )


def matches(selector: Selector, labels: Labels) -> bool | None:
    """Whether the selector matches what carries these labels."""
    return all_of(_meets(requirement, labels) for requirement in selector)


def _meets(requirement: Requirement, labels: Labels) -> bool | None:
    key, operator, values = requirement
    known = key in labels.known
    if not known and not labels.complete:
        return None
    match operator:
        case "In":
            return known and labels.known[key] in values
        case "NotIn":
            return not known or labels.known[key] not in values
        case "Exists":
            return known
        case "DoesNotExist":
            return not known
        case _:  # a later version of the API may have more
            return None


def all_of(found: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is, else True."""
    seen = set(found)
    return False if False in seen else None if None in seen else True


def any_of(found: Iterable[bool | None]) -> bool | None:
    """True if one is, else None if one is, else False."""
    seen = set(found)
    return True if True in seen else None if None in seen else False
