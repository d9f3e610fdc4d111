"""What the kernel says of a dial on loopback; firewalls and routes are in test_kernel_faults.py."""

import ctypes
import errno
import os
import platform
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from probe.core.results import Icmp, Outcome, Result
from probe.kernel import (
    EXTENDED_ERROR,
    _detail,
    _offender,
    decided,
    first_source_port,
    open_socket,
    timed_out,
)
from tests.desk import (
    LOOPBACKS,
    PATIENCE,
    RESET,
    Desk,
    closed,
    full,
    listener,
    listening,
)


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_handshake_is_told_with_the_kernels_round_trip_however_late_we_look(
    desk: Desk, sockets: ExitStack, address: str
) -> None:
    desk.dialer.dial([(0, address, listening(sockets, address))])
    time.sleep(0.3)
    found = desk.outcomes(1)[0]

    assert 0 < (found.connect_seconds or 0) < 0.3
    assert found == Outcome(Result.CONNECTED, found.connect_seconds, detail="connected")


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_closed_port_is_refused_by_rst(desk: Desk, sockets: ExitStack, address: str) -> None:
    (found,) = desk.dial((address, closed(sockets, address)))

    assert found == Outcome(
        Result.REFUSED,
        errno=errno.ECONNREFUSED,
        detail="refused by RST: nothing listens on that port",
    )


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_full_accept_queue_is_a_timeout_that_counts_its_syns(
    sockets: ExitStack, address: str
) -> None:
    began = time.monotonic()
    with Desk(seconds=1.5) as desk:
        (found,) = desk.dial((address, full(sockets, address)))
    most, again = int(time.monotonic() - began), found.syn_retransmits  # one a second at most

    assert 1 <= again <= most
    said = f"{again} SYN{'s' * (again > 1)} sent again"
    assert found == Outcome(
        Result.TIMEOUT, syn_retransmits=again, detail=f"no answer within 1.5 s, {said}"
    )


def test_no_answer_before_a_syn_could_be_sent_again_says_nothing_of_it(sockets: ExitStack) -> None:
    with Desk(seconds=0.1) as desk:
        (found,) = desk.dial(("127.0.0.1", full(sockets)))

    assert found == Outcome(Result.TIMEOUT, detail="no answer within 0.1 s")


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_syn_that_was_sent_again_is_counted_and_timed_by_our_clock(
    sockets: ExitStack, address: str
) -> None:
    """Since the kernel's round trip is no measurement then."""
    held = listener(sockets, address, backlog=0)
    sockets.enter_context(socket.create_connection(held.getsockname()[:2]))
    with Desk(seconds=5.0) as desk:
        desk.dialer.dial([(0, address, held.getsockname()[1])])
        held.accept()[0].close()  # the first SYN was dropped meanwhile
        found = desk.outcomes(1)[0]

    assert (found.result, found.syn_retransmits) == (Result.CONNECTED, 1)
    assert 0.9 < (found.connect_seconds or 0) < 5.0


def settled(dialed: socket.SocketType) -> None:
    """Until the kernel has decided the dial: on loopback too it may put that off."""
    assert select.select([], [dialed], [], PATIENCE)[1]


def test_a_handshake_that_ends_just_at_the_deadline_is_no_timeout(sockets: ExitStack) -> None:
    held = listener(sockets)
    late = open_socket(socket.AF_INET)
    sockets.callback(late.close)
    late.connect_ex(held.getsockname())
    settled(late)

    assert timed_out(late, 1.0).result is Result.CONNECTED


def test_a_refusal_just_at_the_deadline_is_no_timeout(sockets: ExitStack) -> None:
    late = open_socket(socket.AF_INET)
    sockets.callback(late.close)
    late.connect_ex(("127.0.0.1", closed(sockets)))
    settled(late)

    assert timed_out(late, 1.0).result is Result.REFUSED


class LateError(socket.SocketType):
    """As on another core: SO_ERROR reads 0 while the kernel is about to set it."""

    early = True

    def getsockopt(self, level: int, name: int, size: int = 0) -> Any:
        if name == socket.SO_ERROR and self.early:
            self.early = False
            return 0
        return super().getsockopt(level, name, size) if size else super().getsockopt(level, name)


