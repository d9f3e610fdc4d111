"""The dialer against the real kernel, on loopback: no doubles, every port picked by the kernel."""

import asyncio
import errno
import gc
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probe.core.results import Icmp, Outcome, Result
from probe.dialer import EXTENDED_ERROR, Batch, Dialer, _detail, _offender

LINGER_RESET = struct.pack("ii", 1, 0)


class Desk:
    """A dialer with its outcomes, by token."""

    def __init__(self, *, seconds: float = 2.0, limit: int = 1000) -> None:
        self.outcomes: dict[object, Outcome] = {}
        self.batches = 0
        self.dialer = Dialer(self._deliver, seconds=seconds, limit=limit)

    def _deliver(self, batch: Batch) -> None:
        self.batches += 1
        for token, outcome in batch:
            assert token not in self.outcomes
            self.outcomes[token] = outcome

    async def dial(self, *targets: tuple[str, int]) -> list[Outcome]:
        self.outcomes.clear()
        self.dialer.dial((i, address, port) for i, (address, port) in enumerate(targets))
        await self.dialer.drain(10)
        return [self.outcomes[i] for i in range(len(targets))]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    found = Desk()
    yield found
    found.dialer.close()


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listening(stack: ExitStack, address: str = "127.0.0.1", *, backlog: int = 1000) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    held = stack.enter_context(socket.socket(family))
    held.bind((address, 0))
    held.listen(backlog)
    return int(held.getsockname()[1])


