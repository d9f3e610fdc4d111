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
    """The command of a watch; the gate is there once it runs, and it goes on once that is not."""
    where = f"--kubeconfig {cluster.inner_kubeconfig} -n {space}"
    waiting = f"touch {gate}; while test -e {gate}; do sleep 0.1; done"
    return ("--", "sh", "-c", f"{waiting}; {KUBECTL} {where} rollout restart deployment/{name}")


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

    watching = [asyncio.create_task(watch("careless", gates[0]))]
    await until(gates[0].exists)
    with node.proxy.frozen():
        gates[0].unlink()
        await until(lambda: _replaced(cluster, space, "careless", old["careless"]), 90)
        # Only now, so that they sleep for longer than kube-proxy stands still, whoever is slow.
        watching.append(asyncio.create_task(watch("careful", gates[1])))
        await until(gates[1].exists)
        gates[1].unlink()
        await until(lambda: _replaced(cluster, space, "careful", old["careful"]), 90)
        await asyncio.sleep(FROZEN_SECONDS)
    hasty, patient = await asyncio.gather(*watching)

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
