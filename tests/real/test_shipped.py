"""`kubectl apply -f deploy/probe.yaml` on real Kubernetes: the DaemonSet, its user, its rights."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cluster.api import UNAVAILABLE
from tests.cluster.cluster import Cluster
from tests.cluster.processes import ROOT
from tests.real.manifests import deployment, service
from tests.running import until

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)]

SHIPPED = str(ROOT / "deploy" / "probe.yaml")


@pytest_asyncio.fixture
async def daemons(cluster: Cluster) -> AsyncIterator[list[str]]:
    """The names of the DaemonSet's pods, one per node, once all are ready."""
    await cluster.kubectl("apply", "-f", SHIPPED)
    try:
        await cluster.rolled_out("daemonset/edgeprobe", "edgeprobe")
        pods = await cluster.pods("app.kubernetes.io/name=edgeprobe", "edgeprobe")
        assert {pod.node for pod in pods} == {node.name for node in cluster.nodes}
        yield [pod.name for pod in pods]
    finally:
        await cluster.kubectl("delete", "-f", SHIPPED)


async def test_the_daemons_tell_incident_1_from_their_pods(
    cluster: Cluster, space: str, daemons: list[str]
) -> None:
    await cluster.apply(deployment("web", 3), service("web", "web"), space=space)

    async def agree(verdict: str) -> bool:
        return {await _verdict(cluster, pod, space) for pod in daemons} == {verdict}

    await until(lambda: agree("healthy"), 90)
    patch = '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8081}]'
    await cluster.kubectl("patch", "service", "web", "-n", space, "--type=json", "-p", patch)
    await until(lambda: agree("port_mismatch"), 90)


async def _verdict(cluster: Cluster, pod: str, space: str) -> str:
    """By the API server's own proxy to the pod."""
    path = f"/api/v1/namespaces/edgeprobe/pods/http:{pod}:9797/proxy/api/v1/services/{space}/web"
    try:
        found = await cluster.control_plane.request("GET", path)
    except UNAVAILABLE:
        return "none"
    document = found if isinstance(found, dict) else json.loads(found)
    return str(document.get("verdict"))
