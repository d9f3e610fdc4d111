"""An API server with nothing behind it but pods that carry the daemons' label, for those who ask
them: real daemons, or stand-ins that answer as no daemon of ours would."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from probe import vantages
from probe.check import Selection
from probe.core.merging import Json
from probe.demo.manifests import service
from probe.reflector import Connection, connect
from probe.sandbox.apiserver import ApiServer
from probe.sandbox.store import Store
from probe.settings import Settings, load
from probe.vantages import from_nodes
from tests.core.documents import told

CART = Selection("shop", "cart")
HERE = "127.0.0.1"


@dataclass
class Front:
    """The API server that is asked, with nothing behind it but the daemons' pods."""

    api: ApiServer
    store: Store
    connection: Connection
    settings: Settings = field(default_factory=lambda: load({"vantage": "local"}))

    def pod(
        self, node: str, port: int, *, where: str = "edgeprobe", address: str = HERE, **status: Any
    ) -> None:
        """A daemon's pod on that node, Ready unless its status says otherwise."""
        ready = [{"type": "Ready", "status": "True"}]
        self.store.create(
            "pods",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"edgeprobe-{node}",
                    "namespace": where,
                    "labels": {"app.kubernetes.io/name": "edgeprobe"},
                },
                "spec": {
                    "nodeName": node,
                    "containers": [
                        {"name": "probe", "ports": [{"name": "http", "containerPort": port}]}
                    ],
                },
                "status": {"phase": "Running", "podIP": address, "conditions": ready, **status},
            },
            manager="kubelet",
        )

    def service(self, name: str, space: str = "shop", **labels: str) -> None:
        made = service(name, namespace=space)
        made["metadata"]["labels"] = labels
        self.store.create("services", made, manager="kubectl")

    async def ask(self, selection: Selection = CART, node: str | None = None) -> vantages.Asked:
        return await from_nodes(self.connection, self.settings, selection, node)


@asynccontextmanager
async def front(folder: Path) -> AsyncIterator[Front]:
    store = Store()
    api = ApiServer(store)
    await api.start(HERE, 0)
    config = {
        "clusters": [{"name": "front", "cluster": {"server": api.url}}],
        "contexts": [{"name": "front", "context": {"cluster": "front"}}],
        "current-context": "front",
    }
    path = folder / "front"
    path.write_text(json.dumps(config))
    connection = await connect(str(path), None, user_agent="test")
    try:
        yield Front(api, store, connection)
    finally:
        await connection.close()
        await api.stop()


Answer = Callable[[web.Request], Awaitable[web.Response]]


async def alive(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def hangs(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


@asynccontextmanager
async def answering(answer: Answer, live: Answer = alive) -> AsyncIterator[int]:
    """The port of a stand-in for a daemon; `live` is what it says at /livez."""
    app = web.Application()
    app.router.add_get("/livez", live)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, HERE, 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def says(document: Json, status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(document, status=status, headers=headers)

    return answer


def edge(node: str) -> Json:
    return {
        "from": node,
        "kind": "endpoint",
        "address": "10.0.0.1",
        "port": 8080,
        "family": "ipv4",
        "pod": None,
        "node": None,
        "state": "up",
        "result": "connected",
        "connect_seconds": 0.001,
        "syn_retransmits": 0,
        "icmp": None,
    }


def document(node: str, verdict: str = "healthy") -> Json:
    return told(node, verdict, edges=[edge(node)])
