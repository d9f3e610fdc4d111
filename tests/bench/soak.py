"""50,000 edges for a long while, a tenth of them black-holed, scraped as Prometheus would.

What must not happen: a schedule that drifts, memory or descriptors that grow, a scrape that fails.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from tests.bench import namespace, process
from tests.bench.daemon import INTERVAL, Watched, summed, watched
from tests.bench.hollow import DEAD_NETWORK
from tests.bench.options import Options
from tests.bench.report import Spread, Table

EDGES = 50_000
DEAD_EVERY = 10
SCRAPE_SECONDS = 15.0
JITTER = 0.1
"""The daemon may dial an edge by this share of the interval earlier or later (core.schedule)."""

IN_FLIGHT = "6000"
"""Black-holed: 500 dials/s that take 4 s each, and their confirmations."""


@dataclass
class Seen:
    """One scrape or minute after the other."""

    scrapes: list[float] = field(default_factory=list)
    failed: int = 0
    unknown: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    descriptors: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


async def bench(options: Options) -> AsyncIterator[Table]:
    """Minutes of dials; the first quantities are taken once the first minute is over."""
    dead_every = DEAD_EVERY if options.apart else 0
    if dead_every:
        namespace.run("ip", "link", "set", "lo", "up")
        namespace.run("iptables", "-A", "INPUT", "-d", DEAD_NETWORK, "-j", "DROP")
    async with watched(EDGES, "--max-in-flight", IN_FLIGHT, dead_every=dead_every) as daemon:
        seen = Seen()
        await daemon.acceptor.watch()
        tasks = [asyncio.create_task(daemon.knock()), asyncio.create_task(_scrape(daemon, seen))]
        try:
            await _minutes(daemon, seen, options.minutes)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for each in ended:
            if isinstance(each, Exception):
                raise each
        intervals = await daemon.acceptor.intervals()
    holes = f"one in {dead_every} black-holed" if dead_every else f"none black-holed ({_why()})"
    yield _table(
        f"soak: {EDGES:,} edges, {holes}, {options.minutes:g} min", daemon, seen, intervals
    )


def _why() -> str:
    return f"that {namespace.why_not()}"


async def _minutes(daemon: Watched, seen: Seen, minutes: float) -> None:
    """Looks at memory and descriptors each minute, the first time after the first one."""
    left = 60 * minutes
    while left > 0:
        step = min(60.0, left)
        await daemon.work(step)
        seen.resident.append(process.resident(daemon.pid))
        seen.descriptors.append(process.descriptors(daemon.pid))
        left -= step


async def _scrape(daemon: Watched, seen: Seen) -> None:
    """For ever, with gzip; a scrape that fails is counted."""
    url = f"http://127.0.0.1:{daemon.found.port}/metrics"
    last: tuple[float, float] | None = None
    async with aiohttp.ClientSession(auto_decompress=True) as session:
        while True:
            asked = time.monotonic()
            try:
                async with session.get(url, headers={"Accept-Encoding": "gzip"}) as response:
                    page = (await response.read()).decode()
                seen.scrapes.append(time.monotonic() - asked)
            except (aiohttp.ClientError, TimeoutError):
                seen.failed += 1
            else:
                daemon.overdue.append(summed(page, "edgeprobe_dial_lag_seconds"))
                dials = summed(page, "edgeprobe_dials_total")
                seen.unknown.append(page.count('verdict="unknown"'))
                if last is not None:
                    seen.rates.append((dials - last[0]) / (asked - last[1]))
                last = dials, asked
            await asyncio.sleep(max(0.0, asked + SCRAPE_SECONDS - time.monotonic()))


def _table(title: str, daemon: Watched, seen: Seen, intervals: list[float]) -> Table:
    table = Table(
        title, {"median": "median", "p99": "p99", "max": "max", "first": "first", "last": "last"}
    )
    late = [max(0.0, each - INTERVAL * (1 + JITTER)) for each in intervals]
    rows: list[tuple[str, list[float], str]] = [
        ("seconds overdue, at each scrape", daemon.overdue, "edgeprobe_dial_lag_seconds"),
        ("seconds between dials of a living edge", intervals, "as its target saw them"),
        ("seconds late", late, f"beyond {INTERVAL:.0f} s and its jitter, as the target saw it"),
        ("ms until /livez answers", [1000 * each for each in daemon.livez], "the loop's delay"),
        ("ms of a scrape", [1000 * each for each in seen.scrapes], f"{seen.failed} failed"),
        ("dials/s between two scrapes", seen.rates, ""),
        ("Service ports without a verdict", seen.unknown, "at each scrape"),
        ("% of a core", [100 * share for share in daemon.shares], "in windows of 5 s"),
        ("MiB resident, each minute", seen.resident, ""),
        ("open descriptors, each minute", seen.descriptors, "with those of dials in flight"),
    ]
    for what, values, note in rows:
        if values:
            spread = Spread.of(values)
            table.add(
                *(what, note),
                median=spread,
                p99=spread.quantile(0.99),
                max=spread.quantile(1.0),
                first=values[0],
                last=values[-1],
            )
    return table
