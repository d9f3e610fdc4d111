"""Watches: the changes of a resource as a stream of JSON lines.

A watch keeps no queue. It remembers the version it has told, and reads on from the store's
history; a client too slow for that history gets 410 Gone like one that was away too long, and one
that does not read at all is cut off.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from aiohttp import web

from probe.sandbox.asking import ListOptions, Target
from probe.sandbox.statuses import failure
from probe.sandbox.store import Event, Gone, Store

log = logging.getLogger(__name__)

Obj = dict[str, Any]
Render = Callable[[Obj, bool], Obj]
"""(object, whether it is the first of the stream) -> what the client asked for."""

BOOKMARK_SECONDS = 5.0
"""Between bookmarks. A real API server sends one a minute; nobody waits that long here."""

DEFAULT_TIMEOUT = 1800.0
"""Seconds a watch lasts if it does not say: --min-request-timeout of kube-apiserver."""

STALLED_SECONDS = 30.0
"""How long a client may leave its socket's buffers full. Arbitrary."""

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Watches:
    """All open watches of a server. `stop` ends them, with their last bookmarks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: set[asyncio.Event] = set()
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        for wake in self._open:
            wake.set()

    async def serve(
        self, request: web.Request, asked: Target, options: ListOptions, render: Render
    ) -> web.StreamResponse:
        """Answers a watch, until its time is over, the client is gone, or the server stops."""
        response = web.StreamResponse(headers={"Cache-Control": "no-cache, private"})
        response.content_type = "application/json"
        response.enable_chunked_encoding()
        watch = _Watch(self._store, asked, options, render)
        wake = asyncio.Event()
        unsubscribe = self._store.subscribe(lambda _: wake.set())
        self._open.add(wake)
        try:
            await response.prepare(request)
            await self._run(watch, wake, response)
            await response.write_eof()
        except ConnectionError:
            pass  # the client went away
        except Exception as error:
            # Stalled, or an object that cannot be shown: the answer has begun, and can only be cut.
            log.debug("watch of %s is cut", asked.resource.plural, exc_info=error)
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._open.discard(wake)
            unsubscribe()
        return response

    async def _run(
        self, watch: "_Watch", wake: asyncio.Event, response: web.StreamResponse
    ) -> None:
        clock = asyncio.get_running_loop().time
        ends, due = clock() + watch.timeout, clock() + BOOKMARK_SECONDS
        await _write(response, watch.begin())
        while not watch.over:
            await _woken(wake, min(ends, due) - clock())
            wake.clear()
            now = clock()
            last = self._stopped or now >= ends
            lines = watch.go_on(bookmark=last or now >= due)
            if now >= due:
                due = now + BOOKMARK_SECONDS
            if last:
                watch.over = True
            await _write(response, lines)


async def _write(response: web.StreamResponse, lines: list[bytes]) -> None:
    if lines:
        async with asyncio.timeout(STALLED_SECONDS):
            await response.write(b"".join(lines))


async def _woken(wake: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()


class _Watch:
    """One watch: what to tell next. `over` once nothing more is to be told."""

    def __init__(self, store: Store, asked: Target, options: ListOptions, render: Render) -> None:
        self.over = False
        self.timeout = DEFAULT_TIMEOUT if options.timeout is None else options.timeout
        self._store = store
        self._asked = asked
        self._options = options
        self._render = render
        self._told = store.version
        self._first = True

    def begin(self) -> list[bytes]:
        """The state the watch begins with, or what happened since the version it begins from."""
        options = self._options
        from_state = options.initial_events
        if from_state is None:
            from_state = not options.version
        if not from_state:
            if options.version:
                self._told = options.version
            return self.go_on(bookmark=False)
        objects = self._store.list(self._asked.resource.plural, self._asked.namespace)
        lines = [self._line("ADDED", obj) for obj in objects if options.keeps(obj)]
        if options.initial_events and options.bookmarks:
            lines.append(self._bookmark({INITIAL_EVENTS_END: "true"}))
        return lines

    def go_on(self, *, bookmark: bool) -> list[bytes]:
        """What happened since; ERROR and the end if the store has forgotten it."""
        try:
            events = self._store.since(self._asked.resource.plural, self._told)
        except Gone as gone:
            self.over = True
            return [_encode("ERROR", failure(gone))]
        self._told = max(self._told, self._store.version)
        lines = [
            self._line(kind, obj)
            for kind, obj in seen(events, self._asked.namespace, self._options)
        ]
        if bookmark and self._options.bookmarks:
            lines.append(self._bookmark({}))
        return lines

    def _line(self, kind: str, obj: Obj) -> bytes:
        first, self._first = self._first, False
        return _encode(kind, self._render(obj, first))

    def _bookmark(self, annotations: dict[str, str]) -> bytes:
        resource = self._asked.resource
        metadata: Obj = {"resourceVersion": str(self._told)}
        if annotations:
            metadata["annotations"] = annotations
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return _encode("BOOKMARK", obj)


def seen(
    events: Iterable[Event], namespace: str, options: ListOptions
) -> Iterator[tuple[str, Obj]]:
    """Events as somebody sees them who only sees what the options keep.

    An object that enters the selection is ADDED, one that leaves it is DELETED in its last form
    inside, at the version of the change.
    """
    for event in events:
        if namespace and event.object["metadata"].get("namespace") != namespace:
            continue
        before = event.previous is not None and options.keeps(event.previous)
        after = event.type != "DELETED" and options.keeps(event.object)
        if after:
            yield ("MODIFIED" if before else "ADDED"), event.object
        elif before and event.previous is not None:
            version = {"resourceVersion": str(event.version)}
            meta = {**event.previous["metadata"], **version}
            yield "DELETED", {**event.previous, "metadata": meta}


def _encode(kind: str, obj: Obj) -> bytes:
    return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"
