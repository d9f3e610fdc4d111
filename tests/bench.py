"""`python -m tests.bench [daemon] [dials] [exposition]`: what probe costs, beside a yardstick.

Times of a machine say little: each figure stands beside what something well known needs for the
same work in the same run, and their ratio is what to compare. All traffic is loopback's, whose
server side the kernel charges to the dialer, so ratios between dialers are on the safe side.
"""

import asyncio
import json
import multiprocessing
import os
import resource
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from probe.core import kube
from probe.core.results import Outcome, Result
from probe.core.rounds import Config
from probe.core.world import World
from probe.demo.manifests import deployment, namespace, service
from probe.dialer import Batch, Dialer
from probe.metrics import Metrics
from probe.sandbox.cluster import Cluster
from tests.core import facts
from tests.running import daemon, until

SERVICES, REPLICAS = 1000, 5
SECONDS = 30.0
ROUNDS, DIALS, IN_FLIGHT = 7, 5000, 64
ADDRESSES = 100
"""Distinct targets on loopback: fewer would run out of source ports before TIME_WAIT is over."""

Target = tuple[str, int]
TICKS = os.sysconf("SC_CLK_TCK")


def show(name: str, value: str, note: str = "") -> None:
    print(f"  {name:<44}{value:>14}  {note}".rstrip(), flush=True)


# The daemon, beside a bare loop that dials the same edges as often.


async def bench_daemon() -> None:
    """Resident memory and CPU of `probe run` with its defaults on 1,000 Services."""
    print(f"daemon: {SERVICES} Services, {SERVICES * REPLICAS} endpoints, {SECONDS:.0f} s")
    async with Cluster() as cluster:
        cluster.apply(namespace("bench"))
        began = time.process_time()
        for i in range(SERVICES):
            cluster.apply(deployment(f"s{i}", namespace="bench", replicas=REPLICAS))
            cluster.apply(service(f"s{i}", namespace="bench"))
        await cluster.settled(within=300)
        show("building the sandbox", f"{time.process_time() - began:.0f} s CPU")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kubeconfig"
            cluster.write_kubeconfig(path)
            edges = _edges(cluster)
            async with daemon(path) as found:

                async def ready() -> bool:
                    return (await found.get("/readyz"))[0] == 200

                await until(ready, 120, every=0.5)
                pid = found.command.process.pid
                before = await found.value("edgeprobe_dials_total")
                cpu, memory = await _watched(pid, SECONDS)
                dials = await found.value("edgeprobe_dials_total") - before
                scrape = time.perf_counter()
                page = (await found.get("/metrics"))[1]
                scrape = time.perf_counter() - scrape
                healthy = page.count('verdict="healthy"')
                lag = await found.value("edgeprobe_dial_lag_seconds")
            rate = dials / SECONDS
            yardstick = await _bare_loop(edges, rate)
    show("healthy Services", f"{healthy} of {SERVICES}")
    show("dials", f"{rate:.0f}/s", f"most overdue at the end: {lag:.3f} s")
    show("resident memory", f"{memory:.0f} MiB")
    show("CPU", f"{100 * cpu:.1f} % of a core", f"{1e6 * cpu / rate:.0f} us per dial")
    show("bare asyncio.open_connection, same rate", f"{100 * yardstick:.1f} % of a core")
    show("ratio", f"{cpu / yardstick:.2f}", "of the daemon to the bare loop")
    show("one scrape", f"{scrape:.2f} s", f"{page.count(chr(10))} lines")


def _edges(cluster: Cluster) -> list[Target]:
    vips = [(s["spec"]["clusterIP"], 8080) for s in cluster.store.list("services", "bench")]
    pods = [(p["status"]["podIP"], 8080) for p in cluster.store.list("pods", "bench")]
    return vips + pods


async def _watched(pid: int, seconds: float) -> tuple[float, float]:
    """Share of a core that the process took over that time, and its resident MiB at the end."""
    before, began = _cpu(pid), time.monotonic()
    await asyncio.sleep(seconds)
    share = (_cpu(pid) - before) / (time.monotonic() - began)
    return share, _memory(pid)


