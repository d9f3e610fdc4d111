"""Many TCP dials at once: what the kernel said of each.

Addresses in, outcomes out, as plain records: a result is a value, never an exception. A dial is
one non-blocking socket in one epoll set that the event loop watches; no task, future or timer
per dial. Outcomes are handed over in batches, each with the token that came in with its address.

The kernel facts, measured on Linux 6.18: the handshake's round trip and the retransmitted SYNs
are read from TCP_INFO, so a busy loop does not falsify them; SO_ERROR must be read before the
error queue, reading the queue first clears it; a RST leaves that queue empty, an ICMP message
leaves its type, code and sender there.
"""

import asyncio
import errno
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from probe.core.results import FAILURES, Icmp, Outcome, Result, classify
from probe.core.targets import PORT_MAX

Token = Hashable
Batch = list[tuple[Token, Outcome]]

IP_RECVERR = 11  # linux/in.h; not exported by socket
IPV6_RECVERR = 25  # linux/in6.h
MSG_ERRQUEUE = getattr(socket, "MSG_ERRQUEUE", 0x2000)  # linux/socket.h

TCP_INFO = struct.Struct("=B67xI28xI")
"""linux/tcp.h struct tcp_info: state at 0, rtt in us at 68, total_retrans at 100."""

EXTENDED_ERROR = struct.Struct("=IBBBBII")
"""linux/errqueue.h struct sock_extended_err: errno, origin, type, code, pad, info, data; the
offender's sockaddr follows."""

UNDECIDED = (0, 2)
"""tcp_states.h TCP_SYN_SENT, and what _tcp_info says when it could not tell."""

