"""What the daemon answers over HTTP: /metrics, /livez, /readyz and /api/v1.

It only reads; a POST has the daemon dial sooner what it dials anyway. /api/v1 wants the key in
X-Edgeprobe-Key when one is configured (the API server's pod proxy strips Authorization) and is
rate-limited; metrics and health are for the kubelet and Prometheus and are not.
"""

import asyncio
import hmac
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from math import inf, nan
from typing import Any, Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from probe.connections import Room, make_room
from probe.core.schedule import Budget
from probe.negotiation import OPENMETRICS, TEXT, takes_gzip, takes_openmetrics
from probe.timeslice import sliced
from probe.told import KEY_HEADER

API_RATE = 10.0
"""API requests per second: a person and a dashboard; arbitrary, far under what stalls a dial."""

API_BURST = 50

READ_SECONDS = 60.0
"""Who has not read a whole answer after so long is cut off: Prometheus gives up after its
scrape_timeout, 10 s by default and seldom above this."""

QUIET_SECONDS = 12.0
"""Who has sent no whole request for so long is let go. The kubelet and Prometheus send theirs as
soon as they are connected; and no usual scrape_interval (10, 15, 30 s), lest a scrape on a kept
connection meets its end."""

CONNECTIONS_MAX, CLIENT_MAX = 512, 64
"""Open at once, in all and of one client: the kubelet's probes, a few scrapers, the API server's
proxy with API_BURST, and the other daemons, of which hundreds may ask at the same moment."""

HEADERS_MAX, FIELD_MAX = 32, 2048
"""Headers of a request and bytes of one. A scraper sends 8 short ones, a browser 20. A connection
takes 8.5 KiB, and half a request 200 at most; by aiohttp's own 128 of 8 KiB 1.9 MiB (measured)."""

BODY_MAX, BODY_SECONDS = 1, 0.0
"""Bytes of a request's body that are looked at, and for how long its end is awaited: nothing here
takes one. Who sends more is answered, and let go. By aiohttp's own 256 KiB and 10 s a pod held up
/livez for 8 s with endless chunks of a byte, for 31 s with packed zeros; by these for half a second
(60 connections, measured)."""

BACKLOG, ACCEPTED = 128, 32
"""Connections that wait in the kernel, and those that are accepted in one turn of the loop."""

PAGES_MAX, ANSWERS_MAX = 8, 64
"""Pages for Prometheus and answers of /api/v1 under way at once: two Prometheus and some agents;
API_BURST. Who reads slowly holds his for READ_SECONDS."""

GZIP_LEVEL = 1
"""A quarter of the time of zlib's default (2 ms per MB of metrics), for 29 % more to send
(measured)."""

LINKED = (
    *("/metrics", "/livez", "/readyz"),
    *("/api/v1/services", "/api/v1/incidents", "/api/v1/changes", "/api/v1/rollouts"),
)
"""What the page at / leads to."""

NotReady = list[str]
Json = dict[str, Any]


class CannotListen(OSError):
    """The address cannot be bound; `strerror` says why."""


class Busy(Exception):
    """Too much is asked of us at this moment; the text says of what."""


class Amiss(Exception):
    """A question that cannot be answered; the text says what to ask instead."""


