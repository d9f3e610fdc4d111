"""What the reflector promises, on a real API server with a real etcd. Skipped without them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from probe.core.kube import DEPLOYMENTS, SERVICES, SLICES, Listed, Resource
from probe.reflector import Limits, Pace, Reflector, connect
from tests.cluster.apiserver import Cluster, real_cluster
from tests.hostile import Picture, until

pytestmark = [pytest.mark.slow, pytest.mark.apiserver]

SPACE = "/api/v1/namespaces/default/services"
PACE = Pace(first=0.1, longest=0.5, spread=0.1, short=0.2, watch=1.0)
LIMITS = Limits(connect=1.0)
MERGE = "application/merge-patch+json"


def service(name: str, port: int = 80) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"port": port}], "selector": {"app": name}},
    }


def slice_of(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": [{"addresses": ["10.244.1.5"], "conditions": {"ready": True}}],
    }


@asynccontextmanager
async def mirroring(
    kubeconfig: Path, *resources: Resource, pace: Pace = PACE
) -> AsyncIterator[list[tuple[Picture, Reflector]]]:
    connection = await connect(str(kubeconfig), None, user_agent="probe/test", limits=LIMITS)
    pairs = []
    for resource in resources:
        picture = Picture()
        pairs.append((picture, Reflector(connection, resource, picture, pace=pace)))
    running = [asyncio.create_task(reflector.run()) for _, reflector in pairs]
    try:
        yield pairs
        assert not any(task.done() for task in running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await connection.close()


async def test_a_real_api_server_is_mirrored_through_its_death() -> None:
    async with real_cluster() as cluster:
        async with mirroring(cluster.kubeconfig, SERVICES, SLICES, DEPLOYMENTS) as mirrors:
            (services, watching), (slices, _), _ = mirrors
            await until(lambda: all(reflector.status.synced for _, reflector in mirrors))
            await until(lambda: services.names == {"kubernetes"}, 15)
            await changes_are_seen(cluster, services, slices)
            await watches_that_time_out_are_resumed(services, watching)
            await a_killed_server_loses_nothing(cluster, services, watching)
            await until(lambda: all(reflector.status.error is None for _, reflector in mirrors))
            assert [reflector.status.skipped for _, reflector in mirrors] == [{}, {}, {}]
        await pages_are_followed(cluster)
        await what_is_forbidden_says_so(cluster)
        await a_forgotten_version_is_listed_anew(cluster)


async def changes_are_seen(cluster: Cluster, services: Picture, slices: Picture) -> None:
    await cluster.request("POST", SPACE, service("a"))
    await cluster.request("POST", SPACE, service("b"))
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    await cluster.request("POST", path, slice_of("a"))
    await until(lambda: services.names == {"kubernetes", "a", "b"} and "a" in slices.names)

    await cluster.request(
        "PATCH", f"{SPACE}/a", {"spec": {"ports": [{"port": 80, "targetPort": 8081}]}}, MERGE
    )
    await cluster.request("DELETE", f"{SPACE}/b")
    await until(lambda: services.names == {"kubernetes", "a"})
    fact = services.facts["default", "a"]
    assert fact.ports[0].target_port == 8081
    assert fact.cluster_ips[0].startswith("10.96.")
    assert slices.facts["default", "a"].endpoints[0].address == "10.244.1.5"


async def watches_that_time_out_are_resumed(services: Picture, watching: Reflector) -> None:
    watches, lists = watching.status.watches, services.lists
    await until(lambda: watching.status.watches > watches, 15)
    assert services.lists == lists
    assert watching.status.error is None


async def a_killed_server_loses_nothing(
    cluster: Cluster, services: Picture, watching: Reflector
) -> None:
    await cluster.kill_api_server()
    await until(lambda: watching.status.error is not None)
    assert services.names == {"kubernetes", "a"}
    assert "cannot be reached" in (watching.status.error or "")

    await cluster.start_api_server()
    await cluster.request("POST", SPACE, service("c"))
    await cluster.request("DELETE", f"{SPACE}/a")
    await until(lambda: services.names == {"kubernetes", "c"}, 15)
    await until(lambda: watching.status.error is None, 15)


async def pages_are_followed(cluster: Cluster) -> None:
    for first in range(0, 500, 50):
        maps = (
            cluster.request("POST", SPACE, {**service(f"s{n}"), "spec": headless(n)})
            for n in range(first, first + 50)
        )
        await asyncio.gather(*maps)
    connection = await connect(str(cluster.kubeconfig), None, user_agent="probe/test")
    try:
        found, version = await connection.list(SERVICES)
        cached, _ = await connection.list(SERVICES, "default", resource_version="0")
    finally:
        await connection.close()
    assert len(found.facts) == len(cached.facts) == 502
    assert int(version) > 500


def headless(n: int) -> dict[str, Any]:
    return {"clusterIP": "None", "ports": [{"port": n + 1}]}


async def what_is_forbidden_says_so(cluster: Cluster) -> None:
    async with mirroring(cluster.write_kubeconfig("nobody"), SLICES) as [(_, reflector)]:
        await until(lambda: reflector.status.error is not None)
        assert reflector.status.error == (
            "the API server forbids us to list endpointslices: "
            "grant list and watch on endpointslices in discovery.k8s.io"
        )


async def a_forgotten_version_is_listed_anew(cluster: Cluster) -> None:
    async with mirroring(cluster.kubeconfig, SERVICES) as [(picture, reflector)]:
        await until(lambda: reflector.status.synced)
        for forgotten in ("1", "999999999"):
            lists = picture.lists
            reflector._version = forgotten
            await until(lambda lists=lists: picture.lists > lists, 15)  # type: ignore[misc]
        await until(lambda: reflector.status.error is None, 15)
        assert isinstance(picture.events[-1], Listed)


@pytest.mark.timeout(150)
@pytest.mark.slow
@pytest.mark.nightly
async def test_a_bookmark_keeps_a_quiet_watch_alive() -> None:
    async with (
        real_cluster() as cluster,
        mirroring(cluster.kubeconfig, SERVICES, pace=Pace()) as [(picture, reflector)],
    ):
        await until(lambda: reflector.status.synced)
        await cluster.request("POST", SPACE, service("a"))
        await until(lambda: "a" in picture.names)
        await asyncio.sleep(Limits().silence + 5)

        assert (reflector.status.watches, reflector.status.error) == (1, None)
        assert len(picture.events) == 2
