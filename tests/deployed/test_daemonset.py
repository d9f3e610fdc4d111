"""`kubectl apply -f deploy/probe.yaml` where real kubelets run it: the DaemonSet as users have it.

The tests follow each other on one cluster: it is new, the DaemonSet is restarted, and then two
incidents are told by its pods, at their own pace.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster import cgroups
from tests.cluster.cluster import Cluster, booted
from tests.cluster.processes import Program
from tests.deployed import shipped
from tests.real.manifests import READY, Manifest, careless, deployment, service
from tests.real.told import EVERY, Told
from tests.running import Daemon, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.kubelet, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
]

SPACE = "shop"
PODS = 2
ENOUGH = 10
"""Failed dials: half a second of them."""

HARMLESS = {"healthy", "unknown"}
"""Verdicts in a cluster where nothing is wrong."""

NOBODY = "65534"
API_SERVICE = "0100600A:01BB"
"""10.96.0.1:443, as /proc/net/tcp has it."""
ESTABLISHED = "01"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    """With the manifest applied, and two Services for it to dial."""
    async with booted("iptables", kubelets=True) as cluster:
        await cluster.make_space(SPACE)
        workloads = (deployment("web", PODS, readinessProbe=READY), careless("careless", PODS))
        services = (service("web", "web"), service("careless", "careless"))
        await cluster.apply(*map(local, workloads), *services, space=SPACE)
        await shipped.deploy(cluster)
        for name in ("web", "careless"):
            await cluster.has_endpoints(name, PODS, SPACE)
        yield cluster
        processes = cluster.processes()
        assert len(processes) > PODS * 2
    assert cluster.network.namespaces() == []
    assert cgroups.existing(cluster.network.prefix) == set()
    assert not exists(cluster.folder)
    await until(lambda: not any(each.lives() for each in processes))


def exists(path: Path) -> bool:
    return path.exists()


def local(made: Manifest) -> Manifest:
    """With images that are there: no registry is asked."""
    for container in made["spec"]["template"]["spec"]["containers"]:
        container["imagePullPolicy"] = "Never"
    return made


async def test_a_ready_pod_is_on_every_node_and_none_was_restarted(cluster: Cluster) -> None:
    pods = await shipped.pods(cluster)

    assert [pod.node for pod in pods] == cluster.nodes
    for pod in pods:
        assert pod.restarts == 0, await shipped.last_words(cluster, pod)


async def test_it_runs_as_nobody_without_capabilities_on_a_root_that_is_read_only(
    cluster: Cluster,
) -> None:
    """As this machine's kernel says it."""
    for pod in await shipped.pods(cluster):
        status = dict(line.split(":\t", 1) for line in pod.read("status").splitlines())
        assert status["Uid"].split() == status["Gid"].split() == [NOBODY] * 4
        assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"  # SECCOMP_MODE_FILTER
        mounts = [line.split() for line in pod.read("mounts").splitlines()]
        (root,) = (options for _, where, _, options, *_ in mounts if where == "/")
        assert "ro" in root.split(",")


async def test_it_meets_the_api_server_by_its_cluster_ip(cluster: Cluster) -> None:
    for pod in await shipped.pods(cluster):
        await until(partial(connected, pod, API_SERVICE))


def connected(pod: shipped.DaemonPod, there: str) -> bool:
    sockets = (line.split() for line in pod.read("net/tcp").splitlines()[1:])
    return (there, ESTABLISHED) in {(remote, state) for _, _, remote, state, *_ in sockets}


async def test_a_restart_of_the_daemonset_is_no_incident(cluster: Cluster) -> None:
    before = await shipped.pods(cluster)
    async with shipped.vantages(cluster, before) as old:
        for daemon in old:  # they came with these Services, before the pods were ready
            for name in ("web", "careless"):
                await Told(daemon, SPACE, name).becomes("healthy")
        began = datetime.now(UTC).isoformat()
        await cluster.kubectl("rollout", "restart", "daemonset/edgeprobe", "-n", shipped.SPACE)
        await cluster.rolled_out("daemonset/edgeprobe", shipped.SPACE)
        after = await shipped.pods(cluster)
        assert {pod.name for pod in before}.isdisjoint(pod.name for pod in after)
        async with shipped.vantages(cluster, after) as new:
            for daemon in new:
                await without_a_failure(daemon)
            await asyncio.gather(*(daemon.command.process.wait() for daemon in old))
            for daemon in old:
                assert verdicts(daemon, since=began) <= HARMLESS
            for daemon in new:
                assert verdicts(daemon) <= HARMLESS


