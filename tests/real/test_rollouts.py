"""Incident 3 of docs/edge-cases.md on real Kubernetes: Deployments roll while a kube-proxy still
sends to their old pods.

kube-proxy is frozen on one of two nodes while the old pods go, which makes certain what its usual
lag makes likely; the careful ones go last, however slowly the others roll. A daemon on each node
dials at its own pace: closely while something rolls. How long a removal really took is read off the
rules of both.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.cluster import Cluster
from tests.real.manifests import READY, Manifest, at_once, careless, deployment, service
from tests.real.told import EVERY, Told
from tests.real.truth import Truth
from tests.running import Daemon, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
]

SPACE = "rollouts"
PODS = 2
FROZEN = 5.0
"""Seconds for which kube-proxy stands still after the old pods are told to go."""
DRAIN = 11
"""Seconds of preStop.sleep: as much longer than that as kube-proxy may take to catch up."""
LINGER = ("--linger", "600")
"""What the rollouts explain holds until the last test has asked for it, not for half a minute."""
ENOUGH = 10
"""Failed dials: half a second of them."""
HEARD = 2.0
"""Seconds by which a daemon on a busy machine may hear later than we that a pod goes, or sooner."""

CARELESS = ("careless", "delayed")
NAMES = (*CARELESS, "careful")


@dataclass
class Rolled:
    """What the daemons tell once all has rolled and each kube-proxy has caught up, by node; `old`
    are the addresses of the pods from before, by Deployment."""

    daemons: dict[str, Daemon]
    truth: Truth
    old: dict[str, set[str]]

    @property
    def frozen(self) -> str:
        """The node whose kube-proxy stood still."""
        return next(iter(self.daemons))

    def told(self, name: str) -> Told:
        """As the daemon of that node tells it."""
        return Told(self.daemons[self.frozen], SPACE, name)

    async def change(self, name: str) -> Any:
        return await _change(self.daemons[self.frozen], name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rolled(cluster: Cluster) -> AsyncIterator[Rolled]:
    await cluster.make_space(SPACE)
    made = (careless("careless", PODS), delayed(), careful())
    await cluster.apply(*made, *(service(name, name) for name in NAMES), space=SPACE)
    old = {name: await cluster.has_endpoints(name, PODS, SPACE) for name in NAMES}
    for node in range(len(cluster.nodes)):
        await cluster.connects(*NAMES, space=SPACE, node=node)
    flags = ("--namespaces", SPACE, "--vantage", "host", *LINGER)
    async with AsyncExitStack() as stack:
        daemons = {
            node.name: await stack.enter_async_context(
                node.inside.daemon(cluster.inner_kubeconfig, *flags, node=node.name)
            )
            for node in cluster.nodes
        }
        for daemon in daemons.values():
            for name in NAMES:
                await Told(daemon, SPACE, name).becomes("healthy")
        gone = [address for addresses in old.values() for address in addresses]
        truth = await stack.enter_async_context(Truth(cluster, SPACE, gone).running())
        with cluster.nodes[0].proxy.frozen():
            for names in (CARELESS, ("careful",)):
                rolling = (f"deployment/{name}" for name in names)
                await cluster.kubectl("set", "env", *rolling, "-n", SPACE, "ROLLED=yes")
                told = [address for name in names for address in old[name]]
                await until(lambda: truth.told(told), 90, every=EVERY)  # noqa: B023
            await asyncio.sleep(FROZEN)
        await until(lambda: truth.forgotten(gone), 90, every=EVERY)
        for daemon in daemons.values():
            for name in NAMES:
                await until(lambda: _over(daemon, name), 90, every=EVERY)  # noqa: B023
        yield Rolled(daemons, truth, old)
    await cluster.drop_space(SPACE)


def delayed() -> Manifest:
    """Its pods listen for two seconds after SIGTERM; then their address is gone with them."""
    late = ["TERM_DELAY=2"]
    return at_once(deployment("delayed", PODS, grace=30, readinessProbe=READY, args=late))


def careful() -> Manifest:
    """Its pods listen for longer than kube-proxy is frozen."""
    sleep = {"preStop": {"sleep": {"seconds": DRAIN}}}
    return at_once(deployment("careful", PODS, grace=30, readinessProbe=READY, lifecycle=sleep))


async def _change(daemon: Daemon, name: str) -> Any:
    """The last rollout of that Deployment in /api/v1/changes; None before it began."""
    found = (await daemon.json("/api/v1/changes")).get("rollouts", ())
    return next((each for each in found if each["workload"] == f"Deployment {SPACE}/{name}"), None)


async def _over(daemon: Daemon, name: str) -> bool:
    """Whether nothing of it terminates any more, and its ClusterIP answers."""
    found = await _change(daemon, name)
    (edge,) = await Told(daemon, SPACE, name).edges("service")
    return found is not None and found["outcome"] == "complete" and edge["state"] == "up"


async def test_pods_that_end_at_once_make_a_drain_race_and_never_an_outage(rolled: Rolled) -> None:
    told = rolled.told("careless")
    found = await told.becomes("drain_race")
    await until(lambda: len(told.turns()) == 2)

    assert [turn["verdict"] for turn in told.turns()] == ["healthy", "drain_race"]
    assert "rollout" in {change["kind"] for change in found["changes"]}
    assert await told.dials(kind="service", result="refused", phase="rollout") >= ENOUGH


@pytest.mark.parametrize("name", NAMES)
async def test_every_failed_dial_carries_the_rollout_or_the_end_of_its_endpoint(
    rolled: Rolled, name: str
) -> None:
    for daemon in rolled.daemons.values():
        told = Told(daemon, SPACE, name)
        for result in ("refused", "timeout", "unreachable"):
            for phase in ("steady", "service_edit"):
                assert await told.dials(result=result, phase=phase) == 0


@pytest.mark.parametrize("name", CARELESS)
async def test_the_lag_is_that_of_each_nodes_kube_proxy(
    rolled: Rolled, name: str, measured: Callable[[str], None]
) -> None:
    """Where a failure was met. It tells no more than there was, and with its error no less."""
    lines = ["mode, node, Deployment: true lag, measured, its error, advised drain; failed dials"]
    for node, daemon in rolled.daemons.items():
        least, most = rolled.truth.lag(node, rolled.old[name])

        async def caught_up() -> Any:
            """The rollout, once what failed last is laid to its removal."""
            found = await _change(daemon, name)  # noqa: B023
            lag, error = found["removal_lag_seconds"], found["removal_lag_error_seconds"]
            return found if lag is not None and lag + error >= least - HEARD else None  # noqa: B023

        frozen = node == rolled.frozen
        found = await (until(caught_up, 60, every=EVERY) if frozen else _change(daemon, name))
        lag = found["removal_lag_seconds"]
        error, drain = found["removal_lag_error_seconds"], found["recommended_drain_seconds"]
        where = f"{rolled.truth.cluster.mode} {node} {name}"
        cost = f"{found['failed']} of {found['dials']}"
        lines.append(f"{where}: {least:.1f} to {most:.1f} s, {lag}, {error}, {drain}; {cost}")
        assert least >= FROZEN or not frozen
        assert lag is None or 0 < lag <= most + HEARD
        assert bool(found["failed"]) or lag is None
    measured("\n".join(lines))


async def test_the_rollout_tells_what_it_cost_and_which_drain_would_have_avoided_it(
    rolled: Rolled,
) -> None:
    labels = {"namespace": SPACE, "service": "careless", "workload": "careless"}
    daemon = rolled.daemons[rolled.frozen]

    async def agreed() -> Any:
        """The rollout, once metric and advice tell the same: a late timeout may still come in."""
        found = await rolled.change("careless")
        counted = await daemon.value("edgeprobe_rollout_failed_dials_total", **labels)
        advice = (await rolled.told("careless").now())["advice"]
        seconds = f"sleep: {{seconds: {found['recommended_drain_seconds']}}}"
        same = counted == sum(found["failed"].values()) and any(seconds in each for each in advice)
        return found if same else None

    found = await until(agreed, every=EVERY)
    assert sum(found["failed"].values()) >= ENOUGH
    most = rolled.truth.lag(rolled.frozen, rolled.old["careless"])[1]
    assert FROZEN <= found["recommended_drain_seconds"] < most + 5


async def test_with_a_sleep_that_is_long_enough_no_dial_fails(rolled: Rolled) -> None:
    for daemon in rolled.daemons.values():
        told, found = Told(daemon, SPACE, "careful"), await _change(daemon, "careful")

        assert found["failed"] == {}
        assert found["recommended_drain_seconds"] is None
        assert found["dials"] >= DRAIN  # closely until the last pod had gone
        assert [turn["verdict"] for turn in told.turns()] == ["healthy"]
        for result in ("refused", "timeout", "unreachable", "rejected", "reset"):
            assert await told.dials(kind="service", result=result) == 0
