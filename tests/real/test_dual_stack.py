"""Services of both families behind a real kube-proxy: each family is dialed, and fails, alone."""

from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.real.manifests import deployment, service
from tests.real.told import EVERY, QUICK, Told
from tests.running import until

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)]

LISTENING = [{"name": "LISTEN_ADDR", "value": "0.0.0.0,::"}]
ALL_UP = {(kind, family): "up" for kind in ("service", "endpoint") for family in ("ipv4", "ipv6")}


def states(document: Any) -> dict[tuple[str, str], str]:
    """The state of each edge by its kind and family: one ClusterIP and one pod."""
    edges = [edge for port in document["ports"] for edge in port["edges"]]
    found = {(edge["kind"], edge["family"]): edge["state"] for edge in edges}
    assert len(found) == len(edges)
    return found


async def test_when_one_family_of_a_pod_fails_only_its_edges_do(
    cluster: Cluster, space: str
) -> None:
    await cluster.apply(
        deployment("web", node="node2", env=LISTENING),
        service("web", "web", ipFamilyPolicy="RequireDualStack"),
        space=space,
    )
    await cluster.has_endpoints("web", 2, space)
    for address in await cluster.cluster_ips("web", space):
        await until(lambda to=address: cluster.nodes[0].inside.connects(to, 80))  # type: ignore[misc]
    (pod,) = await cluster.pods("app=web", space)
    inside, flags = cluster.nodes[0].inside, ("--namespaces", space, *QUICK)
    async with inside.daemon(cluster.inner_kubeconfig, *flags, node="node1") as daemon:
        told = Told(daemon, space, "web")

        async def become(wanted: dict[tuple[str, str], str], verdict: str) -> Any:
            """The document with these states, and with what comes of them a dial or two later."""

            async def asked() -> Any:
                found = await told.now()
                return (
                    found if found.get("verdict") == verdict and states(found) == wanted else None
                )

            return await until(asked, 90, every=EVERY)

        await become(ALL_UP, "healthy")
        pod.faults.drop("::/0")
        half = ALL_UP | {("service", "ipv6"): "down", ("endpoint", "ipv6"): "down"}
        found = await become(half, "endpoint_down")
        said = "1 of 2 endpoints fail (1 timeout), all of them IPv6: [fd00:"
        assert found["summary"].startswith(said)
        assert await told.edges_up(family="ipv4")
        assert not await told.edges_up(family="ipv6")
        pod.faults.heal()
        await become(ALL_UP, "healthy")