ORIGINS = {2: 4, 3: 6}
"""SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6 -> IP version. Any other origin is no ICMP message."""

ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER with zero seconds: close sends RST and leaves no TIME_WAIT (measured)."""

SWEEP = 0.05
"""Seconds between looks at the deadlines: a timeout is late by no more than this."""


@dataclass(slots=True)
class _Pending:
    token: Token
    socket: socket.socket
    deadline: float
    started: float
    family: int


class Dialer:
    """Dials until closed. `limit` is the most sockets open at once; `seconds` each one's deadline.

    Outcomes go to `deliver`, called from the event loop. Dials beyond the limit come back as
    local faults: asking for `room` first is the caller's part.
    """

    def __init__(
        self, deliver: Callable[[Batch], None], *, seconds: float = 4.0, limit: int = 1000
    ) -> None:
        self.seconds = seconds
        self.limit = limit
        self._deliver = deliver
        self._pending: dict[int, _Pending] = {}
        self._deadlines: deque[_Pending] = deque()
        self._epoll = select.epoll()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._collect)
        self._sweep: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def room(self) -> int:
        """Dials that may be added now."""
        return self.limit - len(self._pending)

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    def dial(self, targets: Iterable[tuple[Token, str, int]]) -> None:
        """Starts a dial for each (token, numeric address, port)."""
        done: Batch = []
        for token, address, port in targets:
            outcome = self._start(token, address, port)
            if outcome is not None:
                done.append((token, outcome))
        if done:
            self._deliver(done)
        if self._pending:
            self._idle.clear()
        if self._sweep is None and self._deadlines:
            self._sweep = self._loop.call_later(SWEEP, self._expire)

    async def drain(self, seconds: float) -> None:
        """Waits until nothing is in flight, at most `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            pass

    def close(self) -> None:
        """Gives up what is in flight, without an outcome."""
        if self._epoll.closed:
            return
        self._loop.remove_reader(self._epoll.fileno())
        if self._sweep is not None:
            self._sweep.cancel()
        for pending in self._pending.values():
            pending.socket.close()
        self._pending.clear()
        self._deadlines.clear()
        self._idle.set()
        self._epoll.close()

    def _start(self, token: Token, address: str, port: int) -> Outcome | None:
        """Begins the handshake; an outcome if it is over already."""
        if len(self._pending) >= self.limit:
            return _failure(errno.EMFILE, None)
        if not 0 < port <= PORT_MAX:
            return Outcome(Result.INVALID_TARGET, detail=f"port {port} is out of range")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as failed:
            return _failure(failed.errno or errno.EMFILE, None)
        try:
            _prepare(sock, family)
            started = self._loop.time()
            error = sock.connect_ex((address, port))
        except OSError as failed:
            sock.close()
            return _failure(failed.errno or errno.EINVAL, None)
        pending = _Pending(token, sock, started + self.seconds, started, family)
        if error not in (0, errno.EINPROGRESS):
            outcome = _failure(error, _icmp(sock, family))
            sock.close()
            return outcome
        self._pending[sock.fileno()] = pending
        self._deadlines.append(pending)
        self._epoll.register(sock, select.EPOLLOUT | select.EPOLLET)
        return None

    def _collect(self) -> None:
        """Takes what the kernel has decided since the last turn of the loop."""
        now = self._loop.time()
        done: Batch = []
        for fd, _ in self._epoll.poll(0, 512):
            pending = self._pending.pop(fd, None)
            if pending is not None:
                done.append((pending.token, _outcome(pending, now)))
                pending.socket.close()
        self._hand_over(done)

    def _hand_over(self, done: Batch) -> None:
        if done:
            self._deliver(done)
        if not self._pending:
            self._idle.set()

    def _expire(self) -> None:
        """Gives up dials past their deadline; all have the same, so the oldest stand first."""
        self._sweep = None
        now = self._loop.time()
        done: Batch = []
        queue = self._deadlines
        while queue and (queue[0].deadline <= now or queue[0].socket.fileno() < 0):
            pending = queue.popleft()
            if pending.socket.fileno() >= 0:
                del self._pending[pending.socket.fileno()]
                done.append((pending.token, self._timed_out(pending, now)))
                pending.socket.close()
        if queue:
            self._sweep = self._loop.call_later(SWEEP, self._expire)
        self._hand_over(done)

    def _timed_out(self, pending: _Pending, now: float) -> Outcome:
        """What to say past the deadline: if the kernel has decided, it is we who are late."""
        state, _, retransmits = _tcp_info(pending.socket)
        if state not in UNDECIDED:
            return _outcome(pending, now)
        again = f", {retransmits} SYN{'s' * (retransmits > 1)} sent again" if retransmits else ""
        detail = f"no answer within {self.seconds:g} s{again}"
        return Outcome(Result.TIMEOUT, syn_retransmits=retransmits, detail=detail)


def _prepare(sock: socket.socket, family: int) -> None:
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)


def _outcome(pending: _Pending, now: float) -> Outcome:
    """What became of a dial that the kernel has decided."""
    sock = pending.socket
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    _, rtt, retransmits = _tcp_info(sock)
    if error == 0:
        # After a lost SYN the kernel's RTT is 0 or a constant (measured): only our clock knows.
        seconds = rtt / 1e6 if rtt and not retransmits else now - pending.started
        return Outcome(Result.CONNECTED, seconds, retransmits, detail="connected")
    return _failure(error, _icmp(sock, pending.family), retransmits)


def _tcp_info(sock: socket.socket) -> tuple[int, int, int]:
    """State, handshake round trip (us), SYNs sent again."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
    if len(raw) < TCP_INFO.size:
        return 0, 0, 0
    state, rtt, retransmits = TCP_INFO.unpack(raw)
    return state, rtt, retransmits


def _failure(error: int, icmp: Icmp | None, retransmits: int = 0) -> Outcome:
    result = classify(error, icmp)
    return Outcome(result, None, retransmits, icmp, error, _detail(result, error, icmp))


def _detail(result: Result, error: int, icmp: Icmp | None) -> str:
    if icmp is not None:
        kind = "ICMP" if icmp.version == 4 else "ICMPv6"
        return f"{kind} {icmp.type}/{icmp.code} from {icmp.offender}"
    if result is Result.REFUSED:
        return "refused by RST: nothing listens on that port"
    name = errno.errorcode.get(error, str(error))
    prefix = "" if result in FAILURES else "our own fault: "
    return f"{prefix}{os.strerror(error)} ({name})"


def _icmp(sock: socket.socket, family: int) -> Icmp | None:
    """The ICMP message in the socket's error queue, if that is what failed the dial."""
    level, option = (
        (socket.IPPROTO_IPV6, IPV6_RECVERR)
        if family == socket.AF_INET6
        else (socket.IPPROTO_IP, IP_RECVERR)
    )
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(0, 256, MSG_ERRQUEUE)
        except OSError:
            return None
        for found_level, found_type, data in ancillary:
            if (found_level, found_type) == (level, option) and len(data) >= EXTENDED_ERROR.size:
                _, origin, type_, code, _, _, _ = EXTENDED_ERROR.unpack_from(data)
                if origin in ORIGINS:
                    return Icmp(ORIGINS[origin], type_, code, _offender(data))


def _offender(data: bytes) -> str:
    """The sender's address: a sockaddr_in or sockaddr_in6 behind the extended error."""
    address = data[EXTENDED_ERROR.size :]
    if len(address) < 8:
        return ""
    (family,) = struct.unpack_from("=H", address)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, address[4:8])
    if family == socket.AF_INET6 and len(address) >= 24:
        return socket.inet_ntop(socket.AF_INET6, address[8:24])
    return ""
