"""CPU per dial and dials per second, engine against engine, as fast as each of them can."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from tests.bench.acceptor import accepting
from tests.bench.blackbox import NAME as BLACKBOX
from tests.bench.blackbox import blackbox, free_port
from tests.bench.engines import (
    ADDRESSES,
    ASYNCIO,
    GO,
    IN_FLIGHT,
    PROBE_FIN,
    PROBE_RST,
    C,
    Engine,
    Run,
    engine,
)
from tests.bench.options import Options
from tests.bench.report import Missing, Spread, Table, ratios

DIALS = {
    PROBE_RST: 20_000,
    PROBE_FIN: 20_000,
    C: 20_000,
    GO: 20_000,
    ASYNCIO: 5_000,
    BLACKBOX: 2_000,
}
"""Per round: about a second or two of each engine."""

COLUMNS = {
    "cpu": "us CPU/dial",
    "rate": "dials/s",
    "to_c": "x C",
    "to_go": "x Go",
    "to_blackbox": "x blackbox",
}


async def bench(options: Options) -> AsyncIterator[Table]:
    """Each round lets every engine dial in turn; ratios are medians over the rounds."""
    async with AsyncExitStack() as stack:
        ready: dict[str, Engine] = {}
        missing: dict[str, str] = {}
        for name in DIALS:
            try:
                context = blackbox() if name == BLACKBOX else engine(name)
                ready[name] = await stack.enter_async_context(context)
            except Missing as why:
                missing[name] = str(why)
        acceptor = await stack.enter_async_context(accepting())
        for what, port in (("connected", acceptor.port), ("refused", free_port())):
            for found in ready.values():
                await found.dial(port, 500)  # imports, caches and a heap of its size
            runs = await _rounds(ready, port, options.rounds)
            yield _table(what, runs, missing)


async def _rounds(ready: dict[str, Engine], port: int, rounds: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in ready}
    names = list(ready)
    for i in range(rounds):
        turn = i % len(names)  # nobody always comes after the same one
        for name in names[turn:] + names[:turn]:
            runs[name].append(await ready[name].dial(port, DIALS[name]))
    return runs


def _table(what: str, runs: dict[str, list[Run]], missing: dict[str, str]) -> Table:
    rounds = max(map(len, runs.values()))
    title = f"dials, {what}: {rounds} rounds, {IN_FLIGHT} in flight, {ADDRESSES} addresses"
    table = Table(title, COLUMNS)
    cpu = {name: [run.cpu / run.dials for run in found] for name, found in runs.items()}
    for name, found in runs.items():
        odd = sum(run.dials - getattr(run, what) for run in found)
        table.add(
            name,
            f"{odd} dials were not {what}" if odd else "",
            cpu=Spread.of(1e6 * each for each in cpu[name]),
            rate=Spread.of(run.dials / run.wall for run in found),
            to_c=ratios(cpu[name], cpu[C]) if C in cpu else None,
            to_go=ratios(cpu[name], cpu[GO]) if GO in cpu else None,
            to_blackbox=ratios(cpu[name], cpu[BLACKBOX]) if BLACKBOX in cpu else None,
        )
    for name, reason in missing.items():
        table.add(name, reason)
    return table
