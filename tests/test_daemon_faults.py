"""`probe run` when what it lacks is its own: no descriptor for a dial."""

import asyncio
import os
import resource
from pathlib import Path

import aiohttp
import pytest

from probe.demo.manifests import NAMESPACE, deployment, namespace, service
from probe.sandbox.cluster import Cluster
from tests.running import Daemon, daemon, total, until

pytestmark = pytest.mark.slow

FLAGS = ("--interval", "0.5", "--timeout", "0.5", "--settle", "0", "--close", "fin")
"""Freshness ends after 3 s; by FIN, since by RST a dialer goes on with the sockets that it has."""


async def test_34_without_descriptors_no_edge_is_down_and_the_verdict_says_whose_fault_it_is(
    tmp_path: Path,
) -> None:
    async with Cluster() as cluster:
        for each in (namespace(NAMESPACE), deployment("web"), service("web")):
            cluster.apply(each)
        await cluster.settled(within=20)
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        async with (
            daemon(tmp_path / "kubeconfig", *FLAGS) as found,
            aiohttp.ClientSession() as session,  # one connection, which needs no new descriptor
        ):

            async def value(name: str, **labels: str) -> float:
                async with session.get(f"http://127.0.0.1:{found.port}/metrics") as response:
                    return total(await response.text(), f"edgeprobe_{name}", labels)

            await until(lambda: value("verdict", service="web", verdict="healthy"))
            scarce, limits = await _without_descriptors(found)
            try:
                await until(lambda: value("verdict", service="web", verdict="probe_fault"))
                faults = await value("dials_total", result="local_fault")
                assert faults > 0
                assert await value("edges", state="down") == 0
                assert await value("edge_up") == 2

                async def more() -> bool:
                    return await value("dials_total", result="local_fault") > faults

                await until(more)  # it goes on trying
            finally:
                resource.prlimit(scarce, resource.RLIMIT_NOFILE, limits)
            await until(lambda: value("verdict", service="web", verdict="healthy"))

    turns = [(r["was"], r["verdict"]) for r in found.command.records if r.get("service") == "web"]
    assert "probe_fault" in [verdict for _, verdict in turns]
    assert turns[-1][1] == "healthy"  # by way of unknown, if what was dialed before is stale
    assert {verdict for _, verdict in turns} <= {"healthy", "unknown", "probe_fault"}


async def _without_descriptors(found: Daemon) -> tuple[int, tuple[int, int]]:
    """Lets the daemon open no more than it has open for good, which no dial is; its process, and
    what it was allowed."""
    pid = found.command.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    held = set(range(limits[0]))
    for _ in range(10):
        held &= {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
        await asyncio.sleep(0.03)
    lowest = min(set(range(limits[0])) - held)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, limits[1]))
    return pid, limits
