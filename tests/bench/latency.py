"""The latency that probe reports, against delays that are known, whatever its loop is doing.

Somebody behind a tun device answers each SYN after so many milliseconds. The dialer works as the
daemon lets it: a tick of asyncio each 20 ms, first undisturbed, then beside a task that holds the
loop up for 30 ms again and again. What a clock of asyncio's would have said stands beside it.
"""

import asyncio
import fcntl
import os
import socket
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from probe.core.results import Result
from probe.dialer import Dialer
from tests.bench import namespace
from tests.bench.engines import ROOT
from tests.bench.options import Options
from tests.bench.report import Missing, Spread, Table
from tests.bench.responder import DELAYS_MS, FIRST

DEVICE = "/dev/net/tun"
TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000

NETWORK = "10.213.1"
TICK = 0.02
BLOCK, PAUSE = 0.03, 0.005
"""Seconds for which the busy loop is held up, and is free in between."""

DIALS = 100
"""For each delay."""

DOUBT = 50e-6
"""Seconds for which the responder may have been away without our leaving the dial out: a quiet
machine's are under 20."""

LOADS = {"loop idle": False, f"loop held up {1000 * BLOCK:.0f} ms at a time": True}


Dialed = tuple[int, int]
"""The last byte of an address and a port: no two dials have the same."""

Seconds = dict[Dialed, float]


async def bench(options: Options) -> AsyncIterator[Table]:
    """Errors in microseconds: what was reported, less the delay that there really was."""
    if not options.apart:
        raise Missing(f"latency: {namespace.why_not()}, for a tun device")
    columns = {"error": "us error", "p95": "p95", "clock": "us asyncio's clock", "clock_p95": "p95"}
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        async with _responding(journal):
            for number, (load, busy) in enumerate(LOADS.items()):
                title = f"latency: {DIALS} dials for each delay, {load}"
                table = Table(title, columns)
                reported, clock = await _measure(busy, 1000 * (1 + 2 * number))
                delays = _delays(journal)
                for place, delay in enumerate(DELAYS_MS):
                    ours = _errors(FIRST + place, reported, delays)
                    theirs = _errors(FIRST + place, clock, delays)
                    if not ours or not theirs:
                        table.add(f"{delay:g} ms", "the machine was too busy for the responder")
                        continue
                    error, late = Spread.of(ours), Spread.of(theirs)
                    table.add(
                        f"{delay:g} ms",
                        f"{DIALS - len(ours)} left out" if len(ours) < DIALS else "",
                        error=error,
                        p95=error.quantile(0.95),
                        clock=late,
                        clock_p95=late.quantile(0.95),
                    )
                yield table


def _delays(journal: Path) -> Seconds:
    """What the responder made of the delays, without those of which it is not sure."""
    found: Seconds = {}
    for line in journal.read_text().splitlines():
        host, port, delay, doubt = line.split()
        if float(doubt) <= DOUBT:
            found[int(host), int(port)] = float(delay)
    return found


def _errors(host: int, measured: Seconds, delays: Seconds) -> list[float]:
    """Microseconds by which measured latencies of that host are off."""
    return [
        1e6 * (seconds - delays[dialed])
        for dialed, seconds in measured.items()
        if dialed[0] == host and dialed in delays
    ]


async def _measure(busy: bool, port: int) -> tuple[Seconds, Seconds]:
    """Each dial's latency by probe and by asyncio's clock, at ports from `port` on."""
    ours: Seconds = {}
    clock: Seconds = {}
    dialer: Dialer[Dialed] = Dialer()
    holding = asyncio.create_task(_hold_up()) if busy else None
    for number in range(port, port + DIALS):
        # One of each delay at a time: they must not wait for one another at the responder.
        for host in range(FIRST, FIRST + len(DELAYS_MS)):
            address = f"{NETWORK}.{host}"
            dialer.dial([((host, number), address, number)])
            while dialer.in_flight:
                await asyncio.sleep(TICK)
                _file(dialer, ours)
            began = time.perf_counter()
            await _open(address, number + DIALS)
            clock[host, number + DIALS] = time.perf_counter() - began
    if holding is not None:
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
    dialer.close()
    return ours, clock


def _file(dialer: Dialer[Dialed], latencies: Seconds) -> None:
    for dialed, outcome in dialer.collect():
        if outcome.result is not Result.CONNECTED or outcome.connect_seconds is None:
            raise RuntimeError(f"the responder did not answer: {outcome}")
        latencies[dialed] = outcome.connect_seconds


async def _open(address: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await loop.sock_connect(sock, (address, port))


async def _hold_up() -> None:
    while True:
        end = time.perf_counter() + BLOCK
        while time.perf_counter() < end:
            pass
        await asyncio.sleep(PAUSE)


@asynccontextmanager
async def _responding(journal: Path) -> AsyncIterator[None]:
    """The device, and at its other end the responder in a process of its own."""
    try:
        device = os.open(DEVICE, os.O_RDWR)
    except OSError as error:
        raise Missing(f"latency: {DEVICE} cannot be opened: {error.strerror}") from error
    try:
        name = b"probe-bench"
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH14x", name, IFF_TUN | IFF_NO_PI))
        namespace.run("ip", "address", "add", f"{NETWORK}.1/24", "dev", name.decode())
        namespace.run("ip", "link", "set", name.decode(), "up")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.responder", str(device), str(journal)),
            pass_fds=[device],
            cwd=ROOT,
        )
    finally:
        os.close(device)
    try:
        await asyncio.sleep(0.5)
        yield
    finally:
        process.kill()
        await process.wait()
