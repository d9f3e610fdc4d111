"""Ports on loopback that meet a dial as they are told: answer it, leave it, ignore it, refuse it.

And the wire that knows them all, so that the proxy can tell what a dial would meet without dialing.
"""

import asyncio
import contextlib
import logging
import socket
from collections import defaultdict
from collections.abc import Callable
from enum import Enum

log = logging.getLogger(__name__)

Place = tuple[str, int]
"""Address and port."""

BACKLOG = 128
"""Connections that the kernel completes before the program accepts them: SOMAXCONN as most
servers know it. A HANG port answers that many dials and one more, then none."""


PAUSE = 1.0
"""Seconds before accepting again after it failed: asyncio.constants.ACCEPT_RETRY_DELAY."""


class Face(Enum):
    """What a dial meets."""

    OPEN = "open"
    """Connected, and accepted."""
    HANG = "hang"
    """Connected by the kernel, accepted by nobody; timeouts once the backlog is full."""
    BLACKHOLE = "blackhole"
    """Timeout: no answer to the SYN."""
    CLOSED = "closed"
    """Refused: a RST."""


class Wire:
    """Who shows which face where; tells those who asked when that changes."""

    def __init__(self) -> None:
        self._faces: dict[Place, Face] = {}
        self._watchers: dict[Place, list[Callable[[], None]]] = defaultdict(list)

    def face(self, place: Place) -> Face:
        """CLOSED for a place that nobody has announced."""
        return self._faces.get(place, Face.CLOSED)

    def announce(self, place: Place, face: Face) -> None:
        if self.face(place) is face:
            return
        if face is Face.CLOSED:
            del self._faces[place]
        else:
            self._faces[place] = face
        for callback in list(self._watchers.get(place, ())):
            callback()

    def watch(self, place: Place, callback: Callable[[], None]) -> None:
        self._watchers[place].append(callback)

    def unwatch(self, place: Place, callback: Callable[[], None]) -> None:
        self._watchers[place].remove(callback)
        if not self._watchers[place]:
            del self._watchers[place]


class Listener:
    """One port. Hands every accepted connection, non-blocking, to `on_accept`, which owns it.

    CLOSED at first. Not for two tasks at once; everything happens in the loop's thread.
    """

    def __init__(self, place: Place, on_accept: Callable[[socket.socket], None]) -> None:
        self.place = place
        self.face = Face.CLOSED
        self._on_accept = on_accept
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._filler: socket.socket | None = None
        self._retry: asyncio.TimerHandle | None = None

    def show(self, face: Face) -> None:
        """Meets dials like this from now on. Raises OSError if the port cannot be had.

        Connections that are complete but not accepted are accepted first: they were made to the
        old face.
        """
        if face is self.face:
            return
        if self.face is Face.OPEN:
            self._accept()
        if self._retry:
            self._retry.cancel()
            self._retry = None
        self._leave(self.face)
        self.face = Face.CLOSED
        if face is Face.CLOSED:
            self._close()
            return
        if self._socket is None:
            self._socket = _bound(self.place)
        try:
            self._socket.listen(0 if face is Face.BLACKHOLE else BACKLOG)
        except OSError:
            self._close()
            raise
        self.face = face
        if face is Face.OPEN:
            self._loop.add_reader(self._socket, self._accept)
        elif face is Face.BLACKHOLE:
            self._fill()

    def close(self) -> None:
        """Refuses from now on."""
        self.show(Face.CLOSED)

    def _leave(self, face: Face) -> None:
        if face is Face.OPEN:
            assert self._socket
            self._loop.remove_reader(self._socket)
        elif face is Face.BLACKHOLE:
            assert self._socket
            assert self._filler
            # The one in the queue is our own; a stranger never gets that far.
            with contextlib.suppress(OSError):
                self._socket.accept()[0].close()
            self._filler.close()
            self._filler = None

    def _fill(self) -> None:
        # With listen(0) one connection fills the queue (it is full when it holds more than 0), and
        # Linux then drops SYNs: net/ipv4/tcp_input.c, tcp_conn_request. Seen on 6.18.
        self._filler = socket.socket()
        self._filler.setblocking(False)
        self._filler.connect_ex(self.place)

    def _accept(self) -> None:
        assert self._socket
        # Until the queue is empty, but no more than it holds: others want the loop, too.
        for _ in range(BACKLOG):
            try:
                connection, _peer = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("cannot accept at %s port %d: %s", *self.place, error)
                self._pause()
                return
            connection.setblocking(False)
            self._on_accept(connection)

    def _pause(self) -> None:
        # Out of descriptors, most likely. The port stays readable: the loop would spin on it.
        assert self._socket
        self._loop.remove_reader(self._socket)
        self._retry = self._loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        self._retry = None
        if self._socket and self.face is Face.OPEN:
            self._loop.add_reader(self._socket, self._accept)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _bound(place: Place) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setblocking(False)
        # Else connections of the last face, in TIME_WAIT, would keep us from binding again.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
    except OSError:
        bound.close()
        raise
    return bound
