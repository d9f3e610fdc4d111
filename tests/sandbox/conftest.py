"""A sandbox API server on a port of its own, and a client that speaks to it over real sockets."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from probe.sandbox.apiserver import ApiServer
from probe.sandbox.store import Store

Obj = dict[str, Any]


@dataclass
class Client:
    """Asks the server; answers are (HTTP status, parsed body)."""

    session: aiohttp.ClientSession
    server: ApiServer
    store: Store

    async def __call__(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json"
    ) -> tuple[int, Obj]:
        headers = {"Content-Type": kind} if body is not None else {}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.request(
            method, self.server.url + path, data=None if body is None else data, headers=headers
        ) as response:
            return response.status, json.loads(await response.read())

    async def watch(self, path: str) -> list[tuple[str, Obj]]:
        """All events of a watch that ends by itself."""
        async with self.session.get(self.server.url + path) as response:
            assert response.status == 200
            lines = (await response.read()).splitlines()
        return [(event["type"], event["object"]) for event in map(json.loads, lines)]


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    store = Store()
    server = ApiServer(store)
    await server.start()
    async with aiohttp.ClientSession() as session:
        yield Client(session, server, store)
    await server.stop()
