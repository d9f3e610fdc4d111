"""Sockets that are dialed again, on loopback: what they keep to themselves, and leave behind."""

import random
import socket
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from probe.core.results import Result
from probe.dialer import SPARE
from tests.desk import (
    LOOPBACKS,
    PATIENCE,
    RESET,
    Desk,
    closed,
    descriptors,
    full,
    listener,
    listening,
    port_of,
    results,
)
from tests.namespaces import FAMILIES, firewall, inside, links, namespaces


def accepted(held: socket.socket) -> int:
    """The port from which the next connection came."""
    held.settimeout(PATIENCE)
    peer, address = held.accept()
    peer.close()
    return int(address[1])


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_socket_is_dialed_again_from_a_new_source_port(
    desk: Desk, sockets: ExitStack, address: str
) -> None:
    held, refusing = listener(sockets, address), closed(sockets, address)
    desk.dial((address, refusing))
    before, ports = descriptors(), []
    for _ in range(50):
        assert results(desk.dial((address, port_of(held)))) == [Result.CONNECTED]
        assert results(desk.dial((address, refusing))) == [Result.REFUSED]
        ports.append(accepted(held))

    assert descriptors() == before
    assert len(set(ports)) == 50


def test_a_socket_is_spare_only_for_its_own_family(desk: Desk, sockets: ExitStack) -> None:
    targets = [(address, listening(sockets, address)) for address in LOOPBACKS]
    for _ in range(5):
        assert results(desk.dial(*targets)) == [Result.CONNECTED] * 2
        targets.reverse()


def test_no_more_sockets_are_kept_than_one_tick_needs(desk: Desk, sockets: ExitStack) -> None:
    port = closed(sockets)
    before = descriptors()
    desk.dial(*[("127.0.0.1", port)] * (3 * SPARE))

    assert descriptors() == before + SPARE


def test_spare_sockets_count_against_the_limit(sockets: ExitStack) -> None:
    """Else both families together would take the descriptors that are kept for watches."""
    ports = {address: closed(sockets, address) for address in LOOPBACKS}
    with Desk(limit=10) as desk:
        before = descriptors()
        for address in (*LOOPBACKS, *LOOPBACKS):
            assert results(desk.dial(*[(address, ports[address])] * 10)) == [Result.REFUSED] * 10
            assert descriptors() <= before + 10


def test_spare_sockets_wake_nobody(desk: Desk, sockets: ExitStack) -> None:
    desk.dial(*[("127.0.0.1", closed(sockets))] * 20)
    assert desk.dialer.collect() == []  # their disconnect was one more event
    began = time.monotonic()
    desk.dialer.wait(0.2)

    assert time.monotonic() - began >= 0.2


def test_a_socket_is_not_kept_after_a_timeout_or_a_reset(sockets: ExitStack) -> None:
    silent, resetting = full(sockets), listener(sockets)
    with Desk(seconds=0.1) as desk:
        before = descriptors()
        assert results(desk.dial(("127.0.0.1", silent))) == [Result.TIMEOUT]
        desk.dialer.dial([(0, *resetting.getsockname())])
        reset(resetting)
        assert desk.outcomes(1)[0].result is Result.RESET

        assert descriptors() == before


def reset(held: socket.socket) -> None:
    """Resets the next connection."""
    peer, _ = held.accept()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()


def test_a_lost_syn_is_not_counted_again_for_the_next_dial(sockets: ExitStack) -> None:
    held = listener(sockets, backlog=0)
    with ExitStack() as filling, Desk(seconds=5.0) as desk:
        filler = filling.enter_context(socket.create_connection(held.getsockname()))
        desk.dialer.dial([(0, *held.getsockname())])
        held.accept()[0].close()
        lossy = desk.outcomes(1)[0]
        held.accept()[0].close()
        filler.close()
        before = descriptors()
        (found,) = desk.dial(held.getsockname())

        assert descriptors() == before
    assert (lossy.result, lossy.syn_retransmits) == (Result.CONNECTED, 1)
    assert (found.result, found.syn_retransmits) == (Result.CONNECTED, 0)
    assert (found.connect_seconds or 1) < 0.5


TIME_WAIT = "06"
"""As /proc writes it."""


@pytest.fixture
def held(sockets: ExitStack) -> socket.socket:
    """A listener at an address that nobody else has dialed: a port of 127.0.0.1 may be given out
    again while connections to it wait, of which the kernel takes some for the new ones."""
    return listener(sockets, f"127.{'.'.join(str(random.randint(1, 254)) for _ in range(3))}")


def in_time_wait(held: socket.socket, *, awaited: int = 0) -> int:
    """How many connections to it wait, once it is so many: the kernel may be late with the last."""
    until = time.monotonic() + PATIENCE
    while (found := _in_time_wait(held)) < awaited and time.monotonic() < until:
        time.sleep(0.01)
    return found