def test_an_error_that_the_kernel_has_still_to_set_is_no_handshake(sockets: ExitStack) -> None:
    """epoll may tell of an ICMP message first (seen once in 2,000, from another core)."""
    early = LateError(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sockets.callback(early.close)
    early.connect_ex(("127.0.0.1", closed(sockets)))
    settled(early)

    assert decided(early, 0.0).result is Result.REFUSED


def test_source_ports_that_nobody_tells_might_be_any(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert 1024 <= first_source_port() < 65535
    assert first_source_port(tmp_path / "empty") == first_source_port(tmp_path / "missing") == 1


def abort(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()


def end_then_abort(peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)
    abort(peer)


@pytest.mark.parametrize("address", LOOPBACKS)
@pytest.mark.parametrize(
    ("farewell", "result", "error"),
    [
        (abort, Result.RESET, errno.ECONNRESET),
        (end_then_abort, Result.RESET, errno.EPIPE),
        (socket.socket.close, Result.CONNECTED, 0),
    ],
    ids=["RST", "FIN, then RST", "FIN"],
)
def test_what_a_peer_does_right_after_it_accepted(
    desk: Desk,
    sockets: ExitStack,
    address: str,
    farewell: Callable[[socket.socket], None],
    result: Result,
    error: int,
) -> None:
    held = listener(sockets, address)
    desk.dialer.dial([(0, address, held.getsockname()[1])])
    farewell(held.accept()[0])
    found = desk.outcomes(1)[0]

    assert (found.result, found.errno) == (result, error)


# Failures of the call itself. A policy on this process answers as seccomp does here; so do the
# connect() hooks of Cilium, for a Service without backends.

SYSCALLS = {
    "x86_64": {"socket": 41, "connect": 42, "setsockopt": 54, "epoll_ctl": 233},
    "aarch64": {"socket": 198, "connect": 203, "setsockopt": 208, "epoll_ctl": 21},
}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2  # linux/prctl.h, seccomp.h
LOAD_SYSCALL = struct.pack("=HBBI", 0x20, 0, 0, 0)  # linux/bpf_common.h BPF_LD | BPF_W | BPF_ABS
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000


def forbid(call: str, error: int) -> None:
    """Makes that system call fail in this thread, for good."""
    program = ctypes.create_string_buffer(
        LOAD_SYSCALL
        + struct.pack("=HBBI", 0x15, 0, 1, SYSCALLS[platform.machine()][call])  # BPF_JMP | BPF_JEQ
        + struct.pack("=HBBI", 0x06, 0, 0, SECCOMP_RET_ERRNO | error)  # BPF_RET
        + struct.pack("=HBBI", 0x06, 0, 0, SECCOMP_RET_ALLOW)
    )
    bpf = struct.pack("@HP", 4, ctypes.addressof(program))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    refused = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, bpf, 0, 0
    )
    if refused:
        raise OSError(ctypes.get_errno(), "prctl")


def dialed_where(call: str, error: int, target: tuple[str, int]) -> Outcome:
    found: list[Outcome] = []

    def dial() -> None:
        with Desk() as desk:
            forbid(call, error)
            found.extend(desk.dial(target))

    thread = threading.Thread(target=dial)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.skipif(platform.machine() not in SYSCALLS, reason="needs x86_64 or aarch64")
@pytest.mark.parametrize("address", LOOPBACKS)
@pytest.mark.parametrize(
    ("call", "error", "result", "detail"),
    [
        ("connect", errno.EPERM, Result.LOCAL_FAULT, "our own fault"),
        ("connect", errno.EADDRNOTAVAIL, Result.LOCAL_FAULT, "our own fault"),
        ("connect", errno.ENOBUFS, Result.LOCAL_FAULT, "our own fault"),
        ("connect", errno.EAFNOSUPPORT, Result.LOCAL_FAULT, "our own fault"),
        ("connect", errno.EHOSTUNREACH, Result.UNREACHABLE, "no way from this node"),
        ("connect", errno.ENETUNREACH, Result.UNREACHABLE, "no way from this node"),
        ("connect", errno.EACCES, Result.REJECTED, "forbidden on this node"),
        ("connect", errno.ECONNREFUSED, Result.REJECTED, "forbidden on this node"),
        ("socket", errno.EACCES, Result.LOCAL_FAULT, "our own fault"),
        ("socket", errno.ENOBUFS, Result.LOCAL_FAULT, "our own fault"),
        ("socket", errno.EAFNOSUPPORT, Result.LOCAL_FAULT, "our own fault"),
        ("setsockopt", errno.ENOPROTOOPT, Result.LOCAL_FAULT, "our own fault"),
        ("epoll_ctl", errno.ENOSPC, Result.LOCAL_FAULT, "our own fault"),
    ],
)
def test_a_call_that_fails_at_once_is_this_nodes_own_word(
    sockets: ExitStack, address: str, call: str, error: int, result: Result, detail: str
) -> None:
    found = dialed_where(call, error, (address, listening(sockets, address)))
    told = f"{detail}: {os.strerror(error)} ({errno.errorcode[error]})"

    assert found == Outcome(result, errno=error, detail=told)


# The bytes of the error queue


def extended(*address: bytes) -> bytes:
    return EXTENDED_ERROR.pack(errno.ECONNREFUSED, 2, 3, 3, 0, 0, 0) + b"".join(address)


@pytest.mark.parametrize(
    ("data", "offender"),
    [
        (extended(struct.pack("=HH4s8x", socket.AF_INET, 0, bytes([10, 0, 0, 254]))), "10.0.0.254"),
        (extended(struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, bytes(15) + b"\1", 0)), "::1"),
        (extended(struct.pack("=HH4s", socket.AF_INET6, 0, bytes(4))), ""),
        (extended(struct.pack("=HH4s8x", 0, 0, bytes(4))), ""),
        (extended(), ""),
    ],
)
def test_the_offender_is_read_from_the_error_queue(data: bytes, offender: str) -> None:
    assert _offender(data) == offender


def test_a_failure_is_told_in_one_phrase() -> None:
    icmp = Icmp(6, 1, 4, "fd00::1")

    assert _detail(Result.REJECTED, 0, icmp) == "ICMPv6 1/4 from fd00::1"
    assert _detail(Result.TIMEOUT, errno.ETIMEDOUT, None) == "Connection timed out (ETIMEDOUT)"
    assert _detail(Result.LOCAL_FAULT, 9999, None) == "our own fault: Unknown error 9999 (9999)"
