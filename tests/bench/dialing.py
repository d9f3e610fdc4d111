"""`python -m tests.bench.dialing rst|fin|asyncio IN_FLIGHT`: the engines in Python.

Orders come on stdin and are answered on stdout, as dialer.c describes.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable

from probe.core.results import Result
from probe.dialer import Dialer
from tests.bench.engines import addresses

TICK = 0.02
"""Seconds, as in probe's daemon: a paced engine begins then what is due by then."""

TIMEOUT = 4.0

Target = tuple[str, int]
Tally = Counter[str]


def by_dialer(abort: bool) -> Callable[[list[Target], int, int], Tally]:
    """probe's own engine; the saturated one looks as soon as the kernel has something."""

    def dial(targets: list[Target], rate: int, in_flight: int) -> Tally:
        tally: Tally = Counter()
        dialer: Dialer[int] = Dialer(seconds=TIMEOUT, limit=in_flight)
        dialer.abort = abort
        begun, began = 0, time.monotonic()
        while begun < len(targets) or dialer.in_flight:
            due = int((time.monotonic() - began) * rate) if rate else len(targets)
            upto = min(due, begun + dialer.room, len(targets))
            dialer.dial((i, *targets[i]) for i in range(begun, upto))
            begun = upto
            if rate:
                time.sleep(TICK)
            elif dialer.in_flight:
                dialer.wait(TIMEOUT)
            tally.update(_kind(outcome.result) for _, outcome in dialer.collect())
        dialer.close()
        return tally

    return dial


def _kind(result: Result) -> str:
    return str(result) if result in (Result.CONNECTED, Result.REFUSED) else "failed"


def by_asyncio(targets: list[Target], rate: int, in_flight: int) -> Tally:
    """asyncio.open_connection as anyone would write it: a task for each dial, or 64 workers."""
    return asyncio.run(_paced(targets, rate) if rate else _saturated(targets, in_flight))


async def _saturated(targets: list[Target], in_flight: int) -> Tally:
    tally: Tally = Counter()
    left = iter(targets)

    async def work() -> None:
        for target in left:
            tally[await _open(target)] += 1

    await asyncio.gather(*(work() for _ in range(in_flight)))
    return tally


async def _paced(targets: list[Target], rate: int) -> Tally:
    tasks: list[asyncio.Task[str]] = []
    began = time.monotonic()
    while len(tasks) < len(targets):
        due = min(int((time.monotonic() - began) * rate), len(targets))
        tasks += [asyncio.create_task(_open(target)) for target in targets[len(tasks) : due]]
        await asyncio.sleep(TICK)
    return Counter(await asyncio.gather(*tasks))


async def _open(target: Target) -> str:
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(*target)
            writer.close()
            await writer.wait_closed()
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "failed"
    return "connected"


ENGINES = {"rst": by_dialer(True), "fin": by_dialer(False), "asyncio": by_asyncio}


def main(name: str, in_flight: int) -> None:
    hosts = addresses()
    for line in sys.stdin:
        port, dials, rate = map(int, line.split())
        targets = [(hosts[i % len(hosts)], port) for i in range(dials)]
        spent, began = time.process_time(), time.perf_counter()
        tally = ENGINES[name](targets, rate, in_flight)
        spent, wall = time.process_time() - spent, time.perf_counter() - began
        counts = {kind: tally[kind] for kind in ("connected", "refused", "failed")}
        print(json.dumps({**counts, "cpu": spent, "wall": wall}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
