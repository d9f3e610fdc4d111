"""The Services of the soak: ten and more shapes that a daemon meets in a cluster, all healthy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.soak.client import Client, Object

SPACE = "shop"

LISTENER = "probe.test/listener"

DRAIN = 12
"""Seconds that a pod goes on serving while it ends: longer than any kube-proxy here is behind."""

READY = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}

SLEEPS = {"preStop": {"sleep": {"seconds": DRAIN}}}

AT_ONE_TIME = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@dataclass(frozen=True)
class Shape:
    """One Service and the workload behind it, which has its name, unless another one's pods are
    meant by `pods`.

    `least` and `most` are the replicas between which it is scaled. `single` says that its pods
    listen on one port only, which alone can then be meant by a wrong targetPort.
    """

    name: str
    kind: str = "Deployment"
    replicas: int = 2
    least: int = 2
    most: int = 4
    single: bool = True
    drains: bool = True
    pods: str = ""
    service: Mapping[str, Any] = field(default_factory=dict)
    container: Mapping[str, Any] = field(default_factory=lambda: {"lifecycle": SLEEPS})
    workload: Mapping[str, Any] = field(default_factory=dict)

    @property
    def app(self) -> str:
        """The label of its pods; empty where it has none."""
        return self.pods or (self.name if self.kind else "")

    @property
    def runs(self) -> bool:
        """Whether it has a workload of its own."""
        return bool(self.kind)

    def manifests(self) -> list[Object]:
        """The workload first, if it has one."""
        return [*([self._workload()] if self.runs else []), self._service()]

    def _service(self) -> Object:
        ports: list[Object] = [{"port": 80, "targetPort": 8080}]
        spec: Object = {"ports": ports}
        if self.app:
            spec["selector"] = {"app": self.app}
        named = {"kind": "Service", "metadata": {"name": self.name}}
        return {"apiVersion": "v1", **named, "spec": {**spec, **self.service}}

    def main_container(self) -> Object:
        return {
            "name": "main",
            "image": LISTENER,
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": READY,
            **self.container,
        }

    def _workload(self) -> Object:
        spec = {"terminationGracePeriodSeconds": 30, "containers": [self.main_container()]}
        template = {"metadata": {"labels": {"app": self.name}}, "spec": spec}
        selector = {"selector": {"matchLabels": {"app": self.name}}, "template": template}
        counted = {} if self.kind == "DaemonSet" else {"replicas": self.replicas}
        named = {"kind": self.kind, "metadata": {"name": self.name}}
        return {"apiVersion": "apps/v1", **named, "spec": {**selector, **counted, **self.workload}}


def _ports(*pairs: tuple[int, int | str]) -> list[Object]:
    return [
        {"name": f"p{port}", "port": port, "targetPort": target, "protocol": "TCP"}
        for port, target in pairs
    ]


TWO_PORTS = [
    {"name": "http", "containerPort": 8080},
    {"name": "admin", "containerPort": 9090},
]

SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("web", replicas=3, most=5),
        Shape("internal", kind="", pods="web", service={"ports": _ports((8080, 8080))}),
        Shape("api", service={"ports": _ports((80, "http"))}),
        Shape(
            "multi",
            single=False,
            service={
                "ports": [
                    *_ports((80, 8080), (81, "admin")),
                    {"name": "udp", "port": 53, "protocol": "UDP"},
                ]
            },
            container={
                "env": [{"name": "PORT", "value": "8080,9090"}],
                "ports": TWO_PORTS,
                "lifecycle": SLEEPS,
            },
        ),
        Shape("solo", replicas=1, least=1, most=2, workload={"strategy": AT_ONE_TIME}),
        Shape("sticky", service={"sessionAffinity": "ClientIP"}),
        Shape(
            "slow",
            container={
                "env": [{"name": "TERM_DELAY", "value": f"{DRAIN}"}],
                "readinessProbe": {**READY, "initialDelaySeconds": 5},
            },
        ),
        Shape(
            "shards",
            kind="StatefulSet",
            replicas=3,
            service={"clusterIP": "None"},
            workload={"serviceName": "shards"},
        ),
        Shape(
            "members",
            kind="StatefulSet",
            service={"clusterIP": "None", "publishNotReadyAddresses": True},
            container={
                "lifecycle": SLEEPS,
                "readinessProbe": {**READY, "initialDelaySeconds": 5},
            },
            workload={"serviceName": "members"},
        ),
        Shape(
            "local",
            kind="DaemonSet",
            service={"internalTrafficPolicy": "Local"},
            workload={"updateStrategy": AT_ONE_TIME},
        ),
        Shape("idle", replicas=0, least=0, most=2),
        Shape("external", kind="", replicas=0),
        Shape("careless", drains=False, container={}),
    )
}
"""By name. `external` has no selector, but a slice that somebody wrote."""

DRAINING = tuple(name for name, shape in SHAPES.items() if shape.kind and shape.drains)
"""Those with a workload whose pods end as they should."""


async def set_up(client: Client, address: str, port: int) -> None:
    """Makes all. `external` leads to that address, where something listens."""
    for shape in SHAPES.values():
        for manifest in shape.manifests():
            await client.create(manifest)
    await client.create(manual_slice("external", address, port))
    for shape in SHAPES.values():
        if shape.runs:
            await client.rolled_out(shape.kind, shape.name)


def budgets() -> list[Object]:
    """What keeps drains from taking all pods of a workload at once; those of a single one would
    keep them from taking any."""
    return [
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": shape.name},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": shape.name}}},
        }
        for shape in SHAPES.values()
        if shape.runs and shape.drains and shape.least > 1
    ]


def manual_slice(service: str, address: str, port: int) -> Object:
    """What a person writes for something outside of the cluster."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }
