"""/metrics of a World of which every edge has been dialed, beside prometheus_client's rendering.

`python -m tests.bench.exposition EDGES ROUNDS` is the server's side: it renders, then serves. For
each line on stdin it tells what it spent since the last one, and the longest time for which its
event loop gave nobody else a turn: that is how late a dial may be for a scrape.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from probe.core import kube
from probe.core.results import Outcome, Result
from probe.core.rounds import Config
from probe.core.world import World
from probe.metrics import Metrics
from probe.server import Server
from tests.bench.engines import started
from tests.bench.hollow import plan
from tests.bench.options import Options
from tests.bench.report import Spread, Table, ratios
from tests.core import facts

EDGES = (10_000, 50_000)
NOW = 20.0
"""When the scrape is, in the World's seconds: two rounds of dials are over."""

BEAT = 0.001
"""Seconds for which the loop's watcher sleeps. What it finds is late by the rest."""

COLUMNS = {
    "render": "ms render",
    "latest": "ms generate_latest",
    "ratio": "ratio",
    "cpu": "ms CPU/scrape",
    "block": "ms loop blocked",
    "idle": "idle",
    "wall": "ms scrape",
}

Spent = dict[str, float]


async def bench(options: Options) -> AsyncIterator[Table]:
    """Rendered as it is; and scraped with gzip through a real server, by somebody else."""
    table = Table(f"exposition: {options.rounds} rounds, scraped with gzip", COLUMNS)
    for edges in EDGES:
        arguments = (sys.executable, "-m", "tests.bench.exposition", str(edges))
        async with started((*arguments, str(options.rounds))) as process:
            assert process.stdout is not None
            found: dict[str, Any] = json.loads(await process.stdout.readline())
            seen = await _scraped(process, found["port"], options.rounds)
        table.add(
            f"{edges:,} edges",
            f"{found['series']:,} series, {found['size'] / 1e6:.1f} MB, "
            f"{seen.size / 1e6:.2f} zipped",
            render=Spread.of(1000 * each for each in found["render"]),
            latest=Spread.of(1000 * each for each in found["latest"]),
            ratio=ratios(found["render"], found["latest"]),
            cpu=Spread.of(1000 * each["cpu"] for each in seen.spent),
            block=Spread.of(1000 * each["block"] for each in seen.spent),
            idle=Spread.of(1000 * each["block"] for each in seen.idle),
            wall=Spread.of(1000 * each for each in seen.walls),
        )
    yield table


@dataclass
class _Seen:
    """Scrapes: what the server spent on each and how long it took, and on as long without one."""

    spent: list[Spent] = field(default_factory=list)
    idle: list[Spent] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)
    size: int = 0


async def _scraped(process: asyncio.subprocess.Process, port: int, rounds: int) -> _Seen:
    seen = _Seen()
    wall = 0.0
    url = f"http://127.0.0.1:{port}/metrics"
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        for number in range(1 + rounds):
            await _told(process)
            await asyncio.sleep(wall)
            idle = await _told(process)
            began = time.perf_counter()
            async with session.get(url, headers={"Accept-Encoding": "gzip"}) as response:
                seen.size = len(await response.read())
            wall = time.perf_counter() - began
            spent = await _told(process)
            if number:  # the first warms up, and says for how long to be idle
                seen.idle.append(idle)
                seen.spent.append(spent)
                seen.walls.append(wall)
    return seen


async def _told(process: asyncio.subprocess.Process) -> Spent:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    told: Spent = json.loads(await process.stdout.readline())
    return told


# The server's side.


class _Ready(Collector):
    """prometheus_client's own rendering at its best: everything is gathered beforehand."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class _Status:
    synced = True
    last_contact_time = 1.8e9
    skipped: dict[str, int] = {}  # noqa: RUF012 a constant that a Protocol wants as an attribute


class _Answers:
    """What the server asks of a daemon, of which only the page is asked for."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def metrics(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        for chunk in self._metrics.chunks(NOW, openmetrics=openmetrics):
            yield chunk
            await asyncio.sleep(0)

    def alive(self) -> str | None:
        return None

    def ready(self) -> list[str]:
        return []

    def services(self, namespace: str) -> dict[str, Any]:
        return {}

    def service(self, namespace: str, name: str) -> dict[str, Any] | None:
        return None

    async def check(self, namespace: str, name: str) -> dict[str, Any] | None:
        return None

    def incidents(self, since: float | None, namespace: str, service: str) -> dict[str, Any]:
        return {}

    def changes(self, since: float | None, namespace: str, service: str) -> dict[str, Any]:
        return {}

    def rollouts(
        self,
        since: float | None,
        namespace: str,
        service: str,
        workload: tuple[str, str] | None,
    ) -> dict[str, Any]:
        return {}


def dialed(edges: int) -> World:
    """A World of that size of which every edge has been dialed."""
    world = World(Config(node="a", dials_per_second=0), 0.0)
    services, slices = [], []
    for one in plan(edges):
        ips, pods = (_away(one.vip),), map(_away, one.pods)
        selector = (("app", one.name),)
        services.append(
            facts.service(name=one.name, namespace=one.namespace, ips=ips, selector=selector)
        )
        slices.append(facts.slice_of(*pods, service=one.name, namespace=one.namespace))
    world.apply(kube.Listed("services", tuple(services)), 0.0)
    world.apply(kube.Listed("endpointslices", tuple(slices)), 0.0)
    for step in range(int(NOW / 0.02)):
        now = step * 0.02
        dials = world.due(now, edges)
        world.record([(dial, Outcome(Result.CONNECTED, 0.0004)) for dial in dials], now)
        world.judge(now)
    return world


def _away(address: str) -> str:
    """The same in 10.0.0.0/8: nobody dials it here, and loopback would not be allowed."""
    return f"10{address[3:]}"


def _rendered(metrics: Metrics, rounds: int) -> dict[str, Any]:
    page = b"".join(metrics.chunks(NOW)).decode()
    registry = CollectorRegistry()
    registry.register(_Ready(list(text_string_to_metric_families(page))))
    ours, theirs = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in metrics.chunks(NOW):
            pass
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        generate_latest(registry)
        theirs.append(time.perf_counter() - began)
    series = sum(not line.startswith("#") for line in page.splitlines())
    return {"render": ours, "latest": theirs, "series": series, "size": len(page)}


class _Watcher:
    """How long the event loop gives nobody a turn."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._spent = time.process_time()

    async def run(self) -> None:
        while True:
            asleep = time.perf_counter()
            await asyncio.sleep(BEAT)
            self._longest = max(self._longest, time.perf_counter() - asleep - BEAT)

    def tell(self) -> None:
        sys.stdin.readline()
        spent, longest = time.process_time() - self._spent, self._longest
        print(json.dumps({"cpu": spent, "block": longest}), flush=True)
        self._longest, self._spent = 0.0, time.process_time()


async def _serve(edges: int, rounds: int) -> None:
    metrics = Metrics(
        dialed(edges),
        {"services": _Status()},
        vantage="pod",
        unix=lambda at: 1.8e9 + at,
        max_series=10**9,
    )
    found = _rendered(metrics, rounds)
    gc.collect()  # of what a daemon has not
    server = Server(_Answers(metrics))
    await server.start("127.0.0.1", 0)
    watcher = _Watcher()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), watcher.tell)
    print(json.dumps({**found, "port": server.port}), flush=True)
    await watcher.run()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
