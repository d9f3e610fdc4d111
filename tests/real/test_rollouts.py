"""Incident 3 on real Kubernetes: Deployments roll while a kube-proxy still sends to their old pods.

kube-proxy is frozen on the daemon's node while the old pods go, which makes certain what its usual
lag makes likely. The daemon dials at its own pace: closely while something rolls.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.cluster import Cluster
from tests.real.manifests import READY, Manifest, at_once, careless, deployment, service
from tests.real.told import EVERY, Told
from tests.running import Daemon, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
]

SPACE = "rollouts"
PODS = 2
ENOUGH = 10
"""Failed dials: half a second of them."""


@dataclass
class Rolled:
    """What a daemon tells once `careless` has met failures and kube-proxy has caught up."""

    daemon: Daemon
    seconds: float

    def told(self, name: str) -> Told:
        return Told(self.daemon, SPACE, name)

    async def change(self, name: str) -> Any:
        return await _change(self.daemon, name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rolled(cluster: Cluster) -> AsyncIterator[Rolled]:
    node = cluster.nodes[0]
    await cluster.make_space(SPACE)
    services = (service("careless", "careless"), service("careful", "careful"))
    await cluster.apply(careless("careless", PODS), careful(), *services, space=SPACE)
    for name in ("careless", "careful"):
        await cluster.has_endpoints(name, PODS, SPACE)
    await cluster.connects("careless", "careful", space=SPACE)
    flags = ("--namespaces", SPACE, "--vantage", "host")
    async with node.inside.daemon(cluster.inner_kubeconfig, *flags, node=node.name) as daemon:
        for name in ("careless", "careful"):
            await Told(daemon, SPACE, name).becomes("healthy")
        began = time.monotonic()
        with node.proxy.frozen():
            both = ("deployment/careless", "deployment/careful")
            await cluster.kubectl("set", "env", *both, "-n", SPACE, "ROLLED=yes")
            await until(lambda: _failed(daemon), 90, every=EVERY)
            await until(lambda: _drains(daemon), 90, every=EVERY)
        await until(lambda: _connects(daemon), 90, every=EVERY)
        yield Rolled(daemon, time.monotonic() - began)
    await cluster.kubectl("delete", "namespace", SPACE, "--wait=false")


def careful() -> Manifest:
    """The same with a preStop.sleep that is longer than kube-proxy is frozen for."""
    sleep = {"preStop": {"sleep": {"seconds": 150}}}
    return at_once(deployment("careful", PODS, grace=200, readinessProbe=READY, lifecycle=sleep))


async def _change(daemon: Daemon, name: str) -> Any:
    """The last rollout of that Deployment in /api/v1/changes; None before it began."""
    found = (await daemon.json("/api/v1/changes")).get("rollouts", ())
    return next((each for each in found if each["workload"] == f"Deployment {SPACE}/{name}"), None)


async def _failed(daemon: Daemon) -> bool:
    found = await _change(daemon, "careless")
    return found is not None and found["failed"].get("refused", 0) >= ENOUGH


async def _drains(daemon: Daemon) -> bool:
    """Whether all old pods of `careful` end, and were dialed while they do."""
    found = await _change(daemon, "careful")
    edges = await Told(daemon, SPACE, "careful").edges("endpoint")
    ending = sum(edge["state"] == "excluded" for edge in edges)
    return found is not None and found["dials"] >= ENOUGH and ending == PODS


async def _connects(daemon: Daemon) -> bool:
    (edge,) = await Told(daemon, SPACE, "careless").edges("service")
    return bool(edge["state"] == "up")


async def test_pods_that_end_at_once_make_a_drain_race_and_never_an_outage(rolled: Rolled) -> None:
    told = rolled.told("careless")
    found = await told.becomes("drain_race")
    await until(lambda: len(told.turns()) == 2)

    assert [turn["verdict"] for turn in told.turns()] == ["healthy", "drain_race"]
    assert "rollout" in {change["kind"] for change in found["changes"]}
    assert await told.dials(kind="service", result="refused", phase="rollout") >= ENOUGH
    for result in ("refused", "timeout"):
        assert await told.dials(result=result, phase="steady") == 0


async def test_the_rollout_tells_what_it_cost_and_which_drain_would_have_avoided_it(
    rolled: Rolled,
) -> None:
    labels = {"namespace": SPACE, "service": "careless", "workload": "careless"}

    async def agreed() -> Any:
        """The rollout, once metric and advice tell the same: a late timeout may still come in."""
        found = await rolled.change("careless")
        counted = await rolled.daemon.value("edgeprobe_rollout_failed_dials_total", **labels)
        advice = (await rolled.told("careless").now())["advice"]
        seconds = f"sleep: {{seconds: {found['recommended_drain_seconds']}}}"
        same = counted == sum(found["failed"].values()) and any(seconds in each for each in advice)
        return found if same else None

    found = await until(agreed, every=EVERY)
    assert sum(found["failed"].values()) >= ENOUGH
    lag = found["removal_lag_seconds"]
    assert 0 < lag < rolled.seconds
    assert lag < found["recommended_drain_seconds"] < rolled.seconds + 5


async def test_with_a_sleep_that_is_long_enough_no_dial_fails(rolled: Rolled) -> None:
    told, found = rolled.told("careful"), await rolled.change("careful")

    assert found["failed"] == {}
    assert found["recommended_drain_seconds"] is None
    assert [turn["verdict"] for turn in told.turns()] == ["healthy"]
    assert await told.failures() == 0
