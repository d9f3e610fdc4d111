"""A running daemon while the API server has a thousand Services at once, dies, and forgets."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import ExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.cluster.api import Api, ApiError
from tests.cluster.cluster import PATIENCE, Cluster
from tests.cluster.control_plane import ControlPlane
from tests.cluster.relay import Gate, relay
from tests.ports import reserved
from tests.real.manifests import Manifest, deployment, service
from tests.running import Daemon, daemon, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.timeout(400),
    pytest.mark.parametrize("cluster", ["iptables"], indirect=True),
]

QUICK = ("--settle", "0", "--interval", "0.5")
CONTACT = "edgeprobe_discovery_last_contact_timestamp_seconds"
FOLLOWED = ("services", "endpointslices")
AGAIN = {f"{resource} are watched again" for resource in FOLLOWED}

API_PACE = 0.2
"""Seconds between questions to /api/v1, which answers ten in a second."""


MANY = 200
AT_ONCE = 25
"""Requests in flight."""


async def test_hundreds_of_services_come_and_go(cluster: Cluster, space: str) -> None:
    """Some of them lead to a pod, the others to nothing."""
    await cluster.apply(deployment("web"), space=space)
    await cluster.rolled_out("deployment/web", space)
    inside = cluster.nodes[0].inside
    flags = ("--namespaces", space, "--settle", "0", "--interval", "3")
    path = f"/api/v1/namespaces/{space}/services"
    many = [service(f"many-{n}", "nobody" if n % 4 else "web") for n in range(MANY)]
    async with (
        inside.daemon(cluster.inner_kubeconfig, *flags, node="node1") as watching,
        Api(cluster.kubeconfig) as api,
        living(watching),
    ):
        await at_once(api.request("POST", path, each) for each in many)
        await until(lambda: counted(watching, MANY), PATIENCE, every=0.5)
        await until(lambda: judged(watching), PATIENCE, every=1)

        names = [each["metadata"]["name"] for each in many]
        await at_once(api.request("DELETE", f"{path}/{name}") for name in names)
        await until(lambda: counted(watching, 0), PATIENCE, every=0.5)
        await until(lambda: knows(watching, set()), every=API_PACE)


async def at_once(requests: Iterable[Awaitable[Any]]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(request: Awaitable[Any]) -> None:
        async with room:
            await request

    await asyncio.gather(*map(one, requests))


async def counted(watching: Daemon, services: int) -> bool:
    """Whether there are series of so many of them, of whatever metric."""
    page = (await watching.get("/metrics"))[1]
    return len(set(re.findall(r'service="(many-\d+)"', page))) == services


async def judged(watching: Daemon) -> bool:
    found = (await watching.json("/api/v1/services"))["services"]
    said = [each["verdict"] for each in found]
    return (said.count("healthy"), said.count("no_endpoints")) == (MANY / 4, MANY * 3 / 4)


@asynccontextmanager
async def living(watching: Daemon) -> AsyncIterator[None]:
    """All the while the daemon says that it lives and tells its metrics, or the test fails."""

    async def asks() -> None:
        while True:
            for path in ("/livez", "/metrics"):
                async with asyncio.timeout(30):
                    assert await answers(watching, path)
            await asyncio.sleep(0.5)

    asking = asyncio.create_task(asks())
    try:
        yield
        if asking.done():
            asking.result()
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_while_the_api_server_is_dead_the_daemon_dials_what_it_knows(
    cluster: Cluster, space: str
) -> None:
    await cluster.apply(deployment("web", 2), service("web", "web"), space=space)
    await cluster.has_endpoints("web", 2, space)
    inside, flags = cluster.nodes[0].inside, ("--namespaces", space, *QUICK)
    async with inside.daemon(cluster.inner_kubeconfig, *flags, node="node1") as daemon:
        await until(lambda: says(daemon, space, "web", "healthy"), 90, every=API_PACE)
        await until(lambda: answers(daemon, "/readyz"), 90)
        known = await until(lambda: settled(daemon, space), 90, every=API_PACE)
        await until(lambda: turned(daemon)[-1:] == ["healthy"])
        turns = turned(daemon)

        await cluster.control_plane.kill_api_server()
        try:
            await until(lambda: in_trouble(daemon), 90)
            heard = await contacts(daemon)
            dials = await daemon.value("edgeprobe_dials_total", result="connected")
            await until(lambda: dialed(daemon, dials + 10), 90)
            assert await contacts(daemon) == heard
            assert await edges(daemon, space) == known
            assert await answers(daemon, "/livez")
            assert await answers(daemon, "/readyz")
        finally:
            await cluster.control_plane.start_api_server()

        await until(lambda: heard_since(daemon, heard), 90)
        assert await edges(daemon, space) == known
        assert await says(daemon, space, "web", "healthy")
        assert turned(daemon) == turns
        await cluster.apply(service("late", "web"), space=space)
        await until(lambda: daemon.verdict(space, "late"), 90, every=API_PACE)


async def says(daemon: Daemon, space: str, name: str, verdict: str) -> bool:
    return await daemon.verdict(space, name) == verdict


async def edges(daemon: Daemon, space: str) -> set[tuple[str, str, int, str]]:
    document = await daemon.json(f"/api/v1/services/{space}/web")
    (port,) = document["ports"]
    return {(e["kind"], e["address"], e["port"], e["state"]) for e in port["edges"]}


async def settled(daemon: Daemon, space: str) -> set[tuple[str, str, int, str]] | None:
    """The ClusterIP and two endpoints, once all are up: its first dial may outrun kube-proxy."""
    found = await edges(daemon, space)
    return found if [state for *_, state in found] == ["up"] * 3 else None


async def answers(daemon: Daemon, path: str) -> bool:
    return (await daemon.get(path))[0] == 200


async def contacts(daemon: Daemon) -> list[float]:
    return [await daemon.value(CONTACT, resource=resource) for resource in FOLLOWED]


async def heard_since(daemon: Daemon, before: list[float]) -> bool:
    """Whether all are watched again: it tells so a second after it asked."""
    found = zip(await contacts(daemon), before, strict=True)
    return all(now > then for now, then in found) and messages(daemon) >= AGAIN


async def dialed(daemon: Daemon, times: float) -> bool:
    return await daemon.value("edgeprobe_dials_total", result="connected") >= times


def turned(daemon: Daemon) -> list[str]:
    """Every verdict that it has logged of the Service."""
    return [r["verdict"] for r in daemon.command.records if r.get("service") == "web"]


def messages(daemon: Daemon) -> set[str]:
    return {record["message"] for record in daemon.command.records}


def in_trouble(daemon: Daemon) -> bool:
    return any("cannot be reached" in message for message in messages(daemon))


async def test_what_etcd_forgot_meanwhile_is_listed_anew(
    cluster: Cluster, space: str, sockets: ExitStack
) -> None:
    """The daemon's own way to the API server is cut; nothing is dialed, since all is opted out."""
    plane = cluster.control_plane
    gate = Gate(sockets.enter_context(reserved()), urlsplit(plane.url).port or 0)
    await gate.open()
    try:
        config = plane.credentials.kubeconfig(f"https://127.0.0.1:{gate.port}", "admin", "gated")
        await cluster.apply(opted_out("old"), space=space)
        async with daemon(config, "--namespaces", space) as watching:
            await until(lambda: knows(watching, {"old"}), 90, every=API_PACE)
            version = await newest(plane, space)
            await gate.shut()
            await cluster.kubectl("delete", "service", "old", "-n", space)
            await cluster.apply(opted_out("fresh"), space=space)
            await plane.kill_api_server()
            try:
                await compact(plane)
            finally:
                await plane.start_api_server()
            assert await is_gone(plane, space, version)
            assert await knows(watching, {"old"})

            await gate.open()
            await until(lambda: knows(watching, {"fresh"}), 90, every=API_PACE)
    finally:
        await gate.shut()


