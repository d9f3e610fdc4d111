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


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.write_eof()


async def _serve(descriptor: int, address: str, port: int) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there = await asyncio.open_connection(address, port)
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
            there[1].close()
        writer.close()

    server = await asyncio.start_server(carry, sock=socket.socket(fileno=descriptor))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
