"""The dial engine on loopback: every port picked by the kernel, nothing doubled."""

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from probe.core.results import Result
from tests.desk import (
    LOOPBACKS,
    PATIENCE,
    Desk,
    bound,
    closed,
    descriptors,
    full,
    listening,
    results,
)
from tests.namespaces import inside, namespaces, sysctls


@pytest.mark.parametrize("address", LOOPBACKS)
def test_open_and_closed_ports_are_told_apart_in_both_families(
    desk: Desk, sockets: ExitStack, address: str
) -> None:
    targets = (address, listening(sockets, address)), (address, closed(sockets, address))

    assert results(desk.dial(*targets)) == [Result.CONNECTED, Result.REFUSED]


def test_40_any_address_of_the_loopback_net_is_dialed(desk: Desk, sockets: ExitStack) -> None:
    port = listening(sockets, "127.9.8.7")
    found = desk.dial(("127.9.8.7", port), ("127.9.8.6", port))

    assert results(found) == [Result.CONNECTED, Result.REFUSED]


def test_40_port_0_and_beyond_is_invalid_and_never_dialed(desk: Desk) -> None:
    found = desk.dial(("127.0.0.1", 0), ("127.0.0.1", 65536), ("::1", -1))

    assert results(found) == [Result.INVALID_TARGET] * 3
    assert found[1].detail == "port 65536 is out of range"


@pytest.mark.parametrize("address", ["256.256.256.256", "1::2::3"])
def test_what_is_no_address_accuses_nobody(desk: Desk, address: str) -> None:
    before = descriptors()
    (found,) = desk.dial((address, 80))

    assert found.result is Result.LOCAL_FAULT
    assert found.detail == f"our own fault: '{address}' is no numeric address"
    assert descriptors() == before


def test_34_beyond_the_limit_is_our_own_fault(sockets: ExitStack) -> None:
    with Desk(limit=2) as desk:
        port = full(sockets)
        assert desk.dialer.room == 2
        desk.dialer.dial([(i, "127.0.0.1", port) for i in range(3)])
        assert (desk.dialer.room, desk.dialer.in_flight) == (0, 2)
        ((token, found),) = desk.dialer.collect()

    assert (token, found.result) == (2, Result.LOCAL_FAULT)
    assert found.detail == "our own fault: 2 dials are in flight already"


def test_what_was_collected_makes_room(sockets: ExitStack) -> None:
    with Desk(limit=2) as desk:
        port = listening(sockets)
        for _ in range(3):
            desk.dial(("127.0.0.1", port), ("127.0.0.1", port))
            assert (desk.dialer.room, desk.dialer.in_flight) == (2, 0)


def test_closing_gives_up_what_is_in_flight_and_leaves_no_descriptor(sockets: ExitStack) -> None:
    silent, refusing = full(sockets), closed(sockets)
    before = descriptors()
    desk = Desk(seconds=60)
    desk.dial(*[("127.0.0.1", refusing)] * 20)  # they become spare
    desk.dialer.dial([(i, "127.0.0.1", silent) for i in range(50)])
    desk.dialer.close()
    desk.dialer.close()

    assert desk.dialer.in_flight == 0
    assert descriptors() == before


