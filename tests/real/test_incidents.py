"""Incidents of a real cluster, and their Events: one daemon tells for both, or says it is alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from probe.core.kube import OPT_OUT
from probe.core.schedule import leaders, rank
from probe.core.suspects import HEARD_LATE
from tests.cluster.cluster import Cluster
from tests.real.manifests import Manifest, deployment, service
from tests.real.told import EVERY, QUICK, Told
from tests.running import Daemon, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("cluster", ["nftables"], indirect=True),
]

SPACE = "incidents"
NODES = ("node1", "node2")
PORT = 9797
"""Where each daemon listens, on its node's own network: they ask each other there."""


def told_first_by(node: str, prefix: str) -> str:
    """A name for a Service of which this node's daemon is to tell."""
    names = (f"{prefix}-{number}" for number in range(100))
    return next(name for name in names if rank(node, NODES, f"{SPACE}/{name}") == 0)


SHARED = told_first_by("node2", "shared")
LONELY = told_first_by("node2", "lonely")


@dataclass
class Pair:
    """A daemon on each of two nodes, each of which knows that the other is there."""

    cluster: Cluster
    daemons: tuple[Daemon, Daemon]

    async def agree(self, name: str, *verdicts: str) -> None:
        """Waits until node1 and node2 say so."""
        told = [Told(daemon, SPACE, name) for daemon in self.daemons]

        async def asked() -> bool:
            return tuple([await each.verdict() for each in told]) == verdicts

        await until(asked, 90, every=EVERY)

    async def events(self, name: str, reason: str) -> list[Any]:
        """Waits for Events of ours about that Service with that reason."""
        where = f"/apis/events.k8s.io/v1/namespaces/{SPACE}/events"

        async def asked() -> list[Any]:
            found = await self.cluster.control_plane.request("GET", where)
            mine = [e for e in found["items"] if e["regarding"]["name"] == name]
            ours = [e for e in mine if e["reportingController"] == "edgeprobe.dev/probe"]
            return [event for event in ours if event["reason"] == reason]

        found: list[Any] = await until(asked, 90, every=EVERY)
        return found

    async def incidents(self, node: int, name: str) -> list[Any]:
        query = f"namespace={SPACE}&service={name}"
        found = await self.daemons[node].json(f"/api/v1/incidents?{query}")
        incidents: list[Any] = found["incidents"]
        return incidents

    async def open(self, name: str, verdict: str) -> list[Any]:
        """Each node's open incident, once both show it: one may tell while the other waits yet
        whether a cause takes more along."""
        found = [i for node in range(2) for i in (await self.incidents(node, name))[:1]]
        mine = [i for i in found if (i["state"], i["verdict"]) == ("open", verdict)]
        return mine if len(mine) == 2 else []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(cluster: Cluster) -> AsyncIterator[Pair]:
    await cluster.make_space(SPACE)
    await cluster.apply(*_objects(), space=SPACE)
    for name in (SHARED, LONELY):
        await cluster.has_endpoints(name, 1, SPACE)
        for node in range(2):
            await cluster.connects(name, space=SPACE, node=node)
    one, two = cluster.nodes
    peers = ("--peers", f"{SPACE}/daemons")
    listen = ("--listen", f"0.0.0.0:{PORT}")
    flags = ("--namespaces", SPACE, "--vantage", "host", "--linger", "0", *peers, *listen, *QUICK)
    kubeconfig = cluster.inner_kubeconfig
    async with (
        one.inside.daemon(kubeconfig, *flags, node=one.name) as first,
        two.inside.daemon(kubeconfig, *flags, node=two.name) as second,
    ):
        pair = Pair(cluster, (first, second))
        for name in (SHARED, LONELY):
            await pair.agree(name, "healthy", "healthy")
        yield pair
    await cluster.drop_space(SPACE)


def _objects() -> list[Manifest]:
    daemons = service("daemons", "none", clusterIP="None")
    daemons["metadata"]["annotations"] = {OPT_OUT: "false"}
    endpoints = [{"addresses": [f"172.30.0.1{n}"], "nodeName": f"node{n}"} for n in (1, 2)]
    return [
        deployment("web", node="node2"),
        service(SHARED, "web"),
        deployment("far", node="node2"),
        service(LONELY, "far"),
        daemons,
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "daemons", "labels": {"kubernetes.io/service-name": "daemons"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
            "endpoints": endpoints,
        },
    ]