class Answers(Protocol):
    """What the server asks of the daemon. Each answer is of this moment."""

    def alive(self) -> str | None:
        """None, or why the daemon should be restarted."""

    def ready(self) -> NotReady:
        """Nothing, or the reasons for not being ready yet."""

    def metrics(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        """The page for Prometheus, piece by piece; as OpenMetrics if that is asked for."""

    def services(self, namespace: str) -> Json:
        """Those of a namespace, "" for all. An iterator may stand for a list: its items are then
        asked for one by one."""

    def service(self, namespace: str, name: str) -> Json | None:
        """None if it is not known."""

    async def check(self, namespace: str, name: str) -> Json | None:
        """The same once the Service was dialed anew. Raises Busy."""

    def incidents(self, since: float | None, namespace: str, service: str) -> Json:
        """Those of the last `since` seconds, of a namespace or a Service if not ""."""

    def changes(self, since: float | None, namespace: str, service: str) -> Json:
        """As incidents."""

    def rollouts(
        self,
        since: float | None,
        namespace: str,
        service: str,
        workload: tuple[str, str] | None,
    ) -> Json:
        """As incidents, or those of a workload by kind and name."""


class Server:
    """Serves until closed. `port` is the one really bound, for those who asked for port 0."""

    def __init__(self, answers: Answers, *, api_key: str = "") -> None:
        self._answers = answers
        self._key = api_key.encode()
        self._budget = Budget(API_RATE, API_BURST)
        self._pages, self._answering = Room(PAGES_MAX), Room(ANSWERS_MAX)
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """An empty host is every address of both families. Raises CannotListen."""
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            shutdown_timeout=0.5,
            keepalive_timeout=QUIET_SECONDS,
            max_headers=HEADERS_MAX,
            max_field_size=FIELD_MAX,
            read_bufsize=BODY_MAX,
            lingering_time=BODY_SECONDS,
        )
        await self._runner.setup()
        assert self._runner.server is not None  # there is one from setup() on
        accept = partial(_accept, self._runner.server)
        try:
            bound = _bound(host, port)
        except OSError as failed:
            raise CannotListen(failed.errno, failed.strerror or str(failed)) from failed
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(accept, sock=bound, backlog=ACCEPTED)
        bound.listen(BACKLOG)
        self.port = bound.getsockname()[1]

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._index)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/api/v1/services", self._json(self._services))
        app.router.add_get("/api/v1/services/{namespace}/{name}", self._json(self._service))
        app.router.add_post("/api/v1/check/{namespace}/{name}", self._check)
        app.router.add_get("/api/v1/incidents", self._json(self._incidents))
        app.router.add_get("/api/v1/changes", self._json(self._changes))
        app.router.add_get("/api/v1/rollouts", self._json(self._rollouts))
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Judges who may ask, and makes every refusal JSON."""
        if request.transport is not None:
            # An answer is over when the kernel has all of it. aiohttp would go on with 64 KiB of it
            # unsent, and to close the connection then waits for the client, uncounted and for ever.
            request.transport.set_write_buffer_limits(0)
        if request.path.startswith("/api/") and (refusal := self._refusal(request)):
            return refusal
        try:
            return await handler(request)
        except Amiss as amiss:
            return _error(400, str(amiss))
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
        links = "".join(f'<li><a href="{p}">{p}</a></li>' for p in LINKED)
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
        openmetrics = takes_openmetrics(request.headers.get("Accept", ""))
        page = self._answers.metrics(openmetrics=openmetrics)
        content_type = OPENMETRICS if openmetrics else TEXT
        return await _streamed(request, page, content_type, self._pages)

    def _services(self, request: web.Request) -> Json:
        return self._answers.services(request.query.get("namespace", ""))

    def _service(self, request: web.Request) -> Json:
        found = self._answers.service(*_named(request))
        if found is None:
            raise web.HTTPNotFound
        return found

    def _incidents(self, request: web.Request) -> Json:
        return self._answers.incidents(*_scope(request))

    def _changes(self, request: web.Request) -> Json:
        return self._answers.changes(*_scope(request))

    def _rollouts(self, request: web.Request) -> Json:
        return self._answers.rollouts(*_scope(request), _workload(request))

    async def _check(self, request: web.Request) -> web.StreamResponse:
        try:
            found = await self._answers.check(*_named(request))
        except Busy as busy:
            return _error(429, str(busy), {"Retry-After": "1"})
        if found is None:
            raise web.HTTPNotFound
        return web.Response(body=msgspec.json.encode(found), content_type=JSON)

    def _json(
        self, answer: Callable[[web.Request], Json]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def respond(request: web.Request) -> web.StreamResponse:
            body = _taking_turns(_json_text(answer(request)))
            return await _streamed(request, body, JSON, self._answering)

        return respond


JSON = "application/json"


def _bound(host: str, port: int) -> socket.socket:
    """One socket even for both families: port 0 is then one port too. Without IPv6 in the kernel
    every address is every IPv4 address."""
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _accept(server: web.Server, /) -> asyncio.Protocol:
    """What speaks to a client that has just connected."""
    connections = server.connections
    if len(connections) > CLIENT_MAX:
        held = (each.transport for each in connections if each.transport)
        make_room(held, CONNECTIONS_MAX, CLIENT_MAX)
    return server()


def _named(request: web.Request) -> tuple[str, str]:
    return request.match_info["namespace"], request.match_info["name"]


def _scope(request: web.Request) -> tuple[float | None, str, str]:
    """The last how many seconds (None for all), the namespace and the Service ("" for any).
    Raises Amiss."""
    query = request.query
    since = _seconds(query["since"]) if "since" in query else None
    return since, query.get("namespace", ""), query.get("service", "")


WORKLOADS = {kind.lower(): kind for kind in ("Deployment", "StatefulSet", "DaemonSet")}


def _workload(request: web.Request) -> tuple[str, str] | None:
    """Kind and name, None for any. Raises Amiss."""
    text = request.query.get("workload")
    if text is None:
        return None
    kind, _, name = text.partition("/")
    if kind.lower() not in WORKLOADS or not name:
        raise Amiss(f"workload={text}: must be a kind and a name, such as Deployment/web")
    return WORKLOADS[kind.lower()], name


def _seconds(text: str) -> float:
    """Raises Amiss."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = nan
    if not 0 <= seconds < inf:
        raise Amiss(f"since={text}: must be a number of seconds, such as since=3600")
    return seconds


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode({"error": text})
    return web.Response(body=body, status=status, content_type=JSON, headers=headers)


