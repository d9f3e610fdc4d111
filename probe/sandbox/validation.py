"""The rules that users break most, refused in the words of the real API server.

Not a schema: unknown fields are kept, and most rules of Kubernetes are not here. EndpointSlices
are deliberately not validated at all: a slice that carries an address nobody may dial is one of
the things the sandbox has to be able to show.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from probe.sandbox import selectors
from probe.sandbox.resources import Resource
from probe.sandbox.statuses import Invalid

Obj = dict[str, Any]
Cause = tuple[str, str, str]

PORT_RANGE = "must be between 1 and 65535, inclusive"

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    r"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
"""k8s.io/apimachinery/pkg/util/validation."""

LABEL_NAMED = frozenset({"namespaces", "services"})
"""Resources whose names are DNS labels; the others' are subdomains."""

POD_UPDATE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def check(resource: Resource, obj: Obj, old: Obj | None) -> None:
    """Raises Invalid, with all causes, if the object may not be stored in place of `old`."""
    causes = [*_name(resource, obj), *_RULES.get(resource.plural, _no_rules)(obj, old)]
    if causes:
        raise Invalid(resource, obj["metadata"].get("name", ""), causes)


def required(field: str, why: str = "") -> Cause:
    return "FieldValueRequired", f"Required value: {why}" if why else "Required value", field


def invalid(field: str, value: Any, why: str) -> Cause:
    shown = json.dumps(value, separators=(",", ":"))
    return "FieldValueInvalid", f"Invalid value: {shown}: {why}", field


def _name(resource: Resource, obj: Obj) -> Iterator[Cause]:
    name = obj["metadata"].get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif resource.plural in LABEL_NAMED:
        if not LABEL.fullmatch(name):
            yield invalid("metadata.name", name, LABEL_RULE)
    elif not SUBDOMAIN.fullmatch(name):
        yield invalid("metadata.name", name, SUBDOMAIN_RULE)


def _no_rules(_obj: Obj, _old: Obj | None) -> Iterator[Cause]:
    return iter(())


def _service(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    spec = obj["spec"]
    ports = spec.get("ports") or []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    names: set[str] = set()
    for at, port in enumerate(ports):
        yield from _service_port(port, f"spec.ports[{at}]", len(ports) > 1, names)
    address = old["spec"].get("clusterIP") if old else None
    if address and spec["type"] != "ExternalName" and spec.get("clusterIP") != address:
        yield invalid("spec.clusterIPs[0]", [spec.get("clusterIP")], "may not change once set")


def _service_port(port: Obj, field: str, several: bool, names: set[str]) -> Iterator[Cause]:
    name = port.get("name", "")
    if several and not name:
        yield required(f"{field}.name")
    if name and name in names:
        yield "FieldValueDuplicate", f"Duplicate value: {json.dumps(name)}", f"{field}.name"
    names.add(name)
    yield from _port(port.get("port", 0), f"{field}.port")
    target = port.get("targetPort", 0)
    if isinstance(target, str):
        yield from _port_name(target, f"{field}.targetPort")
    else:
        yield from _port(target, f"{field}.targetPort")


def _port(number: Any, field: str) -> Iterator[Cause]:
    if not isinstance(number, int) or not 1 <= number <= 65535:
        yield invalid(field, number, PORT_RANGE)


def _port_name(name: str, field: str) -> Iterator[Cause]:
    if len(name) > 15:
        yield invalid(field, name, "must be no more than 15 characters")
    elif not re.fullmatch(r"[-a-z0-9]+", name):
        yield invalid(
            field, name, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
        )
    elif not re.search(r"[a-z]", name):
        yield invalid(field, name, "must contain at least one letter (a-z)")


def _pod(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    yield from _pod_spec(obj["spec"], "spec")
    if old and _fixed(obj["spec"]) != _fixed(old["spec"]):
        yield "FieldValueForbidden", f"Forbidden: {POD_UPDATE}", "spec"


def _fixed(spec: Obj) -> Obj:
    """The part of a pod's spec that may not change; binding it to a node is not the user's."""
    free = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName")
    fixed = {name: value for name, value in spec.items() if name not in free}
    for name in ("containers", "initContainers"):
        if name in spec:
            fixed[name] = [{**container, "image": None} for container in spec[name]]
    return fixed


def _pod_spec(spec: Obj, field: str) -> Iterator[Cause]:
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{field}.containers")
    for at, container in enumerate(containers):
        where = f"{field}.containers[{at}]"
        for name in ("name", "image"):
            if not container.get(name):
                yield required(f"{where}.{name}")
        for number, port in enumerate(container.get("ports") or []):
            what = f"{where}.ports[{number}].containerPort"
            if not port.get("containerPort"):
                yield required(what)
            else:
                yield from _port(port["containerPort"], what)


def _workload(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    spec = obj["spec"]
    selector, template = spec.get("selector"), spec["template"]
    labels = template.get("metadata", {}).get("labels")
    if not selector:
        yield required("spec.selector")
    if not selector or not selectors.matches(selector, labels):
        yield invalid(
            "spec.template.metadata.labels", labels, "`selector` does not match template `labels`"
        )
    yield from _pod_spec(template["spec"], "spec.template.spec")
    if isinstance(replicas := spec.get("replicas", 0), int) and replicas < 0:
        yield invalid("spec.replicas", replicas, "must be greater than or equal to 0")
    if old and selector != old["spec"].get("selector"):
        yield invalid("spec.selector", selector, "field is immutable")


_RULES: dict[str, Callable[[Obj, Obj | None], Iterator[Cause]]] = {
    "services": _service,
    "pods": _pod,
    "deployments": _workload,
    "replicasets": _workload,
    "statefulsets": _workload,
    "daemonsets": _workload,
}
