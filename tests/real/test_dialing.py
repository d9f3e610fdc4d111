"""What a dial meets behind a real kube-proxy, in its words: the table that verdicts rest on."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.cluster.cluster import Cluster, RunningPod
from tests.cluster.node import Node
from tests.real.manifests import deployment, service
from tests.running import until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
]

SPACE = "dialing"
VICTIMS = ("dropping", "resetting", "rejecting", "unplugged", "frozen", "choosy")

Dials = dict[str, Any]
"""What `probe check addr` says of each, by the name of what was dialed."""


class Shop(NamedTuple):
    """A cluster with Services of every kind, seen from node1; the victims' pods are on node2.

    `targets` are their ClusterIPs with a port, and a few addresses more, by name.
    """

    cluster: Cluster
    targets: dict[str, str]
    victims: dict[str, RunningPod]

    @property
    def here(self) -> Node:
        return self.cluster.nodes[0]

    async def dial(self, *names: str, node: int = 0, seconds: float = 1) -> Dials:
        """Each of them once, all at the same time."""
        targets = (self.targets[name] for name in names)
        flags = ("-o", "json", "--timeout", str(seconds))
        ended = await self.cluster.nodes[node].inside.probe("check", "addr", *targets, *flags)
        return dict(zip(names, ended.document["results"], strict=True))

    async def result(self, name: str, **how: Any) -> str:
        result: str = (await self.dial(name, **how))[name]["result"]
        return result

    async def meets(self, wanted: dict[str, str], *, node: int = 0) -> Dials:
        """Dials until all these are met, as kube-proxy follows what was just applied. Where they
        never are, a test says what is different."""
        found: Dials = {}

        async def asked() -> bool:
            found.update(await self.dial(*wanted, node=node))
            return {name: dialed["result"] for name, dialed in found.items()} == wanted

        with suppress(TimeoutError):
            await until(asked)
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(cluster: Cluster) -> AsyncIterator[Shop]:
    await cluster.make_space(SPACE)
    services = (
        *(service("web", "web"), service("nobody", "nobody"), service("far", "far")),
        service("mismatch", "web", target=9),
        service("local", "far", internalTrafficPolicy="Local"),
        *(service(name, name) for name in VICTIMS),
    )
    pods = (deployment(name, node="node2") for name in ("far", *VICTIMS))
    await cluster.apply(deployment("web", 3), *pods, *services, space=SPACE)
    for name, count in {"web": 3, "far": 1, **dict.fromkeys(VICTIMS, 1)}.items():
        await cluster.has_endpoints(name, count, SPACE)
    for node in range(2):
        await cluster.connects("web", "far", *VICTIMS, space=SPACE, node=node)
    names = [each["metadata"]["name"] for each in services]
    addresses = {name: await cluster.cluster_ip(name, SPACE) for name in names}
    targets = {name: f"{address}:80" for name, address in addresses.items()}
    victims = {name: (await cluster.pods(f"app={name}", SPACE))[0] for name in VICTIMS}
    assert {pod.node for pod in victims.values()} == {"node2"}
    targets["another port"] = f"{addresses['web']}:81"
    targets["no service"] = "10.96.255.254:80"
    targets["the pod that drops"] = f"{victims['dropping'].address}:8080"
    yield Shop(cluster, targets, victims)
    await cluster.drop_space(SPACE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def met(shop: Shop) -> AsyncIterator[Dials]:
    """By dials from node1 while the victims have their faults."""
    faults = {name: pod.faults for name, pod in shop.victims.items()}
    faults["dropping"].drop()
    faults["resetting"].reset()
    faults["rejecting"].reject()
    faults["choosy"].drop(source=shop.here.address)
    faults["frozen"].freeze()
    yield await shop.meets(
        {
            "web": "connected",
            "nobody": "rejected",
            "mismatch": "refused",
            "another port": {"iptables": "timeout", "nftables": "rejected"}[shop.cluster.mode],
            "no service": "timeout",
            "local": "timeout",
            "dropping": "timeout",
            "the pod that drops": "timeout",
            "resetting": "refused",
            "rejecting": "rejected",
            "choosy": "timeout",
            "frozen": "connected",
        }
    )
    faults["frozen"].thaw()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def met_there(shop: Shop, met: Dials) -> Dials:
    """The same from node2."""
    return await shop.meets(
        {"web": "connected", "local": "connected", "choosy": "connected"}, node=1
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def met_later(shop: Shop, met: Dials, met_there: Dials) -> Dials:
    """From node1 again, after a fault is healed, another one has become a third, and a policy is
    patched."""
    shop.victims["dropping"].faults.heal()
    shop.victims["rejecting"].faults.heal()
    shop.victims["rejecting"].faults.reject(by="icmp-host-unreachable")
    patch = '{"spec":{"internalTrafficPolicy":"Cluster"}}'
    await shop.cluster.kubectl("patch", "service", "local", "-n", SPACE, "-p", patch)
    return await shop.meets(
        {"dropping": "connected", "rejecting": "unreachable", "local": "connected"}
    )


async def test_a_healthy_service_connects_from_every_node(met: Dials, met_there: Dials) -> None:
    assert met["web"]["result"] == met_there["web"]["result"] == "connected"


async def test_a_service_without_endpoints_is_rejected_by_the_own_node(met: Dials) -> None:
    assert met["nobody"]["result"] == "rejected"
    assert met["nobody"]["icmp"]["code"] == 3


async def test_a_port_that_no_pod_listens_on_is_refused(met: Dials) -> None:
    assert met["mismatch"]["result"] == "refused"


async def test_a_wrong_port_of_a_cluster_ip_is_the_modes_difference(shop: Shop, met: Dials) -> None:
    wanted = {"iptables": "timeout", "nftables": "rejected"}[shop.cluster.mode]
    assert met["another port"]["result"] == wanted


async def test_a_cluster_ip_of_no_service_is_a_timeout(met: Dials) -> None:
    assert met["no service"]["result"] == "timeout"


async def test_internal_traffic_policy_local_drops_where_no_endpoint_is(
    met: Dials, met_there: Dials, met_later: Dials
) -> None:
    assert met["local"]["result"] == "timeout"
    assert met_there["local"]["result"] == "connected"
    assert met_later["local"]["result"] == "connected"  # it is Cluster by then


async def test_a_pod_that_drops_is_a_timeout_until_it_is_healed(
    met: Dials, met_later: Dials
) -> None:
    assert met["dropping"]["result"] == "timeout"
    assert met["the pod that drops"]["result"] == "timeout"
    assert met_later["dropping"]["result"] == "connected"


async def test_a_pod_that_resets_is_refused(met: Dials) -> None:
    assert met["resetting"]["result"] == "refused"


async def test_a_pod_that_rejects_by_icmp_says_how(met: Dials, met_later: Dials) -> None:
    assert met["rejecting"]["result"] == "rejected"
    assert met_later["rejecting"]["result"] == "unreachable"


async def test_a_fault_may_be_for_some_only(met: Dials, met_there: Dials) -> None:
    assert met["choosy"]["result"] == "timeout"
    assert met_there["choosy"]["result"] == "connected"


async def test_the_kernel_answers_for_a_frozen_pod(met: Dials) -> None:
    assert met["frozen"]["result"] == "connected"


async def test_a_node_may_drop_what_is_for_its_pods(shop: Shop) -> None:
    there = shop.cluster.nodes[1]
    there.faults.drop(source=shop.here.address)
    try:
        assert await shop.result("far") == "timeout"
    finally:
        there.faults.heal()
    assert await shop.result("far") == "connected"


async def test_a_pod_without_a_link_is_a_timeout_or_unreachable_to_the_patient(shop: Shop) -> None:
    shop.victims["unplugged"].faults.link_down()
    assert await shop.result("unplugged") == "timeout"
    assert await shop.result("unplugged", seconds=10) == "unreachable"  # after three ARP requests