def _json_text(document: Json) -> Iterator[str]:
    """The document in pieces; an iterator among its values becomes a list, item by item."""
    # msgspec, since the standard library would hold up the dials for 0.1 s at a thousand Services.
    before = "{"
    for key, value in document.items():
        yield f"{before}{_encoded(key)}:"
        before = ","
        if isinstance(value, Iterator):
            yield "["
            for number, item in enumerate(value):
                yield f"{',' if number else ''}{_encoded(item)}"
            yield "]"
        else:
            yield _encoded(value)
    yield "}"


def _encoded(held: Any) -> str:
    return msgspec.json.encode(held).decode()


async def _taking_turns(pieces: Iterator[str]) -> AsyncIterator[bytes]:
    """The pieces in slices, between which others run."""
    for part in sliced(pieces):
        yield part
        await asyncio.sleep(0)


async def _streamed(
    request: web.Request, body: AsyncIterator[bytes], content_type: str, room: Room
) -> web.StreamResponse:
    """Sends the body as it comes about, no faster than it is read, packed for those who take gzip.
    Who goes away, reads for longer than READ_SECONDS or holds too much of the room, is let go."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    transport = request.transport
    if request.method == "HEAD" or transport is None:
        return response
    if takes_gzip(request.headers.get("Accept-Encoding", "")):
        response.headers["Content-Encoding"] = "gzip"
        body = _gzipped(body)
    try:
        with room.taken(transport):
            async with asyncio.timeout(READ_SECONDS):
                await response.prepare(request)
                async for part in body:
                    await response.write(part)
                await response.write_eof()
    except TimeoutError:
        transport.abort()
    except ConnectionError:
        pass  # gone; aiohttp would log it as an error of ours
    return response


async def _gzipped(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # aiohttp's own compression is at level 6, and hands each part to a thread and back.
    packer = zlib.compressobj(GZIP_LEVEL, wbits=16 + zlib.MAX_WBITS)
    async for part in body:
        if packed := packer.compress(part):
            yield packed
    yield packer.flush()