def _memory(pid: int) -> float:
    """Resident MiB (proc(5), the second field of statm)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _cpu(pid: int) -> float:
    """User and system seconds so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def _bare_loop(edges: list[Target], rate: float) -> float:
    """The share of a core that the simplest asyncio prober takes at that rate."""
    arguments = (sys.executable, "-m", "tests.bench", "bare", str(rate))
    process = await asyncio.create_subprocess_exec(*arguments, stdin=asyncio.subprocess.PIPE)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(edges).encode())
        process.stdin.close()
        await asyncio.sleep(3)
        share, _ = await _watched(process.pid, SECONDS / 2)
    finally:
        process.kill()
        await process.wait()
    return share


async def bare(rate: float) -> None:
    """Dials the edges given on stdin in turn, for ever, a task for each dial."""
    edges: list[Target] = [(host, port) for host, port in json.load(sys.stdin)]
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()
    began = loop.time()
    done = 0
    while True:
        while done < (loop.time() - began) * rate:
            task = asyncio.create_task(_open(edges[done % len(edges)]))
            running.add(task)
            task.add_done_callback(running.discard)
            done += 1
        await asyncio.sleep(0.02)


# Dials, engine against engine.


async def _open(target: Target) -> None:
    try:
        async with asyncio.timeout(4):
            _, writer = await asyncio.open_connection(*target)
            writer.close()
            await writer.wait_closed()
    except OSError:
        pass


async def _by_dialer(targets: list[Target]) -> int:
    connected = 0

    def deliver(batch: Batch) -> None:
        nonlocal connected
        connected += sum(outcome.result is Result.CONNECTED for _, outcome in batch)

    dialer = Dialer(deliver, seconds=4.0, limit=IN_FLIGHT)
    waiting = list(enumerate(targets))
    while waiting or dialer.in_flight:
        now, waiting = waiting[: dialer.room], waiting[dialer.room :]
        dialer.dial((i, host, port) for i, (host, port) in now)
        await asyncio.sleep(0)
    dialer.close()
    return connected


async def _by_open_connection(targets: list[Target]) -> int:
    for start in range(0, len(targets), IN_FLIGHT):
        await asyncio.gather(*map(_open, targets[start : start + IN_FLIGHT]))
    return len(targets)


async def _by_blocking_connect(targets: list[Target]) -> int:
    for target in targets:
        with socket.socket() as sock:
            sock.settimeout(4)
            sock.connect_ex(target)
    return len(targets)


ENGINES: dict[str, Callable[[list[Target]], Awaitable[int]]] = {
    "probe's Dialer": _by_dialer,
    "asyncio.open_connection": _by_open_connection,
    "blocking connect": _by_blocking_connect,
}


