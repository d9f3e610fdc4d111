"""The whole `probe run`, watching a cluster of thousands of edges: its CPU, memory and punctuality.

What is read of it from outside is /proc, /metrics and /livez. /livez costs nearly nothing: the
time it takes to answer is for how long nothing else in the daemon's loop had its turn, dials too.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.bench import process
from tests.bench.acceptor import Acceptor, accepting
from tests.bench.hollow import hollow, plan
from tests.bench.options import Options
from tests.bench.report import Spread, Table
from tests.running import Daemon, daemon, until

EDGES = (10_000, 50_000)
INTERVAL = 10.0
WARM_UP = 15.0
"""Seconds after the first round of dials that are not measured: it comes faster than others."""

WINDOW = 5.0
"""Seconds of one sample of the CPU's share."""

LIVEZ_SECONDS = 0.2

HEADROOM = 1.5
"""Dials per second allowed to those needed: at the very limit a queue would only grow."""

UNCAPPED = ("--max-series", "1000000")
"""Every Service port on the page: the dials are counted by its series."""

COLUMNS = {
    "cpu": "% of a core",
    "per_dial": "us CPU/dial",
    "resident": "MiB resident",
    "peak": "MiB peak",
    "rate": "dials/s",
    "overdue": "s overdue",
    "livez": "ms /livez",
    "livez_p99": "p99",
}


def summed(page: str, name: str) -> float:
    """The sum of the series of that name; a parser would take seconds for a page of this size."""
    lines = (line for line in page.splitlines() if line.startswith(f"{name}{{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@dataclass
class Watched:
    """A daemon that dials, and what was seen of it. `overdue` is edgeprobe_dial_lag_seconds,
    `livez` seconds for an answer."""

    found: Daemon
    acceptor: Acceptor
    overdue: list[float] = field(default_factory=list)
    livez: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.found.command.process.pid

    async def dials(self) -> tuple[float, float]:
        """Those done so far, by a scrape, and the moment (monotonic seconds)."""
        asked = time.monotonic()
        page = (await self.found.get("/metrics"))[1]
        self.overdue.append(summed(page, "edgeprobe_dial_lag_seconds"))
        return summed(page, "edgeprobe_dials_total"), asked

    async def knock(self) -> None:
        """For ever: how long /livez takes."""
        url = f"http://127.0.0.1:{self.found.port}/livez"
        async with aiohttp.ClientSession() as session:
            while True:
                asked = time.perf_counter()
                async with session.get(url) as response:
                    await response.read()
                self.livez.append(time.perf_counter() - asked)
                await asyncio.sleep(LIVEZ_SECONDS)

    async def work(self, seconds: float) -> None:
        """Lets it work for so long and takes the CPU's share again and again."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.1:
            spent, began = process.cpu(self.pid), time.monotonic()
            await asyncio.sleep(min(WINDOW, left))
            self.shares.append((process.cpu(self.pid) - spent) / (time.monotonic() - began))


@asynccontextmanager
async def watched(
    edges: int, *flags: str, dead_every: int = 0, warm_up: float = WARM_UP
) -> AsyncIterator[Watched]:
    """`probe run` on a cluster of so many edges, past its first round."""
    async with accepting() as acceptor:
        services = plan(edges, dead_every=dead_every)
        limit = f"{HEADROOM * edges / INTERVAL:.0f}"
        async with (
            hollow(services, acceptor.port) as kubeconfig,
            daemon(kubeconfig, "--max-dials-per-second", limit, *UNCAPPED, *flags) as found,
        ):
            seen = Watched(found, acceptor)

            async def dialed() -> bool:
                return (await seen.dials())[0] >= edges

            # Not /readyz: while pods come and go, one or the other was never dialed.
            await until(dialed, 120, every=2)
            await asyncio.sleep(warm_up)
            seen.overdue.clear()
            yield seen


async def bench(options: Options) -> AsyncIterator[Table]:
    """`probe run` with its defaults and a live watch over TLS, a pod replaced each second."""
    title = f"daemon: every edge each {INTERVAL:.0f} s, {options.seconds:.0f} s, no scrapes"
    table = Table(title, COLUMNS)
    for edges in EDGES:
        async with watched(edges) as seen:
            before, began = await seen.dials()
            knocking = asyncio.create_task(seen.knock())
            await seen.work(options.seconds)
            knocking.cancel()
            resident, peak = process.resident(seen.pid), process.peak(seen.pid)
            dials, ended = await seen.dials()
            rate = (dials - before) / (ended - began)
            livez = Spread.of(1000 * each for each in seen.livez)
            table.add(
                f"{edges:,} edges",
                cpu=Spread.of(100 * share for share in seen.shares),
                per_dial=Spread.of(1e6 * share / rate for share in seen.shares),
                resident=resident,
                peak=peak,
                rate=rate,
                overdue=Spread.of(seen.overdue),
                livez=livez,
                livez_p99=livez.quantile(0.99),
            )
    yield table
