"""The embedded cluster on loopback: needs no root and no binaries, and lacks what has to do with
nodes and packets."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from probe.sandbox.cluster import Cluster
from tests.cluster.api import ApiError
from tests.cluster.relay import Gate
from tests.ports import reserved
from tests.running import Daemon, daemon
from tests.soak import shop
from tests.soak.client import Client
from tests.soak.ground import Strike
from tests.soak.logs import Logs
from tests.soak.names import OF_NODES_AND_PACKETS

SERVER = "http://127.0.0.1"


class Asked:
    """The sandbox's API, through the gate."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._port = port

    async def request(self, method: str, path: str, body: object = None, patch: str = "") -> Any:
        async with self._session.request(
            method,
            f"{SERVER}:{self._port}{path}",
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": patch or "application/json"},
        ) as answer:
            text = await answer.text()
            if not answer.ok:
                raise ApiError(answer.status, f"{method} {path}: {text}")
            return json.loads(text)


class Embedded:
    """A Ground."""

    name = "the embedded cluster"
    lacks = OF_NODES_AND_PACKETS

    def __init__(
        self, cluster: Cluster, gate: Gate, asked: Asked, config: Path, logs: Logs, *flags: str
    ) -> None:
        self.client = Client(asked, shop.SPACE)
        self._cluster = cluster
        self._gate = gate
        self._config = config
        self._logs = logs
        self._flags = flags
        self._stacks: dict[str, AsyncExitStack] = {}
        self._daemons: dict[str, Daemon] = {}
        self._read: dict[str, int] = {}
        self._dials: dict[int, float] = {}

    @property
    def nodes(self) -> list[str]:
        return ["node-1", "node-2"]

    @property
    def dials(self) -> int:
        return round(sum(self._dials.values()))

    async def set_up(self) -> None:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop.SPACE}}
        self._cluster.apply(space)
        await shop.set_up(self.client, "192.0.2.1", 80)
        for node in self.nodes:
            await self._start(node)

    async def _start(self, node: str) -> None:
        stack = self._stacks[node] = AsyncExitStack()
        running = daemon(self._config, *self._flags, "--vantage", "local", node=node)
        self._read[node] = 0
        self._daemons[node] = await stack.enter_async_context(running)

    async def restart_daemons(self) -> None:
        for node in self.nodes:
            await self._stacks[node].aclose()
            self.look()
            await self._start(node)

    def look(self) -> None:
        for node, running in self._daemons.items():
            lines = running.command.lines
            new, self._read[node] = lines[self._read[node] :], len(lines)
            for line in new:
                self._logs.hear(node, line)

    async def count(self) -> None:
        for running in list(self._daemons.values()):
            try:
                pid = running.command.process.pid
                self._dials[pid] = await running.value("edgeprobe_dials_total")
            except aiohttp.ClientError:
                continue  # it is being restarted

    async def document(self, node: str, namespace: str, service: str) -> Any:
        return await self._daemons[node].json(f"/api/v1/services/{namespace}/{service}")

    async def close(self) -> None:
        for stack in self._stacks.values():
            await stack.aclose()

    async def stop_api(self) -> None:
        await self._gate.shut()

    async def start_api(self) -> None:
        await self._gate.open()

    async def proxies_follow(self) -> dict[str, float]:
        return dict.fromkeys(self.nodes, 0.0)  # they hear of a change when it is made

    async def evict(self, pod: str) -> None:
        raise NotImplementedError  # it has no evictions and no budgets

    async def stop_proxy(self, node: str) -> None:
        raise NotImplementedError

    async def start_proxy(self, node: str) -> None:
        raise NotImplementedError

    async def strike(self, pods: Iterable[str], strike: Strike) -> None:
        raise NotImplementedError

    async def heal(self, pods: Iterable[str]) -> None:
        raise NotImplementedError

    def cut_off(self, node: str) -> None:
        raise NotImplementedError

    def rejoin(self, node: str) -> None:
        raise NotImplementedError


@asynccontextmanager
async def embedded(logs: Logs, interval: float) -> AsyncIterator[Embedded]:
    nodes = ("node-1", "node-2")
    with tempfile.TemporaryDirectory() as folder, reserved() as port:
        async with Cluster(nodes) as cluster, aiohttp.ClientSession() as session:
            assert cluster.api is not None
            config = Path(folder, "kubeconfig")
            cluster.write_kubeconfig(config)
            gate = Gate(port, int(cluster.api.url.rpartition(":")[2]))
            await gate.open()
            _lead_to(config, cluster.api.url, f"{SERVER}:{gate.port}")
            asked = Asked(session, gate.port)
            flags = ("--interval", f"{interval:g}", "--log-level", "debug")
            ground = Embedded(cluster, gate, asked, config, logs, *flags)
            try:
                yield ground
            finally:
                await ground.close()
                await asyncio.wait_for(gate.shut(), 5)


def _lead_to(config: Path, server: str, other: str) -> None:
    config.write_text(config.read_text().replace(server, other))
