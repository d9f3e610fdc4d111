"""Label and field selectors: what a list or watch was asked to keep.

Selectors are parsed once into a predicate on objects; what cannot be parsed is a BadRequest, in
the words of the real server.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from probe.sandbox import events
from probe.sandbox.statuses import BadRequest

Obj = dict[str, Any]
Predicate = Callable[[Obj], bool]

NEW_EVENTS = "events.events.k8s.io"
"""The Events of the newer group, whose fields have other names than those that are stored."""

FIELD_LABELS: Mapping[str, Mapping[str, str]] = {
    resource: {field: events.stored_name(field) for field in fields.split()}
    for resource, fields in {
        "pods": "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName "
        "status.phase status.podIP",
        "services": "spec.clusterIP spec.type",
        "events": "involvedObject.kind involvedObject.namespace involvedObject.name "
        "involvedObject.uid involvedObject.apiVersion involvedObject.fieldPath reason "
        "reportingComponent source type",
        NEW_EVENTS: "regarding.kind regarding.namespace regarding.name regarding.uid "
        "regarding.apiVersion regarding.fieldPath reason reportingController type",
        "namespaces": "status.phase",
        "replicasets": "status.replicas",
        "secrets": "type",
    }.items()
}
"""Fields that may be selected beside metadata.name and metadata.namespace, each with the stored
one it means: the conversion functions of each kind in k8s.io/kubernetes
(AddFieldLabelConversionsFor...)."""

_KEY = r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?"
_VALUE = r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?"
_EXISTS = re.compile(rf"\s*(?P<no>!?)\s*(?P<key>{_KEY})\s*$")
_EQUALS = re.compile(rf"\s*(?P<key>{_KEY})\s*(?P<op>==|=|!=)\s*(?P<value>{_VALUE})\s*$")
_AMONG = re.compile(rf"\s*(?P<key>{_KEY})\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)\s*$")


def keeps(resource: str, labels: str, fields: str) -> Predicate:
    """What passes both selectors of a request for `resource`. Raises BadRequest."""
    tests = [*_label_tests(labels), *_field_tests(resource, fields)]
    return lambda obj: all(test(obj) for test in tests)


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a LabelSelector object (matchLabels, matchExpressions) selects these labels."""
    held = labels or {}
    if not selector:
        return True
    if any(held.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_fits(e, held) for e in selector.get("matchExpressions") or [])


def text(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector object as people write it: `app=web,tier in (a,b)`."""
    selector = selector or {}
    parts = [f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or []:
        key, operator = expression["key"], expression["operator"]
        values = ",".join(sorted(expression.get("values") or []))
        parts.append(
            {"Exists": key, "DoesNotExist": f"!{key}"}.get(
                operator, f"{key} {operator.lower()} ({values})"
            )
        )
    return ",".join(parts)


def _fits(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _labels(obj: Obj) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def _label_tests(selector: str) -> list[Predicate]:
    # Commas separate requirements, and values inside the parentheses of in and notin.
    requirements = re.split(r",(?![^(]*\))", selector) if selector.strip() else []
    return [_label_test(requirement) for requirement in requirements]


def _label_test(requirement: str) -> Predicate:
    if found := _EXISTS.match(requirement):
        key, absent = found["key"], bool(found["no"])
        return lambda obj: (key in _labels(obj)) is not absent
    if found := _EQUALS.match(requirement):
        key, values, negated = found["key"], {found["value"]}, found["op"] == "!="
    elif found := _AMONG.match(requirement):
        key, negated = found["key"], found["op"] == "notin"
        values = {value.strip() for value in found["values"].split(",")}
    else:
        raise BadRequest(f"unable to parse requirement: {requirement.strip()!r}")
    # An object without the key passes != and notin.
    return lambda obj: (_labels(obj).get(key) in values) is not negated


def _field_tests(resource: str, selector: str) -> list[Predicate]:
    return [_field_test(resource, term) for term in selector.split(",") if term.strip()]


def _field_test(resource: str, term: str) -> Predicate:
    found = re.match(r"\s*([^=!]+?)\s*(==|=|!=)(.*)$", term)
    if not found:
        raise BadRequest(f"invalid selector: '{term}'; can't understand '{term}'")
    field, negated, value = found[1], found[2] == "!=", found[3].strip()
    known = {"metadata.name": field, "metadata.namespace": field, **FIELD_LABELS.get(resource, {})}
    if field not in known:
        raise BadRequest(f"field label not supported: {field}")
    return lambda obj: (_field(obj, known[field]) == value) is not negated


def _field(obj: Any, path: str) -> str:
    for name in path.split("."):
        obj = obj.get(name) if isinstance(obj, dict) else None
    if isinstance(obj, dict):  # an Event's source is selected by its component
        obj = obj.get("component")
    if isinstance(obj, bool):
        return str(obj).lower()
    return "" if obj is None else str(obj)
