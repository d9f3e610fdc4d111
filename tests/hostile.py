"""An API server that does what a test tells it: each request gets the next answer of its script.

The last answer of a script is given for ever. Answers speak real HTTP on 127.0.0.1.
"""

import asyncio
import itertools
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from probe.core.kube import SERVICES, Event, Listed, Removed, Resource, Stored
from probe.reflector import Connection, Limits, Pace, Reflector, connect

_numbers = itertools.count()

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Obj = dict[str, Any]

DATA = Path(__file__).parent / "data"
HASTE = Pace(first=0.02, longest=0.1, healthy=0.3, spread=0.02, short=0.05, watch=30.0)


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float

    @property
    def is_watch(self) -> bool:
        return "watch" in self.query


@dataclass
class Server:
    """What it answers, and what it was asked."""

    lists: list[Answer] = field(default_factory=list)
    watches: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    @property
    def listed(self) -> list[Asked]:
        return [asked for asked in self.asked if not asked.is_watch]

    @property
    def watched(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.is_watch]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(request.path, dict(request.query), dict(request.headers), time.monotonic())
        self.asked.append(asked)
        script = self.watches if asked.is_watch else self.lists
        return await (script.pop(0) if len(script) > 1 else script[0])(request)


@asynccontextmanager
async def serving(
    server: Server, *, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Server]:
    """The server, listening, until the block ends; it ends its watches at once."""
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    scheme = "https" if tls else "http"
    server.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def service(name: str, version: int = 1, port: int = 80) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "demo", "resourceVersion": str(version)},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": port}]},
    }


def spec_null(name: str, version: int = 1) -> Obj:
    return {**service(name, version), "spec": None}


def event(kind: str, obj: Obj) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def status(code: int, reason: str = "", message: str = "") -> Obj:
    return {"kind": "Status", "code": code, "reason": reason, "message": message}


def page(items: Sequence[Obj], version: int = 1, token: str = "") -> Answer:
    body = {
        "kind": "ServiceList",
        "metadata": {"resourceVersion": str(version), "continue": token},
        "items": list(items),
    }
    return plain(200, json.dumps(body).encode())


def plain(
    code: int,
    body: bytes,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code, body=body, content_type=content_type, headers=headers)

    return answer


def refuse(code: int, reason: str = "", headers: dict[str, str] | None = None) -> Answer:
    return plain(code, json.dumps(status(code, reason)).encode(), headers=headers)


def stream(*parts: bytes | float, end: bool = False) -> Answer:
    """Sends the parts, sleeps the numbers' seconds, then stays silent, or ends the answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for part in parts:
            if isinstance(part, bytes):
                await response.write(part)
            else:
                await asyncio.sleep(part)
        if not end:
            await asyncio.sleep(60)
        return response

    return answer


def broken_off(*parts: bytes) -> Answer:
    """Sends the parts, then drops the connection in the middle of the answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        await asyncio.sleep(0.02)
        assert request.transport is not None
        request.transport.abort()
        return response

    return answer


async def silence(_: web.Request) -> web.StreamResponse:
    """Accepts the request and never answers."""
    await asyncio.sleep(60)
    raise AssertionError("the client waited a minute")


def huge(head: bytes, tail: bytes, size: int) -> Answer:
    """An answer with this many bytes of a string between head and tail."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(head)
        block = b"x" * 2**16
        for _ in range(size // len(block)):
            await response.write(block)
        await response.write(tail)
        return response

    return answer


class Picture:
    """What a consumer of the events knows: keys to facts, and every event that told it."""

    def __init__(self) -> None:
        self.facts: dict[tuple[str, str], Any] = {}
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case Listed(_, facts):
                self.facts = {(f.namespace, f.name): f for f in facts}
            case Stored(_, fact):
                self.facts[fact.namespace, fact.name] = fact
            case Removed(_, namespace, name):
                del self.facts[namespace, name]

    @property
    def names(self) -> set[str]:
        return {name for _, name in self.facts}

    @property
    def lists(self) -> int:
        return sum(isinstance(event, Listed) for event in self.events)


def write_kubeconfig(
    path: Path, url: str, *, user: Obj | None = None, cluster: Obj | None = None
) -> Path:
    config = {
        "current-context": "test",
        "contexts": [
            {"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "demo"}}
        ],
        "clusters": [{"name": "c", "cluster": {"server": url, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@asynccontextmanager
async def connected(
    url: str, folder: Path, *, limits: Limits | None = None, **kubeconfig: Any
) -> AsyncIterator[Connection]:
    """With the program's own limits, unless a test waits for one: what keeps a busy machine for
    half a second is no silence of the server."""
    path = write_kubeconfig(folder / f"kubeconfig-{next(_numbers)}", url, **kubeconfig)
    connection = await connect(str(path), None, user_agent="probe/test", limits=limits)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def mirroring(
    url: str,
    folder: Path,
    *,
    resource: Resource = SERVICES,
    namespace: str = "",
    pace: Pace = HASTE,
    limits: Limits | None = None,
    **kubeconfig: Any,
) -> AsyncIterator[tuple[Picture, Reflector]]:
    """A running reflector of the server at the URL, and the picture its events draw."""
    picture = Picture()
    async with connected(url, folder, limits=limits, **kubeconfig) as connection:
        reflector = Reflector(connection, resource, picture, namespace=namespace, pace=pace)
        running = asyncio.create_task(reflector.run())
        try:
            yield picture, reflector
            assert not running.done(), running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for the condition; fails after so many seconds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - whatever is waited for has no event of its own
            await asyncio.sleep(0.005)
