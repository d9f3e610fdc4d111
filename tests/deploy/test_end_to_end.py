"""From a Service's edit to the pager and onto the dashboards, with the real Prometheus and
Alertmanager between."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from deploy.dashboards.failing import sentences
from deploy.dashboards.variables import SERVICES
from probe.core import removals
from probe.demo.daemon import PACE
from probe.demo.manifests import NAMESPACE, OTHER, deployment, namespace, service
from probe.sandbox.cluster import Cluster
from tests.deploy.asking import choosable, without_answer
from tests.deploy.grafana import filled
from tests.deploy.stack import ALERTMANAGER, PROMETHEUS, Notification, Stack, standing
from tests.running import until
from tests.watched import Watched, watching

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not in $PATH"),
    pytest.mark.skipif(ALERTMANAGER is None, reason="prometheus-alertmanager is not in $PATH"),
]

PROXY_LAG = 2.0
"""Seconds by which ClusterIPs follow late, and DRAIN, for which pods go on serving meanwhile."""
DRAIN = 4.0
SETTINGS = {**PACE, "linger": 4, "vantage": "local", "node_name": "node-1"}
WINDOW = 15.0
"""Seconds until nothing more can follow a removal: a quarter of the usual ones."""


async def test_a_port_mismatch_is_notified_once_a_rollout_only_if_it_cost_something(
    tmp_path: Path, measured: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "REMOVAL_WINDOW", WINDOW)
    async with Cluster() as cluster:
        _set_up(cluster)
        await cluster.settled()
        async with (
            watching(cluster, tmp_path, **SETTINGS) as probe,
            standing(probe.daemon.port, tmp_path) as stack,
        ):
            begun = _now()
            await until(
                lambda: stack.query('count(edgeprobe_verdict{verdict="healthy"} == 1) == 2')
            )
            await _race(cluster, probe, stack)
            await _roll_out(cluster, "web", DRAIN)
            await _drain(cluster, "node-2")
            seen = 'sum(edgeprobe_dials_total{service="web",kind="service",phase="rollout"}) > 10'
            await until(lambda: stack.query(seen))
            broken = await _mismatch(cluster, probe, stack, measured)
            notified = [*stack.notified]
            await _oddities(cluster, stack)
            await _shown(stack, begun, broken)

    assert [(each.status, each.labels["alertname"]) for each in notified] == [
        ("firing", "EdgeprobeRolloutFailedDials"),
        ("firing", "EdgeprobePortMismatch"),
        ("resolved", "EdgeprobePortMismatch"),
    ]


def _set_up(cluster: Cluster) -> None:
    cluster.apply(namespace(NAMESPACE))
    for name in ("backend-v1", "web"):
        cluster.apply(deployment(name, replicas=3, drain=DRAIN))
        cluster.apply(service(name))


async def _roll_out(cluster: Cluster, name: str, drain: float, namespace: str = NAMESPACE) -> None:
    cluster.set_proxy_lag(PROXY_LAG)
    cluster.apply(deployment(name, namespace=namespace, replicas=3, version="2", drain=drain))
    await cluster.settled(within=60)


async def _drain(cluster: Cluster, node: str) -> None:
    """As kubectl drain does: closes the node, then has its pods end."""
    assert cluster.api is not None
    patch = {"spec": {"unschedulable": True}}
    headers = {"Content-Type": "application/merge-patch+json"}
    pods = [p for p in cluster.store.list("pods", NAMESPACE) if p["spec"]["nodeName"] == node]
    assert pods
    async with aiohttp.ClientSession(cluster.api.url) as session:
        path = f"/api/v1/nodes/{node}"
        async with session.patch(path, json=patch, headers=headers) as response:
            assert response.ok
        for pod in pods:
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}"
            async with session.delete(path) as response:
                assert response.ok
    await cluster.settled(within=60)


async def _mismatch(
    cluster: Cluster, probe: Watched, stack: Stack, measured: Callable[[str], None]
) -> float:
    """Breaks, waits for the page, mends, waits for its end; prints how long each took. Returns a
    Unix time at which it was broken."""
    clock = asyncio.get_running_loop().time
    cluster.apply(service("backend-v1", target=8081), manager="argocd-controller")
    broken = clock()
    await probe.becomes("backend-v1", "port_mismatch")
    judged = clock()
    fired = await _notified(stack, 2)
    # Prometheus sends an alert before it stores that it does.
    firing = 'ALERTS{alertname="EdgeprobePortMismatch",alertstate="firing"}'
    await until(partial(stack.query, firing))
    at = _now()
    cluster.apply(service("backend-v1"), manager="kubectl-patch")
    mended = clock()
    resolved = await _notified(stack, 3)
    measured(
        f"port mismatch: verdict after {judged - broken:.1f} s, notified after "
        f"{fired.at - broken:.1f} s; mended: resolved after {resolved.at - mended:.1f} s"
    )

    # The target's own labels would have overwritten these, but for honor_labels.
    assert (fired.labels["namespace"], fired.labels["service"]) == (NAMESPACE, "backend-v1")
    assert fired.labels["severity"] == "critical"
    assert fired.annotations["summary"] == (
        "Service demo-app/backend-v1 port 8080: targetPort 8081 is refused, port 8080 accepts"
    )
    assert "seen from node node-1: " in fired.annotations["description"]
    assert fired.annotations["runbook_url"].endswith("/runbooks/port_mismatch.md")
    return at


async def _race(cluster: Cluster, probe: Watched, stack: Stack) -> None:
    """Rolls out pods that do not drain, and waits until it is told what that has cost."""
    cluster.apply(namespace(OTHER))
    cluster.apply(deployment("legacy", namespace=OTHER, replicas=3))
    cluster.apply(service("legacy", namespace=OTHER))
    await cluster.settled()
    await until(lambda: (probe.daemon.service(OTHER, "legacy") or {}).get("verdict") == "healthy")
    await _roll_out(cluster, "legacy", 0, OTHER)
    told = await _notified(stack, 1)

    assert told.labels["severity"] == "warning"
    assert told.labels["workload"] == "legacy"
    assert "most of them on node node-1 towards Service legacy" in told.annotations["description"]
    await until(lambda: _advised(stack), every=0.2)  # the pager may have rung before it was known


async def _advised(stack: Stack) -> bool:
    """Whether an alert that fires advises a drain."""
    return any("A preStop sleep of " in each["description"] for each in await stack.firing())


async def _oddities(cluster: Cluster, stack: Stack) -> None:
    """What is seldom: nodes without a prober, an address that nobody may dial, what is not dialed,
    an object that cannot be read, and the removal lag of the race."""
    cluster.apply(namespace("edgeprobe"))
    cluster.apply(deployment("edgeprobe", namespace="edgeprobe", replicas=1))
    cluster.apply(service("edgeprobe", namespace="edgeprobe"))
    cluster.apply(deployment("told", replicas=1, env={"UPSTREAM_ADDR": "0:80"}))
    udp = service("told", port=5353)
    udp["spec"]["ports"][0]["protocol"] = "UDP"
    cluster.apply(udp)
    name = {"name": "bad", "namespace": NAMESPACE, "labels": {}}
    cluster.store.create("endpointslices", {"metadata": name, "endpoints": [{"addresses": 1}]})
    for metric in (
        "prober_missing",
        "invalid_targets",
        "dials_skipped_total",
        "discovery_skipped_total",
        "endpoint_removal_lag_seconds_count",  # once nothing more can follow a removal
    ):
        await until(partial(stack.query, f"edgeprobe_{metric} > 0"))


async def _shown(stack: Stack, begun: float, broken: float) -> None:
    """Every query of the dashboards finds something in what was played, every variable a value."""
    one = {"namespace": NAMESPACE, "service": "backend-v1"}
    other = {"namespace": OTHER, "service": "legacy"}
    now = _now()
    [rolling] = await stack.course("max(edgeprobe_rollout_in_progress) == 1", begun, now)
    moments = (rolling["values"][0][0], broken, now)

    assert await without_answer(stack, begun, moments, [{}, one, other]) == []
    found = await choosable(stack, namespace=NAMESPACE)
    assert found["cluster"] == {"kind"}
    assert found["node"] == {"node-1"}
    assert found["namespace"] == {NAMESPACE, OTHER}
    assert {"backend-v1", "web"} <= found["service"]
    told = await stack.query(filled(sentences(SERVICES), {}), broken)
    assert [series["metric"]["why"] for series in told] == [
        "targetPort 8081 is refused, port 8080 accepts"
    ]


def _now() -> float:
    return datetime.now(UTC).timestamp()


async def _notified(stack: Stack, count: int) -> Notification:
    """The last of so many notifications, once it has come."""
    await until(lambda: len(stack.notified) >= count, 120)
    return stack.notified[count - 1]
