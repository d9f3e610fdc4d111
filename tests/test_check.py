"""The single run, on the embedded cluster: one list, one dial of everything, one verdict."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from probe.absent import NotFound
from probe.check import Selection, check_services, keys
from probe.core import kube, report
from probe.core.edges import EndpointSlice
from probe.demo.manifests import deployment, manual_slice, namespace, service
from probe.reflector import Connection, Unreachable, connect
from probe.sandbox.cluster import Cluster
from probe.settings import load
from tests.running import PATIENCE, until
from tests.watched import stop_api

SETTINGS = load({"timeout": 0.5, "vantage": "local", "node_name": "here"})


@asynccontextmanager
async def standing(*manifests: dict[str, Any]) -> AsyncIterator[Cluster]:
    async with Cluster() as cluster:
        for each in (namespace("demo-app"), *manifests):
            cluster.apply(each)
        await cluster.settled(within=20)
        yield cluster


async def checked(
    cluster: Cluster, folder: Path, name: str | None = None, where: str = "demo-app"
) -> list[dict[str, Any]]:
    """The documents of `probe check`."""
    cluster.write_kubeconfig(folder / "kubeconfig")
    connection = await connect(str(folder / "kubeconfig"), None, user_agent="test")
    try:
        world, warnings = await check_services(connection, SETTINGS, Selection(where, name))
    finally:
        await connection.close()
    assert warnings == []
    now = asyncio.get_running_loop().time()

    def clock(at: float) -> datetime:
        return datetime.fromtimestamp(at, UTC)

    return [report.service(world, key, now, clock, "local") for key in keys(world)]


async def test_a_port_mismatch_is_found_with_the_port_that_accepts(tmp_path: Path) -> None:
    async with standing(deployment("web"), service("web", target=8081)) as cluster:
        (found,) = await checked(cluster, tmp_path, "web")

    assert (found["verdict"], found["dialed"], found["expected"]) == ("port_mismatch", 3, 3)
    edges = found["ports"][0]["edges"]
    assert [(e["kind"], e["port"], e["state"], e["result"]) for e in edges] == [
        ("service", 8080, "down", "refused"),
        ("endpoint", 8081, "down", "refused"),
        ("endpoint", 8081, "down", "refused"),
        ("candidate", 8080, "up", "connected"),
        ("candidate", 8080, "up", "connected"),
    ]
    assert "targetPort 8081 is refused on 2 of 2 endpoints" in found["summary"]
    assert '"targetPort":8080' in found["advice"][0]


async def test_a_healthy_service_is_healthy_and_only_it_is_dialed(tmp_path: Path) -> None:
    others = (deployment("other"), service("other", target=8081))
    async with standing(deployment("web"), service("web"), *others) as cluster:
        (found,) = await checked(cluster, tmp_path, "web")

    assert (found["service"]["name"], found["verdict"]) == ("web", "healthy")
    assert found["advice"] == []
    assert all(edge["connect_seconds"] < 0.1 for edge in found["ports"][0]["edges"])


async def test_all_services_of_a_namespace_or_of_all_are_checked(tmp_path: Path) -> None:
    other = (namespace("shop"), deployment("cart", namespace="shop"))
    mine = (deployment("web"), service("web"))
    async with standing(*mine, *other, service("cart", namespace="shop")) as cluster:
        everywhere = await checked(cluster, tmp_path, where="")
        here = await checked(cluster, tmp_path, where="demo-app")

    assert [d["service"]["name"] for d in everywhere] == ["web", "cart"]
    assert [d["service"]["name"] for d in here] == ["web"]


class Early:
    """An API server that was asked too early: its first list of slices holds a pod that is gone by
    the time it is dialed."""

    def __init__(self, connection: Connection, gone: str) -> None:
        self._connection = connection
        self._gone = gone
        self.lists = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def list(
        self, resource: kube.Resource, *where: str, **chosen: str
    ) -> tuple[kube.Listed, str]:
        found, version = await self._connection.list(resource, *where, **chosen)
        if resource is not kube.SLICES:
            return found, version
        self.lists += 1
        if self.lists > 1 or not self._gone:
            return found, version
        (held,) = found.facts
        assert isinstance(held, EndpointSlice)
        gone = replace(held.endpoints[0], address=self._gone, pod="gone")
        return replace(found, facts=(replace(held, endpoints=(*held.endpoints, gone)),)), version


@pytest.mark.parametrize(("gone", "lists"), [("127.244.255.254", 2), ("", 1)])
async def test_a_pod_that_goes_before_it_is_dialed_accuses_nobody(
    tmp_path: Path, gone: str, lists: int
) -> None:
    """What fails is dialed again, after the slices were listed again; what is healthy is not."""
    async with standing(deployment("web"), service("web")) as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        connection = await connect(str(tmp_path / "kubeconfig"), None, user_agent="test")
        try:
            early = Early(connection, gone)
            asked = cast("Connection", early)
            world, _ = await check_services(asked, SETTINGS, Selection("demo-app", "web"))
        finally:
            await connection.close()

    (book,) = (book for _, book in world.books())
    assert (str(book.judgement.verdict), early.lists) == ("healthy", lists)
    assert gone not in {edge.address for edge in book.tracks}


async def test_what_changes_while_it_is_dialed_is_given_time_to_settle(tmp_path: Path) -> None:
    """Its only pod has been replaced, and kube-proxy leads to the old one for another second."""
    async with standing(deployment("web", replicas=1), service("web")) as cluster:
        old = pods(cluster)
        cluster.set_proxy_lag(60)
        cluster.apply(deployment("web", replicas=1, version="2"))
        await until(lambda: cluster.kubelet.idle and len(pods(cluster) - old) == 1, 20)
        await until(lambda: pods(cluster).isdisjoint(old), 20)
        checking = asyncio.create_task(checked(cluster, tmp_path, "web"))
        await asyncio.sleep(1)
        assert not checking.done(), "a ClusterIP that is late for a second accuses nobody"
        cluster.set_proxy_lag(0)
        (found,) = await checking

    assert found["verdict"] == "healthy"


def pods(cluster: Cluster) -> set[str]:
    return {pod["metadata"]["name"] for pod in cluster.store.list("pods", "demo-app")}


async def test_a_blackhole_ends_at_the_deadline(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with standing(deployment("web", behaviour="blackhole"), service("web")) as cluster:
        began = loop.time()
        (found,) = await checked(cluster, tmp_path, "web")

    assert found["verdict"] == "blackholed"
    assert loop.time() - began < PATIENCE  # the kernel would try for two minutes


async def test_an_invalid_address_is_named_and_not_dialed(tmp_path: Path) -> None:
    manual = (service("db", selector={}), manual_slice("db", "0.0.0.0", 8080))
    async with standing(*manual) as cluster:
        (found,) = await checked(cluster, tmp_path, "db")

    assert found["verdict"] == "invalid_target"
    assert "0.0.0.0:8080" in found["summary"]
    assert all(edge["address"] != "0.0.0.0" for edge in found["ports"][0]["edges"])


async def test_a_service_without_endpoints_says_so(tmp_path: Path) -> None:
    async with standing(service("web")) as cluster:
        (found,) = await checked(cluster, tmp_path, "web")

    assert found["verdict"] == "no_endpoints"


async def test_an_unknown_service_is_not_found_in_kubectl_s_words(tmp_path: Path) -> None:
    async with standing(service("web")) as cluster:
        with pytest.raises(NotFound, match='Service "nope" not found in namespace "demo-app"'):
            await checked(cluster, tmp_path, "nope")


async def test_an_api_server_that_is_away_is_unreachable(
    tmp_path: Path, sockets: ExitStack
) -> None:
    async with standing(service("web")) as cluster:
        await stop_api(cluster, sockets)
        with pytest.raises(Unreachable, match="cannot be reached"):
            await checked(cluster, tmp_path, "web")


async def test_without_the_sandbox_s_word_loopback_is_not_dialed(tmp_path: Path) -> None:
    """Somebody else's kubeconfig leads to pods of 127.x: they would be ourselves."""
    async with standing(deployment("web"), service("web")) as cluster:
        cluster.write_kubeconfig(tmp_path / "with")
        config = json.loads((tmp_path / "with").read_text())
        del config["clusters"][0]["cluster"]["extensions"]
        (tmp_path / "without").write_text(json.dumps(config))
        connection = await connect(str(tmp_path / "without"), None, user_agent="test")
        try:
            world, _ = await check_services(connection, SETTINGS, Selection("demo-app", "web"))
        finally:
            await connection.close()

    (book,) = (book for _, book in world.books())
    assert (str(book.judgement.verdict), len(book.tracks)) == ("invalid_target", 0)
