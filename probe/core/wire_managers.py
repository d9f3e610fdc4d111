"""The fields that are kept of managedFields: who wrote an object, and which parts of its spec that
are read here are his. As in `wire`, in the API's own names."""

from dataclasses import dataclass
from typing import TypedDict


class Owned(TypedDict):
    """A field that is somebody's; which parts of it are is dropped unread."""


# FieldsV1 (k8s.io/apimachinery/pkg/apis/meta/v1): "f:" and a field's name, "k:" and a list item's
# keys, each an object that holds the same for what is below it.
Variable = TypedDict("Variable", {"f:value": Owned}, total=False)
Container = TypedDict(
    "Container", {"f:env": dict[str, Variable], "f:command": Owned, "f:args": Owned}, total=False
)
PodSpec = TypedDict(
    "PodSpec",
    {"f:containers": dict[str, Container], "f:initContainers": dict[str, Container]},
    total=False,
)
Template = TypedDict("Template", {"f:spec": PodSpec}, total=False)
Spec = TypedDict(
    "Spec",
    {
        # A Service's.
        "f:type": Owned,
        "f:clusterIP": Owned,
        "f:clusterIPs": Owned,
        "f:ports": Owned,
        "f:selector": Owned,
        "f:publishNotReadyAddresses": Owned,
        "f:internalTrafficPolicy": Owned,
        # A workload's.
        "f:replicas": Owned,
        "f:paused": Owned,
        "f:template": Template,
        # A Node's.
        "f:unschedulable": Owned,
        "f:taints": Owned,
        # A NetworkPolicy's.
        "f:podSelector": Owned,
        "f:policyTypes": Owned,
        "f:ingress": Owned,
        "f:egress": Owned,
    },
    total=False,
)
Fields = TypedDict("Fields", {"f:spec": Spec}, total=False)


@dataclass(frozen=True, slots=True)
class Manager:
    manager: str = ""
    time: str = ""
    subresource: str = ""
    fieldsV1: Fields | None = None