async def without_a_failure(daemon: Daemon) -> None:
    told = Told(daemon, SPACE, "web")
    await told.becomes("healthy")
    assert await told.failures() == 0
    await until(lambda: "healthy" in verdicts(daemon))


def verdicts(daemon: Daemon, since: str = "") -> set[str]:
    """All that its log tells so far, since that time of day."""
    told = (each for each in daemon.command.records if "verdict" in each)
    return {each["verdict"] for each in told if each["time"] >= since}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemons(cluster: Cluster) -> AsyncIterator[list[Daemon]]:
    """One per node."""
    async with shipped.vantages(cluster, await shipped.pods(cluster)) as daemons:
        yield daemons


async def test_every_node_tells_a_target_port_that_nobody_listens_on(
    cluster: Cluster, daemons: list[Daemon]
) -> None:
    told = [Told(daemon, SPACE, "web") for daemon in daemons]
    await asyncio.gather(*(each.becomes("healthy") for each in told))
    await retarget(cluster, 8081)
    try:
        documents = await asyncio.gather(*(each.becomes("port_mismatch") for each in told))
    finally:
        await retarget(cluster, 8080)
    for document in documents:
        assert "8081" in document["summary"]
        assert "service_edit" in {change["kind"] for change in document["changes"]}
    await asyncio.gather(*(each.becomes("healthy") for each in told))


async def retarget(cluster: Cluster, port: int) -> None:
    patch = f'[{{"op":"replace","path":"/spec/ports/0/targetPort","value":{port}}}]'
    await cluster.kubectl("patch", "service", "web", "-n", SPACE, "--type=json", "-p", patch)


async def test_every_node_files_the_failures_of_a_rolling_update_under_it(
    cluster: Cluster, daemons: list[Daemon]
) -> None:
    """kube-proxies are frozen while the old pods go, which makes their lag certain."""
    told = [Told(daemon, SPACE, "careless") for daemon in daemons]
    await asyncio.gather(*(each.becomes("healthy") for each in told))
    with frozen(*(node.proxy for node in cluster.nodes)):
        await cluster.kubectl("set", "env", "deployment/careless", "-n", SPACE, "ROLLED=yes")
        await asyncio.gather(*(until(partial(failed, each), 90, every=EVERY) for each in daemons))
    for daemon in daemons:
        found = await until(partial(filed, daemon), 90, every=EVERY)
        assert found["failed"]["refused"] > 0
        assert found["removal_lag_seconds"] > 0
    for each in told:
        document = await each.becomes("drain_race")
        assert "rollout" in {change["kind"] for change in document["changes"]}
        assert await each.dials(result="refused", phase="rollout") > 0
        for result in ("refused", "reset", "timeout"):
            assert await each.dials(result=result, phase="steady") == 0
        assert {turn["verdict"] for turn in each.turns()} <= {*HARMLESS, "drain_race"}


@contextmanager
def frozen(*programs: Program) -> Iterator[None]:
    for program in programs:
        program.freeze()
    try:
        yield
    finally:
        for program in programs:
            program.thaw()


async def rollout(daemon: Daemon) -> Any:
    """Of `careless` in /api/v1/changes; None before it began."""
    found = (await daemon.json("/api/v1/changes")).get("rollouts", ())
    return next(
        (each for each in found if each["workload"] == f"Deployment {SPACE}/careless"), None
    )


async def failed(daemon: Daemon) -> bool:
    found = await rollout(daemon)
    return found is not None and sum(found["failed"].values()) >= ENOUGH


async def filed(daemon: Daemon) -> Any:
    """The rollout with its lag, once kube-proxy has caught up."""
    found = await rollout(daemon)
    return found if found is not None and found["removal_lag_seconds"] is not None else None


async def test_the_kubelets_found_nothing_to_restart(cluster: Cluster) -> None:
    for pod in await shipped.pods(cluster):
        assert pod.restarts == 0, await shipped.last_words(cluster, pod)
