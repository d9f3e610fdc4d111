"""Many TCP dials at once: what the kernel said of each.

Addresses in, outcomes out, as plain records: a result is a value, never an exception. A dial is
one non-blocking socket in one epoll set; no thread, task, future or timer per dial, nor for all
of them: whoever runs the dialer calls `collect` at each of its ticks. What is collected late is
none the worse for it, since the kernel keeps the handshake's true time (probe.kernel).
"""

import errno
import select
import socket
import time
from collections import deque
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from probe import kernel
from probe.core.results import Outcome, Result
from probe.core.targets import PORT_MAX

Token = TypeVar("Token")

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)

WRONG = select.EPOLLERR | select.EPOLLHUP
"""epoll's events of a socket whose dial failed, or which was reset or closed since."""

SPARE = 128
"""Sockets kept, by family, to be dialed again: as many as a tick of 20 ms at 5,000 dials/s ends.
They count against the limit: each is an open descriptor."""


class _Pending(NamedTuple, Generic[Token]):
    """A dial in flight. `started` is monotonic seconds."""

    socket: socket.SocketType
    started: float
    token: Token


class Dialer(Generic[Token]):
    """Dials until closed. `limit` is the most sockets open at once; `seconds` each one's deadline.

    Each dial comes back from `collect` once, with the token that came in with its address. Those
    beyond the limit come back as local faults: asking for `room` first is the caller's part.
    While `abort` holds, a connection is closed by RST, which leaves nothing behind on this node;
    else by FIN.
    """

    def __init__(self, *, seconds: float = 4.0, limit: int = 1000, abort: bool = True) -> None:
        self.seconds = seconds
        self.limit = limit
        self.abort = abort
        self._pending: dict[int, _Pending[Token]] = {}
        self._deadlines: deque[tuple[int, _Pending[Token]]] = deque()
        self._done: list[tuple[Token, Outcome]] = []
        self._spare: dict[int, list[socket.SocketType]] = {AF_INET: [], AF_INET6: []}
        self._epoll = select.epoll()
        self._source_ports = kernel.first_source_port()

    @property
    def room(self) -> int:
        """Dials that may be added now."""
        return self.limit - len(self._pending)

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    def dial(self, targets: Iterable[tuple[Token, str, int]]) -> None:
        """Starts a dial for each (token, numeric address, port)."""
        for token, address, port in targets:
            outcome = self._start(token, address, port)
            if outcome is not None:
                self._done.append((token, outcome))

    def collect(self) -> list[tuple[Token, Outcome]]:
        """What was decided since the last call, by the kernel or by the deadline."""
        done, self._done = self._done, []
        pending, now = self._pending, time.monotonic()
        for fd, events in self._epoll.poll(0, len(pending) + 2 * SPARE):
            dial = pending.pop(fd, None)
            if dial is None:  # a spare one
                continue
            sock, started, token = dial
            if events & WRONG:
                outcome = kernel.decided(sock, now - started)
                clean = outcome.result is Result.REFUSED  # by RST: its error queue is empty
            else:
                outcome = kernel.connected(sock, now - started)
                clean = self.abort
                if not clean:
                    kernel.drain(sock)
            if not clean or not self._keep(sock):
                sock.close()
            done.append((token, outcome))
        self._expire(now, done)
        return done

    def wait(self, seconds: float) -> None:
        """Blocks until the kernel has decided a dial, at most `seconds`."""
        if self._done:
            return
        waiting = select.poll()
        waiting.register(self._epoll.fileno(), select.POLLIN)
        waiting.poll(1000 * seconds)

    def close(self) -> None:
        """Gives up what is in flight, without an outcome."""
        for pending in self._pending.values():
            if self.abort:
                kernel.disconnect(pending.socket)
            pending.socket.close()
        for spare in self._spare.values():
            for sock in spare:
                sock.close()
            spare.clear()
        self._pending.clear()
        self._deadlines.clear()
        self._epoll.close()

    def _start(self, token: Token, address: str, port: int) -> Outcome | None:
        """Begins the handshake; an outcome if it is over already."""
        if len(self._pending) >= self.limit:
            detail = f"our own fault: {self.limit} dials are in flight already"
            return Outcome(Result.LOCAL_FAULT, errno=errno.EMFILE, detail=detail)
        if not 0 < port <= PORT_MAX:
            return Outcome(Result.INVALID_TARGET, detail=f"port {port} is out of range")
        try:
            sock = self._socket(AF_INET6 if ":" in address else AF_INET)
        except OSError as failed:
            return kernel.no_socket(failed.errno or errno.EMFILE)
        started = time.monotonic()
        try:
            if port < self._source_ports:
                error = sock.connect_ex((address, port))
            else:
                error = kernel.connect(sock, address, port)
        except OSError:
            sock.close()
            detail = f"our own fault: {address!r} is no numeric address"
            return Outcome(Result.LOCAL_FAULT, detail=detail)
        if error and error != errno.EINPROGRESS:
            sock.close()
            return kernel.failed_at_once(error)
        fd = sock.fileno()
        pending = self._pending[fd] = _Pending(sock, started, token)
        self._deadlines.append((fd, pending))
        return None

    def _socket(self, family: int) -> socket.SocketType:
        """A spare socket, or a new one, which stays in the epoll set until it is closed."""
        if self._spare[family]:
            return self._spare[family].pop()
        other = self._spare[AF_INET + AF_INET6 - family]
        if other and len(self._pending) + len(other) >= self.limit:
            other.pop().close()
        sock = kernel.open_socket(family)
        try:
            self._epoll.register(sock.fileno(), select.EPOLLOUT | select.EPOLLET)
        except OSError:  # /proc/sys/fs/epoll/max_user_watches
            sock.close()
            raise
        return sock

    def _keep(self, sock: socket.SocketType) -> bool:
        """Makes a spare of the socket; False if there are enough, or it cannot be dialed again."""
        spare = self._spare[sock.family]
        full = len(spare) >= SPARE or self._opened() >= self.limit
        if not kernel.disconnect(sock) or full:  # what is closed is reset as well
            return False
        spare.append(sock)
        return True

    def _opened(self) -> int:
        return len(self._pending) + sum(map(len, self._spare.values()))

    def _expire(self, now: float, done: list[tuple[Token, Outcome]]) -> None:
        """Gives up dials past their deadline; all have the same, so the oldest stand first."""
        queue, pending = self._deadlines, self._pending
        while queue:
            fd, oldest = queue[0]
            if pending.get(fd) is oldest:
                if oldest.started + self.seconds > now:
                    break
                del pending[fd]
                done.append((oldest.token, kernel.timed_out(oldest.socket, self.seconds)))
                oldest.socket.close()
            queue.popleft()
