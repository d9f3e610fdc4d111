"""What the kernel says of one TCP socket that dials, as an Outcome.

The facts, measured on Linux 6.18: the handshake's round trip and the SYNs sent again are in
TCP_INFO, so whoever looks late still learns the truth; SO_ERROR must be read before the error
queue, reading the queue first clears it; a RST leaves that queue empty, an ICMP message leaves its
type, code and sender there (IP_RECVERR; no capability needed).
"""

import ctypes
import errno
import os
import socket
import struct
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from probe.core.results import FAILURES, Icmp, Outcome, Result, classify

IP_RECVERR = 11  # linux/in.h; not exported by socket
IPV6_RECVERR = 25  # linux/in6.h
MSG_ERRQUEUE = getattr(socket, "MSG_ERRQUEUE", 0x2000)  # linux/socket.h

RECVERR: dict[int, tuple[int, int]] = {
    socket.AF_INET: (socket.IPPROTO_IP, IP_RECVERR),
    socket.AF_INET6: (socket.IPPROTO_IPV6, IPV6_RECVERR),
}
"""Level and name of the option that fills the error queue, by address family."""

TCP_INFO = struct.Struct("=B67xI28xI")
"""linux/tcp.h struct tcp_info: state at 0, rtt in us at 68, total_retrans at 100."""

SOURCE_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Of this network namespace, for IPv6 too."""

SYN_SENT = 2  # tcp_states.h
SHAKEN = {1, 8}
"""ESTABLISHED and CLOSE_WAIT: the handshake was finished, and nothing has gone wrong since."""

EXTENDED_ERROR = struct.Struct("=IBBBBII")
"""linux/errqueue.h struct sock_extended_err: errno, origin, type, code, pad, info, data; the
offender's sockaddr follows."""

ORIGINS = {2: 4, 3: 6}
"""SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6 -> IP version. Any other origin is no ICMP message."""

STREAM = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
IPPROTO_TCP, TCP_INFO_NAME = int(socket.IPPROTO_TCP), int(socket.TCP_INFO)
SOL_SOCKET, SO_ERROR = int(socket.SOL_SOCKET), int(socket.SO_ERROR)

GREETING = 4096
"""Bytes: more than any banner. Arbitrary."""

FIRST_RETRANSMIT = 0.9
"""Seconds: no SYN is sent again before 1 s (net/tcp.h TCP_TIMEOUT_INIT), less our clock's error."""

OURS = "our own fault"
SAID_AT_ONCE = {
    Result.UNREACHABLE: "no way from this node",
    Result.REJECTED: "forbidden on this node",
}
"""How the detail of a dial begins that this node did not let out."""

_connect = ctypes.PyDLL(None).connect  # socket.connect knows no AF_UNSPEC
_connect.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_NOWHERE = struct.pack("=H14x", socket.AF_UNSPEC)


def open_socket(family: int) -> socket.SocketType:
    """A non-blocking socket whose error queue fills. Raises OSError without descriptors or memory.

    The plain type, not its wrapper in `socket`, which costs a dial 2 us more (measured).
    """
    sock = socket.SocketType(family, STREAM)
    try:
        sock.setsockopt(*RECVERR[family], 1)
    except OSError:
        sock.close()
        raise
    return sock


def first_source_port(path: Path = SOURCE_PORTS) -> int:
    """The lowest port that connect() picks as a source, 32768 unless a node was tuned."""
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 1


def connect(sock: socket.SocketType, address: str, port: int) -> int:
    """connect(2)'s errno, for a port among the source ports, but never from that port itself.

    Towards an address of this node that would be a connection of the socket to itself (RFC 9293
    3.5, simultaneous open), though nothing listens: 1 of 13,600 dials of such a port (measured).
    Raises OSError for what is no numeric address.
    """
    for _ in range(8):  # arbitrary; the kernel hardly ever picks the same port again
        error = sock.connect_ex((address, port))
        if sock.getsockname()[1] != port or not disconnect(sock):
            return error
    return errno.EADDRNOTAVAIL


def disconnect(sock: socket.SocketType) -> bool:
    """Makes the socket as good as new, to dial again from a new source port; False if it can not.

    What was connected is reset by RST, as connect(2) to AF_UNSPEC does (net/ipv4/tcp.c
    tcp_disconnect), which leaves no TIME_WAIT, and saves a close and a new socket: a dial costs 1.0
    of what it does in C instead of 1.6 (measured). The error queue stays as it was: only sockets
    with an empty one should be kept.
    """
    found: int = _connect(sock.fileno(), _NOWHERE, len(_NOWHERE))
    return found == 0