def closed(stack: ExitStack, address: str = "127.0.0.1") -> int:
    """A port on which nothing listens, and which nobody else gets meanwhile."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    held = stack.enter_context(socket.socket(family))
    held.bind((address, 0))
    return int(held.getsockname()[1])


def full(stack: ExitStack) -> int:
    """A port whose accept queue is full, so that SYNs are dropped: a timeout without a firewall."""
    port = listening(stack, backlog=0)
    for _ in range(3):
        filler = stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
    time.sleep(0.05)
    return port


async def test_a_listener_is_connected_with_the_kernels_round_trip(
    desk: Desk, sockets: ExitStack
) -> None:
    (found,) = await desk.dial(("127.0.0.1", listening(sockets)))

    assert found.result is Result.CONNECTED
    assert found.connect_seconds is not None
    assert 0 < found.connect_seconds < 0.05
    assert (found.syn_retransmits, found.icmp, found.errno) == (0, None, 0)


async def test_a_busy_loop_does_not_falsify_the_round_trip(desk: Desk, sockets: ExitStack) -> None:
    desk.dialer.dial([("slow", "127.0.0.1", listening(sockets))])
    time.sleep(0.3)  # noqa: ASYNC251 - the stall is what this is about
    await desk.dialer.drain(2)

    assert (desk.outcomes["slow"].connect_seconds or 1) < 0.05


async def test_40_any_address_of_the_loopback_net_is_dialed(desk: Desk, sockets: ExitStack) -> None:
    port = listening(sockets, "127.9.8.7")
    connected, refused = await desk.dial(("127.9.8.7", port), ("127.9.8.6", port))

    assert (connected.result, refused.result) == (Result.CONNECTED, Result.REFUSED)


async def test_ipv6_is_dialed_too(desk: Desk, sockets: ExitStack) -> None:
    open_port, closed_port = listening(sockets, "::1"), closed(sockets, "::1")
    connected, refused = await desk.dial(("::1", open_port), ("::1", closed_port))

    assert (connected.result, refused.result) == (Result.CONNECTED, Result.REFUSED)


async def test_a_closed_port_is_refused_by_rst(desk: Desk, sockets: ExitStack) -> None:
    (found,) = await desk.dial(("127.0.0.1", closed(sockets)))

    assert found == Outcome(
        Result.REFUSED,
        errno=errno.ECONNREFUSED,
        detail="refused by RST: nothing listens on that port",
    )


async def test_a_full_accept_queue_is_a_timeout_that_counts_its_syns(sockets: ExitStack) -> None:
    desk = Desk(seconds=1.5)
    began = time.monotonic()
    (found,) = await desk.dial(("127.0.0.1", full(sockets)))
    took = time.monotonic() - began
    desk.dialer.close()

    assert found.result is Result.TIMEOUT
    assert 1.5 <= took < 1.8
    assert found.syn_retransmits == 1
    assert found.detail == "no answer within 1.5 s, 1 SYN sent again"


async def test_a_syn_that_was_sent_again_is_counted_and_timed_by_our_clock(
    sockets: ExitStack,
) -> None:
    held = sockets.enter_context(socket.socket())
    held.bind(("127.0.0.1", 0))
    held.listen(0)
    port = held.getsockname()[1]
    for _ in range(2):
        filler = sockets.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
    await asyncio.sleep(0.05)
    desk = Desk(seconds=4)
    desk.dialer.dial([("late", "127.0.0.1", port)])
    await asyncio.sleep(0.3)
    for _ in range(2):
        held.accept()[0].close()
    await desk.dialer.drain(5)
    desk.dialer.close()
    found = desk.outcomes["late"]

    assert (found.result, found.syn_retransmits) == (Result.CONNECTED, 1)
    assert 0.9 < (found.connect_seconds or 0) < 1.5


async def test_a_peer_that_resets_what_it_accepted_is_a_reset(
    desk: Desk, sockets: ExitStack
) -> None:
    held = sockets.enter_context(socket.socket())
    held.bind(("127.0.0.1", 0))
    held.listen()
    desk.dialer.dial([("reset", *held.getsockname())])
    peer, _ = held.accept()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    peer.close()
    await desk.dialer.drain(2)

    assert desk.outcomes["reset"].result is Result.RESET


async def test_40_port_0_and_beyond_is_invalid_and_never_dialed(desk: Desk) -> None:
    found = await desk.dial(("127.0.0.1", 0), ("127.0.0.1", 65536), ("127.0.0.1", -1))

    assert {outcome.result for outcome in found} == {Result.INVALID_TARGET}


async def test_a_name_is_no_address_and_accuses_nobody(desk: Desk) -> None:
    (found,) = await desk.dial(("256.256.256.256", 80))

    assert found.result is Result.LOCAL_FAULT


async def test_34_beyond_the_limit_is_our_own_fault(sockets: ExitStack) -> None:
    desk = Desk(limit=2)
    port = full(sockets)
    desk.dialer.dial([(i, "127.0.0.1", port) for i in range(3)])

    assert (desk.dialer.room, desk.dialer.in_flight) == (0, 2)
    assert desk.outcomes[2].result is Result.LOCAL_FAULT
    desk.dialer.close()


async def test_draining_gives_up_after_its_time_and_closing_leaves_no_descriptor(
    sockets: ExitStack,
) -> None:
    port = full(sockets)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    desk = Desk(seconds=60)
    desk.dialer.dial([(i, "127.0.0.1", port) for i in range(50)])
    began = time.monotonic()
    await desk.dialer.drain(0.1)
    assert 0.1 <= time.monotonic() - began < 0.5
    assert desk.dialer.in_flight == 50

    desk.dialer.close()
    desk.dialer.close()
    await desk.dialer.drain(1)  # nothing is in flight any more
    gc.collect()
    assert desk.outcomes == {}
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_thousands_of_dials_at_once_all_come_back(sockets: ExitStack) -> None:
    desk = Desk(limit=4000)
    open_port, closed_port = listening(sockets, backlog=4000), closed(sockets)
    targets = [(f"127.0.{i % 200}.1", open_port if i % 2 else closed_port) for i in range(900)]
    held = sockets.enter_context(socket.socket())
    held.bind(("0.0.0.0", 0))
    held.listen(4000)
    wide = held.getsockname()[1]
    targets += [(f"127.1.{i % 250}.{i // 250 + 1}", wide) for i in range(2000)]
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    targets = targets[: min(len(targets), soft // 2 - 200)]  # both ends of each are ours
    found = await desk.dial(*targets)
    desk.dialer.close()

    assert len(found) == len(targets)
    assert {o.result for o in found} == {Result.CONNECTED, Result.REFUSED}
    assert desk.batches < len(targets) / 5


async def test_a_dial_that_the_kernel_decided_is_no_timeout_however_late_we_look(
    sockets: ExitStack,
) -> None:
    """More of them than are collected in one go, and a loop that stalls past the deadline."""
    desk = Desk(seconds=0.1, limit=700)
    port = listening(sockets, backlog=1000)
    desk.dialer.dial([(i, "127.0.0.1", port) for i in range(700)])
    time.sleep(0.3)  # noqa: ASYNC251 - the stall is what this is about
    await desk.dialer.drain(5)
    desk.dialer.close()

    assert {o.result for o in desk.outcomes.values()} == {Result.CONNECTED}
    assert len(desk.outcomes) == 700


async def test_outcomes_may_be_answered_with_further_dials(sockets: ExitStack) -> None:
    port, silent = closed(sockets), full(sockets)
    seen: list[object] = []

    def deliver(batch: Batch) -> None:
        for token, _ in batch:
            seen.append(token)
            if isinstance(token, int) and token < 9:
                dialer.dial([(token + 1, "127.0.0.1", silent if token == 4 else port)])
            dialer.dial([(f"invalid-{token}", "127.0.0.1", 0)] if isinstance(token, int) else [])

    dialer = Dialer(deliver, seconds=0.3)
    dialer.dial([(0, "127.0.0.1", port)])
    await dialer.drain(5)
    dialer.close()

    assert [t for t in seen if isinstance(t, int)] == list(range(10))
    assert len(seen) == 20


async def test_the_dialer_may_be_closed_by_whom_it_delivers_to(sockets: ExitStack) -> None:
    closing: list[Dialer] = []
    desk = Dialer(lambda batch: closing[0].close(), seconds=0.2)
    closing.append(desk)
    desk.dial([("a", "127.0.0.1", closed(sockets)), ("b", "127.0.0.1", full(sockets))])
    await desk.drain(2)

    assert desk.in_flight == 0


TIME_WAIT = "06"


def tcp_states(port: int) -> set[str]:
    """The states of the sockets with this port at one end, as /proc writes them."""
    lines = map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {state for _, local, remote, state, *_ in lines if f":{port:04X}" in local + remote}


async def test_nothing_is_left_in_time_wait(desk: Desk, sockets: ExitStack) -> None:
    port = listening(sockets)
    await desk.dial(*[("127.0.0.1", port)] * 200)

    assert TIME_WAIT not in tcp_states(port)


SCARCE = """
import asyncio, resource, socket
from probe.dialer import Dialer

async def main():
    outcomes = []
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    dialer = Dialer(outcomes.extend, seconds=2.0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
    dialer.dial((i, "127.0.0.1", listener.getsockname()[1]) for i in range(50))
    await dialer.drain(5)
    found = [outcome for _, outcome in outcomes]
    print(len(found), *sorted({str(o.result) for o in found}))
    print(next(o.detail for o in found if o.errno))
    dialer.close()
    listener.close()

asyncio.run(main())
"""


def test_34_without_descriptors_a_dial_is_our_own_fault() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCARCE],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "50 connected local_fault",
        "our own fault: Too many open files (EMFILE)",
    ]


# What the error queue holds, byte by byte; the messages themselves are met in test_dialer_icmp.py.


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
    assert _detail(Result.RESET, errno.ECONNRESET, None) == "Connection reset by peer (ECONNRESET)"
    assert _detail(Result.LOCAL_FAULT, 9999, None).endswith("(9999)")
