"""The objects that the scenarios put into the sandbox, as a user would write them."""

from math import ceil
from typing import Any

Obj = dict[str, Any]

NAMESPACE = "demo-app"
OTHER = "shop"


def namespace(name: str) -> Obj:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def deployment(
    name: str,
    *,
    namespace: str = NAMESPACE,
    replicas: int = 2,
    version: str = "1",
    env: dict[str, str] | None = None,
    behaviour: str = "serve",
    drain: float = 0,
) -> Obj:
    """A Deployment whose container listens on 8080 unless `env` says otherwise."""
    variables = {"LISTEN_ADDR": "0.0.0.0:8080", **(env or {})}
    container: Obj = {
        "name": name,
        "image": f"registry.example/{name}:{version}",
        "env": [{"name": key, "value": value} for key, value in variables.items()],
    }
    if drain:
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": ceil(drain)}}}  # an integer
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {
                    "labels": {"app": name},
                    "annotations": {"sandbox.edgeprobe.dev/behaviour": behaviour},
                },
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 30},
            },
        },
    }


def service(
    name: str,
    *,
    namespace: str = NAMESPACE,
    port: int = 8080,
    target: int = 8080,
    selector: dict[str, str] | None = None,
) -> Obj:
    """A Service; an empty `selector` makes it one with manual EndpointSlices.

    Its port is over 1023, since the sandbox's proxy binds it and has no root.
    """
    spec: Obj = {"ports": [{"port": port, "targetPort": target}]}
    chosen = {"app": name} if selector is None else selector
    if chosen:
        spec["selector"] = chosen
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def manual_slice(name: str, address: str, port: int) -> Obj:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-manual",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "protocol": "TCP", "port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }
