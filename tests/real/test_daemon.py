"""`probe run` on a node of a real cluster, beside what it dials."""

import pytest

from tests.cluster.cluster import Cluster
from tests.real.manifests import deployment, service
from tests.running import Daemon, until

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)]

QUICK = ("--settle", "0", "--interval", "0.5", "--timeout", "1")


async def is_so(daemon: Daemon, space: str, verdict: str) -> bool:
    return await daemon.verdict(space, "web") == verdict


async def test_a_daemon_on_a_node_sees_a_service_lose_its_endpoints(
    cluster: Cluster, space: str
) -> None:
    await cluster.apply(deployment("web", 2), service("web", "web"), space=space)
    inside, flags = cluster.nodes[0].inside, ("--namespaces", space, *QUICK)
    async with inside.daemon(cluster.inner_kubeconfig, *flags, node="node1") as daemon:
        await until(lambda: is_so(daemon, space, "healthy"), 90)
        await cluster.kubectl("scale", "deployment/web", "-n", space, "--replicas=0")
        await until(lambda: is_so(daemon, space, "no_endpoints"), 90)
