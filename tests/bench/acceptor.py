"""Accepts and closes, on every address of 127.0.0.0/8 at once, in a process of its own.

`python -m tests.bench.acceptor` prints the port it took. At the first line on stdin it begins to
note who was dialed when; each further line is answered by what it saw since, as JSON.
"""

import asyncio
import json
import select
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.bench.engines import started

NOTED_MAX = 5_000_000
"""Intervals kept between two questions: a quarter of an hour at 5,000 dials/s."""


@dataclass
class Acceptor:
    port: int
    process: asyncio.subprocess.Process

    async def watch(self) -> None:
        """From here on it notes the seconds between two dials of each address."""
        self._say("watch")

    async def intervals(self) -> list[float]:
        """Those noted since it watches, or since the last call; at the next call anew."""
        self._say("tell")
        assert self.process.stdout is not None
        found: list[float] = json.loads(await self.process.stdout.readline())
        return found

    def _say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())


@asynccontextmanager
async def accepting() -> AsyncIterator[Acceptor]:
    """Somebody who takes every connection to `port` on loopback, as long as the block lasts."""
    command = [sys.executable, "-m", "tests.bench.acceptor"]
    async with started(command) as process:
        assert process.stdout is not None
        yield Acceptor(int(await process.stdout.readline()), process)


def main() -> None:
    with socket.socket() as server, select.epoll() as ready:
        # Only loopback is served: nobody else should reach a port of a benchmark.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        server.bind(("0.0.0.0", 0))
        server.listen(4096)
        server.setblocking(False)
        print(server.getsockname()[1], flush=True)
        ready.register(server, select.EPOLLIN)
        ready.register(0, select.EPOLLIN)
        journal: Journal | None = None
        while True:
            for fd, _ in ready.poll():
                if fd == server.fileno():
                    _accept(server, journal)
                elif not sys.stdin.readline():
                    return
                elif journal is not None:
                    print(json.dumps(journal.told()), flush=True)
                else:
                    journal = Journal()


class Journal:
    """When each address was dialed last, and the seconds between."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._intervals: list[float] = []

    def note(self, address: str, now: float) -> None:
        last = self._last.get(address)
        self._last[address] = now
        if last is not None and len(self._intervals) < NOTED_MAX:
            self._intervals.append(now - last)

    def told(self) -> list[float]:
        told, self._intervals = self._intervals, []
        return told


def _accept(server: socket.socket, journal: Journal | None) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except BlockingIOError:
            return
        if journal is not None:
            journal.note(connection.getsockname()[0], time.monotonic())
        connection.close()


if __name__ == "__main__":
    main()
