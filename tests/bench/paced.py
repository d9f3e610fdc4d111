"""CPU per dial at 1,000 dials a second: the whole `probe run` beside bare dialers of that pace.

Here wake-ups weigh more than dials. probe does all its work in that time, watch and verdicts
included; the others only dial.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from tests.bench import process
from tests.bench.acceptor import accepting
from tests.bench.daemon import INTERVAL, watched
from tests.bench.engines import ASYNCIO, GO, PROBE_RST, C, Engine, Run, engine
from tests.bench.options import Options
from tests.bench.report import Missing, Spread, Table, ratios

RATE = 1000
ROUNDS = 3
SECONDS = 10.0
"""The longest window. The kernel counts CPU in steps of 10 ms: here 1 us per dial."""

YARDSTICKS = {
    C: "C, a wake-up for each dial",
    GO: "Go, a goroutine for each dial",
    ASYNCIO: "asyncio.open_connection, a task for each dial",
    PROBE_RST: "probe's Dialer alone, a tick each 20 ms",
}
DAEMON = "probe run"

COLUMNS = {"cpu": "us CPU/dial", "rate": "dials/s", "to_c": "x C", "to_go": "x Go"}


async def bench(options: Options) -> AsyncIterator[Table]:
    """Rounds in turn: the daemon, started anew and past its first round, then each yardstick."""
    seconds = min(options.seconds, SECONDS)
    title = f"paced: {RATE} dials/s, {ROUNDS} rounds of {seconds:.0f} s"
    table = Table(title, COLUMNS)
    cpu: dict[str, list[float]] = {DAEMON: []}
    rate: dict[str, list[float]] = {DAEMON: []}
    async with AsyncExitStack() as stack:
        ready: dict[str, Engine] = {}
        missing: dict[str, str] = {}
        for name in YARDSTICKS:
            try:
                ready[name] = await stack.enter_async_context(engine(name))
            except Missing as why:
                missing[name] = str(why)
        acceptor = await stack.enter_async_context(accepting())
        for _ in range(ROUNDS):
            run = await _daemon(seconds)
            _note(DAEMON, run, cpu, rate)
            for name, found in ready.items():
                _note(name, await found.dial(acceptor.port, int(RATE * seconds), RATE), cpu, rate)
    for name, spent in cpu.items():
        table.add(
            YARDSTICKS.get(name, name),
            cpu=Spread.of(1e6 * each for each in spent),
            rate=Spread.of(rate[name]),
            to_c=ratios(spent, cpu[C]) if C in cpu else None,
            to_go=ratios(spent, cpu[GO]) if GO in cpu else None,
        )
    for name, reason in missing.items():
        table.add(YARDSTICKS[name], reason)
    yield table


def _note(name: str, run: Run, cpu: dict[str, list[float]], rate: dict[str, list[float]]) -> None:
    cpu.setdefault(name, []).append(run.cpu / run.dials)
    rate.setdefault(name, []).append(run.dials / run.wall)


async def _daemon(seconds: float) -> Run:
    """So many seconds of a daemon that has as many edges as make that pace."""
    async with watched(int(RATE * INTERVAL)) as seen:
        before, asked = await seen.dials()
        spent, began = process.cpu(seen.pid), time.monotonic()
        await asyncio.sleep(seconds)
        spent, wall = process.cpu(seen.pid) - spent, time.monotonic() - began
        dials, asked_again = await seen.dials()
        # Neither scrape is in the CPU: the dials during them must not count either.
        rate = (dials - before) / (asked_again - asked)
        return Run(round(rate * wall), 0, 0, spent, wall)