def _in_time_wait(held: socket.socket) -> int:
    address, port = held.getsockname()
    remote = f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}"
    lines = [line.split() for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()]
    return sum(line[2] == remote and line[3] == TIME_WAIT for line in lines)


def test_an_abort_leaves_nothing_in_time_wait_and_the_peer_sees_a_reset(
    desk: Desk, held: socket.socket
) -> None:
    desk.dial(*[held.getsockname()] * (2 * SPARE))  # more than are kept
    for _ in range(2 * SPARE):
        peer, _ = held.accept()
        with peer, pytest.raises(ConnectionResetError):
            peer.recv(1)
    assert in_time_wait(held) == 0


def test_without_abort_the_peer_sees_an_orderly_end(held: socket.socket) -> None:
    with Desk(abort=False) as desk:
        before = descriptors()
        desk.dial(*[held.getsockname()] * 20)
        assert descriptors() == before
        for _ in range(20):
            peer, _ = held.accept()
            with peer:
                assert peer.recv(1) == b""
        assert in_time_wait(held, awaited=20) == 20
        desk.dialer.abort = True
        desk.dial(*[held.getsockname()] * 20)
        assert in_time_wait(held) == 20


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_peer_that_speaks_first_sees_an_orderly_end_too(sockets: ExitStack, address: str) -> None:
    """Closing with its greeting unread would be a RST, which those who greet are likely to log."""
    held = listener(sockets, address)
    with Desk(abort=False) as desk:
        desk.dialer.dial([(0, address, port_of(held))])
        peer, _ = held.accept()
        with peer:
            peer.send(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            desk.outcomes(1)
            assert peer.recv(1) == b""


@pytest.mark.parametrize(("abort", "left"), [(True, 0), (False, 20)])
def test_closing_ends_the_connections_that_nobody_collected(
    held: socket.socket, abort: bool, left: int
) -> None:
    with Desk(abort=abort) as desk:
        desk.dialer.dial([(i, *held.getsockname()) for i in range(20)])

    for _ in range(20):
        held.accept()[0].close()
    assert in_time_wait(held, awaited=left) == left


@pytest.mark.parametrize("address", LOOPBACKS)
def test_no_stale_event_decides_a_later_dial_of_the_same_socket(
    sockets: ExitStack, address: str
) -> None:
    """Thousands of dials over few sockets: each meets what its own target does."""
    chance = random.Random(7)
    accepting, resetting = listener(sockets, address), listener(sockets, address)
    kinds = {
        Result.CONNECTED: port_of(accepting),
        Result.REFUSED: closed(sockets, address),
        Result.RESET: port_of(resetting),
        Result.TIMEOUT: full(sockets, address),
        Result.INVALID_TARGET: 0,
    }
    weights = (40, 40, 10, 3, 7)
    dialed: dict[int, Result] = {}
    met: dict[int, Result] = {}
    with Desk(seconds=0.05) as desk:
        while len(dialed) < 4000 or desk.dialer.in_flight:
            wanted = chance.randrange(min(40, desk.dialer.room)) if len(dialed) < 4000 else 0
            batch = chance.choices(list(kinds), weights, k=wanted)
            tokens = range(len(dialed), len(dialed) + wanted)
            dialed |= zip(tokens, batch, strict=True)
            desk.dialer.dial(
                (i, address, kinds[kind]) for i, kind in zip(tokens, batch, strict=True)
            )
            for _ in range(batch.count(Result.RESET)):
                reset(resetting)
            for _ in range(batch.count(Result.CONNECTED)):
                if chance.random() < 0.5:
                    accepting.accept()[0].close()
            desk.dialer.wait(chance.choice((0, 0, 0.001)))
            met |= {token: outcome.result for token, outcome in desk.dialer.collect()}

    assert Counter((dialed[i], met.get(i)) for i in dialed) == Counter(
        (kind, kind) for kind in dialed.values()
    )


@pytest.mark.parametrize("version", FAMILIES)
def test_a_socket_is_not_kept_after_an_icmp_message_or_a_failure_at_once(
    sockets: ExitStack, version: int
) -> None:
    """Its error queue is never emptied by a disconnect, and would accuse the next target."""
    home, away = {4: ("127.0.0.1", "192.0.2.1"), 6: ("::1", "2001:db8::1")}[version]
    with namespaces("rejecting") as (name,):
        firewall(name, version, "filter", ["-A OUTPUT -p tcp --dport 81 -j REJECT"])
        links(name, [f"route add unreachable {away}"])
        with inside(name), Desk() as desk:
            port = listening(sockets, home)
            before = descriptors()
            assert results(desk.dial((home, 81), (away, 81))) == [
                Result.REJECTED,
                Result.UNREACHABLE,
            ]
            assert descriptors() == before
            assert results(desk.dial((home, port))) == [Result.CONNECTED]
