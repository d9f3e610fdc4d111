"""The cluster as a whole: its API, its kubeconfig, its neighbours."""

import asyncio
import json
import os
import stat
from pathlib import Path

import aiohttp
import pytest

from probe.sandbox.cluster import Cluster
from probe.sandbox.peers import Peers
from probe.sandbox.store import NotFound, Store
from tests.running import until
from tests.sandbox.manifests import (
    NAMESPACE,
    Obj,
    addresses,
    cluster_ip,
    deployment,
    dial,
    pods,
    sandbox,
    service,
)

pytestmark = pytest.mark.slow

DAEMON = "edgeprobe/0.1.0 (node a)"


async def test_nodes_are_ready_and_have_addresses_of_their_own() -> None:
    async with sandbox(nodes=("a", "b")) as cluster:
        nodes = cluster.store.list("nodes")
        assert [node["metadata"]["name"] for node in nodes] == ["a", "b"]
        assert len({node["status"]["addresses"][0]["address"] for node in nodes}) == 2
        for node in nodes:
            assert node["status"]["conditions"][0]["status"] == "True"


async def test_two_clusters_at_once_do_not_meet() -> None:
    async with sandbox(deployment(), service()) as one, sandbox(deployment(), service()) as two:
        assert not set(addresses(one)) & set(addresses(two))
        assert cluster_ip(one) != cluster_ip(two)
        one.store.delete("deployments", NAMESPACE, "web")
        await one.settled()
        assert await dial(cluster_ip(one), 8080) == "refused"
        assert await dial(cluster_ip(two), 8080) == "connected"


async def test_nothing_listens_any_more_once_the_cluster_is_gone() -> None:
    async with sandbox(deployment(), service()) as cluster:
        places = [cluster_ip(cluster), *addresses(cluster)]
    assert [await dial(address, 8080) for address in places] == ["refused"] * 3
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_applying_again_changes_the_spec_and_keeps_what_the_cluster_gave() -> None:
    async with sandbox(deployment(), service()) as cluster:
        before = cluster.store.get("services", NAMESPACE, "web")
        after = cluster.apply(service(target=8081), manager="argocd")
        assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        managers = {entry["manager"] for entry in after["metadata"]["managedFields"]}
        assert managers == {"sandbox", "argocd"}
        deployed = cluster.apply(deployment())
        assert deployed["status"]["availableReplicas"] == 2
        assert deployed["metadata"]["generation"] == 1


async def test_a_kind_that_is_not_served_is_refused() -> None:
    async with sandbox() as cluster:
        with pytest.raises(KeyError):
            cluster.apply({"apiVersion": "v1", "kind": "Nonsense", "metadata": {"name": "x"}})


async def test_settling_gives_up_in_time() -> None:
    async with sandbox(start_delay=60) as cluster:
        cluster.apply(deployment())
        with pytest.raises(TimeoutError):
            await cluster.settled(0.1)


async def test_the_kubeconfig_reaches_the_api_and_allows_loopback(tmp_path: Path) -> None:
    target = tmp_path / "config"
    async with sandbox(deployment(), service(), serve_api=True) as cluster:
        cluster.write_kubeconfig(target)
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        assert os.listdir(tmp_path) == ["config"]
        config = json.loads(target.read_text())
        reached = config["clusters"][0]["cluster"]
        assert reached["extensions"] == [
            {"name": "edgeprobe.dev/sandbox", "extension": {"allow_targets": ["127.0.0.0/8"]}}
        ]
        assert config["contexts"][0]["context"]["namespace"] == "default"
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        async with (
            aiohttp.ClientSession(reached["server"]) as session,
            session.get(path) as answer,
        ):
            names = {item["metadata"]["name"] for item in (await answer.json())["items"]}
        assert names == {pod["metadata"]["name"] for pod in pods(cluster)}


async def test_without_an_api_there_is_no_kubeconfig(tmp_path: Path) -> None:
    async with sandbox() as cluster:
        with pytest.raises(RuntimeError):
            cluster.write_kubeconfig(tmp_path / "config")


async def test_what_is_posted_to_the_api_runs() -> None:
    async with sandbox(serve_api=True) as cluster:
        assert cluster.api
        async with aiohttp.ClientSession(cluster.api.url) as session:
            await _post(session, "/api/v1/namespaces", _namespace())
            await _post(session, f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", deployment())
            await _post(session, f"/api/v1/namespaces/{NAMESPACE}/services", service())
            await cluster.settled()
            assert await dial(cluster_ip(cluster), 8080) == "connected"
            path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/web"
            async with session.delete(path) as answer:
                assert answer.status == 200
            await cluster.settled()
            assert pods(cluster) == []


async def _post(session: aiohttp.ClientSession, path: str, body: Obj) -> None:
    async with session.post(path, json=body) as answer:
        assert answer.status == 201, await answer.text()


def _namespace() -> Obj:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


async def test_a_daemon_that_watches_is_an_endpoint_of_its_service() -> None:
    async with sandbox(serve_api=True) as cluster:
        assert cluster.api
        headers = {"User-Agent": DAEMON}
        async with aiohttp.ClientSession(cluster.api.url, headers=headers) as session:
            async with session.get("/api/v1/pods?watch=true"):
                assert daemons(cluster.store) == [("a", "127.0.0.1")]
            await until(lambda: daemons(cluster.store) == [])


def daemons(store: Store) -> list[tuple[str, str]]:
    held = store.get("endpointslices", "edgeprobe", "edgeprobe")
    return [(e["nodeName"], e["addresses"][0]) for e in held["endpoints"]]


def test_a_daemon_stays_an_endpoint_until_its_last_watch_ends() -> None:
    store = Store()
    peers = Peers(store)
    for _ in range(2):
        peers.connected(DAEMON, "127.0.0.1")
    peers.connected("edgeprobe/0.1.0 (node b)", "127.0.0.2")
    peers.disconnected(DAEMON, "127.0.0.1")
    assert daemons(store) == [("a", "127.0.0.1"), ("b", "127.0.0.2")]
    peers.disconnected(DAEMON, "127.0.0.1")
    assert daemons(store) == [("b", "127.0.0.2")]
    made = store.get("services", "edgeprobe", "edgeprobe")
    assert made["metadata"]["annotations"] == {"edgeprobe.dev/probe": "false"}
    assert made["spec"]["clusterIP"] == "None"


def test_other_clients_are_no_peers() -> None:
    store = Store()
    Peers(store).connected("kubectl/v1.36.2 (linux/amd64)", "127.0.0.1")
    with pytest.raises(NotFound):
        store.get("namespaces", "", "edgeprobe")


async def test_the_cluster_restarts_in_one_process() -> None:
    for _ in range(2):
        async with Cluster(start_delay=0, serve_api=False) as cluster:
            cluster.apply(deployment())
            await cluster.settled()
            assert len(pods(cluster)) == 2
