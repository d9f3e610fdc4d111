"""`probe watch` on a node of a real cluster: a rollout whose old pods end at SIGTERM, while that
node's kube-proxy is frozen and still sends to them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.real.manifests import READY, at_once, careless, deployment, service
from tests.running import KUBECTL, Ended, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.parametrize("cluster", ["iptables"], indirect=True, scope="session"),
]

FROZEN_SECONDS = 3.0
"""For which kube-proxy stands still after the old pods are told to go."""


def restart(cluster: Cluster, space: str, name: str, gate: Path) -> tuple[str, ...]:
    """The command of a watch; the gate is there once it runs."""
    where = f"--kubeconfig {cluster.inner_kubeconfig} -n {space}"
    return ("--", "sh", "-c", f"touch {gate}; {KUBECTL} {where} rollout restart deployment/{name}")


async def test_the_rollout_is_charged_with_what_callers_met_and_the_careful_one_with_nothing(
    cluster: Cluster, space: str, tmp_path: Path
) -> None:
    node, gates = cluster.nodes[0], (tmp_path / "careless", tmp_path / "careful")
    sleep = {"preStop": {"sleep": {"seconds": 10}}}
    careful = deployment("careful", 2, grace=60, readinessProbe=READY, lifecycle=sleep)
    services = (service("careless", "careless"), service("careful", "careful"))
    await cluster.apply(careless("careless", 2), at_once(careful), *services, space=space)
    old = {name: await cluster.has_endpoints(name, 2, space) for name in ("careless", "careful")}
    await cluster.connects("careless", "careful", space=space)

    async def watch(name: str, gate: Path) -> Ended:
        config = ("--kubeconfig", str(cluster.inner_kubeconfig), "--from", "here", "-o", "json")
        command = ("watch", f"deployment/{name}", "-n", space, *config)
        return await node.inside.probe(*command, *restart(cluster, space, name, gate), seconds=150)

    watching = asyncio.gather(watch("careless", gates[0]), watch("careful", gates[1]))
    await until(lambda: all(gate.exists() for gate in gates))
    with node.proxy.frozen():
        for name, before in old.items():
            await until(lambda: _replaced(cluster, space, name, before), 90)  # noqa: B023
        await asyncio.sleep(FROZEN_SECONDS)
    hasty, patient = await watching

    record: Any = hasty.document
    assert hasty.code == 1, hasty.err
    assert record["outcome"] == "complete"
    assert record["failed"]["refused"] >= 10
    assert 0 < record["removal_lag_seconds"] < record["recommended_drain_seconds"]
    assert [note["code"] for note in record["preflight"]] == ["no_pre_stop"]
    assert "readinessProbe" not in "".join(record["advice"])
    assert f"deployment.apps/{space}" not in hasty.out

    assert patient.code == 0, patient.err
    assert (patient.document["failed"], patient.document["preflight"]) == ({}, [])
    assert patient.document["dials"] > 100


async def _replaced(cluster: Cluster, space: str, name: str, before: set[str]) -> bool:
    """Whether the slices call none of the pods from before ready."""
    return before.isdisjoint(await cluster.ready_addresses(name, space))
