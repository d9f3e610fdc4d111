"""Prometheus and Alertmanager as processes of their own, and a webhook that keeps what it gets."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from deploy.alerts.alert import INTERVAL, KEPT
from tests.ports import reserved
from tests.running import until

ALERTS = Path(__file__).parents[2] / "deploy" / "alerts"
PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
HERE = "127.0.0.1"

EVERY = 2
"""Seconds between two scrapes, and between two evaluations of the rules."""

MONITOR = {
    "job": "edgeprobe",
    "namespace": "edgeprobe",
    "service": "edgeprobe",
    "endpoint": "http",
    "pod": "edgeprobe-x7k2p",
    "container": "probe",
    "cluster": "kind",
}
"""The labels that a ServiceMonitor gives its targets: two of them stand in the way of ours. The
last is one that whoever has several clusters adds."""


@dataclass
class Notification:
    """One alert of one message to the webhook; `at` is when it came, by the loop's clock."""

    at: float
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass
class Stack:
    """What was notified, and how to ask Prometheus."""

    url: str
    notified: list[Notification] = field(default_factory=list)

    async def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The series that it gives now, or gave at that Unix time."""
        when = {} if at is None else {"time": str(at)}
        found: list[dict[str, Any]] = (await self._get("query", query=expression, **when))["result"]
        return found

    async def course(self, expression: str, begun: float, ended: float) -> list[dict[str, Any]]:
        """The series that it gave between two Unix times, one value for each scrape."""
        times = {"start": str(begun), "end": str(ended), "step": str(EVERY)}
        found: list[dict[str, Any]] = (await self._get("query_range", query=expression, **times))[
            "result"
        ]
        return found

    async def firing(self) -> list[dict[str, str]]:
        """The annotations of the alerts that fire now."""
        alerts = (await self._get("alerts"))["alerts"]
        return [each["annotations"] for each in alerts if each["state"] == "firing"]

    async def values(self, label: str, series: str) -> list[str]:
        """Those that the label has on such series."""
        found: list[str] = await self._get(f"label/{label}/values", **{"match[]": series})
        return found

    async def _get(self, path: str, **asked: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/{path}", params=asked) as response,
        ):
            found = await response.json()
            assert found["status"] == "success", (asked, found)
            return found["data"]

    async def hook(self, request: web.Request) -> web.Response:
        now = asyncio.get_running_loop().time()
        for alert in (await request.json())["alerts"]:
            told = Notification(now, alert["status"], alert["labels"], alert["annotations"])
            self.notified.append(told)
        return web.Response()


@asynccontextmanager
async def standing(target: int, folder: Path) -> AsyncIterator[Stack]:
    """Both with the shipped files, scraping the daemon on port `target`."""
    async with AsyncExitStack() as closing:
        prometheus, alertmanager = (closing.enter_context(reserved()) for _ in range(2))
        stack = Stack(f"http://{HERE}:{prometheus}")
        hook = await closing.enter_async_context(_webhook(stack))
        await closing.enter_async_context(alerting(alertmanager, hook, folder))
        config = _prometheus_config(alertmanager, target, _rules(folder))
        await closing.enter_async_context(_prometheus(prometheus, config, folder))
        yield stack


@asynccontextmanager
async def _webhook(stack: Stack) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_post("/", stack.hook)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HERE, 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def alerting(port: int, hook: int, folder: Path) -> AsyncIterator[None]:
    """Alertmanager on that port, with what inhibits what; it tells the webhook on port `hook`."""
    assert ALERTMANAGER is not None
    config = {
        "route": {
            "receiver": "hook",
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
        },
        "receivers": [{"name": "hook", "webhook_configs": [{"url": f"http://{HERE}:{hook}/"}]}],
        **yaml.safe_load((ALERTS / "inhibit.yaml").read_text()),
    }
    path = folder / "alertmanager.yaml"
    path.write_text(yaml.safe_dump(config))
    arguments = (
        f"--config.file={path}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={HERE}:{port}",
        "--cluster.listen-address=",
    )
    async with _serving(ALERTMANAGER, *arguments, port=port, log=folder / "alertmanager.log"):
        yield


def _rules(folder: Path) -> Path:
    """The shipped rules, but for how often they are evaluated and how long an alert outlives its
    end: nobody is to wait for it."""
    path = folder / "rules.yaml"
    text = (ALERTS / "rules.yaml").read_text()
    for shipped, ours in (
        (f"keep_firing_for: {KEPT}", f"keep_firing_for: {2 * EVERY}s"),
        (f"interval: {INTERVAL}", f"interval: {EVERY}s"),
    ):
        assert shipped in text
        text = text.replace(shipped, ours)
    path.write_text(text)
    return path


def _prometheus_config(alertmanager: int, target: int, rules: Path) -> dict[str, Any]:
    targets = {"targets": [f"{HERE}:{target}"], "labels": MONITOR}
    return {
        "global": {"scrape_interval": f"{EVERY}s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": "edgeprobe", "honor_labels": True, "static_configs": [targets]}
        ],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"{HERE}:{alertmanager}"]}]}]
        },
    }


@asynccontextmanager
async def _prometheus(port: int, config: dict[str, Any], folder: Path) -> AsyncIterator[None]:
    assert PROMETHEUS is not None
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    arguments = (
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={HERE}:{port}",
    )
    async with _serving(PROMETHEUS, *arguments, port=port, log=folder / "prometheus.log"):
        yield


@asynccontextmanager
async def _serving(program: str, *arguments: str, port: int, log: Path) -> AsyncIterator[None]:
    """The program from when it is ready until the end, which is SIGTERM."""
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(program, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={"PATH": os.environ["PATH"]},
        )
    try:
        await until(lambda: _ready(process, port, log), every=0.2)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(process: asyncio.subprocess.Process, port: int, log: Path) -> bool:
    assert process.returncode is None, _said(log)
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{HERE}:{port}/-/ready") as response,
        ):
            return response.status == HTTPStatus.OK
    except aiohttp.ClientError:
        return False


def _said(log: Path) -> str:
    return log.read_text()
