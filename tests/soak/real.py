"""Real Kubernetes, and the DaemonSet as it is shipped."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.cluster.api import Api, ApiError
from tests.cluster.cluster import Cluster, RunningPod, booted
from tests.cluster.network import CONTROL_PLANE
from tests.cluster.node import Node
from tests.cluster.processes import ROOT
from tests.cluster.relay import Relay
from tests.namespaces import inside, run
from tests.running import total
from tests.soak import shop
from tests.soak.client import AGAIN, Client, Object, Trouble
from tests.soak.ground import Strike
from tests.soak.logs import Logs

SPACE = "edgeprobe"
SHIPPED = ROOT / "deploy" / "probe.yaml"

ANSWER_SECONDS = 5.0

CANARY = "canary"
"""A Service that nobody dials, to see by its port when a proxy follows."""

RULES = {
    "iptables": ("iptables-save",),
    "nftables": ("nft", "list", "table", "ip", "kube-proxy"),
}
"""By mode of kube-proxy, the command that lists its rules."""


class Real:
    """A Ground."""

    lacks: frozenset[str] = frozenset()

    def __init__(self, cluster: Cluster, api: Api, logs: Logs, interval: float) -> None:
        self.client = Client(api, shop.SPACE)
        self._cluster = cluster
        self._own = Client(api, SPACE)
        self._logs = logs
        self._interval = interval
        self._read: dict[Path, int] = {}
        self._pods: dict[str, Object] = {}
        self._relays: dict[str, Relay] = {}
        self._dials: dict[str, float] = {}
        self._struck: dict[str, RunningPod] = {}
        self._flights = 0

    @property
    def name(self) -> str:
        nodes, mode = len(self._cluster.nodes), self._cluster.mode
        return f"real Kubernetes of {nodes} nodes, kube-proxy in {mode} mode"

    @property
    def nodes(self) -> list[str]:
        return [node.name for node in self._cluster.nodes]

    @property
    def dials(self) -> int:
        return round(sum(self._dials.values()))

    async def set_up(self) -> None:
        await self._cluster.make_space(shop.SPACE)
        for budget in shop.budgets():
            await self.client.create(budget)
        await shop.set_up(self.client, CONTROL_PLANE, 6443)
        await self._cluster.apply(*self._manifests(), space=SPACE)
        await self.client.create(self._canary())
        await self._daemons_stand()

    def _canary(self) -> Object:
        annotations = {"edgeprobe.dev/probe": "false"}
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": CANARY, "annotations": annotations},
            "spec": {"ports": [self._canary_port]},
        }

    def _manifests(self) -> Iterator[Object]:
        """As shipped, but for the interval, and for telling each turn: those that are part of an
        incident are for debugging."""
        for each in yaml.safe_load_all(SHIPPED.read_text()):
            if each["kind"] == "DaemonSet":
                (container,) = each["spec"]["template"]["spec"]["containers"]
                more = {"PROBE_INTERVAL": f"{self._interval:g}", "PROBE_LOG_LEVEL": "debug"}
                container["env"] += [{"name": k, "value": v} for k, v in more.items()]
            yield each

    async def restart_daemons(self) -> None:
        """A rollout of their DaemonSet."""
        found = await self._own.get("DaemonSet", "edgeprobe")
        annotations = {"soak/rolled": str(found["metadata"]["generation"])}
        template = {"metadata": {"annotations": annotations}}
        await self._own.patch("DaemonSet", "edgeprobe", {"spec": {"template": template}})
        await self._daemons_stand()

    async def _daemons_stand(self) -> None:
        await self._own.rolled_out("DaemonSet", "edgeprobe")
        await self._meet()

    async def _meet(self) -> None:
        found = await self._own.pods("app.kubernetes.io/name=edgeprobe")
        pods = [pod for pod in found if pod["status"].get("podIP")]
        self._pods = {pod["spec"]["nodeName"]: pod for pod in pods}

    def look(self) -> None:
        for path in self._cluster.folder.glob("node*/edgeprobe-*-probe.log"):
            with path.open("rb") as log:
                log.seek(self._read.get(path, 0))
                new = log.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            for line in whole.decode(errors="replace").splitlines():
                self._logs.hear(path.parent.name, line)

    async def count(self) -> None:
        for pod in list(self._pods.values()):
            page = await self._get(pod, "/metrics")
            if page is not None:
                self._dials[pod["metadata"]["name"]] = total(page, "edgeprobe_dials_total", {})

    async def document(self, node: str, namespace: str, service: str) -> Any:
        text = await self._get(self._pods[node], f"/api/v1/services/{namespace}/{service}")
        return None if text is None else json.loads(text)

    async def _get(self, pod: Object, path: str) -> str | None:
        """From the pod's own node, so that no cable lies between."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            port = self._relay(pod).port
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://127.0.0.1:{port}{path}") as answer,
            ):
                return await answer.text() if answer.ok else None
        return None

    def _relay(self, pod: Object) -> Relay:
        name, address = pod["metadata"]["name"], pod["status"]["podIP"]
        if name not in self._relays:
            node = self._node(pod["spec"]["nodeName"])
            self._relays[name] = Relay(node.namespace, address, 9797, self._cluster.folder)
        return self._relays[name]

    async def close(self) -> None:
        for relay in self._relays.values():
            relay.close()

    def _node(self, name: str) -> Node:
        return next(node for node in self._cluster.nodes if node.name == name)

    async def stop_api(self) -> None:
        await self._cluster.control_plane.kill_api_server()

    async def start_api(self) -> None:
        await self._cluster.control_plane.start_api_server()

    async def stop_proxy(self, node: str) -> None:
        await self._node(node).proxy.stop()

    async def start_proxy(self, node: str) -> None:
        self._node(node).proxy.start()

    async def proxies_follow(self) -> dict[str, float]:
        began = asyncio.get_running_loop().time()
        self._flights += 1
        await self.client.patch("Service", CANARY, {"spec": {"ports": [self._canary_port]}})
        found = await asyncio.gather(*map(self._follows, self._cluster.nodes))
        return {node.name: at - began for node, at in zip(self._cluster.nodes, found, strict=True)}

    @property
    def _canary_port(self) -> Object:
        return {"name": "flown", "port": 50_000 + self._flights}

    async def _follows(self, node: Node) -> float:
        """When that node's rules name the canary's port."""
        port, command = str(self._canary_port["port"]), RULES[self._cluster.mode]

        def there() -> bool:
            with inside(node.namespace):
                return port in re.findall(r"\b\d+\b", run(*command))

        while True:
            if await asyncio.to_thread(there):
                return asyncio.get_running_loop().time()
            await asyncio.sleep(AGAIN)

    async def evict(self, pod: str) -> None:
        """Waits for budgets: the client asks again after a 429."""
        meta = {"name": pod, "namespace": shop.SPACE}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
        try:
            await self.client.request("POST", f"{self.client.path('Pod', pod)}/eviction", body)
        except ApiError as failed:
            if failed.status != 404:
                raise

    async def strike(self, pods: Iterable[str], strike: Strike) -> None:
        await self._meet()
        sources = [pod["status"]["podIP"] for pod in self._pods.values()]
        there = {pod.name: pod for pod in await self._cluster.pods(space=shop.SPACE)}
        for name in pods:
            if name not in there:
                raise Trouble(f"pod {name} has gone meanwhile")
            self._struck[name] = there[name]
            for source in sources:
                getattr(there[name].faults, strike)(source)

    async def heal(self, pods: Iterable[str]) -> None:
        for name in pods:
            if name in self._struck:
                self._struck.pop(name).faults.heal()

    def cut_off(self, node: str) -> None:
        self._node(node).cut_off()

    def rejoin(self, node: str) -> None:
        self._node(node).rejoin()


@asynccontextmanager
async def real(logs: Logs, interval: float, nodes: int, mode: str) -> AsyncIterator[Real]:
    async with booted(mode, nodes) as cluster, Api(cluster.kubeconfig) as api:
        ground = Real(cluster, api, logs, interval)
        try:
            yield ground
        finally:
            await ground.close()
