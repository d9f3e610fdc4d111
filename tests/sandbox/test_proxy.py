"""The proxy: what dials to a ClusterIP meet, and when."""

import asyncio
import time
from collections import Counter

import pytest

from probe.sandbox import proxy
from probe.sandbox.cluster import Cluster
from probe.sandbox.proxy import backends_of
from tests.desk import descriptors
from tests.running import until
from tests.sandbox.manifests import (
    NAMESPACE,
    Obj,
    addresses,
    ask,
    cluster_ip,
    deployment,
    dial,
    dials,
    pods,
    sandbox,
    service,
)

pytestmark = pytest.mark.slow

LAG = 0.5


def restarted(manifest: Obj) -> Obj:
    template = manifest["spec"]["template"]
    meta = template["metadata"] | {"annotations": {"restarted": "again"}}
    return manifest | {"spec": manifest["spec"] | {"template": template | {"metadata": meta}}}


def scaled(manifest: Obj, replicas: int) -> Obj:
    return manifest | {"spec": manifest["spec"] | {"replicas": replicas}}


def behave(cluster: Cluster, *behaviours: str) -> None:
    for pod, behaviour in zip(pods(cluster), behaviours, strict=True):
        cluster.set_behaviour(NAMESPACE, pod["metadata"]["name"], behaviour)


async def rollout(cluster: Cluster, manifest: Obj, count: int = 250) -> Counter[str]:
    """What dials every 5 ms meet during and after a rollout."""
    address = cluster_ip(cluster)
    cluster.apply(restarted(manifest))
    met = await dials(address, 8080, count)
    await cluster.settled()
    return met


async def test_a_cluster_ip_leads_to_every_pod() -> None:
    async with sandbox(deployment(replicas=3), service()) as cluster:
        answers = {(await ask(cluster_ip(cluster), 8080)).split()[-1] for _ in range(60)}
        assert answers == {pod["metadata"]["name"] for pod in pods(cluster)}


async def test_a_wrong_target_port_is_refused_everywhere_but_the_container_accepts() -> None:
    async with sandbox(deployment(), service(target=8081)) as cluster:
        assert await dial(cluster_ip(cluster), 8080) == "refused"
        for address in addresses(cluster):
            assert await dial(address, 8081) == "refused"
            assert await dial(address, 8080) == "connected"
        cluster.apply(service(target=8080))
        await cluster.settled()
        assert await dial(cluster_ip(cluster), 8080) == "connected"


async def test_a_service_without_endpoints_refuses_until_it_has_some() -> None:
    manifest = deployment()
    async with sandbox(manifest, service()) as cluster:
        address = cluster_ip(cluster)
        cluster.apply(scaled(manifest, 0))
        await cluster.settled()
        assert await dial(address, 8080) == "refused"
        cluster.apply(scaled(manifest, 1))
        await cluster.settled()
        assert await dial(address, 8080) == "connected"
        cluster.store.delete("services", NAMESPACE, "web")
        await cluster.settled()
        assert await dial(address, 8080) == "refused"


async def test_pods_without_drain_are_still_dialed_within_the_lag_and_refuse() -> None:
    manifest = deployment()
    async with sandbox(manifest, service(), proxy_lag=LAG) as cluster:
        met = await rollout(cluster, manifest)
        assert met["refused"] > 0  # how many a busy machine meets is its own affair
        assert met["connected"] > 50
        assert met["timeout"] == 0
        await cluster.settled()
        assert await dials(cluster_ip(cluster), 8080, 50) == {"connected": 50}


async def test_no_dial_fails_when_pods_sleep_longer_than_the_lag_before_they_end() -> None:
    """By far: the lag begins with the slice, a turn or two of the loop after the pod's sleep."""
    sleep = {"exec": {"command": ["sleep", str(LAG + 0.1)]}}
    manifest = deployment(container={"lifecycle": {"preStop": sleep}})
    async with sandbox(manifest, service(), proxy_lag=0.1) as cluster:
        assert await rollout(cluster, manifest, 400) == {"connected": 400}


async def test_without_lag_a_rollout_goes_nearly_unnoticed() -> None:
    manifest = deployment()
    async with sandbox(manifest, service()) as cluster:
        met = await rollout(cluster, manifest)
        assert met["connected"] > 240


async def test_the_lag_can_be_changed_for_changes_under_way() -> None:
    manifest = deployment(replicas=1)
    async with sandbox(manifest, service()) as cluster:
        cluster.set_proxy_lag(60)
        cluster.apply(service(target=1))
        await asyncio.sleep(0.05)
        assert await dial(cluster_ip(cluster), 8080) == "connected"
        cluster.set_proxy_lag(0)
        await cluster.settled()
        assert await dial(cluster_ip(cluster), 8080) == "refused"


