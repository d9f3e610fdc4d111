"""Requests to the API server: raw bytes in, bounded in time and size, refusals as sentences.

Transport is the connector that kubernetes_asyncio builds; no typed models. Nothing here retries
except a request whose credentials were refused, once, with credentials read anew.
"""

import asyncio
import logging
import os
import socket
import ssl
from asyncio import sslproto
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus

import msgspec

from probe.apiserver import kubeconfig
from probe.apiserver.decoding import Decoder, Listing, Page, PageEnd, Skip
from probe.apiserver.exchange import Exchange, Limits, Refusal
from probe.apiserver.framing import Lines, Piece
from probe.apiserver.refusals import (
    ApiError,
    ConnectionSettingsError,
    Status,
    Unreachable,
    api_error,
    retry_after,
    status_of,
)
from probe.apiserver.upstream import RESTClientObject, aiohttp
from probe.core.kube import Listed, Resource
from probe.core.targets import Network

PAGE = 500
"""Objects per page, client-go's defaultPageSize (tools/pager)."""

ERROR_BODY_MAX = 64 * 1024
"""Bytes read of a refusal's body: a Status is under 1 KiB, an HTML page is not worth more."""

READ_BUFFER = 64 * 1024
"""Bytes aiohttp may hold ready per connection (it holds twice that), its own default."""

sslproto.SSLProtocol.max_size = READ_BUFFER
# asyncio takes 256 KiB beside that for each TLS connection, and each watch is one.

STEP = 100
"""Items decoded between two turns of the event loop: about 5 ms at 50 us each."""

RELOAD_SECONDS = 10.0
"""At least this long between two readings of refused credentials: a plugin may be costly."""

Batch = list[Piece]
"""Watch lines that came together."""

log = logging.getLogger("probe.reflector")


async def connect(
    kubeconfig_file: str | None = None,
    context: str | None = None,
    *,
    user_agent: str,
    limits: Limits | None = None,
    terminal: bool = False,
) -> "Connection":
    """A connection to the API server that kubectl would talk to here; nothing is requested yet.

    On a `terminal` an exec plugin may ask a person for a login, by our stderr.
    Raises ConnectionSettingsError.
    """
    access = await kubeconfig.find(kubeconfig_file, context, terminal=terminal)
    return Connection(access, user_agent=user_agent, limits=limits or Limits())


