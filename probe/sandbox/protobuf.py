"""Bodies in Kubernetes' protobuf, as `kubectl create KIND NAME` sends them whatever is offered.

Only the messages those commands build are known. A field that is not in the table is refused:
to drop it would be to store something else than what was asked for. Answers are never protobuf.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

Obj = dict[str, Any]
Field = tuple[str, str]

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
"""Before every message: k8s.io/apimachinery/pkg/runtime/serializer/protobuf."""

MESSAGES: Mapping[str, Mapping[int, Field]] = {
    "Unknown": {1: ("type", "TypeMeta"), 2: ("raw", "bytes"), 3: ("", "skip"), 4: ("", "skip")},
    "TypeMeta": {1: ("apiVersion", "string"), 2: ("kind", "string")},
    "ObjectMeta": {
        1: ("name", "string"),
        2: ("generateName", "string"),
        3: ("namespace", "string"),
        4: ("selfLink", "string"),
        5: ("uid", "string"),
        6: ("resourceVersion", "string"),
        7: ("", "skip"),  # generation
        8: ("", "skip"),  # creationTimestamp
        11: ("labels", "map"),
        12: ("annotations", "map"),
        14: ("finalizers", "[string]"),
    },
    "LabelSelector": {1: ("matchLabels", "map")},
    "IntOrString": {1: ("type", "number"), 2: ("number", "number"), 3: ("text", "string")},
    "Namespace": {1: ("metadata", "ObjectMeta"), 2: ("", "skip"), 3: ("", "skip")},
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "map"),
        3: ("binaryData", "map of bytes"),
        4: ("immutable", "bool"),
    },
    "Secret": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "map of bytes"),
        3: ("type", "string"),
        4: ("stringData", "map"),
        5: ("immutable", "bool"),
    },
    "ServiceAccount": {1: ("metadata", "ObjectMeta")},
    "Service": {1: ("metadata", "ObjectMeta"), 2: ("spec", "ServiceSpec"), 3: ("", "skip")},
    "ServiceSpec": {
        1: ("ports", "[ServicePort]"),
        2: ("selector", "map"),
        3: ("clusterIP", "string"),
        4: ("type", "string"),
        5: ("externalIPs", "[string]"),
        7: ("sessionAffinity", "string"),
        8: ("loadBalancerIP", "string"),
        10: ("externalName", "string"),
        11: ("externalTrafficPolicy", "string"),
        12: ("healthCheckNodePort", "number"),
        13: ("publishNotReadyAddresses", "bool"),
        18: ("clusterIPs", "[string]"),
    },
    "ServicePort": {
        1: ("name", "string"),
        2: ("protocol", "string"),
        3: ("port", "number"),
        4: ("targetPort", "IntOrString"),
        5: ("nodePort", "number"),
        6: ("appProtocol", "string"),
    },
    "Deployment": {1: ("metadata", "ObjectMeta"), 2: ("spec", "DeploymentSpec"), 3: ("", "skip")},
    "DeploymentSpec": {
        1: ("replicas", "optional number"),
        2: ("selector", "LabelSelector"),
        3: ("template", "PodTemplateSpec"),
        4: ("strategy", "DeploymentStrategy"),
        5: ("minReadySeconds", "number"),
        6: ("revisionHistoryLimit", "optional number"),
        7: ("paused", "bool"),
        9: ("progressDeadlineSeconds", "optional number"),
    },
    "DeploymentStrategy": {1: ("type", "string")},
    "Job": {1: ("metadata", "ObjectMeta"), 2: ("spec", "JobSpec"), 3: ("", "skip")},
    "JobSpec": {6: ("template", "PodTemplateSpec")},
    "PodTemplateSpec": {1: ("metadata", "ObjectMeta"), 2: ("spec", "PodSpec")},
    "PodSpec": {
        2: ("containers", "[Container]"),
        3: ("restartPolicy", "string"),
        6: ("dnsPolicy", "string"),
        8: ("serviceAccountName", "string"),
        9: ("serviceAccount", "string"),
        10: ("nodeName", "string"),
        11: ("hostNetwork", "bool"),
        12: ("hostPID", "bool"),
        13: ("hostIPC", "bool"),
        16: ("hostname", "string"),
        17: ("subdomain", "string"),
        19: ("schedulerName", "string"),
        24: ("priorityClassName", "string"),
    },
    "Container": {
        1: ("name", "string"),
        2: ("image", "string"),
        3: ("command", "[string]"),
        4: ("args", "[string]"),
        5: ("workingDir", "string"),
        6: ("ports", "[ContainerPort]"),
        7: ("env", "[EnvVar]"),
        8: ("resources", "ResourceRequirements"),
        13: ("terminationMessagePath", "string"),
        14: ("imagePullPolicy", "string"),
        16: ("stdin", "bool"),
        17: ("stdinOnce", "bool"),
        18: ("tty", "bool"),
        20: ("terminationMessagePolicy", "string"),
    },
    "ContainerPort": {
        1: ("name", "string"),
        2: ("hostPort", "number"),
        3: ("containerPort", "number"),
        4: ("protocol", "string"),
        5: ("hostIP", "string"),
    },
    "EnvVar": {1: ("name", "string"), 2: ("value", "string")},
    "ResourceRequirements": {},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "optional number"),
        2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "bool"),
        4: ("propagationPolicy", "string"),
        5: ("dryRun", "[string]"),
    },
    "Preconditions": {1: ("uid", "string"), 2: ("resourceVersion", "string")},
}
"""Message -> number -> (name, type), from the generated.proto files of k8s.io/api 1.36. `skip` is
what the server sets itself. Protobuf writes a zero where JSON leaves the field out, except for
`optional` ones."""


class Undecodable(ValueError):
    """Not protobuf, or a message or field that is not in MESSAGES."""


def decode(body: bytes) -> Obj:
    """The object in a body. Raises Undecodable."""
    if not body.startswith(MAGIC):
        raise Undecodable("no protobuf of Kubernetes")
    try:
        envelope = _message("Unknown", body[len(MAGIC) :])
        kind = envelope["type"]["kind"]
        raw = base64.b64decode(envelope.get("raw", ""))
        return {**envelope["type"], **_message(kind, raw)}
    except (KeyError, IndexError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise Undecodable(f"malformed: {error!r}") from error


def _message(name: str, data: bytes) -> Obj:
    if name not in MESSAGES:
        raise Undecodable(f"{name} in protobuf")
    obj: Obj = {}
    for number, value in _fields(data):
        if number not in MESSAGES[name]:
            raise Undecodable(f"field {number} of {name} in protobuf")
        field, kind = MESSAGES[name][number]
        if kind.startswith("["):
            obj.setdefault(field, []).append(_value(kind[1:-1], value))
        elif kind.startswith("map"):
            entry = dict(_fields(value))
            shown = _value("bytes" if kind == "map of bytes" else "string", entry.get(2, b""))
            obj.setdefault(field, {})[entry.get(1, b"").decode()] = shown
        elif kind != "skip":
            shown = _value(kind, value)
            if shown or kind == "optional number" or field == "targetPort":
                obj[field] = shown
    return obj


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "string":
            return value.decode()
        case "bytes":
            return base64.b64encode(value).decode()
        case "bool":
            return bool(value)
        case "number" | "optional number":
            return value - (1 << 64) if value >> 63 else value
        case "IntOrString":
            either = _message(kind, value)
            return either.get("text", "") if either.get("type") else either.get("number", 0)
        case _:
            return _message(kind, value)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message: numbers as they are, everything else as bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise Undecodable("cut short")
            yield number, data[at : at + length]
            at += length
        else:
            raise Undecodable(f"wire type {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
