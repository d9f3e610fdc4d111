"""What a dial meets behind a real kube-proxy, in its words: the table that verdicts rest on."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.cluster.cluster import Cluster, RunningPod
from tests.cluster.node import Node
from tests.real.manifests import deployment, service
from tests.running import until

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)]

SPACE = "dialing"
VICTIMS = ("dropping", "resetting", "rejecting", "unplugged", "frozen", "choosy")


class Shop(NamedTuple):
    """A cluster with Services of every kind, seen from node1; the victims' pods are on node2."""

    cluster: Cluster

    @property
    def here(self) -> Node:
        return self.cluster.nodes[0]

    async def dial(self, host: str, port: int, *, node: int = 0, seconds: float = 1) -> Any:
        inside = self.cluster.nodes[node].inside
        arguments = (f"{host}:{port}", "-o", "json", "--timeout", str(seconds))
        ended = await inside.probe("check", "addr", *arguments)
        (found,) = ended.document["results"]
        return found

    async def result(self, host: str, port: int, **how: Any) -> str:
        result: str = (await self.dial(host, port, **how))["result"]
        return result

    async def meets(self, wanted: str, host: str, port: int = 80, **how: Any) -> Any:
        """Waits for that result, as kube-proxy follows what was just applied; the dial with it."""

        async def asked() -> Any:
            found = await self.dial(host, port, **how)
            return found if found["result"] == wanted else None

        return await until(asked)

    async def address(self, name: str) -> str:
        return await self.cluster.cluster_ip(name, SPACE)

    async def connects(self, name: str, *, node: int = 0) -> str:
        """Waits for it; the ClusterIP."""
        address = await self.address(name)
        await self.meets("connected", address, node=node)
        return address

    async def victim(self, name: str) -> tuple[str, RunningPod]:
        """The ClusterIP of a Service that connects still, and its only pod."""
        address = await self.connects(name)
        (pod,) = await self.cluster.pods(f"app={name}", SPACE)
        assert pod.node == "node2"
        return address, pod


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(cluster: Cluster) -> AsyncIterator[Shop]:
    await cluster.make_space(SPACE)
    await cluster.apply(
        deployment("web", 3),
        deployment("far", node="node2"),
        service("web", "web"),
        service("nobody", "nobody"),
        service("far", "far"),
        service("mismatch", "web", target=9),
        service("local", "far", internalTrafficPolicy="Local"),
        *(deployment(name, node="node2") for name in VICTIMS),
        *(service(name, name) for name in VICTIMS),
        space=SPACE,
    )
    for name in ("web", "far", *VICTIMS):
        await cluster.rolled_out(f"deployment/{name}", SPACE)
    await cluster.has_endpoints("web", 3, SPACE)
    shop = Shop(cluster)
    await shop.connects("web")
    yield shop
    await cluster.kubectl("delete", "namespace", SPACE, "--wait=false")


async def test_a_healthy_service_connects_from_every_node(shop: Shop) -> None:
    for node in range(2):
        await shop.connects("web", node=node)


async def test_a_service_without_endpoints_is_rejected_by_the_own_node(shop: Shop) -> None:
    found = await shop.meets("rejected", await shop.address("nobody"))
    assert found["icmp"]["code"] == 3


async def test_a_port_that_no_pod_listens_on_is_refused(shop: Shop) -> None:
    await shop.meets("refused", await shop.address("mismatch"))


async def test_a_wrong_port_of_a_cluster_ip_is_the_modes_difference(shop: Shop) -> None:
    wanted = {"iptables": "timeout", "nftables": "rejected"}[shop.cluster.mode]
    await shop.meets(wanted, await shop.address("web"), 81)


async def test_a_cluster_ip_of_no_service_is_a_timeout(shop: Shop) -> None:
    assert await shop.result("10.96.255.254", 80) == "timeout"


async def test_internal_traffic_policy_local_drops_where_no_endpoint_is(shop: Shop) -> None:
    address = await shop.connects("local", node=1)
    await shop.meets("timeout", address)

    patch = '{"spec":{"internalTrafficPolicy":"Cluster"}}'
    await shop.cluster.kubectl("patch", "service", "local", "-n", SPACE, "-p", patch)
    await shop.connects("local")


async def test_a_pod_that_drops_is_a_timeout_until_it_is_healed(shop: Shop) -> None:
    address, pod = await shop.victim("dropping")
    pod.faults.drop()
    assert await shop.result(address, 80) == "timeout"
    assert await shop.result(pod.address, 8080) == "timeout"
    pod.faults.heal()
    assert await shop.result(address, 80) == "connected"


async def test_a_pod_that_resets_is_refused(shop: Shop) -> None:
    address, pod = await shop.victim("resetting")
    pod.faults.reset()
    assert await shop.result(address, 80) == "refused"


async def test_a_pod_that_rejects_by_icmp_says_how(shop: Shop) -> None:
    address, pod = await shop.victim("rejecting")
    pod.faults.reject()
    assert await shop.result(address, 80) == "rejected"
    pod.faults.heal()
    pod.faults.reject(by="icmp-host-unreachable")
    assert await shop.result(address, 80) == "unreachable"


async def test_a_fault_may_be_for_some_only(shop: Shop) -> None:
    address, pod = await shop.victim("choosy")
    pod.faults.drop(source=shop.here.address)
    assert await shop.result(address, 80) == "timeout"
    assert await shop.result(address, 80, node=1) == "connected"


async def test_a_node_may_drop_what_is_for_its_pods(shop: Shop) -> None:
    address = await shop.connects("far")
    there = shop.cluster.nodes[1]
    there.faults.drop(source=shop.here.address)
    assert await shop.result(address, 80) == "timeout"
    there.faults.heal()
    assert await shop.result(address, 80) == "connected"


async def test_a_pod_without_a_link_is_a_timeout_or_unreachable_to_the_patient(shop: Shop) -> None:
    address, pod = await shop.victim("unplugged")
    pod.faults.link_down()
    assert await shop.result(address, 80) == "timeout"
    assert await shop.result(address, 80, seconds=10) == "unreachable"  # after three ARP requests


async def test_the_kernel_answers_for_a_frozen_pod(shop: Shop) -> None:
    address, pod = await shop.victim("frozen")
    pod.faults.freeze()
    assert await shop.result(address, 80) == "connected"
    pod.faults.thaw()
