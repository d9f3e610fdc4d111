"""Clients that take more of the server than is theirs, over real sockets: a pod that hoards
connections is 127.0.0.2, the kubelet and Prometheus are 127.0.0.1."""

import asyncio
import os
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

import aiohttp
import pytest

from probe import server as served
from probe.server import CannotListen, Server
from tests.running import until
from tests.serving import PAGE, Fixed, asked, serving

HOARDER = "127.0.0.2"


@asynccontextmanager
async def hoarding(
    session: aiohttp.ClientSession, count: int, said: bytes
) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections of one pod, each of which has said that and reads nothing."""
    port = session._base_url.port  # type: ignore[union-attr]
    opened = []
    for _ in range(count):
        found = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=(HOARDER, 0), limit=2**10
        )
        found[1].write(said)
        opened.append(found)
    try:
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def all_end(readers: list[asyncio.StreamReader]) -> None:
    """Reads each up to the end of its connection; fails after a minute."""
    async with asyncio.timeout(60):
        for reader in readers:
            with suppress(ConnectionResetError):
                while await reader.read(2**16):
                    pass


@pytest.mark.parametrize("said", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n"])
async def test_who_sends_no_whole_request_is_let_go(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "QUIET_SECONDS", 0.2)
    async with serving(Fixed()) as session, hoarding(session, 3, said) as readers:
        await all_end(readers)


async def test_the_kubelet_gets_through_while_a_pod_hoards_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served, "CLIENT_MAX", 20)
    monkeypatch.setattr(served, "QUIET_SECONDS", 3600.0)
    async with serving(Fixed(chunks=1000)) as session, hoarding(session, 200, b"") as readers:
        for path in ("/livez", "/readyz", "/metrics"):
            async with session.get(path, headers={"Connection": "close"}) as response:
                assert response.status == 200
        await all_end(readers[:150])
        assert not readers[-1].at_eof()


async def test_of_those_who_hold_one_connection_each_the_oldest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served, "CONNECTIONS_MAX", 3)
    monkeypatch.setattr(served, "CLIENT_MAX", 2)
    monkeypatch.setattr(served, "QUIET_SECONDS", 3600.0)
    async with serving(Fixed()) as session:
        port = session._base_url.port  # type: ignore[union-attr]
        opened = []
        for number in range(2, 8):
            here = (f"127.0.0.{number}", 0)
            opened.append(await asyncio.open_connection("127.0.0.1", port, local_addr=here))
            opened[-1][1].write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await opened[-1][0].readline()).startswith(b"HTTP/1.1 200")
        await all_end([reader for reader, _ in opened[:3]])
        assert not opened[-1][0].at_eof()
        for _, writer in opened:
            writer.transport.abort()


async def test_hundreds_of_daemons_may_ask_at_the_same_moment() -> None:
    async with serving(Fixed()) as session:
        port = session._base_url.port  # type: ignore[union-attr]

        async def asks(number: int) -> bytes:
            here = (f"127.1.{number // 250}.{1 + number % 250}", 0)
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=here)
            writer.write(b"GET /api/v1/rollouts HTTP/1.1\r\nHost: x\r\n\r\n")
            line = await reader.readline()
            writer.transport.abort()
            return line.split()[1]

        async with asyncio.timeout(60):
            found = await asyncio.gather(*map(asks, range(400)))

    assert set(found) == {b"200", b"429"}


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/services"])
async def test_a_page_is_read_while_a_pod_holds_all_of_them(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "PAGES_MAX", 4)
    monkeypatch.setattr(served, "ANSWERS_MAX", 4)
    monkeypatch.setattr(served, "READ_SECONDS", 3600.0)
    monkeypatch.setattr(served, "QUIET_SECONDS", 3600.0)
    large = Fixed(chunks=10_000, chunk=PAGE * 100, found=[{"name": "x" * 1000}] * 30_000)
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with serving(large) as session, hoarding(session, 40, request) as readers:
        await all_end(readers[:30])
        async with asyncio.timeout(60):
            assert (await asked(session, path))[0] == 200


async def test_the_headers_of_a_request_are_bounded() -> None:
    async with serving(Fixed()) as session:
        few = {f"X-{number}": "x" * 1000 for number in range(20)}
        assert (await asked(session, "/livez", **few))[0] == 200
        many = {f"X-{number}": "x" for number in range(100)}
        assert (await asked(session, "/livez", **many))[0] == 400
        assert (await asked(session, "/livez", X="x" * 4000))[0] == 400


@pytest.fixture
def a_small_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps 4.5 KiB of answers for a client, not as much as it sees fit."""
    bound = served._bound

    def made(host: str, port: int) -> socket.socket:
        found = bound(host, port)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2304)
        return found

    monkeypatch.setattr(served, "_bound", made)


