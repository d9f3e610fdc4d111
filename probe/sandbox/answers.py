"""What a pod says to those who connect: one line, when asked."""

import asyncio
import socket
from contextlib import suppress

MOST = 256
"""Open connections per pod. Arbitrary; the oldest is closed for one more."""


class Answers:
    """Takes connections, answers the first request on each over HTTP/1.0, and closes.

    A connection is closed when its peer closes it, without a word if nothing was asked.
    """

    def __init__(self, body: str) -> None:
        self._loop = asyncio.get_running_loop()
        head = f"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        self._answer = (head + body).encode()
        self._asked: dict[socket.socket, bytes] = {}

    def take(self, connection: socket.socket) -> None:
        """Serves a non-blocking connection, and owns it from now on."""
        if len(self._asked) >= MOST:
            self._drop(next(iter(self._asked)))
        self._asked[connection] = b""
        self._loop.add_reader(connection, self._read, connection)
        # Most peers only connect and close: no need to wait a turn to see that.
        self._read(connection)

    def close(self) -> None:
        """Closes every connection, as a process that ends does."""
        for connection in list(self._asked):
            self._drop(connection)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        # Only the end matters, and it may come in two pieces.
        asked = self._asked[connection] = (self._asked[connection] + data)[-4096:]
        if b"\r\n\r\n" in asked or b"\n\n" in asked:
            self._asked[connection] = b""
            with suppress(OSError):
                connection.send(self._answer)
                # The peer closes next; closing first with bytes unread would reset it.
                connection.shutdown(socket.SHUT_WR)

    def _drop(self, connection: socket.socket) -> None:
        del self._asked[connection]
        self._loop.remove_reader(connection)
        connection.close()
