"""A daemon of this process, quicker than its defaults, beside an embedded cluster."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from probe.core.changes import Change
from probe.core.judging import Turn
from probe.daemon import Daemon
from probe.demo.manifests import deployment, namespace, service
from probe.reflector import connect
from probe.sandbox.apiserver import ApiServer
from probe.sandbox.cluster import Cluster
from probe.settings import load
from tests.front import Front, front
from tests.ports import reserved
from tests.running import total, until

QUICK: dict[str, Any] = {
    "listen": "127.0.0.1:0",
    "node_name": "a",
    "interval": 0.5,
    "timeout": 0.5,
    "settle": 0,
    "linger": 0.5,
}

WEB = (deployment("web"), service("web"))
"""A Deployment that serves, behind its Service."""


class Watched:
    """A daemon under test: what it said to its callbacks and over HTTP."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.turns: list[Turn] = []
        self.changes: list[Change] = []
        self.stop = asyncio.Event()
        self.daemon: Daemon
        self.running: asyncio.Task[None]

    async def get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.daemon.port}{path}") as response,
        ):
            return response.status, await response.text()

    async def total(self, name: str, **labels: str) -> float:
        return total((await self.get("/metrics"))[1], name, labels)

    def service(self, name: str) -> dict[str, Any]:
        """What its API says of the Service, {} as long as it does not know it."""
        return self.daemon.service("demo-app", name) or {}

    def verdict(self, name: str) -> str | None:
        return self.service(name).get("verdict")

    async def becomes(self, name: str, verdict: str) -> None:
        await until(lambda: self.verdict(name) == verdict)


@asynccontextmanager
async def watching(cluster: Cluster, folder: Path, **settings: Any) -> AsyncIterator[Watched]:
    cluster.write_kubeconfig(folder / "kubeconfig")
    connection = await connect(str(folder / "kubeconfig"), None, user_agent="edgeprobe/0 (node a)")
    watched = Watched(cluster)
    watched.daemon = Daemon(
        load(QUICK | settings),
        connection,
        turned=watched.turns.append,
        changed=watched.changes.append,
    )
    watched.running = asyncio.create_task(watched.daemon.run(watched.stop))
    try:
        await until(lambda: watched.daemon.port or watched.running.done())
        yield watched
    finally:
        watched.stop.set()
        await asyncio.gather(watched.running)
        await connection.close()


@asynccontextmanager
async def standing(*manifests: dict[str, Any]) -> AsyncIterator[Cluster]:
    async with Cluster() as cluster:
        for each in (namespace("demo-app"), *manifests):
            cluster.apply(each)
        await cluster.settled(within=20)
        yield cluster


async def stop_api(cluster: Cluster, sockets: ExitStack) -> int:
    """Takes the API server away; the port to bring it back on, which nobody else is given."""
    assert cluster.api
    port = int(cluster.api.url.rpartition(":")[2])
    await cluster.api.stop()
    return sockets.enter_context(reserved(port))


async def start_api(cluster: Cluster, port: int) -> ApiServer:
    """A new API server around the same store, as after a restart."""
    api = ApiServer(cluster.store, allocate_cluster_ip=cluster.allocate_cluster_ip)
    await api.start("127.0.0.1", port)
    return api


@asynccontextmanager
async def two_daemons(cluster: Cluster, folder: Path) -> AsyncIterator[tuple[Front, list[Watched]]]:
    """On nodes a and b, with an API server that reaches both as pods."""
    async with AsyncExitStack() as stack:
        ahead = await stack.enter_async_context(front(folder))
        daemons = []
        for node in ("a", "b"):
            (folder / node).mkdir()
            watched = await stack.enter_async_context(
                watching(cluster, folder / node, node_name=node, interval=12)
            )
            daemons.append(watched)
            ahead.pod(node, watched.daemon.port)
        yield ahead, daemons
