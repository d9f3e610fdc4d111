"""Real Kubernetes on one machine: control plane, nodes with kube-proxy, pods with real sockets.

`booted` yields one. Everything is in network namespaces of its own (see network.py) and dies with
the test process. The only stand-in is the kubelet (kubelet.py). IPv4 only: for dual stack the
namespaces need a second set of addresses and routes, API server, controller-manager and kube-proxy
a second range each, and the kubelet a second podIP.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.api import UNAVAILABLE, Api, ApiError
from tests.cluster.binaries import WHOLE, need, need_namespaces
from tests.cluster.control_plane import ControlPlane
from tests.cluster.faults import Faults
from tests.cluster.inside import Inside
from tests.cluster.network import Network, inside_of, own_folder, reap
from tests.cluster.node import HEALTH_PORT, Node
from tests.running import kubectl, until

PATIENCE = 120.0
"""Seconds until a wait is a failure: twenty times what an idle machine takes."""

Manifest = dict[str, Any]


@dataclass(frozen=True)
class RunningPod:
    """A pod as a test handles it: where it is, and what may be done to it."""

    name: str
    address: str
    node: str
    ready: bool
    faults: Faults
    inside: Inside
    logs: Path

    def log(self, container: str) -> Path:
        """What that container printed, all its lives in one file."""
        return self.logs / f"{self.name}-{container}.log"


class Cluster:
    """`nodes[0]` is node1. The control plane may be killed and started: see ApiServer."""

    def __init__(self, folder: Path, mode: str, nodes: int) -> None:
        self.folder = folder
        self.mode = mode
        self.network = Network(nodes)
        self._count = nodes
        self.nodes: list[Node] = []

    @property
    def kubeconfig(self) -> Path:
        """For out here: that of an admin."""
        return self.control_plane.kubeconfig

    @property
    def inner_kubeconfig(self) -> Path:
        """The same for a program inside a node or a pod."""
        plane = self.control_plane
        return plane.credentials.kubeconfig(plane.place.url, "admin", "admin-inside")

    async def start(self) -> None:
        """Returns when nodes are Ready and kube-proxies healthy: after 6 to 9 s on an idle machine
        of two cores."""
        self.network.make()
        self.control_plane = plane = ControlPlane(self.folder, self.network.control_plane)
        self.nodes = [
            Node(
                self.network,
                place,
                mode=self.mode,
                api=plane.place.url,
                credentials=plane.credentials,
                folder=self.folder,
            )
            for place in self.network.nodes
        ]
        await plane.start(tuple(node.name for node in self.nodes))
        for node in self.nodes:
            node.start_kubelet()
        async with Api(self.kubeconfig) as api:
            await until(lambda: self._addressed(api), PATIENCE)
            for node in self.nodes:
                node.start_proxy()
            await until(lambda: self._settled(api), PATIENCE)

    async def stop(self) -> None:
        for node in self.nodes:
            node.proxy.kill()
            node.kubelet.kill()
        if hasattr(self, "control_plane"):
            await self.control_plane.stop()
        self.network.remove()

    def processes(self) -> list[int]:
        """Everything that runs for it: what is inside its namespaces."""
        return [pid for name in self.network.namespaces() for pid in inside_of(name)]

    async def kubectl(self, *arguments: str) -> str:
        """What a stock kubectl printed, as admin; fails the test where kubectl fails."""
        return await kubectl(self.kubeconfig, *arguments)

    async def make_space(self, name: str) -> None:
        """A new Kubernetes namespace, in which pods can be made once this returns."""
        await self.kubectl("create", "namespace", name)
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        await until(lambda: self.exists(account), PATIENCE)

    async def apply(self, *manifests: str | Manifest, space: str = "default") -> None:
        """`kubectl apply` of YAML or of objects."""
        documents: list[Manifest] = []
        for manifest in manifests:
            found = yaml.safe_load_all(manifest) if isinstance(manifest, str) else [manifest]
            documents += [each for each in found if each]
        path = self.folder / "applied.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
        await self.kubectl("apply", "-n", space, "-f", str(path))

    async def rolled_out(self, workload: str, space: str = "default") -> None:
        """Waits for `kubectl rollout status`, of deployment/web and the like."""
        await self.kubectl("rollout", "status", workload, "-n", space, "--timeout=50s")

    async def ready_addresses(self, service: str, space: str = "default") -> set[str]:
        """The addresses that the Service's EndpointSlices call ready."""
        selector = {"labelSelector": f"kubernetes.io/service-name={service}"}
        path = f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices"
        async with Api(self.kubeconfig) as api:
            slices = (await api.request("GET", path, **selector))["items"]
        return {
            address
            for each in slices
            for endpoint in each.get("endpoints") or ()
            if endpoint["conditions"].get("ready")
            for address in endpoint["addresses"]
        }

    async def has_endpoints(self, service: str, count: int, space: str = "default") -> set[str]:
        """Waits until so many are ready; their addresses."""

        found: set[str] = set()

        async def asked() -> bool:
            nonlocal found
            found = await self.ready_addresses(service, space)
            return len(found) == count

        await until(asked, PATIENCE)
        return found

    async def cluster_ip(self, service: str, space: str = "default") -> str:
        found = await self._get(f"/api/v1/namespaces/{space}/services/{service}")
        address: str = found["spec"]["clusterIP"]
        return address

    async def connects(self, *services: str, space: str, node: int = 0) -> None:
        """Waits until port 80 of their ClusterIPs connects from that node, as kube-proxy there
        follows."""
        targets = [f"{await self.cluster_ip(name, space)}:80" for name in services]

        async def asked() -> bool:
            dialed = await self.nodes[node].inside.probe("check", "addr", *targets)
            return dialed.code == 0

        await until(asked, PATIENCE)

    async def pods(self, selector: str = "", space: str = "default") -> list[RunningPod]:
        """Those that have an address and are not being deleted, by name."""
        async with Api(self.kubeconfig) as api:
            path = f"/api/v1/namespaces/{space}/pods"
            items = (await api.request("GET", path, labelSelector=selector))["items"]
        return sorted(
            (
                self._pod(item)
                for item in items
                if item["status"].get("podIP") and "deletionTimestamp" not in item["metadata"]
            ),
            key=lambda pod: pod.name,
        )

    def _pod(self, item: Manifest) -> RunningPod:
        namespace = self.network.pod(item["metadata"]["uid"])
        return RunningPod(
            name=item["metadata"]["name"],
            address=item["status"]["podIP"],
            node=item["spec"]["nodeName"],
            ready=any(
                c["type"] == "Ready" and c["status"] == "True"
                for c in item["status"].get("conditions", ())
            ),
            faults=Faults(namespace),
            inside=Inside(namespace, self.folder),
            logs=self.folder / item["spec"]["nodeName"],
        )

    async def exists(self, path: str) -> bool:
        """Whether the API server has an object at that path."""
        with suppress(ApiError):
            return bool(await self._get(path))
        return False

    async def _get(self, path: str) -> Any:
        async with Api(self.kubeconfig) as api:
            return await api.request("GET", path)

    async def _addressed(self, api: Api) -> bool:
        """Whether every Node is registered with its address, which kube-proxy asks for."""
        for node in self.nodes:
            node.kubelet.check()
        found = (await api.request("GET", "/api/v1/nodes"))["items"]
        return sum("addresses" in item["status"] for item in found) == self._count

    async def _settled(self, api: Api) -> bool:
        """Whether pods may be put on every node and kube-proxy has written its rules there."""
        with suppress(*UNAVAILABLE):
            for node in self.nodes:
                node.proxy.check()
                found = await api.request("GET", f"/api/v1/nodes/{node.name}")
                if found["spec"].get("taints"):
                    return False
                where = f"/api/v1/nodes/http:{node.name}:{HEALTH_PORT}/proxy/healthz"
                await api.request("GET", where)
            path = "/api/v1/namespaces/default/serviceaccounts/default"
            return bool(await api.request("GET", path))
        return False


@asynccontextmanager
async def booted(mode: str, nodes: int = 2) -> AsyncIterator[Cluster]:
    """A cluster whose kube-proxies are in that mode, iptables or nftables; skips the test where it
    cannot be. What earlier processes left behind is removed first."""
    need(*WHOLE)
    need_namespaces(mode)
    reap()
    with own_folder() as folder:
        cluster = Cluster(folder, mode, nodes)
        try:
            await cluster.start()
            yield cluster
        finally:
            await cluster.stop()
