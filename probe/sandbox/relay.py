"""Bytes carried both ways between those who dialed a ClusterIP and the backend chosen for them."""

import asyncio
import contextlib
import socket
import struct

from probe.sandbox.listeners import Place

CHUNK = 65536
HALF_OPEN = 10.0
"""Seconds that one direction may outlive the other. Arbitrary: long enough for an answer, short
enough that dials to a backend which never closes do not pile up."""

_RESET = struct.pack("ii", 1, 0)


class Relay:
    """Connections under way. Existing ones outlive a change of rules, as conntrack's do."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def carry(self, client: socket.socket, backend: Place) -> None:
        """Connects a non-blocking client, owned from now on, to the backend.

        A client that has already closed again, as probes do, costs the backend nothing.
        """
        if _has_closed(client):
            client.close()
            return
        task = self._loop.create_task(self._carry(client, backend))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cuts everything."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, client: socket.socket, backend: Place) -> None:
        with client, socket.socket() as upstream:
            upstream.setblocking(False)
            try:
                await self._loop.sock_connect(upstream, backend)
            except OSError:
                # The handshake with the client is done: a reset is all that can be said now.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return
            there = self._loop.create_task(self._pump(client, upstream))
            back = self._loop.create_task(self._pump(upstream, client))
            try:
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({there, back}, timeout=HALF_OPEN)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := await self._loop.sock_recv(source, CHUNK):
                await self._loop.sock_sendall(sink, data)
        with contextlib.suppress(OSError):  # a reset on one side ends the other's wait, too
            sink.shutdown(socket.SHUT_WR)


def _has_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
