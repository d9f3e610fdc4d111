"""The scale subresource: a workload's replicas as autoscaling/v1 Scale."""

from typing import Any

from probe.sandbox import selectors
from probe.sandbox.resources import Resource

Obj = dict[str, Any]

SCALE = Resource("autoscaling", "Scale", "scales")


def scale_of(workload: Obj) -> Obj:
    """The Scale of a Deployment, ReplicaSet or StatefulSet."""
    meta, spec = workload["metadata"], workload["spec"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: meta[field] for field in kept if field in meta},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {
            "replicas": workload.get("status", {}).get("replicas", 0),
            "selector": selectors.text(spec.get("selector")),
        },
    }


def rescaled(workload: Obj, scale: Obj) -> Obj:
    """The workload with the Scale's replicas, under the Scale's resourceVersion if it has one."""
    version = (scale.get("metadata") or {}).get("resourceVersion")
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    return {
        **workload,
        "metadata": {**workload["metadata"], **({"resourceVersion": version} if version else {})},
        "spec": {**workload["spec"], "replicas": replicas},
    }
