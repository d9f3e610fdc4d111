"""`kubectl apply -f deploy/probe.yaml` on real Kubernetes: the DaemonSet, its user, its rights, its
pace. Incidents 1 and 3 of docs/edge-cases.md as its pods tell them."""

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.api import UNAVAILABLE
from tests.cluster.cluster import Cluster
from tests.cluster.processes import ROOT
from tests.real.manifests import careless, deployment, service
from tests.real.told import EVERY
from tests.running import total, until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)),
    pytest.mark.asyncio(loop_scope="module"),
    # In iptables mode tests/deployed lives through the same, on real kubelets.
    pytest.mark.parametrize("cluster", ["nftables"], indirect=True, scope="session"),
]

SHIPPED = str(ROOT / "deploy" / "probe.yaml")
SPACE = "shipped"
ENOUGH = 10
"""Failed dials of one daemon: a second of them, as two share what may be dialed."""


@dataclass
class Shipped:
    """The names of the DaemonSet's pods, one per node, and what they say of Services in SPACE."""

    cluster: Cluster
    pods: list[str]

    async def agree(self, name: str, verdict: str) -> None:
        """Waits until all say so."""

        async def asked() -> bool:
            return {await self.verdict(pod, name) for pod in self.pods} == {verdict}

        await until(asked, 90, every=EVERY)

    async def verdict(self, pod: str, name: str) -> str | None:
        found = await self.ask(pod, f"/api/v1/services/{SPACE}/{name}")
        return None if found is None else str(found.get("verdict"))

    async def rollout(self, pod: str, name: str) -> Any:
        """That of the Deployment of this name; None before it began."""
        found = await self.ask(pod, "/api/v1/changes") or {}
        wanted = f"Deployment {SPACE}/{name}"
        return next((r for r in found.get("rollouts", ()) if r["workload"] == wanted), None)

    async def events(self, name: str) -> list[Any]:
        """Those that the daemons posted about the Service."""
        where = f"/apis/events.k8s.io/v1/namespaces/{SPACE}/events"
        found = await self.cluster.control_plane.request("GET", where)
        about = [event for event in found["items"] if event["regarding"]["name"] == name]
        return [e for e in about if e["reportingController"] == "edgeprobe.dev/probe"]

    async def ask(self, pod: str, path: str) -> Any:
        """By the API server's own proxy to the pod; None when it has no answer."""
        where = f"/api/v1/namespaces/edgeprobe/pods/http:{pod}:9797/proxy{path}"
        try:
            found = await self.cluster.control_plane.request("GET", where)
        except UNAVAILABLE:
            return None
        return json.loads(found) if path.startswith("/api") and isinstance(found, str) else found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shipped(cluster: Cluster) -> AsyncIterator[Shipped]:
    await cluster.make_space(SPACE)
    names = ("web", "careless")
    workloads = (deployment("web", 3), careless("careless", 2))
    await cluster.apply(*workloads, *(service(name, name) for name in names), space=SPACE)
    await cluster.is_free("edgeprobe")
    await cluster.kubectl("apply", "-f", SHIPPED)
    try:
        await cluster.rolled_out("daemonset/edgeprobe", "edgeprobe")
        pods = await cluster.pods("app.kubernetes.io/name=edgeprobe", "edgeprobe")
        assert {pod.node for pod in pods} == {node.name for node in cluster.nodes}
        shipped = Shipped(cluster, [pod.name for pod in pods])
        for name in names:
            await shipped.agree(name, "healthy")
        yield shipped
    finally:
        await cluster.kubectl("delete", "-f", SHIPPED, "--wait=false")
        await cluster.drop_space(SPACE)


async def test_the_daemons_tell_incident_1_from_their_pods(shipped: Shipped) -> None:
    patch = '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8081}]'
    where = ("service", "web", "-n", SPACE)
    await shipped.cluster.kubectl("patch", *where, "--type=json", "-p", patch)
    await shipped.agree("web", "port_mismatch")
    (told,) = await until(lambda: shipped.events("web"), 90, every=EVERY)
    assert (told["type"], told["reason"]) == ("Warning", "PortMismatch")


async def test_a_careless_rolling_update_is_filed_under_its_rollout_on_every_node(
    shipped: Shipped,
) -> None:
    """Incident 3. The kube-proxies stand still while the old pods go: see test_rollouts.py."""

    async def failed(pod: str) -> bool:
        found = await shipped.rollout(pod, "careless")
        return found is not None and sum(found["failed"].values()) >= ENOUGH

    async def connects(pod: str) -> bool:
        found = await shipped.ask(pod, f"/api/v1/services/{SPACE}/careless")
        edges = found["ports"][0]["edges"] if found else ()
        return [e["state"] for e in edges if e["kind"] == "service"] == ["up"]

    async def agreed(pod: str) -> Any:
        """The rollout, once it has all failures: a late timeout may still come in."""
        found = await shipped.rollout(pod, "careless")
        page = await shipped.ask(pod, "/metrics")
        if found is None or page is None:  # no answer, this time
            return None
        if _failures(page, "rollout") != sum(found["failed"].values()):
            return None
        assert _failures(page, "steady") == 0
        return found

    with ExitStack() as frozen:
        for node in shipped.cluster.nodes:
            frozen.enter_context(node.proxy.frozen())
        await shipped.cluster.kubectl("set", "env", "deployment/careless", "-n", SPACE, "ROLLED=y")
        for pod in shipped.pods:
            await until(lambda pod=pod: failed(pod), 90, every=EVERY)  # type: ignore[misc]
        await shipped.agree("careless", "drain_race")
    for pod in shipped.pods:
        await until(lambda pod=pod: connects(pod), 90, every=EVERY)  # type: ignore[misc]
        found = await until(lambda pod=pod: agreed(pod), 90, every=EVERY)  # type: ignore[misc]
        assert 0 < found["removal_lag_seconds"] < found["recommended_drain_seconds"]


def _failures(page: str, phase: str) -> float:
    """How many dials of the ClusterIP did not connect in that phase."""
    labels = {"namespace": SPACE, "service": "careless", "kind": "service", "phase": phase}
    dials = total(page, "edgeprobe_dials_total", labels)
    return dials - total(page, "edgeprobe_dials_total", {**labels, "result": "connected"})
