"""`probe check svc` on a node of a real cluster, as somebody called to an outage types it."""

import re
import shlex
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.real.manifests import deployment, service
from tests.running import Ended, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.parametrize("cluster", ["iptables"], indirect=True, scope="session"),
]


async def test_a_mismatch_by_kubectl_patch_is_told_with_its_author_and_mended_by_the_advice(
    cluster: Cluster, space: str
) -> None:
    config = str(cluster.inner_kubeconfig)

    async def check(*flags: str) -> Ended:
        command = ("check", "svc", "web", "-n", space, "--kubeconfig", config, *flags)
        return await cluster.nodes[0].inside.probe(*command)

    async def becomes(verdict: str, vip: str) -> Ended:
        """The check as JSON once it finds that, and this result of the ClusterIP's dial: kube-proxy
        follows after the endpoints."""

        async def asked() -> Any:
            found = await check("-o", "json")
            (port,) = found.document["ports"]
            met = {edge["result"] for edge in port["edges"] if edge["kind"] == "service"}
            return found if (found.document["verdict"], met) == (verdict, {vip}) else None

        ended: Ended = await until(asked)
        return ended

    await cluster.apply(deployment("web", 2), service("web", "web"), space=space)
    await cluster.rolled_out("deployment/web", space)
    await cluster.has_endpoints("web", 2, space)
    healthy = await becomes("healthy", "connected")
    patch = '{"spec":{"ports":[{"port":80,"targetPort":8081}]}}'
    await cluster.kubectl("patch", "service", "web", "-n", space, "-p", patch)
    broken = await becomes("port_mismatch", "refused")
    screen = await check()
    lines = screen.out.splitlines()
    (advice,) = (line for line in lines if "kubectl patch" in line)
    await cluster.kubectl(*shlex.split(advice)[1:])
    mended = await becomes("healthy", "connected")

    assert (healthy.code, healthy.err) == (0, "")
    assert (screen.code, screen.err) == (1, "")
    assert len(lines) < 25
    assert re.fullmatch(rf"{space}/web  ClusterIP 10\.96\.\d+\.\d+  80 -> 8081/TCP", lines[0])
    assert "targetPort 8081 is refused on 2 of 2 endpoints, port 8080 accepts" in lines[1]
    assert screen.out.count("✗ refused") == 3
    assert screen.out.count("✓ connected") == 2
    assert re.search(r"changed +\d+ (s|min) ago by kubectl-patch: Service", screen.out)
    assert {pod["node"] for pod in broken.document["pods"]} <= {"node1", "node2"}
    assert [pod["declared_ports"] for pod in broken.document["pods"]] == [[8080], [8080]]
    assert (mended.code, mended.err) == (0, "")
