"""What daemons on two nodes make of what only one of them meets: a Service's own rule for its
node, a kube-proxy that stopped, a node that is cut off."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.cluster.cluster import Cluster
from tests.real.manifests import Manifest, deployment, service
from tests.real.told import EVERY, QUICK, Told
from tests.running import Daemon, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
    # The rules of the two modes go stale alike; the other one is in test_endpoints.py.
    pytest.mark.parametrize("cluster", ["iptables"], indirect=True),
]

SPACE = "nodes"

ALONE = ("--linger", "0")
"""A removal explains failures for a minute, as a drain race: here it is to explain nothing."""


@dataclass
class Pair:
    """A daemon on each of two nodes."""

    cluster: Cluster
    daemons: tuple[Daemon, Daemon]

    def told(self, name: str) -> tuple[Told, Told]:
        """The Service as node1 and as node2 see it."""
        first, second = (Told(daemon, SPACE, name) for daemon in self.daemons)
        return first, second

    async def agree(self, name: str, *verdicts: str) -> None:
        """Waits until node1 and node2 say so."""
        told = self.told(name)

        async def asked() -> bool:
            return tuple([await each.verdict() for each in told]) == verdicts

        await until(asked, 90, every=EVERY)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(cluster: Cluster) -> AsyncIterator[Pair]:
    await cluster.make_space(SPACE)
    await cluster.apply(*_objects(), space=SPACE)
    for name, count in {"far": 1, "spread": 2, "moving": 1}.items():
        await cluster.has_endpoints(name, count, SPACE)
    for node in range(2):
        await cluster.connects("far", "spread", "moving", space=SPACE, node=node)
    one, two = cluster.nodes
    flags = ("--namespaces", SPACE, "--vantage", "host", *QUICK, *ALONE)
    kubeconfig = cluster.inner_kubeconfig
    async with (
        one.inside.daemon(kubeconfig, *flags, node=one.name) as first,
        two.inside.daemon(kubeconfig, *flags, node=two.name) as second,
    ):
        pair = Pair(cluster, (first, second))
        for name in ("far", "spread", "moving", "local"):
            await pair.agree(name, "healthy", "healthy")
        yield pair
    await cluster.drop_space(SPACE)


def _objects() -> list[Manifest]:
    ends = [deployment("far", node="node2"), deployment("near", node="node1")]
    for each in ends:
        each["spec"]["template"]["metadata"]["labels"]["on"] = "both"
    return [
        *ends,
        service("far", "far"),
        service("local", "far", internalTrafficPolicy="Local"),
        service("spread", "", selector={"on": "both"}),
        deployment("moving", node="node2"),
        service("moving", "moving"),
    ]


async def test_with_policy_local_only_the_node_that_has_an_endpoint_dials(pair: Pair) -> None:
    here, there = pair.told("local")
    (edge,) = await here.edges("service")
    assert edge["state"] == "excluded"
    assert (await here.now())["summary"] == "nothing to dial here"
    await until(here.turns)
    assert [turn["verdict"] for turn in here.turns()] == ["healthy"]

    async def answers() -> bool:
        (edge,) = await there.edges("service")
        return (edge["state"], edge["result"]) == ("up", "connected")

    await until(answers, every=EVERY)
    assert (await there.now())["summary"] == "1 of 1 endpoints answer, the ClusterIP answers"


async def test_a_stopped_kube_proxy_is_stale_on_its_own_node_until_it_runs_again(
    pair: Pair,
) -> None:
    cluster = pair.cluster
    await cluster.nodes[0].proxy.stop()
    try:
        await cluster.apply(service("added", "near"), space=SPACE)
        await cluster.kubectl("delete", "pods", "-l", "app=moving", "-n", SPACE)
        await pair.agree("moving", "proxy_stale", "healthy")
        await pair.agree("added", "proxy_stale", "healthy")
        found = await pair.told("moving")[0].now()
        assert "kube-proxy's rules on this node are behind or missing" in found["summary"]
        assert await pair.told("far")[0].verdict() == "healthy"
    finally:
        cluster.nodes[0].proxy.start()
    for name in ("moving", "added"):
        await pair.agree(name, "healthy", "healthy")


async def test_a_node_that_is_cut_off_is_to_blame_until_it_is_back(
    pair: Pair,
) -> None:
    """The rest of a spread Service is healthy again as soon as Kubernetes gives the node up."""
    cluster = pair.cluster
    far, spread = pair.told("far")[0], pair.told("spread")[0]
    cluster.nodes[1].cut_off()
    try:
        await far.becomes("node_path")
        found = await spread.becomes("node_path")
        assert "1 of 2 endpoints fail" in found["summary"]
        assert "nothing on node node2 answers" in found["summary"]
        async with cluster.control_plane.impatient():
            await spread.becomes("healthy")
            cluster.nodes[1].rejoin()
            await far.becomes("healthy")
    finally:
        cluster.nodes[1].rejoin()
    await cluster.usable()
