"""The types of the fields that the sandbox reads, and the refusal of values of other types.

Go's decoder is what makes a real API server refuse `replicas: "3"`, so the words are Go's. A null
is a field that is not there. Fields that nobody here reads are in no table, and kept as they are.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from probe.sandbox.resources import Resource
from probe.sandbox.statuses import BadRequest

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Struct:
    """A Go struct: its name, as messages say it, and the types of its fields."""

    name: str
    fields: dict[str, "Type"]


Type: TypeAlias = "str | Struct | list[Type]"
"""A Go type: a list is a slice of its only item."""

STRINGS = "map[string]string"
INT_OR_STRING = "intstr.IntOrString"
SECONDS = "seconds"
"""An int64; but fractions are welcome in the sandbox, where nobody wants to wait."""

_RANGES = {SECONDS: 2**63, "int32": 2**31, "int64": 2**63}


class Misfit(ValueError):
    """A value that is not of its field's type, in the words of Go's decoder."""


def _strings(names: str) -> dict[str, Type]:
    return dict.fromkeys(names.split(), "string")


def _numbers(names: str) -> dict[str, Type]:
    return dict.fromkeys(names.split(), "int32")


_OWNER = Struct("OwnerReference", {**_strings("apiVersion kind name uid"), "controller": "bool"})
_META = Struct(
    "ObjectMeta",
    {
        **_strings("name generateName namespace uid resourceVersion creationTimestamp"),
        **_strings("deletionTimestamp"),
        "generation": "int64",
        "deletionGracePeriodSeconds": SECONDS,
        "labels": STRINGS,
        "annotations": STRINGS,
        "finalizers": ["string"],
        "ownerReferences": [_OWNER],
        "managedFields": [Struct("ManagedFieldsEntry", _strings("manager operation subresource"))],
    },
)
_EXPRESSION = Struct("LabelSelectorRequirement", {**_strings("key operator"), "values": ["string"]})
_SELECTOR = Struct("LabelSelector", {"matchLabels": STRINGS, "matchExpressions": [_EXPRESSION]})
_PROBE = Struct(
    "Probe",
    {
        **dict.fromkeys(("initialDelaySeconds", "periodSeconds", "timeoutSeconds"), SECONDS),
        **_numbers("failureThreshold successThreshold"),
        "httpGet": Struct("HTTPGetAction", {**_strings("path scheme"), "port": INT_OR_STRING}),
        "tcpSocket": Struct("TCPSocketAction", {"port": INT_OR_STRING}),
        "grpc": Struct("GRPCAction", {"port": "int32", "service": "string"}),
        "exec": Struct("ExecAction", {"command": ["string"]}),
    },
)
_HOOK = Struct(
    "LifecycleHandler",
    {
        "exec": Struct("ExecAction", {"command": ["string"]}),
        "sleep": Struct("SleepAction", {"seconds": SECONDS}),
    },
)
_CONTAINER = Struct(
    "Container",
    {
        **_strings("name image imagePullPolicy restartPolicy"),
        "command": ["string"],
        "args": ["string"],
        "env": [Struct("EnvVar", _strings("name value"))],
        "ports": [
            Struct(
                "ContainerPort", {**_strings("name protocol"), **_numbers("containerPort hostPort")}
            )
        ],
        **dict.fromkeys(("livenessProbe", "readinessProbe", "startupProbe"), _PROBE),
        "lifecycle": Struct("Lifecycle", {"preStop": _HOOK, "postStart": _HOOK}),
    },
)
_POD_SPEC = Struct(
    "PodSpec",
    {
        "containers": [_CONTAINER],
        "initContainers": [_CONTAINER],
        **_strings("nodeName restartPolicy serviceAccountName"),
        "terminationGracePeriodSeconds": SECONDS,
        "hostNetwork": "bool",
    },
)
_CONDITION = Struct("Condition", _strings("type status reason message lastTransitionTime"))
_STATE = Struct(
    "ContainerState",
    {
        "running": Struct("ContainerStateRunning", {}),
        "waiting": Struct("ContainerStateWaiting", _strings("reason")),
        "terminated": Struct("ContainerStateTerminated", _strings("reason finishedAt")),
    },
)
_CONTAINER_STATUS = Struct(
    "ContainerStatus",
    {"ready": "bool", "restartCount": "int32", "state": _STATE, "lastState": _STATE},
)
_POD_STATUS = Struct(
    "PodStatus",
    {
        **_strings("phase podIP reason"),
        "conditions": [_CONDITION],
        "containerStatuses": [_CONTAINER_STATUS],
    },
)
_NODE_STATUS = Struct(
    "NodeStatus",
    {
        "addresses": [Struct("NodeAddress", _strings("type address"))],
        "conditions": [_CONDITION],
    },
)
_SERVICE_PORT = Struct(
    "ServicePort",
    {
        **_strings("name protocol appProtocol"),
        **_numbers("port nodePort"),
        "targetPort": INT_OR_STRING,
    },
)
_SERVICE_SPEC = Struct(
    "ServiceSpec",
    {
        **_strings("type clusterIP sessionAffinity externalName internalTrafficPolicy"),
        "clusterIPs": ["string"],
        "externalIPs": ["string"],
        "ipFamilies": ["string"],
        "selector": STRINGS,
        "ports": [_SERVICE_PORT],
        "publishNotReadyAddresses": "bool",
    },
)
_SERVICE_STATUS = Struct(
    "ServiceStatus",
    {
        "loadBalancer": Struct(
            "LoadBalancerStatus",
            {"ingress": [Struct("LoadBalancerIngress", _strings("ip hostname"))]},
        )
    },
)
_ENDPOINT = Struct(
    "Endpoint",
    {
        "addresses": ["string"],
        "conditions": Struct(
            "EndpointConditions", dict.fromkeys(("ready", "serving", "terminating"), "bool")
        ),
        "targetRef": Struct("ObjectReference", _strings("kind namespace name uid")),
        **_strings("nodeName hostname zone"),
    },
)
_ENDPOINT_PORT = Struct("EndpointPort", {**_strings("name protocol appProtocol"), "port": "int32"})


def _workload(kind: str) -> dict[str, Type]:
    template = Struct("PodTemplateSpec", {"metadata": _META, "spec": _POD_SPEC})
    rolling = Struct(
        f"RollingUpdate{kind}",
        {"maxUnavailable": INT_OR_STRING, "maxSurge": INT_OR_STRING, "partition": "int32"},
    )
    strategy = Struct(f"{kind}UpdateStrategy", {"type": "string", "rollingUpdate": rolling})
    spec: dict[str, Type] = {
        **_numbers("replicas revisionHistoryLimit"),
        **dict.fromkeys(("minReadySeconds", "progressDeadlineSeconds"), SECONDS),
        "selector": _SELECTOR,
        "template": template,
        "paused": "bool",
        "strategy": strategy,
        "updateStrategy": strategy,
        **_strings("serviceName podManagementPolicy"),
    }
    status = Struct(f"{kind}Status", {"conditions": [_CONDITION], "replicas": "int32"})
    return {"spec": Struct(f"{kind}Spec", spec), "status": status}


_FIELDS: dict[str, dict[str, Type]] = {
    "services": {"spec": _SERVICE_SPEC, "status": _SERVICE_STATUS},
    "pods": {"spec": _POD_SPEC, "status": _POD_STATUS},
    "nodes": {"spec": Struct("NodeSpec", {"unschedulable": "bool"}), "status": _NODE_STATUS},
    "namespaces": {
        "spec": Struct("NamespaceSpec", {}),
        "status": Struct("NamespaceStatus", _strings("phase")),
    },
    "endpointslices": {
        "addressType": "string",
        "endpoints": [_ENDPOINT],
        "ports": [_ENDPOINT_PORT],
    },
    "deployments": _workload("Deployment"),
    "replicasets": _workload("ReplicaSet"),
    "statefulsets": _workload("StatefulSet"),
    "daemonsets": _workload("DaemonSet"),
    "configmaps": {"data": STRINGS, "binaryData": STRINGS},
    "secrets": {"data": STRINGS, "stringData": STRINGS, "type": "string"},
    "networkpolicies": {"spec": Struct("NetworkPolicySpec", {"podSelector": _SELECTOR})},
    "leases": {"spec": Struct("LeaseSpec", _strings("holderIdentity"))},
    "events": {
        **_strings("type reason message firstTimestamp lastTimestamp eventTime"),
        "count": "int32",
        "involvedObject": Struct("ObjectReference", _strings("kind name")),
        "source": Struct("EventSource", _strings("component host")),
        "series": Struct("EventSeries", {"count": "int32", "lastObservedTime": "string"}),
    },
}

_SPEC_IS_READ = frozenset(_FIELDS) - {
    "namespaces", "endpointslices", "configmaps", "secrets", "leases", "events", "networkpolicies",
}  # fmt: skip
"""Resources of which controllers take it for granted that an object has a spec."""


def fit(resource: Resource, obj: Any) -> Obj:
    """The object without the nulls in known fields. Raises BadRequest for another type."""
    try:
        fitted: Obj = _fit(obj, _struct(resource.plural, resource.kind), resource.kind, "")
    except Misfit as error:
        raise BadRequest(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a '
            f"{resource.kind}: {error}"
        ) from error
    return fitted


def sound(plural: str, obj: Obj) -> bool:
    """Whether those who read the object, as Go's clients would decode it, can go on with it."""
    try:
        _fit(obj, _struct(plural, plural), plural, "")
    except Misfit:
        return False
    return plural not in _SPEC_IS_READ or isinstance(obj.get("spec"), dict)


