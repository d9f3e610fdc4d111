"""What a daemon makes of real endpoints: none at all, some that only terminate or are not ready,
and some that answer wrongly or not at all."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.cluster import Cluster, RunningPod
from tests.namespaces import sysctls
from tests.real.manifests import READY, Manifest, deployment, service
from tests.real.told import EVERY, QUICK, Told
from tests.running import Daemon, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
    # What the modes do differently is in test_dialing.py; the other one is in test_nodes.py.
    pytest.mark.parametrize("cluster", ["nftables"], indirect=True),
]

SPACE = "endpoints"
VICTIMS = {"dropping": 2, "denying": 1, "third": 3, "frozen": 1}
"""How many pods each has, all on node2."""


@dataclass
class Shop:
    """A daemon on node1, and Services of every kind whose pods are on node2.

    `checked` is what `probe check all` on node1 said of each while all of them stood.
    """

    cluster: Cluster
    daemon: Daemon
    checked: dict[str, Any] = field(default_factory=dict)

    def told(self, name: str) -> Told:
        return Told(self.daemon, SPACE, name)

    async def pods(self, name: str) -> list[RunningPod]:
        return await self.cluster.pods(f"app={name}", SPACE)

    async def check(self, *what: str) -> Any:
        """`probe check` on node1."""
        flags = ("-n", SPACE, "-o", "json", "--kubeconfig", str(self.cluster.inner_kubeconfig))
        return await self.cluster.nodes[0].inside.probe("check", *what, *flags)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(cluster: Cluster) -> AsyncIterator[Shop]:
    await cluster.make_space(SPACE)
    await cluster.apply(*_objects(), space=SPACE)
    for name, count in {**VICTIMS, "last": 1, "zero": 1, "published": 1}.items():
        await cluster.has_endpoints(name, count, SPACE)
    await cluster.connects("last", "zero", *VICTIMS, space=SPACE)
    node = cluster.nodes[0]
    flags = ("--namespaces", SPACE, "--vantage", "host", *QUICK)
    async with node.inside.daemon(cluster.inner_kubeconfig, *flags, node=node.name) as daemon:
        shop = Shop(cluster, daemon)
        for name in ("headless", "last", "zero", *VICTIMS):
            await shop.told(name).becomes("healthy")
        await cluster.kubectl("scale", "deployment/zero", "-n", SPACE, "--replicas=0")
        await shop.told("zero").becomes("no_endpoints")
        ended = await shop.check("all")
        assert ended.code == 1
        shop.checked = {found["service"]["name"]: found for found in ended.document["services"]}
        yield shop
    await cluster.drop_space(SPACE)


def _objects() -> list[Manifest]:
    sleep = {"preStop": {"sleep": {"seconds": 150}}}
    return [
        deployment("web", 2, node="node2"),
        service("headless", "web", clusterIP="None"),
        deployment("zero", node="node2"),
        service("zero", "zero"),
        service("nobody", "nobody"),
        deployment("deaf", node="node2", args=["PORT=9090"], readinessProbe=READY),
        service("deaf", "deaf"),
        service("published", "deaf", publishNotReadyAddresses=True),
        deployment("last", node="node2", grace=200, readinessProbe=READY, lifecycle=sleep),
        service("last", "last"),
        *(deployment(name, count, node="node2") for name, count in VICTIMS.items()),
        *(service(name, name) for name in VICTIMS),
    ]


async def test_a_service_scaled_to_zero_is_information(shop: Shop) -> None:
    told = shop.told("zero")
    last = told.turns()[-1]
    assert (last["verdict"], last["on_purpose"]) == ("no_endpoints", True)
    for found in (await told.now(), shop.checked["zero"]):
        assert found["verdict"] == "no_endpoints"
        assert found["summary"] == "no endpoints: its workload is scaled to zero"
        assert found["advice"] == []


async def test_a_selector_that_matches_nothing_is_an_alert(shop: Shop) -> None:
    told = shop.told("nobody")
    await told.becomes("no_endpoints")
    assert {turn["on_purpose"] for turn in told.turns()} == {False}
    (edge,) = await told.edges("service")
    assert edge["state"] == "excluded"
    for found in (await told.now(), shop.checked["nobody"]):
        assert found["verdict"] == "no_endpoints"
        assert found["summary"] == "no usable endpoint: no pod that the selector matches is ready"
        assert "compare the selector with the pods" in found["advice"][0]


async def test_a_headless_service_is_its_endpoints(shop: Shop) -> None:
    addresses = {pod.address for pod in await shop.pods("web")}
    for found in (await shop.told("headless").now(), shop.checked["headless"]):
        assert found["verdict"] == "healthy"
        edges = found["ports"][0]["edges"]
        assert {(edge["kind"], edge["state"]) for edge in edges} == {("endpoint", "up")}
        assert {edge["address"] for edge in edges} == addresses


async def test_nobody_knows_whether_published_pods_that_are_not_ready_should_answer(
    shop: Shop,
) -> None:
    """The same pods behind an ordinary Service are no endpoints."""
    told = shop.told("published")
    await told.becomes("healthy")
    await until(lambda: told.dials(kind="endpoint", result="refused"), every=EVERY)
    await until(told.turns)
    assert [turn["verdict"] for turn in told.turns()] == ["healthy"]
    for found in (await told.now(), shop.checked["published"]):
        assert found["verdict"] == "healthy"
        edges = found["ports"][0]["edges"]
        assert {edge["kind"] for edge in edges} == {"service", "endpoint"}
        assert {edge["state"] for edge in edges} == {"excluded"}
    for found in (await shop.told("deaf").now(), shop.checked["deaf"]):
        assert found["verdict"] == "no_endpoints"


async def test_an_only_endpoint_that_terminates_but_serves_still_counts(shop: Shop) -> None:
    told = shop.told("last")
    await shop.cluster.kubectl("scale", "deployment/last", "-n", SPACE, "--replicas=0")
    await shop.cluster.has_endpoints("last", 0, SPACE)
    before = await told.dials(kind="service", result="connected")

    async def dialed_on() -> bool:
        return await told.dials(kind="service", result="connected") > before + 2

    await until(dialed_on, every=EVERY)
    await until(lambda: told.dials(kind="endpoint", phase="terminating"), every=EVERY)
    assert [turn["verdict"] for turn in told.turns()] == ["healthy"]
    ended = await shop.check("svc", "last")
    assert (ended.code, ended.document["verdict"]) == (0, "healthy")
    assert {edge["result"] for edge in ended.document["ports"][0]["edges"]} == {"connected"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def faulty(shop: Shop) -> AsyncIterator[Shop]:
    """All victims' faults at once, for dials from node1; healed in the end."""
    here = shop.cluster.nodes[0].address
    pods = {name: await shop.pods(name) for name in VICTIMS}
    try:
        for pod in pods["dropping"]:
            pod.faults.drop(source=here)
        # One ICMP message a second is the kernel's limit, and what is dialed more often times out.
        sysctls(pods["denying"][0].faults.namespace, {"ipv4/icmp_ratelimit": "0"})
        pods["denying"][0].faults.reject(source=here)
        pods["third"][0].faults.reset(source=here)
        pods["frozen"][0].faults.freeze()
        yield shop
    finally:
        for each in pods.values():
            for pod in each:
                pod.faults.heal()
                pod.faults.thaw()


