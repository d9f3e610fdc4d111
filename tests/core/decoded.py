"""Facts decoded from objects as the API server sends them."""

import json
from typing import Any

import msgspec

from probe.core import kube
from probe.core.workloads import Workload

RESOURCES = {resource.name: resource for resource in kube.RESOURCES}
META = {"name": "backend-v1", "namespace": "demo-app"}


def fact(resource: str, obj: dict[str, Any]) -> Any:
    """The fact of an object as the API server sends it."""
    found = RESOURCES[resource]
    return found.fact(msgspec.json.decode(json.dumps(obj).encode(), type=found.wire))


def workload(
    resource: str = "deployments", *, pod: Any = None, status: Any = None, **spec: Any
) -> Workload:
    template = {"spec": pod if pod is not None else {}}
    meta = {**META, "generation": 2}
    found = fact(
        resource, {"metadata": meta, "spec": {"template": template, **spec}, "status": status}
    )
    assert isinstance(found, Workload)
    return found
