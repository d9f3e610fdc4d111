"""Incident 3 on real Kubernetes: Deployments roll while a kube-proxy still sends to their old pods.

kube-proxy is frozen on the daemon's node while the old pods go, which makes certain what its usual
lag makes likely. The daemon dials at its own pace: closely while something rolls.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.cluster import Cluster
from tests.cluster.processes import Program
from tests.real.manifests import LISTENER, READY, Manifest, deployment, service
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
    await cluster.apply(careless(), careful(), *services, space=SPACE)
    for name in ("careless", "careful"):
        await cluster.has_endpoints(name, PODS, SPACE)
    await cluster.connects("careless", "careful", space=SPACE)
    flags = ("--namespaces", SPACE, "--vantage", "host")
    async with node.inside.daemon(cluster.inner_kubeconfig, *flags, node=node.name) as daemon:
        for name in ("careless", "careful"):
            await Told(daemon, SPACE, name).becomes("healthy")
        began = time.monotonic()
        with frozen(node.proxy):
            both = ("deployment/careless", "deployment/careful")
            await cluster.kubectl("set", "env", *both, "-n", SPACE, "ROLLED=yes")
            await until(lambda: _failed(daemon), 90, every=EVERY)
        await until(lambda: _connects(daemon), 90, every=EVERY)
        yield Rolled(daemon, time.monotonic() - began)
    await cluster.kubectl("delete", "namespace", SPACE, "--wait=false")


def careless() -> Manifest:
    """Its container ends at SIGTERM at once; the one beside it keeps the address, which refuses."""
    made = deployment("careless", PODS, grace=30, readinessProbe=READY)
    beside = {"name": "beside", "image": LISTENER, "args": ["PORT=9000", "TERM_DELAY=20"]}
    made["spec"]["template"]["spec"]["containers"].append(beside)
    return _at_once(made)


def careful() -> Manifest:
    """The same with a preStop.sleep that is longer than kube-proxy is frozen for."""
    sleep = {"preStop": {"sleep": {"seconds": 60}}}
    return _at_once(deployment("careful", PODS, grace=90, readinessProbe=READY, lifecycle=sleep))


def _at_once(made: Manifest) -> Manifest:
    """All new pods come before any old one goes."""
    made["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    return made


@contextmanager
def frozen(program: Program) -> Iterator[None]:
    program.freeze()
    try:
        yield
    finally:
        program.thaw()


async def _change(daemon: Daemon, name: str) -> Any:
    """The last rollout of that Deployment in /api/v1/changes; None before it began."""
    found = (await daemon.json("/api/v1/changes")).get("rollouts", ())
    return next((each for each in found if each["workload"] == f"Deployment {SPACE}/{name}"), None)


async def _failed(daemon: Daemon) -> bool:
    found = await _change(daemon, "careless")
    return found is not None and sum(found["failed"].values()) >= ENOUGH


async def _connects(daemon: Daemon) -> bool:
    (edge,) = await Told(daemon, SPACE, "careless").edges("service")
    return bool(edge["state"] == "up")


async def test_pods_that_end_at_once_make_a_drain_race_and_never_an_outage(rolled: Rolled) -> None:
    told = rolled.told("careless")
    found = await told.now()

    assert found["verdict"] == "drain_race"
    assert [turn["verdict"] for turn in told.turns()] == ["healthy", "drain_race"]
    assert "rollout" in {change["kind"] for change in found["changes"]}
    assert await told.dials(kind="service", result="refused", phase="rollout") >= ENOUGH
    for result in ("refused", "timeout"):
        assert await told.dials(result=result, phase="steady") == 0


async def test_the_rollout_tells_what_it_cost_and_which_drain_would_have_avoided_it(
    rolled: Rolled,
) -> None:
    found = await rolled.change("careless")
    labels = {"namespace": SPACE, "service": "careless", "workload": "careless"}

    counted = await rolled.daemon.value("edgeprobe_rollout_failed_dials_total", **labels)
    assert counted == sum(found["failed"].values()) >= ENOUGH
    lag = found["removal_lag_seconds"]
    assert 0 < lag < rolled.seconds
    assert lag < found["recommended_drain_seconds"] < rolled.seconds + 5
    seconds = f"sleep: {{seconds: {found['recommended_drain_seconds']}}}"
    assert seconds in (await rolled.told("careless").now())["advice"][0]


async def test_with_a_sleep_that_is_long_enough_no_dial_fails(rolled: Rolled) -> None:
    told, found = rolled.told("careful"), await rolled.change("careful")

    assert found["dials"] >= ENOUGH
    assert found["failed"] == {}
    assert found["recommended_drain_seconds"] is None
    assert [turn["verdict"] for turn in told.turns()] == ["healthy"]
    assert await told.failures() == 0
    # The premise: the old pods still listen, behind rules that are new by now.
    endpoints = (await told.now())["ports"][0]["edges"]
    assert sum(edge["state"] == "excluded" for edge in endpoints) == PODS
