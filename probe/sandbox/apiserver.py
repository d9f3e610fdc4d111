"""The sandbox's API server: Kubernetes over HTTP, well enough for kubectl and client libraries.

Plain HTTP on loopback. Without a token it asks nobody who they are, because kubectl sends
credentials over TLS only; with one it wants it as a bearer token, as clients of our own send it.
Only JSON is spoken. Unknown fields are stored, not refused.
"""

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
from aiohttp import web

from probe.sandbox import asking, discovery, podproxy, tables
from probe.sandbox.asking import APPLY, PATCHES, Target
from probe.sandbox.defaults import ServiceAddresses
from probe.sandbox.deleting import Deleter
from probe.sandbox.listing import ExpiredPage, page
from probe.sandbox.patching import PatchError
from probe.sandbox.resources import Resource
from probe.sandbox.statuses import (
    BadRequest,
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotServed,
    TooLarge,
    Unauthorized,
    Unprocessable,
    UnsupportedMediaType,
    deleted,
    failure,
)
from probe.sandbox.store import AlreadyExists, Event, Store, StoreError
from probe.sandbox.validation import required
from probe.sandbox.views import View, view_of
from probe.sandbox.watching import Watches
from probe.sandbox.writing import Author, Writer

Obj = dict[str, Any]

log = logging.getLogger(__name__)

NAMESPACES = ("default", "kube-system")
"""Made at start. The Service default/kubernetes is not: the sandbox has nothing behind it."""

HEALTH = frozenset({"/healthz", "/livez", "/readyz"})

ANSWER_DELETED = frozenset({"namespaces", "pods", "services", "serviceaccounts"})
"""Resources whose deletion answers with the object (ReturnDeletedObject), not with a Status."""

BODY_BYTES = 3 * 1024 * 1024
"""The largest request body: MaxRequestBodyBytes of k8s.io/apiserver."""

