"""Real Kubernetes on one machine: control plane, nodes with kube-proxy, pods with real sockets.

`booted` yields one. Everything is in network namespaces of its own (see network.py) and dies with
the test process. The only stand-in is the kubelet (kubelet.py), where no real one is asked for
(machine.py). Services may be dual-stack, and are of IPv4 unless they say so; real kubelets give
their pods IPv4 only.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import image
from tests.cluster.api import UNAVAILABLE, Api, ApiError
from tests.cluster.binaries import WHOLE, need, need_kubelets, need_namespaces
from tests.cluster.control_plane import ControlPlane
from tests.cluster.faults import Faults
from tests.cluster.inside import Inside
from tests.cluster.network import Network, inside_of, own_folder, reap
from tests.cluster.node import HEALTH_PORT, Node
from tests.cluster.processes import Living, living
from tests.running import kubectl, until

PATIENCE = 120.0
"""Seconds until a wait is a failure: twenty times what an idle machine takes."""

LOOK_EVERY = 0.1
"""Seconds between two questions to the API server, while something is waited for."""

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

    def __init__(self, folder: Path, mode: str, nodes: int, *, kubelets: bool = False) -> None:
        self.folder = folder
        self.mode = mode
        self.network = Network(nodes)
        self._count = nodes
        self._images = folder / "images.tar" if kubelets else None
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
                images=self._images,
            )
            for place in self.network.nodes
        ]
        await asyncio.gather(
            plane.start(tuple(node.name for node in self.nodes)), self._start_machines()
        )
        for node in self.nodes:
            node.start_kubelet()
        async with Api(self.kubeconfig) as api:
            await until(lambda: self._addressed(api), PATIENCE)
            for node in self.nodes:
                node.start_proxy()
            await until(lambda: self._settled(api), PATIENCE)

    async def _start_machines(self) -> None:
        if self._images is not None:
            await asyncio.to_thread(image.build, self._images)
            for node in self.nodes:
                assert node.machine is not None
                node.machine.start()

    async def stop(self) -> None:
        for node in self.nodes:
            node.remove()
        if hasattr(self, "control_plane"):
            await self.control_plane.stop()
        self.network.remove()

    def processes(self) -> set[Living]:
        """Everything that runs for it: what is inside its namespaces and its machines."""
        inside = {pid for name in self.network.namespaces() for pid in inside_of(name)}
        inside.update(*(node.machine.processes() for node in self.nodes if node.machine))
        return {found for pid in inside if (found := living(pid)) is not None}

    async def kubectl(self, *arguments: str) -> str:
        """What a stock kubectl printed, as admin; fails the test where kubectl fails."""
        return await kubectl(self.kubeconfig, *arguments, seconds=PATIENCE + 10)

    async def make_space(self, name: str) -> None:
        """A new Kubernetes namespace, in which pods can be made once this returns."""
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        async with Api(self.kubeconfig) as api:
            await api.request("POST", "/api/v1/namespaces", made)
            account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
            await until(lambda: _exists(api, account), PATIENCE)

    async def drop_space(self, name: str) -> None:
        """Deletes that namespace, and does not wait for its end."""
        async with Api(self.kubeconfig) as api:
            await api.request("DELETE", f"/api/v1/namespaces/{name}")

    async def is_free(self, name: str) -> None:
        """Waits until no Kubernetes namespace of that name is there: one may be on its way out."""
        async with Api(self.kubeconfig) as api:

            async def gone() -> bool:
                return not await _exists(api, f"/api/v1/namespaces/{name}")

            await until(gone, PATIENCE, every=LOOK_EVERY)

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
        seconds = f"--timeout={PATIENCE:.0f}s"
        await self.kubectl("rollout", "status", workload, "-n", space, seconds)

    async def ready_addresses(self, service: str, space: str = "default") -> set[str]:
        """The addresses that the Service's EndpointSlices call ready."""
        async with Api(self.kubeconfig) as api:
            return await _ready_addresses(api, service, space)

    async def has_endpoints(self, service: str, count: int, space: str = "default") -> set[str]:
        """Waits until so many are ready; their addresses."""

        found: set[str] = set()
        async with Api(self.kubeconfig) as api:

            async def asked() -> bool:
                nonlocal found
                found = await _ready_addresses(api, service, space)
                return len(found) == count

            await until(asked, PATIENCE, every=LOOK_EVERY)
        return found

    async def cluster_ip(self, service: str, space: str = "default") -> str:
        """Its first or only one."""
        return (await self.cluster_ips(service, space))[0]

    async def cluster_ips(self, service: str, space: str = "default") -> list[str]:
        """One for each of its families."""
        found = await self._get(f"/api/v1/namespaces/{space}/services/{service}")
        addresses: list[str] = found["spec"]["clusterIPs"]
        return addresses

    async def connects(self, *services: str, space: str, node: int = 0) -> None:
        """Waits until port 80 of their ClusterIPs connects from that node, as kube-proxy there
        follows."""
        inside = self.nodes[node].inside
        for name in services:
            address = await self.cluster_ip(name, space)
            await until(partial(inside.connects, address, 80), PATIENCE)

    async def usable(self) -> None:
        """Waits until pods may be put on every node again, as after a fault."""
        async with Api(self.kubeconfig) as api:
            await until(lambda: self._settled(api), PATIENCE)

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
        async with Api(self.kubeconfig) as api:
            return await _exists(api, path)

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


async def _exists(api: Api, path: str) -> bool:
    with suppress(ApiError):
        return bool(await api.request("GET", path))
    return False


async def _ready_addresses(api: Api, service: str, space: str) -> set[str]:
    selector = {"labelSelector": f"kubernetes.io/service-name={service}"}
    path = f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices"
    slices = (await api.request("GET", path, **selector))["items"]
    return {
        address
        for each in slices
        for endpoint in each.get("endpoints") or ()
        if endpoint["conditions"].get("ready")
        for address in endpoint["addresses"]
    }


@asynccontextmanager
async def booted(mode: str, nodes: int = 2, *, kubelets: bool = False) -> AsyncIterator[Cluster]:
    """A cluster whose kube-proxies are in that mode, iptables or nftables, and whose `kubelets` may
    be real; skips the test where it cannot be. What earlier processes left behind is removed first.
    """
    need(*WHOLE)
    need_namespaces(mode)
    if kubelets:
        need_kubelets()
    reap()
    with own_folder() as folder:
        cluster = Cluster(folder, mode, nodes, kubelets=kubelets)
        try:
            await cluster.start()
            yield cluster
        finally:
            await cluster.stop()