def opted_out(name: str) -> Manifest:
    made = service(name, name)
    made["metadata"]["annotations"] = {"edgeprobe.dev/probe": "false"}
    return made


async def knows(watching: Daemon, names: set[str]) -> bool:
    found = (await watching.json("/api/v1/services"))["services"]
    return {each["service"]["name"] for each in found} == names


async def newest(plane: ControlPlane, space: str) -> str:
    """The version of the cluster now."""
    found = await plane.request("GET", f"/api/v1/namespaces/{space}/services")
    version: str = found["metadata"]["resourceVersion"]
    return version


async def is_gone(plane: ControlPlane, space: str, version: str) -> bool:
    """Whether a watch from there is answered with 410."""
    path = f"/api/v1/namespaces/{space}/services"
    async with Api(plane.kubeconfig) as api:
        try:
            async for kind, said in api.watch(path, version, {}):
                return kind == "ERROR" and said["code"] == 410
        except ApiError as refused:
            return refused.status == 410
    return False


async def compact(plane: ControlPlane) -> None:
    """Makes etcd forget everything but what is now, by the JSON gateway of its client port."""
    place = plane.place
    assert place.namespace is not None
    with relay(place.namespace, "127.0.0.1", place.etcd_port, plane.folder) as port:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as etcd:
            key = {"key": base64.b64encode(b"/").decode()}
            async with etcd.post("/v3/kv/range", json=key) as answer:
                revision = (await answer.json(content_type=None))["header"]["revision"]
            asked = {"revision": revision, "physical": True}
            async with etcd.post("/v3/kv/compaction", json=asked) as answer:
                assert answer.status == 200, await answer.text()
