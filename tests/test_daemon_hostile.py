"""`probe run` behind an API server that goes mad: it lives, says so once, and is right afterwards.

A relay stands between the daemon and the sandbox's API server. It passes requests on until it is
told to cut everything; then each request that comes meets the next of its misdeeds.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from probe.demo.manifests import NAMESPACE, deployment, namespace, service
from probe.sandbox.cluster import Cluster
from tests.hostile import bookmark, broken_off, event, huge, plain, refuse, silence, status, stream
from tests.running import Daemon, daemon, until

pytestmark = pytest.mark.slow

Misdeed = Callable[[web.Request], Awaitable[web.StreamResponse]]

NULL_SPEC = {
    "metadata": {"name": "frontend", "namespace": NAMESPACE, "resourceVersion": "5"},
    "spec": None,
}
MISDEEDS: tuple[Misdeed, ...] = (
    stream(b'{"type":"MODIFIED","object":{"metadata":{"na', end=True),
    broken_off(b'{"type":"ADDED",'),
    plain(200, event("ERROR", status(410, "Expired", "too old resource version"))),
    refuse(410, "Expired"),
    refuse(500, "InternalError"),
    refuse(429, "TooManyRequests", headers={"Retry-After": "1"}),
    plain(502, b"<html>bad gateway</html>", "text/html"),
    stream(event("MODIFIED", NULL_SPEC), event("SHRUG", NULL_SPEC), bookmark(6), end=True),
    stream(b"this is not JSON\n", end=True),
    huge(b'{"type":"ADDED","object":{"x":"', b'"}}\n', 100_000_000),
    plain(200, b""),
    plain(200, b'{"kind":"ServiceList","metadata":{},"items":nul'),
)


class Relay:
    """Passes on, or misbehaves while there are `misdeeds`; `cut` ends what is passing."""

    def __init__(self, upstream: str) -> None:
        self.misdeeds: list[Misdeed] = []
        self.upstream = upstream
        self.away = False
        self._passing: set[asyncio.Task[object]] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.misdeeds:
            return await self.misdeeds.pop(0)(request)
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        try:
            return await self._pass_on(request)
        finally:
            self._passing.discard(task)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(self.upstream + request.path_qs, headers=request.headers) as answer,
        ):
            response = web.StreamResponse(status=answer.status)
            response.content_type = answer.content_type
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response

    def cut(self, misdeeds: list[Misdeed]) -> None:
        self.misdeeds = misdeeds
        for task in self._passing:
            task.cancel()


@asynccontextmanager
async def between(cluster: Cluster, folder: Path) -> AsyncIterator[tuple[Relay, Path]]:
    """A relay before the cluster, and the kubeconfig that leads through it."""
    direct = folder / "direct"
    cluster.write_kubeconfig(direct)
    config = json.loads(direct.read_text())
    relay = Relay(config["clusters"][0]["cluster"]["server"])
    app = web.Application()
    app.router.add_get("/{path:.*}", relay.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    config["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    try:
        yield relay, kubeconfig
    finally:
        await runner.cleanup()


async def picture(found: Daemon) -> dict[str, list[int]]:
    """The daemon's Services of the demo's namespace with their targetPorts."""
    document = await found.json("/api/v1/services")
    return {
        held["service"]["name"]: [port["target_port"] for port in held["ports"]]
        for held in document["services"]
        if held["service"]["namespace"] == NAMESPACE
    }


async def test_it_survives_every_misdeed_and_its_picture_is_right_afterwards(
    tmp_path: Path,
) -> None:
    async with Cluster() as cluster, between(cluster, tmp_path) as (relay, kubeconfig):
        cluster.apply(namespace(NAMESPACE))
        for name in ("frontend", "checkout", "legacy"):
            cluster.apply(deployment(name))
            cluster.apply(service(name))
        await cluster.settled()
        async with daemon(kubeconfig, "--interval", "1") as found:
            await until(lambda: _verdict_is(found, "frontend", "healthy"))
            before = await found.value("edgeprobe_dials_total")

            relay.cut([*MISDEEDS])
            cluster.apply(service("checkout", target=8081))
            cluster.store.delete("services", NAMESPACE, "legacy")
            cluster.apply(deployment("late"))
            cluster.apply(service("late"))
            await until(lambda: not relay.misdeeds)
            assert len(await picture(found)) >= 2, "an edge was forgotten while nobody answered"

            wanted = {"frontend": [8080], "checkout": [8081], "late": [8080]}
            await until(lambda: _pictures(found, wanted))
            await until(lambda: _verdict_is(found, "checkout", "port_mismatch"))
            await until(lambda: _verdict_is(found, "late", "healthy"))

            assert await found.value("edgeprobe_dials_total") > before
            assert await found.value("edgeprobe_discovery_skipped_total") > 0
            assert _resident_mib(found) < 160
            said = Counter(
                record["message"]
                for record in found.command.records
                if record["logger"] == "probe.reflector" and record["level"] == "warning"
            )
            assert [message for message, times in said.items() if times > 1] == []
            code, _ = await found.command.stop()
            assert code == 0


async def test_silence_for_ever_takes_nothing_from_what_is_known(tmp_path: Path) -> None:
    async with Cluster() as cluster, between(cluster, tmp_path) as (relay, kubeconfig):
        cluster.apply(namespace(NAMESPACE))
        cluster.apply(deployment("frontend"))
        cluster.apply(service("frontend"))
        await cluster.settled()
        async with daemon(kubeconfig, "--interval", "1") as found:
            await until(lambda: _verdict_is(found, "frontend", "healthy"))
            relay.cut([silence] * 100)
            await until(lambda: len(relay.misdeeds) <= 95)
            before = await found.value("edgeprobe_dials_total", result="connected")

            await until(lambda: _more_dials(found, before + 10))

            assert await _verdict_is(found, "frontend", "healthy")
            assert (await found.get("/livez"))[0] == 200


async def _verdict_is(found: Daemon, name: str, verdict: str) -> bool:
    return await found.verdict(NAMESPACE, name) == verdict


async def _pictures(found: Daemon, wanted: dict[str, list[int]]) -> bool:
    return await picture(found) == wanted


async def _more_dials(found: Daemon, count: float) -> bool:
    return await found.value("edgeprobe_dials_total", result="connected") >= count


def _resident_mib(found: Daemon) -> float:
    status_file = Path(f"/proc/{found.command.process.pid}/status")
    (line,) = (line for line in status_file.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