@pytest.mark.parametrize(
    ("behaviour", "met"),
    [("blackhole", "timeout"), ("crash", "refused"), ("hang", "connected")],
)
async def test_a_cluster_ip_shows_what_all_its_backends_do(behaviour: str, met: str) -> None:
    async with sandbox(deployment(), service()) as cluster:
        behave(cluster, behaviour, behaviour)
        address = cluster_ip(cluster)
        assert await dial(address, 8080) == met
        behave(cluster, "serve", "serve")
        assert await dials(address, 8080, 20, 0) == {"connected": 20}


@pytest.fixture
def _chosen_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two dials, so that what they meet together is no chance."""
    monkeypatch.setattr(proxy, "SLICE", 0.005)


@pytest.mark.usefixtures("_chosen_often")
async def test_one_refusing_backend_of_two_fails_about_half_of_the_dials() -> None:
    async with sandbox(deployment(), service()) as cluster:
        behave(cluster, "serve", "crash")
        met = await dials(cluster_ip(cluster), 8080, 200, 0.01)
        assert met.keys() == {"connected", "refused"}
        assert 40 < met["refused"] < 160


@pytest.mark.usefixtures("_chosen_often")
async def test_one_blackholed_backend_of_two_times_out_some_dials() -> None:
    async with sandbox(deployment(), service()) as cluster:
        behave(cluster, "serve", "blackhole")
        address = cluster_ip(cluster)
        # Not 1 s: the kernel's second SYN would meet another choice.
        met: Counter[str] = Counter()
        for _ in range(40):
            met[await dial(address, 8080, 0.02)] += 1
            await asyncio.sleep(0.02)
        assert met.keys() == {"connected", "timeout"}


async def test_bytes_go_both_ways_and_survive_a_change_of_rules() -> None:
    async with sandbox(deployment(replicas=1), service()) as cluster:
        reader, writer = await asyncio.open_connection(cluster_ip(cluster), 8080)
        try:
            writer.write(b"GET / HTTP/1.0\r\n")
            await asyncio.sleep(0.02)
            cluster.apply(service(target=1))
            await cluster.settled()
            assert await dial(cluster_ip(cluster), 8080) == "refused"
            writer.write(b"\r\n")
            assert pods(cluster)[0]["metadata"]["name"].encode() in await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


async def test_a_hand_made_slice_leads_to_a_server_outside_of_the_sandbox() -> None:
    server = await asyncio.start_server(_greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    manual = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "web-1",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
        "ports": [{"port": port}],
    }
    async with server, sandbox(service(selector=None), manual) as cluster:
        assert await ask(cluster_ip(cluster), 8080) == "hello"


async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()
    await writer.wait_closed()


def slice_of(*conditions: Obj) -> list[Obj]:
    endpoints = [{"addresses": [f"10.0.0.{i}"], "conditions": c} for i, c in enumerate(conditions)]
    return [{"endpoints": endpoints, "ports": [{"name": "", "port": 80}]}]


@pytest.mark.parametrize(
    ("conditions", "hosts"),
    [
        ([{"ready": True}, {"ready": False}, {}], [0, 2]),
        ([{"ready": False, "serving": True, "terminating": True}, {"ready": True}], [1]),
        ([{"ready": False, "serving": True, "terminating": True}, {"ready": False}], [0]),
        ([{"ready": False, "serving": False, "terminating": True}], []),
        ([{"ready": False, "serving": True, "terminating": False}], []),
        ([], []),
    ],
)
def test_endpoints_that_end_are_used_only_when_none_is_ready(
    conditions: list[Obj], hosts: list[int]
) -> None:
    wanted = [(f"10.0.0.{host}", 80) for host in hosts]
    assert backends_of(slice_of(*conditions), "") == wanted


def test_an_empty_slice_and_another_port_lead_nowhere() -> None:
    assert backends_of([{"endpoints": None, "ports": None}], "") == []
    assert backends_of(slice_of({"ready": True}), "other") == []


async def test_two_hundred_services_start_within_seconds_and_rest_without_work() -> None:
    before = descriptors()  # of what other tests have left to the garbage collector, too
    async with sandbox(deployment(replicas=4)) as cluster:
        for number in range(200):
            cluster.apply(service(f"s{number}", selector={"app": "web"}))
        await cluster.settled(within=30)
        for number in range(0, 200, 20):
            assert await dial(cluster_ip(cluster, f"s{number}"), 8080) == "connected"
        assert descriptors() - before < 300
        await until(_rests)


async def _rests() -> bool:
    """Whether this process has no work for a moment, but for what the garbage collector takes."""
    busy = time.process_time()
    await asyncio.sleep(0.3)
    return time.process_time() - busy < 0.05
