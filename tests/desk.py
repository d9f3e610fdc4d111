"""A dialer at a desk: dials, waits for all outcomes, and has targets of every kind on loopback."""

import gc
import os
import select
import socket
import struct
import time
from contextlib import ExitStack

from probe.core.results import Outcome, Result
from probe.dialer import Dialer

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends a RST."""

LOOPBACKS = ("127.0.0.1", "::1")

PATIENCE = 30
"""Seconds after which a test gives up: far beyond any dial's deadline."""


class Desk:
    """A dialer that is closed at the end, and never keeps an outcome to itself."""

    def __init__(self, *, seconds: float = 2.0, limit: int = 1000, abort: bool = True) -> None:
        self.dialer: Dialer[int] = Dialer(seconds=seconds, limit=limit, abort=abort)

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *exc: object) -> None:
        self.dialer.close()

    def dial(self, *targets: tuple[str, int]) -> list[Outcome]:
        """The outcome of each, all dialed at once."""
        self.dialer.dial((i, address, port) for i, (address, port) in enumerate(targets))
        found = self.outcomes(len(targets))
        return [found[i] for i in range(len(targets))]

    def outcomes(self, count: int) -> dict[int, Outcome]:
        """Waits for so many outcomes; by token."""
        found: dict[int, Outcome] = {}
        until = time.monotonic() + PATIENCE
        while len(found) < count:
            assert time.monotonic() < until, f"{len(found)} of {count} outcomes"
            self.dialer.wait(0.02)
            for token, outcome in self.dialer.collect():
                assert token not in found
                found[token] = outcome
        return found


def listener(stack: ExitStack, address: str = "127.0.0.1", *, backlog: int = 1000) -> socket.socket:
    """A listening socket; its kernel accepts, nobody else does."""
    held = bound(stack, address)
    held.listen(backlog)
    return held


def bound(stack: ExitStack, address: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A socket that does not listen, and whose port nobody else gets meanwhile."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    held = stack.enter_context(socket.socket(family))
    held.bind((address, port))
    return held


def listening(stack: ExitStack, address: str = "127.0.0.1", *, backlog: int = 1000) -> int:
    return port_of(listener(stack, address, backlog=backlog))


def closed(stack: ExitStack, address: str = "127.0.0.1") -> int:
    return port_of(bound(stack, address))


def full(stack: ExitStack, address: str = "127.0.0.1") -> int:
    """A port that drops SYNs: a timeout without a firewall."""
    held = listener(stack, address, backlog=0)
    fill(stack, held)
    return port_of(held)


def fill(stack: ExitStack, held: socket.socket) -> None:
    """Fills the accept queue of a listener without a backlog, which takes one connection."""
    held.setblocking(False)
    filler = stack.enter_context(socket.socket(held.family))
    filler.settimeout(PATIENCE)
    filler.connect(held.getsockname()[:2])
    # Its own side of the handshake may be over a little later.
    assert select.select([held], [], [], PATIENCE)[0]


def port_of(held: socket.socket) -> int:
    return int(held.getsockname()[1])


def results(outcomes: list[Outcome]) -> list[Result]:
    return [outcome.result for outcome in outcomes]


def descriptors() -> int:
    """How many this process holds."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