async def test_a_policy_that_drops_is_blackholed(faulty: Shop) -> None:
    found = await faulty.told("dropping").becomes("blackholed")
    assert "2 of 2 endpoints do not answer (2 timeout)" in found["summary"]


async def test_a_policy_that_rejects_is_denied_and_names_the_offender(faulty: Shop) -> None:
    told = faulty.told("denying")
    await told.becomes("denied")
    (pod,) = await faulty.pods("denying")
    (edge,) = await told.edges("endpoint")
    assert edge["result"] == "rejected"
    assert edge["icmp"] == {"type": 3, "code": 13, "offender": pod.address}


async def test_one_bad_pod_of_three_is_that_endpoint_s_fault(faulty: Shop) -> None:
    """The ClusterIP meets it now and then: it fails, and is not down."""
    told = faulty.told("third")
    found = await told.becomes("endpoint_down")
    assert "1 of 3 endpoints fail (1 refused)" in found["summary"]

    async def fails() -> bool:
        (edge,) = await told.edges("service")
        return bool(edge["state"] == "failing")

    await until(fails, every=EVERY)
    assert await told.verdict() == "endpoint_down"


async def test_a_frozen_process_still_connects(faulty: Shop) -> None:
    told = faulty.told("frozen")
    before = await told.dials(kind="endpoint", result="connected")

    async def dialed_on() -> bool:
        return await told.dials(kind="endpoint", result="connected") > before + 2

    await until(dialed_on, every=EVERY)
    assert await told.verdict() == "healthy"
    assert await told.failures() == 0
