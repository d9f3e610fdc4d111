"""What the daemon answers over HTTP: /metrics, /livez, /readyz and /api/v1.

It only reads. /api/v1 wants the key in X-Edgeprobe-Key when one is configured (the API server's
pod proxy strips Authorization) and is rate-limited; metrics and health are for the kubelet and
Prometheus and are not.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from probe.core.schedule import Budget

API_RATE = 10.0
"""API requests per second: a person and a dashboard; arbitrary, far under what stalls a dial."""

API_BURST = 50

SCRAPE_SECONDS = 60.0
"""A scraper that does not read for so long is cut off: Prometheus gives up after its
scrape_timeout, 10 s by default and seldom above this."""

KEY_HEADER = "X-Edgeprobe-Key"

NotReady = list[str]
Json = dict[str, Any]


class Answers(Protocol):
    """What the server asks of the daemon. Each answer is of this moment."""

    def alive(self) -> str | None:
        """None, or why the daemon should be restarted."""

    def ready(self) -> NotReady:
        """Nothing, or the reasons for not being ready yet."""

    def metrics(self) -> AsyncIterator[bytes]:
        """The page for Prometheus, piece by piece."""

    def services(self) -> Json: ...

    def service(self, namespace: str, name: str) -> Json | None:
        """None if it is not known."""

    def changes(self) -> Json: ...


class Server:
    """Serves until closed. `port` is the one really bound, for those who asked for port 0."""

    def __init__(self, answers: Answers, *, content_type: str, api_key: str = "") -> None:
        self._answers = answers
        self._content_type = content_type
        self._key = api_key.encode()
        self._budget = Budget(API_RATE, API_BURST)
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Raises OSError when the address cannot be bound."""
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._index)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/api/v1/services", self._json(lambda _: self._answers.services()))
        app.router.add_get("/api/v1/services/{namespace}/{name}", self._json(self._service))
        app.router.add_get("/api/v1/changes", self._json(lambda _: self._answers.changes()))
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Judges who may ask, and makes every refusal JSON."""
        if request.path.startswith("/api/") and (refusal := self._refusal(request)):
            return refusal
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return _error(404, f"there is no {request.path}")
        except web.HTTPMethodNotAllowed as wrong:
            allowed = ", ".join(sorted(wrong.allowed_methods))
            return _error(405, f"{request.path} takes {allowed} only", {"Allow": allowed})

    def _refusal(self, request: web.Request) -> web.Response | None:
        """The key comes first: those without one must not use up the rate of those who have it."""
        given = request.headers.get(KEY_HEADER, "").encode(errors="surrogateescape")
        if self._key and not hmac.compare_digest(given, self._key):
            return _error(401, f"the header {KEY_HEADER} is missing or wrong")
        if self._budget.take(asyncio.get_running_loop().time(), 1) == 0:
            return _error(429, "too many requests", {"Retry-After": "1"})
        return None

    async def _index(self, request: web.Request) -> web.Response:
        paths = ("/metrics", "/livez", "/readyz", "/api/v1/services", "/api/v1/changes")
        links = "".join(f'<li><a href="{p}">{p}</a></li>' for p in paths)
        page = f"<!doctype html><title>probe</title><h1>probe</h1><ul>{links}</ul>"
        return web.Response(text=page, content_type="text/html")

    async def _livez(self, request: web.Request) -> web.Response:
        reason = self._answers.alive()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    async def _readyz(self, request: web.Request) -> web.Response:
        reasons = self._answers.ready()
        text = "".join(f"{reason}\n" for reason in reasons) or "ok\n"
        return web.Response(text=text, status=503 if reasons else 200)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": self._content_type})
        if request.method == "HEAD":  # aiohttp would send the end of a gzip stream as a body
            return response
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            response.enable_compression(web.ContentCoding.gzip)
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                await response.prepare(request)
                async for chunk in self._answers.metrics():
                    await response.write(chunk)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response

    def _service(self, request: web.Request) -> Json:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        found = self._answers.service(namespace, name)
        if found is None:
            raise web.HTTPNotFound
        return found

    def _json(
        self, answer: Callable[[web.Request], Json]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def respond(request: web.Request) -> web.Response:
            return _document(answer(request))

        return respond


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return _document({"error": text}, status, headers)


def _document(held: Json, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    # msgspec, since the standard library would hold up the dials for 0.1 s at a thousand Services.
    body = msgspec.json.encode(held)
    kind = "application/json"
    return web.Response(body=body, status=status, content_type=kind, headers=headers)
