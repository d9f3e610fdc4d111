"""The only way from a test into a cluster's namespaces: a TCP relay on 127.0.0.1.

The test opens the port and hands it over; the program runs inside the namespace, where the
sockets that it opens belong.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.processes import Program

CHUNK = 65536


class Relay:
    """127.0.0.1:`port` out here is `address`:`there` in that namespace, until it is closed."""

    def __init__(self, namespace: str, address: str, there: int, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port: int = listening.getsockname()[1]
            self.program = Program(
                f"relay-{self.port}",
                [sys.executable, "-m", __spec__.name, str(listening.fileno()), address, str(there)],
                folder=folder,
                namespace=namespace,
                descriptors=[listening.fileno()],
            )
            self.program.start()

    def close(self) -> None:
        self.program.kill()


@contextmanager
def relay(namespace: str, address: str, there: int, folder: Path) -> Iterator[int]:
    """The port out here."""
    carrying = Relay(namespace, address, there, folder)
    try:
        yield carrying.port
    finally:
        carrying.close()


class Gate:
    """127.0.0.1:`port`, which is ours, is 127.0.0.1:`there` while it is open; when it is shut,
    everybody inside is thrown out. It lives in the test itself."""

    def __init__(self, port: int, there: int) -> None:
        self.port = port
        self._there = there
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._enter, "127.0.0.1", self.port)

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _carry(reader, writer, "127.0.0.1", self._there)
        finally:
            writer.transport.abort()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int
) -> None:
    with contextlib.suppress(OSError):
        there = await asyncio.open_connection(address, port)
        try:
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        finally:
            there[1].close()
    writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.write_eof()


async def _serve(descriptor: int, address: str, port: int) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _carry(reader, writer, address, port)

    server = await asyncio.start_server(carry, sock=socket.socket(fileno=descriptor))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
