"""Nodes, their zones, and the hints of EndpointSlices: where kube-proxy leads a ClusterIP that
prefers what is near, and what daemons on the nodes make of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from probe.core import kube
from probe.core.nodes import ZONE, Node
from probe.reflector import connect
from tests.cluster.api import Api
from tests.cluster.cluster import Cluster, RunningPod
from tests.namespaces import inside
from tests.real.manifests import Manifest, deployment, service
from tests.real.told import EVERY, QUICK, Told
from tests.running import Daemon, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
    # Both modes ask the same code which endpoints are theirs (pkg/proxy/topology.go).
    pytest.mark.parametrize("cluster", ["iptables"], indirect=True),
]

SPACE = "topology"
SERVICES = {"same-node": "PreferSameNode", "same-zone": "PreferSameZone"}

ASKED = 20
"""Connections that one backend takes though there are two, by chance: once in a million times."""


@dataclass
class Zones:
    """Two nodes, each a zone of its own, with a pod and a daemon each."""

    cluster: Cluster
    pods: tuple[RunningPod, RunningPod]
    daemons: tuple[Daemon, Daemon]

    def told(self, name: str) -> tuple[Told, Told]:
        """The Service as node1 and as node2 see it."""
        first, second = (Told(daemon, SPACE, name) for daemon in self.daemons)
        return first, second

    async def met(self, name: str, node: int) -> set[str]:
        """The names of the pods that this many connections to the Service from a node met."""
        address = await self.cluster.cluster_ip(name, SPACE)
        return {await self._asked(address, node) for _ in range(ASKED)}

    async def _asked(self, address: str, node: int) -> str:
        """The listener answers with its pod's name."""
        with inside(self.cluster.nodes[node].inside.namespace):
            dialing = socket.socket()
        with dialing:
            dialing.setblocking(False)
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(60):
                await loop.sock_connect(dialing, (address, 80))
                await loop.sock_sendall(dialing, b"GET / HTTP/1.1\r\n\r\n")
                said = await loop.sock_recv(dialing, 1000)  # so little comes in one piece
        return said.rpartition(b"\r\n")[2].decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def zones(cluster: Cluster) -> AsyncIterator[Zones]:
    one, two = cluster.nodes
    await cluster.make_space(SPACE)
    try:
        for node, zone in ((one, "zone-a"), (two, "zone-b")):
            await cluster.kubectl("label", "node", node.name, f"{ZONE}={zone}")
        await cluster.apply(*_objects(), space=SPACE)
        for name in SERVICES:
            await cluster.has_endpoints(name, 2, SPACE)
        await until(lambda: _hinted(cluster), 90)
        for number in range(2):
            await cluster.connects(*SERVICES, space=SPACE, node=number)
        flags = ("--namespaces", SPACE, "--vantage", "host", *QUICK)
        kubeconfig = cluster.inner_kubeconfig
        async with (
            one.inside.daemon(kubeconfig, *flags, node=one.name) as first,
            two.inside.daemon(kubeconfig, *flags, node=two.name) as second,
        ):
            pods = [(await cluster.pods(f"app=on-{n.name}", SPACE))[0] for n in cluster.nodes]
            zones = Zones(cluster, (pods[0], pods[1]), (first, second))
            for name in SERVICES:
                for told in zones.told(name):
                    await told.becomes("healthy")
            yield zones
    finally:
        for node in cluster.nodes:
            await cluster.kubectl("label", "node", node.name, f"{ZONE}-")
        await cluster.drop_space(SPACE)


def _objects() -> list[Manifest]:
    pods = [deployment(f"on-{node}", node=node) for node in ("node1", "node2")]
    for each in pods:
        each["spec"]["template"]["metadata"]["labels"]["on"] = "both"
    selector = {"on": "both"}
    return [
        *pods,
        *(
            service(name, "", selector=selector, trafficDistribution=prefers)
            for name, prefers in SERVICES.items()
        ),
    ]


async def _hinted(cluster: Cluster) -> bool:
    """Whether the controller has given every endpoint its hints."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{SPACE}/endpointslices"
    async with Api(cluster.kubeconfig) as api:
        slices = (await api.request("GET", path))["items"]
    hints = [e.get("hints", {}) for each in slices for e in each.get("endpoints") or ()]
    named = [("forZones" in found) + ("forNodes" in found) for found in hints]
    return sorted(named) == [1, 1, 2, 2]  # PreferSameNode gives zones as well


@pytest.mark.parametrize("name", sorted(SERVICES))
async def test_the_cluster_ip_leads_to_the_near_pod_and_is_healthy(zones: Zones, name: str) -> None:
    for node, pod in enumerate(zones.pods):

        async def near(node: int = node, pod: RunningPod = pod) -> bool:
            return await zones.met(name, node) == {pod.name}

        await until(near, 90, every=EVERY)  # kube-proxy may still be behind the hints
        found = await zones.told(name)[node].now()
        assert found["summary"] == "2 of 2 endpoints answer, the ClusterIP answers"


@pytest.mark.parametrize("name", sorted(SERVICES))
async def test_a_far_pod_that_refuses_is_that_pod_s_fault_and_the_cluster_ip_is_up(
    zones: Zones, name: str
) -> None:
    """node1's dials of the ClusterIP never meet the pod on node2; node2's meet no other."""
    here, there = zones.told(name)
    far = zones.pods[1]
    try:
        before = await here.dials(kind="service", result="refused")
        far.faults.reset()
        for told in (here, there):
            found = await told.becomes("endpoint_down")
            assert "1 of 2 endpoints fail (1 refused)" in found["summary"]
        await until(lambda: _is(there, "down"), 90, every=EVERY)
        assert await _is(here, "up")
        assert await here.dials(kind="service", result="refused") == before
    finally:
        far.faults.heal()
    for told in (here, there):
        await told.becomes("healthy")


async def _is(told: Told, state: str) -> bool:
    (edge,) = await told.edges("service")
    return bool(edge["state"] == state)


async def test_a_node_is_read_with_its_zone_and_what_becomes_of_it(zones: Zones) -> None:
    cluster = zones.cluster
    taint = "ToBeDeletedByClusterAutoscaler"
    try:
        await cluster.kubectl("taint", "node", "node2", f"{taint}=now:PreferNoSchedule")
        await cluster.kubectl("cordon", "node1")
        connection = await connect(str(cluster.kubeconfig), None, user_agent="test")
        try:
            listed, _ = await connection.list(kube.NODES)
        finally:
            await connection.close()
    finally:
        await cluster.kubectl("uncordon", "node1")
        await cluster.kubectl("taint", "node", "node2", f"{taint}-")

    found = sorted(listed.facts, key=lambda node: node.name)
    assert all(dict(node.labels)[ZONE] == node.zone for node in found)
    assert [replace(node, labels=()) for node in found] == [
        Node("node1", "zone-a", schedulable=False),
        Node("node2", "zone-b", leaving="the cluster autoscaler removes it"),
    ]
