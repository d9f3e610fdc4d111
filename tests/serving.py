"""The daemon's server with answers of the test's own, and a client that takes them as they come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from probe.server import Busy, Server

PAGE = b'edgeprobe_build_info{node="a"} 1.0\n'


@dataclass
class Fixed:
    """Answers that a test sets."""

    dead: str | None = None
    reasons: list[str] = field(default_factory=list)
    chunks: int = 1
    openmetrics: bool | None = None
    chunk: bytes = PAGE
    found: list[dict[str, Any]] = field(default_factory=list)
    checks: int = 0
    scopes: list[tuple[float | None, str, str]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def alive(self) -> str | None:
        return self.dead

    def ready(self) -> list[str]:
        return self.reasons

    async def metrics(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        self.openmetrics = openmetrics
        try:
            for _ in range(self.chunks):
                yield self.chunk
                await asyncio.sleep(0)
        finally:
            self.closed.set()

    def services(self, namespace: str) -> dict[str, Any]:
        found = [one for one in self.found if namespace in ("", one.get("namespace"))]
        return {"services": iter(found), "verdict": "healthy"}

    def service(self, namespace: str, name: str) -> dict[str, Any] | None:
        return {"service": {"namespace": namespace, "name": name}} if name == "web" else None

    async def check(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.checks += 1
        if self.checks > 1:
            raise Busy("one check is running already")
        return self.service(namespace, name)

    def incidents(self, since: float | None, namespace: str, service: str) -> dict[str, Any]:
        self.scopes.append((since, namespace, service))
        return {"incidents": []}

    def changes(self, since: float | None, namespace: str, service: str) -> dict[str, Any]:
        self.scopes.append((since, namespace, service))
        return {"changes": [], "rollouts": []}

    def rollouts(
        self,
        since: float | None,
        namespace: str,
        service: str,
        workload: tuple[str, str] | None,
    ) -> dict[str, Any]:
        self.scopes.append((since, namespace, service))
        return {"node": "a", "rollouts": iter([{"of": workload}]), "reports": []}


@asynccontextmanager
async def serving(answers: Fixed, api_key: str = "") -> AsyncIterator[aiohttp.ClientSession]:
    server = Server(answers, api_key=api_key)
    await server.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{server.port}",
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
        ) as session:
            yield session
    finally:
        await server.close()


async def asked(
    session: aiohttp.ClientSession, path: str, method: str = "GET", **headers: str
) -> tuple[int, str, bytes]:
    """Status, content type, body."""
    async with session.request(method, path, headers=headers) as response:
        return response.status, response.headers["Content-Type"], await response.read()