class Connection:
    """The API server, and who we are to it. Close it when done."""

    def __init__(self, access: kubeconfig.Access, *, user_agent: str, limits: Limits) -> None:
        self.limits = limits
        self._access = access
        self._headers = {"User-Agent": user_agent, "Accept": "application/json"}
        self._reloaded = float("-inf")
        self._open()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._access.cluster.server

    @property
    def namespace(self) -> str:
        """The namespace that the context or the pod means where none is named."""
        return self._access.cluster.namespace

    @property
    def allow_targets(self) -> tuple[Network, ...]:
        """Loopback networks that a sandbox on this machine asks to have dialed; else empty."""
        return self._access.cluster.allow_targets

    @property
    def in_pod(self) -> bool:
        """Whether we run in a pod of that cluster, by its service account."""
        return self._access.cluster.in_pod

    async def close(self) -> None:
        """Ends all connections, running watches included."""
        await self._session.close()
        await self._rest.close()

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str | None = None,
        **selectors: str,
    ) -> tuple[Listed, str]:
        """All there is of the resource, in one namespace if given, and its version.

        "0" as resource_version takes whatever the server has in memory, None what etcd has.
        `selectors` are labelSelector and fieldSelector, which the server applies.
        Objects that cannot be read are left out and logged. Raises ApiTrouble.
        """
        found = await self.listing(
            resource, namespace, resource_version=resource_version, **selectors
        )
        for reason, count in Counter(skip.reason for skip in found.skipped).items():
            first = next(skip for skip in found.skipped if skip.reason == reason)
            log.warning(
                "%d of the %s cannot be read, such as %s: %s",
                *(count, resource.name, "/".join(first.key or ("one without a name",))),
                first.detail,
                extra={"resource": resource.name, "reason": reason},
            )
        return Listed(resource.name, tuple(found.facts.values()), namespace), found.version

    async def listing(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str | None = None,
        **selectors: str,
    ) -> Listing:
        """As `list`, telling apart what was skipped. Raises ApiTrouble."""
        query = {"limit": str(PAGE), **selectors}
        if resource_version is not None:
            query["resourceVersion"] = resource_version
        late = f"did not list all {resource.name} within {self.limits.listing:g} s"
        async with self._reaching(late, self.limits.listing):
            try:
                return await self._pages(resource, namespace, query)
            except ApiError as error:
                if not error.forgotten:
                    raise
            # As client-go's pager: what cannot be had page by page is asked for whole.
            return await self._pages(resource, namespace, selectors)

    async def watch(
        self, resource: Resource, namespace: str, version: str, seconds: float
    ) -> AsyncGenerator[Batch]:
        """Watch lines as they come; first, when the server has accepted, an empty list.

        Ends when the server ends it, which it is asked to after `seconds`, or says nothing for
        limits.silence. Raises ApiTrouble.
        """
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": f"{max(seconds, 1.0):.0f}",
        }
        loop = asyncio.get_running_loop()
        lines = Lines()
        async with self._get("watch", resource, namespace, query) as response:
            heard = loop.time()
            end = heard + seconds + self.limits.margin
            yield []
            while True:
                async with self._reaching():
                    try:
                        async with asyncio.timeout_at(min(heard + self.limits.silence, end)):
                            chunk = await response.content.readany()
                    except TimeoutError:
                        return
                whole = lines.feed(chunk) if chunk else lines.rest()
                if whole:
                    heard = loop.time()
                    yield whole
                if not chunk:
                    return

    async def _pages(self, resource: Resource, namespace: str, query: dict[str, str]) -> Listing:
        listing, decoder = Listing(), Decoder(resource)
        token = ""
        while True:
            end = await self._page(resource, namespace, query, decoder, listing)
            listing.version = listing.version or end.version
            if not end.token:
                return listing
            if end.token == token:
                raise Unreachable(f"the API server sends one page of {resource.name} for ever")
            token = end.token
            query = {**query, "continue": token}
            query.pop("resourceVersion", None)  # the token holds it

    async def _page(
        self,
        resource: Resource,
        namespace: str,
        query: dict[str, str],
        decoder: Decoder,
        listing: Listing,
    ) -> PageEnd:
        """Files one page's objects in the listing."""
        page = Page()
        late = f"did not send a page of {resource.name} within {self.limits.page:g} s"
        async with (
            self._reaching(late, self.limits.page),
            self._get("list", resource, namespace, query) as response,
        ):
            try:
                while chunk := await response.content.readany():
                    await _file(page.feed(chunk), decoder, listing)
                pieces, end = page.finish()
            except ValueError as error:
                raise Unreachable(
                    f"the API server's list of {resource.name} is malformed: {error}"
                ) from error
        await _file(pieces, decoder, listing)
        return end

    async def exchange(self, asked: Exchange, refusal: Refusal) -> bytes:
        """The body of a 2xx answer; what it says is not looked at. Raises ApiTrouble."""
        body = bytearray()
        late = f"did not answer within {asked.seconds:g} s"
        async with (
            self._reaching(late, asked.seconds),
            self._answer(asked, refusal) as response,
        ):
            while chunk := await response.content.readany():
                body += chunk
                if len(body) > asked.most:
                    raise Unreachable(f"{asked.path} answers more than {asked.most} bytes")
        return bytes(body)

    @asynccontextmanager
    async def _get(
        self, verb: str, resource: Resource, namespace: str, query: dict[str, str]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """An answer of 2xx, its body still to come. Raises ApiTrouble for any other."""
        # A compressor would hold events back.
        headers = {"Accept-Encoding": "identity"} if "watch" in query else {}
        path, seconds = resource.path(namespace), self.limits.page
        asked = Exchange("GET", path, query, headers=headers, seconds=seconds)

        def refusal(status: Status, seconds: float | None) -> ApiError:
            return api_error(status, verb, resource, namespace, seconds)

        async with self._answer(asked, refusal) as response:
            yield response

    @asynccontextmanager
    async def _answer(
        self, asked: Exchange, refusal: Refusal
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """An answer of 2xx, its body still to come. Raises ApiTrouble for any other."""
        late = f"did not answer within {asked.seconds:g} s"
        loads = self._access.loads
        async with AsyncExitStack() as stack:
            async with self._reaching(late, asked.seconds):
                try:
                    response = await self._send(asked)
                except aiohttp.ClientSSLError:
                    if not await self._reload(loads):
                        raise
                    response = await self._send(asked)
                stack.callback(response.close)
                if response.status == HTTPStatus.UNAUTHORIZED and await self._reload(loads):
                    response.close()
                    response = await self._send(asked)
                    stack.callback(response.close)
                if response.status // 100 != 2:
                    raise refusal(
                        status_of(response.status, await _head(response)),
                        retry_after(response.headers.get("Retry-After")),
                    )
            yield response

    async def _send(self, asked: Exchange) -> aiohttp.ClientResponse:
        """One request with the credentials of now; its answer, whatever it is, is the caller's."""
        headers = {**self._headers, **asked.headers}
        if authorization := await self._access.authorization():
            headers["Authorization"] = authorization
        return await self._session.request(
            asked.method,
            self.server + asked.path,
            params=asked.query,
            data=asked.body,
            headers=headers,
            allow_redirects=False,
            proxy=self._access.configuration.proxy,
            server_hostname=self._access.configuration.tls_server_name,
        )

    @asynccontextmanager
    async def _reaching(self, late: str = "", seconds: float | None = None) -> AsyncGenerator[None]:
        """Turns everything by which an answer can fail to come into Unreachable, a deadline too."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except ConnectionSettingsError as error:
            raise Unreachable(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not str(error):
                raise Unreachable(f"the API server at {self.server} {late}") from error
            raise Unreachable(
                f"the API server at {self.server} cannot be reached: {_reason(error)}"
            ) from error

    async def _reload(self, seen: int) -> bool:
        """Reads the credentials again, if they are still those of load `seen`; False if too soon.

        New certificates need new connections: then the old ones end, running watches too.
        """
        now = asyncio.get_running_loop().time()
        if self._access.loads == seen:
            if now - self._reloaded < RELOAD_SECONDS:
                return False
            self._reloaded = now
            await self._access.load(seen)
        if self._access.identity() != self._identity:
            session, rest = self._session, self._rest
            self._open()
            await session.close()
            await rest.close()
        return True

    def _open(self) -> None:
        """A session of ours on the library's connector.

        As Go, and unlike aiohttp, it reaches a loopback server past $HTTPS_PROXY.
        """
        configuration = self._access.configuration
        try:
            self._rest = RESTClientObject(configuration)
        except (OSError, ValueError) as error:
            raise ConnectionSettingsError(
                f"the certificates for {self.server} are unusable ({error}): write them anew"
            ) from error
        self._identity = self._access.identity()
        self._session = aiohttp.ClientSession(
            connector=self._rest.pool_manager.connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=not kubeconfig.is_loopback(self.server),
            read_bufsize=READ_BUFFER,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self.limits.connect, sock_connect=self.limits.connect
            ),
        )


async def _file(pieces: Iterable[Piece | msgspec.Raw], decoder: Decoder, listing: Listing) -> None:
    for count, piece in enumerate(pieces, 1):
        read = decoder.item(piece)
        if isinstance(read, Skip):
            listing.skipped.append(read)
        else:
            listing.facts[read[0]] = read[1]
        if count % STEP == 0:
            await asyncio.sleep(0)


async def _head(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of a refusal's body, as far as it came."""
    body = bytearray()
    with suppress(aiohttp.ClientError, OSError):
        while len(body) < ERROR_BODY_MAX and (chunk := await response.content.readany()):
            body += chunk
    return bytes(body)


def _reason(error: Exception) -> str:
    """The system's own words where it has some; aiohttp wraps them in ones for programmers."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError | socket.gaierror):
        cause = os.strerror(cause.errno) if cause.errno else cause
    text = cause.strerror if isinstance(cause, socket.gaierror) else str(cause)
    return " ".join((text or "").split()) or type(error).__name__