def test_thousands_of_dials_at_once_all_come_back(sockets: ExitStack) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(2000, soft // 2 - 200)  # both ends of each are ours
    port = listening(sockets, "0.0.0.0", backlog=count)
    refusing = closed(sockets)
    targets = [(f"127.1.{i % 250}.{i // 250 + 1}", port) for i in range(count)]
    targets[::3] = [("127.0.0.1", refusing)] * len(targets[::3])
    with Desk(limit=count) as desk:
        found = results(desk.dial(*targets))

    assert set(found[::3]) == {Result.REFUSED}
    assert set(found[1::3] + found[2::3]) == {Result.CONNECTED}


# When dials are decided


def test_what_the_kernel_decided_is_no_timeout_however_late_we_look(sockets: ExitStack) -> None:
    with Desk(seconds=0.1, limit=700) as desk:
        port = listening(sockets)
        desk.dialer.dial([(i, "127.0.0.1", port) for i in range(700)])
        time.sleep(0.3)
        found = desk.dialer.collect()

    assert {outcome.result for _, outcome in found} == {Result.CONNECTED}
    assert len(found) == 700


class Clock:
    """A clock that stands still until it is set."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_the_oldest_are_given_up_first_and_each_at_its_own_deadline(
    sockets: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, ended = Clock(), {}
    monkeypatch.setattr("probe.dialer.time", clock)
    with Desk(seconds=1.0) as desk:
        port = full(sockets)
        desk.dialer.dial([(0, "127.0.0.1", port)])
        clock.now = 0.5
        desk.dialer.dial([(1, "127.0.0.1", port)])
        for clock.now in (0.5, 0.99, 1.0, 1.49, 1.5):
            found = desk.dialer.collect()
            ended[clock.now] = [(token, outcome.result) for token, outcome in found]

    assert ended == {
        0.5: [],
        0.99: [],
        1.0: [(0, Result.TIMEOUT)],
        1.49: [],
        1.5: [(1, Result.TIMEOUT)],
    }


@pytest.mark.parametrize("port_in", [listening, closed, lambda _: 0], ids=["open", "closed", "0"])
def test_waiting_ends_at_once_when_a_dial_is_decided_or_never_began(
    desk: Desk, sockets: ExitStack, port_in: Callable[[ExitStack], int]
) -> None:
    began = time.monotonic()
    desk.dialer.dial([(0, "127.0.0.1", port_in(sockets))])
    desk.dialer.wait(PATIENCE)

    assert len(desk.dialer.collect()) == 1
    assert time.monotonic() - began < PATIENCE / 2


def test_waiting_works_beyond_the_descriptors_of_select(sockets: ExitStack) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip("needs 1,200 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    sockets.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
    low = [os.open("/dev/null", os.O_RDONLY) for _ in range(1024)]
    for fd in low:
        sockets.callback(os.close, fd)
    with Desk() as desk:
        found = desk.dial(("127.0.0.1", listening(sockets)))

    assert results(found) == [Result.CONNECTED]


# What this process or this node lacks


SCARCE = """
import os, resource
from contextlib import ExitStack
from tests.desk import LOOPBACKS, descriptors, results, Desk, listener

with ExitStack() as sockets, Desk() as desk:
    target = listener(sockets).getsockname()
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3, 100))
    found = desk.dial(*[target] * 9)
    print([str(outcome.result) for outcome in found].count("connected"))
    print(sorted({outcome.detail for outcome in found}))
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    print({str(outcome.result) for outcome in desk.dial(*[target] * 9)})
"""


def test_34_without_descriptors_a_dial_is_our_own_fault_until_there_are_some() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCARCE],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    connected, details, later = done.stdout.splitlines() or [done.stderr] * 3

    assert done.stderr == ""
    assert 0 < int(connected) < 9
    assert details == "['connected', 'our own fault: Too many open files (EMFILE)']"
    assert later == "{'connected'}"


@pytest.mark.parametrize("address", LOOPBACKS)
def test_34_without_source_ports_a_dial_is_our_own_fault_towards_that_target(
    sockets: ExitStack, address: str
) -> None:
    with namespaces("scarce") as (scarce,):
        sysctls(scarce, {"ipv4/ip_local_port_range": "40000 40003"})
        with inside(scarce):
            silent, other = bound(sockets, address, 81), bound(sockets, address, 82)
            silent.listen()
            other.listen()
            with Desk(seconds=0.5) as desk:
                found = desk.dial(*[(address, 81)] * 5, (address, 82))
                again = desk.dial((address, 81))

    assert results(found) == [Result.CONNECTED] * 4 + [Result.LOCAL_FAULT, Result.CONNECTED]
    assert found[4].errno == errno.EADDRNOTAVAIL
    assert found[4].detail.startswith("our own fault: ")
    assert results(again) == [Result.CONNECTED]


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_dial_never_connects_to_itself(address: str) -> None:
    """From a source port that is the target's, TCP would: a false success."""
    with namespaces("narrow") as (narrow,):
        sysctls(narrow, {"ipv4/ip_local_port_range": "40000 40015"})
        with inside(narrow), Desk() as desk:
            found = [desk.dial((address, 40000 + i % 16))[0] for i in range(200)]

    assert set(results(found)) == {Result.REFUSED}


def test_34_a_target_that_is_the_only_source_port_left_is_our_own_fault() -> None:
    with namespaces("narrowest") as (narrowest,):
        sysctls(narrowest, {"ipv4/ip_local_port_range": "40000 40000"})
        with inside(narrowest), Desk() as desk:
            (found,) = desk.dial(("127.0.0.1", 40000))

    assert (found.result, found.errno) == (Result.LOCAL_FAULT, errno.EADDRNOTAVAIL)