def _struct(plural: str, kind: str) -> Struct:
    return Struct(kind, {"metadata": _META, **_FIELDS.get(plural, {})})


def _fit(value: Any, kind: Type, owner: str, path: str) -> Any:
    """The value as `kind`; `owner` is the struct, and `path` the field, that it stands in."""
    if isinstance(kind, Struct):
        if not isinstance(value, dict):
            raise _misfit(value, kind, owner, path)
        fitted = {}
        for name, child in value.items():
            wanted = kind.fields.get(name)
            if wanted is None:
                fitted[name] = child
            elif child is not None:
                where = f"{path}.{name}" if path else name
                fitted[name] = _fit(child, wanted, kind.name, where)
        return fitted
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise _misfit(value, kind, owner, path)
        # A null in a list is the zero value of its items.
        zero: Any = {} if isinstance(kind[0], Struct) else ""
        return [_fit(zero if item is None else item, kind[0], owner, path) for item in value]
    if kind == STRINGS and isinstance(value, dict):
        return {k: _fit("" if v is None else v, "string", owner, path) for k, v in value.items()}
    if not _is(value, kind):
        raise _misfit(value, kind, owner, path)
    return value


def _is(value: Any, kind: str) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "bool":
        return isinstance(value, bool)
    if kind == INT_OR_STRING:
        return isinstance(value, str) or _is(value, "int32")
    number = (int, float) if kind == SECONDS else int
    if isinstance(value, bool) or not isinstance(value, number) or kind not in _RANGES:
        return False
    return -_RANGES[kind] <= value < _RANGES[kind]


def _misfit(value: Any, kind: Type, owner: str, path: str) -> Misfit:
    said = _said(value, kind)
    if kind == INT_OR_STRING:  # decodes itself, and does not know where it stands
        return Misfit(f"json: cannot unmarshal {said} into Go value of type int32")
    where = f"struct field {owner}.{path}" if path else "value"
    return Misfit(f"json: cannot unmarshal {said} into Go {where} of type {_go(kind)}")


def _said(value: Any, kind: Type) -> str:
    """What JSON calls the value; a number that would fit but for its size or fraction, in full."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        told = isinstance(kind, str) and kind in (*_RANGES, INT_OR_STRING)
        return f"number {value}" if told else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _go(kind: Type) -> str:
    if isinstance(kind, list):
        return f"[]{_go(kind[0])}"
    if isinstance(kind, Struct):
        return f"v1.{kind.name}"
    return {SECONDS: "int64"}.get(kind, kind)