MALFORMED = (
    TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
"""What a body of an unexpected form, that no check has refused, makes code raise."""

SHUTDOWN_SECONDS = 0.3
"""What handlers get after their watches were told to stop; then they are cancelled."""

_JSON = "application/json"
_NAMESPACE = Resource("", "Namespace", "namespaces", namespaced=False, status=True)
_PATCH_OPTIONS = Resource("meta.k8s.io", "PatchOptions", "patchoptions")

_Handler = Callable[[web.Request, View, str], Awaitable[web.Response]]


class ApiServer:
    """Serves a store. `token` is the bearer token to ask for, None to ask for none.

    `on_watch_open` and `on_watch_close` are told of every watch: the client's User-Agent and its
    address.
    """

    def __init__(
        self,
        store: Store,
        *,
        token: str | None = None,
        allocate_cluster_ip: Callable[[], str] | None = None,
    ) -> None:
        self.url = ""
        self._store = store
        self.token = token
        self.on_watch_open: Callable[[str, str], None] = _ignore
        self.on_watch_close: Callable[[str, str], None] = _ignore
        addresses = ServiceAddresses(store)
        self._writer = Writer(
            store, allocate_cluster_ip or addresses.cluster_ip, addresses.node_port
        )
        self._deleter = Deleter(store)
        self._watches = Watches(store)
        self._closing = contextlib.AsyncExitStack()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens; `url` is set then. Raises OSError, and ValueError for an open door:
        an address that is not loopback without a token."""
        if self.token is None and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"an API server without a token may not listen on {host}")
        for name in NAMESPACES:
            with contextlib.suppress(AlreadyExists):
                target = Target(_NAMESPACE)
                self._writer.create(target, {"metadata": {"name": name}}, Author("kube-apiserver"))
        app = web.Application(client_max_size=BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await runner.setup()
        self._closing.push_async_callback(runner.cleanup)
        self._closing.callback(self._watches.stop)
        self._closing.callback(self._store.subscribe(self._after))
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{bound[1]}"

    async def stop(self) -> None:
        """Ends all watches and connections, in under a second."""
        await self._closing.aclose()

    def _after(self, event: Event) -> None:
        """Looks after a namespace that may be empty now, once all have heard of the event."""
        if event.type == "DELETED" and (name := event.object["metadata"].get("namespace")):
            asyncio.get_running_loop().call_soon(self._deleter.finish_namespace, name)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        target = asking.target(request.path)
        try:
            self._authenticate(request)
            if proxied := podproxy.asked(request.path):
                return await podproxy.forward(request, proxied, self._store)
            if target is None:
                return _document(request)
            return await self._serve_safely(request, target)
        except StoreError as error:
            status = failure(error, target.resource if target else None)
            if isinstance(error, ExpiredPage):
                status["metadata"]["continue"] = error.token
            return _json(status, error.code)

    async def _serve_safely(self, request: web.Request, target: Target) -> web.StreamResponse:
        """As _serve; whatever goes wrong in there is a StoreError, and no traceback."""
        try:
            return await self._serve(request, target)
        except web.HTTPRequestEntityTooLarge as error:
            message = f"Request entity too large: limit is {BODY_BYTES}"
            raise TooLarge(message, {}) from error
        except (StoreError, web.HTTPException, ConnectionError):
            raise
        except Exception as error:
            log.debug("%s %s failed", request.method, request.path, exc_info=error)
            told = f"{type(error).__name__}: {error}"
            if request.method != "GET" and isinstance(error, MALFORMED):
                kind = target.resource.kind
                raise BadRequest(
                    f"the object provided is unrecognized (must be of type {kind}): {told}"
                ) from error
            raise InternalError(f"Internal error occurred: {told}") from error

    def _authenticate(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "")
        if self.token is not None and given != f"Bearer {self.token}":
            raise Unauthorized("Unauthorized")

    async def _serve(self, request: web.Request, target: Target) -> web.StreamResponse:
        form = asking.answer_form(request.headers.get("Accept", ""))
        view = view_of(target)
        if request.method == "GET":
            if not target.name or asking.wants_watch(request.query):
                return await self._list(request, view, form)
            kept = view.target
            obj = self._store.get(kept.resource.plural, kept.namespace, kept.name)
            return _shown(request, view, form, obj)
        handlers: dict[tuple[str, bool], _Handler] = {
            ("POST", False): self._create,
            ("PUT", True): self._replace,
            ("PATCH", True): self._patch,
            ("DELETE", True): self._delete,
            ("DELETE", False): self._delete_collection,
        }
        handler = handlers.get((request.method, bool(target.name)))
        nowhere = target.resource.namespaced and not target.namespace
        if handler is None or nowhere or (target.subresource and request.method == "DELETE"):
            raise MethodNotAllowed
        return await handler(request, view, form)

    async def _list(self, request: web.Request, view: View, form: str) -> web.StreamResponse:
        options = asking.list_options(view.asked, request.query)
        include = request.query.get("includeObject", "Metadata")
        plural = view.target.resource.plural

        def render(obj: Obj, first: bool) -> Obj:
            if form == "table":
                return tables.table(plural, [obj], include=include, with_columns=first)
            return view.show(obj)

        if asking.wants_watch(request.query):
            who = (request.headers.get("User-Agent", ""), request.remote or "")
            self.on_watch_open(*who)
            try:
                return await self._watches.serve(request, view.target, options, render)
            finally:
                self.on_watch_close(*who)
        objects, metadata = page(self._store, view.target, options)
        if form == "table":
            return _json(tables.table(plural, objects, metadata=metadata, include=include))
        return _json(_list_of(view, objects, metadata))

    async def _create(self, request: web.Request, view: View, form: str) -> web.Response:
        obj = view.back({}, await _body(request, view))
        stored = self._writer.create(view.target, obj, _author(request))
        return _shown(request, view, form, stored, 201)

    async def _replace(self, request: web.Request, view: View, form: str) -> web.Response:
        body = await _body(request, view)
        stored = self._writer.patch(view.target, lambda obj: view.back(obj, body), _author(request))
        return _shown(request, view, form, stored)

    async def _patch(self, request: web.Request, view: View, form: str) -> web.Response:
        if request.content_type == APPLY:
            return await self._apply(request, view, form)
        if request.content_type not in PATCHES:
            raise UnsupportedMediaType("415: Unsupported Media Type", {})
        patch = asking.parse(await request.read(), kind="Patch")
        merge = PATCHES[request.content_type]
        try:
            stored = self._writer.patch(
                view.target,
                lambda obj: view.back(obj, merge(view.show(obj), patch)),
                _author(request),
            )
        except PatchError as error:
            raise Unprocessable from error
        return _shown(request, view, form, stored)

    async def _apply(self, request: web.Request, view: View, form: str) -> web.Response:
        if not request.query.get("fieldManager"):
            cause = required("fieldManager", "is required for apply patch")
            raise Invalid(_PATCH_OPTIONS, "", [cause])
        applied = asking.decode("application/yaml", await request.read(), kind="Patch")
        stored, created = self._writer.apply(
            view.target,
            applied,
            _author(request),
            force=request.query.get("force") in ("1", "true"),
        )
        return _shown(request, view, form, stored, 201 if created else 200)

    async def _delete(self, request: web.Request, view: View, form: str) -> web.Response:
        body = await _body(request, view) if request.can_read_body else {}
        gone = self._deleter.delete(
            view.target,
            asking.delete_options(request.query, body),
            dry_run=asking.dry_run(request.query, body),
        )
        resource = view.target.resource
        if resource.plural in ANSWER_DELETED or gone["metadata"].get("deletionTimestamp"):
            return _shown(request, view, form, gone)
        return _json(deleted(resource, gone))

    async def _delete_collection(
        self, request: web.Request, view: View, _form: str
    ) -> web.Response:
        body = await _body(request, view) if request.can_read_body else {}
        options = asking.delete_options(request.query, body)
        dry_run = asking.dry_run(request.query, body)
        objects, metadata = page(
            self._store, view.target, asking.list_options(view.target, request.query)
        )
        for obj in objects:
            one = replace(view.target, name=obj["metadata"]["name"])
            self._deleter.delete(one, options, dry_run=dry_run)
        return _json(_list_of(view, objects, metadata))


def _ignore(_user_agent: str, _remote: str) -> None:
    pass


def _document(request: web.Request) -> web.Response:
    """What is served beside resources: health, version, discovery. Raises NotServed."""
    if request.path in HEALTH:
        return web.Response(text="ok")
    if request.path == "/openapi/v2" and request.method == "GET":
        return web.Response(
            body=discovery.openapi_v2(), headers={"Content-Type": discovery.OPENAPI_V2}
        )
    aggregated = discovery.is_aggregated(request.path) and asking.accepts_aggregated(
        request.headers.get("Accept", "")
    )
    found = discovery.document(request.path, aggregated=aggregated)
    if found is None or request.method != "GET":
        raise NotServed
    return _json(found, content_type=discovery.AGGREGATED if aggregated else _JSON)


def _author(request: web.Request) -> Author:
    return Author(
        asking.manager(request.query, request.headers.get("User-Agent", "")),
        asking.dry_run(request.query),
    )


async def _body(request: web.Request, view: View) -> Obj:
    content_type = request.content_type if "Content-Type" in request.headers else ""
    return asking.decode(content_type, await request.read(), kind=view.target.resource.kind)


def _shown(
    request: web.Request, view: View, form: str, obj: Obj, status: int = 200
) -> web.Response:
    if form == "table" and view.target.subresource != "scale":
        include = request.query.get("includeObject", "Metadata")
        version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        plural = view.target.resource.plural
        return _json(tables.table(plural, [obj], metadata=version, include=include), status)
    return _json(view.show(obj), status)


def _list_of(view: View, objects: list[Obj], metadata: Obj) -> Obj:
    """The list, whose items do not repeat kind and apiVersion, as the real server's do not."""
    shown = [view.show(obj) for obj in objects]
    named = ("kind", "apiVersion")
    return {
        "kind": f"{view.asked.resource.kind}List",
        "apiVersion": view.asked.resource.api_version,
        "metadata": metadata,
        "items": [{k: v for k, v in obj.items() if k not in named} for obj in shown],
    }


def _json(body: Any, status: int = 200, content_type: str = _JSON) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        headers={"Content-Type": content_type, "Cache-Control": "no-cache, private"},
    )