async def test_what_both_see_one_of_them_tells(pair: Pair) -> None:
    await pair.cluster.kubectl("patch", "service", SHARED, "-n", SPACE, "--type=json", *to(8081))
    await pair.agree(SHARED, "port_mismatch", "port_mismatch")
    (opened,) = await pair.events(SHARED, "PortMismatch")
    assert (opened["type"], opened["reportingInstance"]) == ("Warning", "node2")
    assert "after service_edit by kubectl-patch, " in opened["note"]
    assert "failed: port 80: targetPort 8080 -> 8081; " in opened["note"]
    assert opened["note"].endswith("(seen from node node2)")
    described = await pair.cluster.kubectl("describe", "service", SHARED, "-n", SPACE)
    assert "PortMismatch" in described
    assert "edgeprobe.dev/probe" in described

    await pair.cluster.kubectl("patch", "service", SHARED, "-n", SPACE, "--type=json", *to(8080))
    await pair.agree(SHARED, "healthy", "healthy")
    (closed,) = await pair.events(SHARED, "Recovered")
    assert (closed["type"], closed["reportingInstance"]) == ("Normal", "node2")
    assert len(await pair.events(SHARED, "PortMismatch")) == 1
    await until(lambda: is_over(pair), 90, every=EVERY)
    for node in range(2):
        (seen,) = await pair.incidents(node, SHARED)
        assert seen["change"]["by"] == "kubectl-patch"
        assert -HEARD_LATE <= seen["seconds_before"] < 60


def to(port: int) -> tuple[str, str]:
    return "-p", f'[{{"op":"replace","path":"/spec/ports/0/targetPort","value":{port}}}]'


async def is_over(pair: Pair) -> bool:
    """Both daemons have it among what is over."""
    found = [(await pair.incidents(node, SHARED))[0] for node in range(2)]
    return [i["state"] for i in found] == ["closed", "closed"]


async def test_what_only_one_sees_it_tells_and_says_so(pair: Pair) -> None:
    (pod,) = await pair.cluster.pods("app=far", SPACE)
    pod.faults.drop(source="172.30.0.11")
    try:
        await pair.agree(LONELY, "blackholed", "healthy")
        (opened,) = await pair.events(LONELY, "Blackholed")
    finally:
        pod.faults.heal()
    assert opened["reportingInstance"] == "node1"
    assert opened["note"].endswith("(seen from node node1, and no other node has told of it)")
    assert await pair.incidents(1, LONELY) == []

    await pair.agree(LONELY, "healthy", "healthy")
    (closed,) = await pair.events(LONELY, "Recovered")
    assert closed["reportingInstance"] == "node1"


async def test_a_pod_that_dies_with_no_change_is_blamed_on_nothing(pair: Pair) -> None:
    (pod,) = await pair.cluster.pods("app=far", SPACE)
    pod.faults.reset()
    try:
        await pair.agree(LONELY, "not_listening", "not_listening")
        (opened,) = await pair.events(LONELY, "NotListening")
        found = await until(lambda: pair.open(LONELY, "not_listening"), 90, every=EVERY)
    finally:
        pod.faults.heal()
    assert [(i["change"], i["seconds_before"]) for i in found] == [(None, None)] * 2
    assert " explains it" in opened["note"]
    await pair.agree(LONELY, "healthy", "healthy")


async def test_a_rollout_is_told_once_on_its_deployment_as_both_saw_it(pair: Pair) -> None:
    await pair.cluster.kubectl("rollout", "restart", "deployment/web", "-n", SPACE)
    (teller,) = leaders(NODES, f"Deployment/{SPACE}/web", 1)

    async def described() -> str:
        found = await pair.cluster.kubectl("describe", "deployment", "web", "-n", SPACE)
        return found if "edgeprobe.dev/probe" in found else ""

    found = await until(described, 90, every=EVERY)
    assert "ClusterIP dials failed, from 2 nodes" in found
    assert f"(told by node {teller})" in found
    told = [await daemon.json("/api/v1/rollouts") for daemon in pair.daemons]
    assert [each["node"] for each in told if each["reports"]] == [teller]
    (report,) = told[NODES.index(teller)]["reports"]
    assert [share["node"] for share in report["nodes"]] == [*NODES]
    assert report["silent"] == []