def drain(sock: socket.SocketType) -> None:
    """Takes what the peer has sent already: closing with that unread would be a RST, not a FIN
    (net/ipv4/tcp.c __tcp_close). Who speaks only after that meets a RST all the same."""
    with suppress(OSError):  # nothing was sent, as usual
        sock.recv(GREETING)


def connected(sock: socket.SocketType, waited: float) -> Outcome:
    """A finished handshake. `waited` is what our own clock says of it, in seconds."""
    _, rtt, retransmits = TCP_INFO.unpack(
        sock.getsockopt(IPPROTO_TCP, TCP_INFO_NAME, TCP_INFO.size)
    )
    if rtt and not retransmits:
        return _answered(rtt)
    # After a lost SYN the kernel's RTT is 0 or a constant (measured): only our clock knows.
    return Outcome(Result.CONNECTED, waited, retransmits, None, 0, "connected")


@lru_cache(maxsize=4096)
def _answered(rtt: int) -> Outcome:
    """A handshake of so many microseconds. Edges have few different ones between them, and each
    keeps its last outcome: shared ones save 130 bytes an edge (measured)."""
    return Outcome(Result.CONNECTED, rtt / 1e6, 0, None, 0, "connected")


def decided(sock: socket.SocketType, waited: float) -> Outcome:
    """What became of a dial of which epoll says that something is wrong with it."""
    error = sock.getsockopt(SOL_SOCKET, SO_ERROR)
    if error == 0:
        # On another core an ICMP message wakes epoll before it sets the error (net/ipv4/tcp_ipv4.c
        # tcp_v4_err); it holds the socket's lock meanwhile, and TCP_INFO waits for that.
        if _tcp_info(sock)[0] in SHAKEN:
            return connected(sock, waited)
        error = sock.getsockopt(SOL_SOCKET, SO_ERROR)
    icmp = icmp_error(sock)
    result = classify(error, icmp)
    retransmits = _tcp_info(sock)[2] if waited > FIRST_RETRANSMIT else 0
    return Outcome(result, None, retransmits, icmp, error, _detail(result, error, icmp))


def timed_out(sock: socket.SocketType, seconds: float) -> Outcome:
    """What to say `seconds` after it began; if the kernel has decided, it is we who are late."""
    state, _, retransmits = _tcp_info(sock)
    if state != SYN_SENT:
        return decided(sock, seconds)
    again = f", {retransmits} SYN{'s' * (retransmits > 1)} sent again" if retransmits else ""
    detail = f"no answer within {seconds:g} s{again}"
    return Outcome(Result.TIMEOUT, syn_retransmits=retransmits, detail=detail)


def failed_at_once(error: int) -> Outcome:
    """What connect() itself returned: this node's own word, before any packet left."""
    result = classify(error, None, at_once=True)
    said = "a blackhole route" if error == errno.EINVAL else os.strerror(error)
    detail = f"{SAID_AT_ONCE.get(result, OURS)}: {said} ({_name(error)})"
    return Outcome(result, errno=error, detail=detail)


def no_socket(error: int) -> Outcome:
    """A dial for which there was no socket: ours, whatever the errno."""
    detail = f"{OURS}: {os.strerror(error)} ({_name(error)})"
    return Outcome(Result.LOCAL_FAULT, errno=error, detail=detail)


def icmp_error(sock: socket.SocketType) -> Icmp | None:
    """The ICMP message in the socket's error queue, if that is what failed the dial."""
    wanted = RECVERR[sock.family]
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(0, 256, MSG_ERRQUEUE)
        except OSError:
            return None
        for level, name, data in ancillary:
            if (level, name) == wanted and len(data) >= EXTENDED_ERROR.size:
                _, origin, type_, code, _, _, _ = EXTENDED_ERROR.unpack_from(data)
                if origin in ORIGINS:
                    return Icmp(ORIGINS[origin], type_, code, _offender(data))


def _tcp_info(sock: socket.SocketType) -> tuple[int, int, int]:
    """State, handshake round trip (us), SYNs sent again."""
    state, rtt, retransmits = TCP_INFO.unpack(
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
    )
    return state, rtt, retransmits


def _detail(result: Result, error: int, icmp: Icmp | None) -> str:
    if icmp is not None:
        kind = "ICMP" if icmp.version == 4 else "ICMPv6"
        return f"{kind} {icmp.type}/{icmp.code} from {icmp.offender}"
    if result is Result.REFUSED:
        return "refused by RST: nothing listens on that port"
    if result is Result.RESET:
        return f"connected, then reset by RST ({_name(error)})"
    prefix = "" if result in FAILURES else f"{OURS}: "
    return f"{prefix}{os.strerror(error)} ({_name(error)})"


def _name(error: int) -> str:
    return errno.errorcode.get(error, str(error))


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