@pytest.mark.usefixtures("a_small_kernel")
async def test_who_reads_no_answer_and_is_let_go_takes_no_place_uncounted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served, "CLIENT_MAX", 5)
    ask = b"GET / HTTP/1.1\r\nHost: x\r\n"
    asks = (ask + b"\r\n") * 60 + ask + b"Connection: close\r\n\r\n"  # for 36 KB of answers

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async with serving(Fixed()) as session:
        assert (await asked(session, "/livez"))[0] == 200
        loop, port = asyncio.get_running_loop(), session._base_url.port  # type: ignore[union-attr]
        before = descriptors()
        with ExitStack() as stack:
            for _ in range(30):
                found = stack.enter_context(socket.socket())
                found.setblocking(False)
                found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
                found.bind((HOARDER, 0))
                await loop.sock_connect(found, ("127.0.0.1", port))
                await loop.sock_sendall(found, asks)
                await asyncio.sleep(0.05)  # this one is answered before the next one comes
            await until(lambda: descriptors() - before - 30 <= served.CLIENT_MAX + 1)


TINY = b"1\r\na\r\n" * 10_000
"""Chunks of a byte each: by aiohttp's own limits 0.3 s of CPU per MB."""

ZEROS = zlib.compress(bytes(2**24))
PACKED = b"%x\r\n%b\r\n" % (len(ZEROS), ZEROS)
"""16 MiB of nothing in 16 KiB."""


@asynccontextmanager
async def hoarder(session: aiohttp.ClientSession) -> AsyncIterator[socket.socket]:
    """A connection whose kernel takes little from who sends more than the server reads."""
    port = session._base_url.port  # type: ignore[union-attr]
    loop = asyncio.get_running_loop()
    with socket.socket() as found:
        found.setblocking(False)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
        found.bind((HOARDER, 0))
        await loop.sock_connect(found, ("127.0.0.1", port))
        yield found


def head(request_line: str, encoding: str = "identity") -> bytes:
    """Of a request whose body comes in chunks."""
    fields = "Host: x", f"Content-Encoding: {encoding}", "Transfer-Encoding: chunked"
    return "\r\n".join((f"{request_line} HTTP/1.1", *fields, "", "")).encode()


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("POST /livez", b"405"), ("GET /livez", b"200"), ("POST /api/v1/check/shop/web", b"200")],
)
async def test_who_sends_a_body_without_end_is_answered_and_let_go(
    request_line: str, status: bytes
) -> None:
    loop, sent = asyncio.get_running_loop(), 0
    async with serving(Fixed()) as session, hoarder(session) as found, asyncio.timeout(60):
        await loop.sock_sendall(found, head(request_line))
        assert (await loop.sock_recv(found, 2**16)).split()[1] == status
        with suppress(ConnectionResetError, BrokenPipeError):
            while sent < 2**21:
                await loop.sock_sendall(found, TINY)
                sent += len(TINY)
        assert sent < 2**21
        assert (await asked(session, "/livez"))[0] == 200


@pytest.mark.parametrize(("encoding", "part"), [("identity", TINY), ("deflate", PACKED)])
async def test_what_is_sent_with_a_question_takes_no_memory_while_it_is_answered(
    encoding: str, part: bytes
) -> None:
    loop = asyncio.get_running_loop()
    async with (
        serving(Fixed(chunks=10_000, chunk=PAGE * 100)) as session,
        hoarder(session) as found,
        asyncio.timeout(60),
    ):
        await loop.sock_sendall(found, head("GET /metrics", encoding))
        assert await loop.sock_recv(found, 2**10)
        tracemalloc.start()
        try:
            await loop.sock_sendall(found, part)
            assert (await asked(session, "/livez"))[0] == 200
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held < 2**17


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_without_a_host_both_families_are_served_on_one_port(
    family: socket.AddressFamily,
) -> None:
    server = Server(Fixed())
    await server.start("", 0)
    try:
        host = "127.0.0.1" if family == socket.AF_INET else "[::1]"
        async with aiohttp.ClientSession(f"http://{host}:{server.port}") as session:
            assert (await asked(session, "/livez"))[0] == 200
    finally:
        await server.close()


async def test_without_a_host_a_machine_without_ipv6_serves_ipv4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    server = Server(Fixed())
    await server.start("", 0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            assert (await asked(session, "/livez"))[0] == 200
    finally:
        await server.close()


@pytest.mark.parametrize("host", ["::1", "no.such.host.invalid"])
async def test_a_host_is_listened_on_or_an_error_of_the_system(host: str) -> None:
    server = Server(Fixed())
    try:
        if host == "::1":
            await server.start(host, 0)
            assert server.port
        else:
            with pytest.raises(CannotListen):
                await server.start(host, 0)
    finally:
        await server.close()
