"""`kubectl apply -k deploy/kustomize/overlays/namespaced` on real Kubernetes: a Role in each
namespace is all that the daemons have, and all that they need."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.api import UNAVAILABLE
from tests.cluster.cluster import Cluster, RunningPod
from tests.cluster.processes import ROOT
from tests.real.manifests import deployment, service
from tests.real.told import EVERY
from tests.running import until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("cluster", ["iptables"], indirect=True),
]

OVERLAY = str(ROOT / "deploy" / "kustomize" / "overlays" / "namespaced")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemons(cluster: Cluster) -> AsyncIterator[list[RunningPod]]:
    """Their pods, and the Service `web` in the namespace that they watch."""
    await cluster.apply(deployment("web", 2), service("web", "web"))
    await cluster.is_free("edgeprobe")
    await cluster.kubectl("apply", "-k", OVERLAY)
    try:
        await cluster.rolled_out("daemonset/edgeprobe", "edgeprobe")
        yield await cluster.pods("app.kubernetes.io/name=edgeprobe", "edgeprobe")
    finally:
        await cluster.kubectl("delete", "-k", OVERLAY, "--wait=false")
        await cluster.kubectl("delete", "deployment/web", "service/web", "--wait=false")


async def asked(cluster: Cluster, pod: RunningPod, path: str) -> Any:
    where = f"/api/v1/namespaces/edgeprobe/pods/http:{pod.name}:9797/proxy{path}"
    try:
        found = await cluster.control_plane.request("GET", where)
    except UNAVAILABLE:
        return {}
    return json.loads(found) if isinstance(found, str) and path.startswith("/api") else found


async def test_with_a_role_in_each_namespace_it_tells_what_is_wrong_there(
    cluster: Cluster, daemons: list[RunningPod]
) -> None:
    async def all_say(verdict: str) -> bool:
        said = [await asked(cluster, pod, "/api/v1/services/default/web") for pod in daemons]
        return {each.get("verdict") for each in said} == {verdict}

    await until(lambda: all_say("healthy"), 90, every=EVERY)
    patch = '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8081}]'
    await cluster.kubectl("patch", "service", "web", "--type=json", "-p", patch)
    await until(lambda: all_say("port_mismatch"), 90, every=EVERY)

    found = await until(lambda: asked(cluster, daemons[0], "/api/v1/services"), every=EVERY)
    assert {each["service"]["namespace"] for each in found["services"]} == {"default", "edgeprobe"}
    for pod in daemons:
        refused = [
            record["resource"]
            for record in map(json.loads, pod.log("probe").read_text().splitlines())
            if "trouble" in record
        ]
        assert {*refused} == {"nodes", "namespaces"}