async def bench_dials() -> None:
    """CPU per dial, connected and refused, engines taking turns."""
    print(f"dials: {ROUNDS} rounds of {DIALS}, {IN_FLIGHT} in flight, medians")
    with _accepting() as port:
        refusing = _free_port()
        for what, number in (("connected", port), ("refused", refusing)):
            targets = [(address, number) for address in _addresses()] * (DIALS // ADDRESSES)
            spent: dict[str, list[float]] = {name: [] for name in ENGINES}
            for _ in range(ROUNDS):
                for name, engine in ENGINES.items():
                    began = time.process_time()
                    await engine(targets)
                    spent[name].append((time.process_time() - began) / DIALS)
            ours = spent["probe's Dialer"]
            for name, times in spent.items():
                ratio = statistics.median(a / b for a, b in zip(ours, times, strict=True))
                note = "" if times is ours else f"ratio of ours to it: {ratio:.2f}"
                show(f"{what}, {name}", f"{1e6 * statistics.median(times):.1f} us CPU", note)


@contextmanager
def _accepting() -> Iterator[int]:
    """Somebody in another process who accepts and closes, on every loopback address."""
    ours, theirs = multiprocessing.Pipe()
    acceptor = multiprocessing.get_context("spawn").Process(
        target=_accept_forever, args=(theirs,), daemon=True
    )
    acceptor.start()
    try:
        yield ours.recv()
    finally:
        acceptor.kill()
        acceptor.join()


def _accept_forever(told: Connection) -> None:
    port = _free_port()
    with selectors.DefaultSelector() as ready, ExitStack() as closing:
        for address in _addresses():
            server = closing.enter_context(socket.create_server((address, port), backlog=4096))
            ready.register(server, selectors.EVENT_READ)
        told.send(port)
        while True:
            for key, _ in ready.select():
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.accept()[0].close()


def _addresses() -> list[str]:
    return [f"127.77.0.{1 + i}" for i in range(ADDRESSES)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


# The page for Prometheus.


class _Ready(Collector):
    """prometheus_client's own rendering at its best: everything is gathered beforehand."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


class _Status:
    synced = True
    last_contact_time = 1.8e9
    skipped: dict[str, int] = {}  # noqa: RUF012 a constant that a Protocol wants as an attribute


async def bench_exposition() -> None:
    """Rendering /metrics against prometheus_client on the same series; the longest loop block."""
    print(f"exposition: {SERVICES} Services, {SERVICES * REPLICAS} endpoints, {ROUNDS} rounds")
    world = _dialed_world()
    metrics = Metrics(world, {"services": _Status()}, vantage="pod", unix=lambda at: 1.8e9 + at)
    page = b"".join(metrics.chunks(20.0)).decode()
    registry = CollectorRegistry()
    registry.register(_Ready(list(text_string_to_metric_families(page))))
    ours, blocks, theirs = [], [], []
    for _ in range(ROUNDS):
        pieces = []
        chunks = metrics.chunks(20.0)
        began = last = time.perf_counter()
        for _ in chunks:
            now = time.perf_counter()
            pieces.append(now - last)
            last = now
        ours.append(last - began)
        blocks.append(max(pieces))
        began = time.perf_counter()
        generate_latest(registry)
        theirs.append(time.perf_counter() - began)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    show("series", str(sum(not line.startswith("#") for line in page.splitlines())))
    show("our page", f"{1000 * statistics.median(ours):.0f} ms")
    show("generate_latest, samples ready", f"{1000 * statistics.median(theirs):.0f} ms")
    show("ratio", f"{ratio:.2f}", "of ours to generate_latest")
    show("longest block of the loop", f"{1000 * statistics.median(blocks):.1f} ms")


def _dialed_world() -> World:
    """A World of that size of which every edge has been dialed."""
    world = World(Config(node="a", dials_per_second=0), 0.0)
    services, slices = [], []
    for i in range(SERVICES):
        name, vip = f"s{i}", f"10.96.{i // 250}.{1 + i % 250}"
        services.append(facts.service(name=name, ips=(vip,), selector=(("app", name),)))
        backends = [f"10.{100 + n}.{i // 250}.{1 + i % 250}" for n in range(REPLICAS)]
        slices.append(facts.slice_of(*backends, service=name))
    world.apply(kube.Listed("services", tuple(services)), 0.0)
    world.apply(kube.Listed("endpointslices", tuple(slices)), 0.0)
    for step in range(1000):
        now = step * 0.02
        dials = world.due(now, 10_000)
        world.record([(dial, Outcome(Result.CONNECTED, 0.0004)) for dial in dials], now)
        world.judge(now)
    return world


BENCHES: dict[str, Callable[[], Awaitable[Any]]] = {
    "dials": bench_dials,
    "exposition": bench_exposition,
    "daemon": bench_daemon,
}


def main(names: list[str]) -> None:
    if names[:1] == ["bare"]:
        asyncio.run(bare(float(names[1])))
        return
    if unknown := [name for name in names if name not in BENCHES]:
        sys.exit(f"there is no benchmark {unknown[0]!r}: choose from {', '.join(BENCHES)}")
    for name in names or BENCHES:
        asyncio.run(_run(BENCHES[name]))


async def _run(bench: Callable[[], Awaitable[Any]]) -> None:
    await bench()


if __name__ == "__main__":
    main(sys.argv[1:])
