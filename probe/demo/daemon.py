"""The real daemon beside the sandbox: `probe run` in a process of its own, read over HTTP only."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from probe.settings import ENV_PREFIX

STARTUP_SECONDS = 20.0
"""A cold start takes under a second (measured); a busy machine several."""

PACE = {"interval": "1", "timeout": "1", "settle": "2"}
"""The daemon's settings in the demo: ten times faster than its defaults, which fit a cluster."""

NODE = "node-1"
"""Where the daemon stands, of the sandbox's nodes."""

TAIL = 3
"""Log lines shown when it fails: the last says why, those before what it was doing."""


class DaemonFailed(RuntimeError):
    """The daemon ended or did not come up; the text holds the last lines of its log."""


class Watched:
    """One running daemon. What it says comes from its own endpoints."""

    def __init__(self, kubeconfig: Path, *, linger: float) -> None:
        self._linger = linger
        self._kubeconfig = kubeconfig
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._reading: asyncio.Task[None] | None = None
        self._log: list[str] = []
        self._port: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        pace = PACE | {"linger": f"{self._linger:g}"}
        flags = [f"--{name}={value}" for name, value in pace.items()]
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "probe", "run", *flags),
            *("--kubeconfig", str(self._kubeconfig), "--listen", "127.0.0.1:0"),
            *("--node-name", NODE, "--log-format", "json", "--vantage", "local"),
            env=_environment(),
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the demo, which ends the daemon itself
        )
        self._reading = asyncio.create_task(self._read(self._process))
        try:
            async with asyncio.timeout(STARTUP_SECONDS):
                port = await self._port
        except TimeoutError:
            await self._close()
            raise DaemonFailed(f"the daemon did not come up: {self._tail()}") from None
        except BaseException:
            await self._close()
            raise
        self._session = aiohttp.ClientSession(f"http://127.0.0.1:{port}")
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()
        process, reading = self._process, self._reading
        if process is None or reading is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await reading

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Keeps the daemon's log and finds its port in it."""
        if process.stderr is None:
            return
        async for raw in process.stderr:
            line = raw.decode(errors="replace").strip()
            self._log = [*self._log[-49:], line]
            if not self._port.done() and (port := _port_of(line)):
                self._port.set_result(port)
        await process.wait()
        if not self._port.done():
            self._port.set_exception(DaemonFailed(f"the daemon ended: {self._tail()}"))

    def _tail(self) -> str:
        return "; ".join(map(_message, self._log[-TAIL:])) or "it said nothing"

    async def services(self) -> list[dict[str, Any]]:
        """What its API says of every Service."""
        document = await self._get("/api/v1/services")
        found: list[dict[str, Any]] = document["services"]
        return found

    async def changes(self) -> dict[str, Any]:
        """What its API says of changes and rollouts."""
        return await self._get("/api/v1/changes")

    async def reports(self, workload: str) -> list[dict[str, Any]]:
        """Its reports of that workload's rollouts, newest first."""
        document = await self._get("/api/v1/rollouts")
        return [found for found in document["reports"] if found["workload"] == workload]

    async def refused(self, namespace: str) -> dict[str, int]:
        """Refused dials of the namespace's Services, by the phase that they were made in."""
        found: dict[str, int] = {}
        async for labels, value in self._series("edgeprobe_dials_total"):
            if labels["namespace"] == namespace and labels["result"] == "refused" and value:
                found[labels["phase"]] = found.get(labels["phase"], 0) + int(value)
        return found

    async def invalid_targets(self) -> Mapping[tuple[str, str], float]:
        """Its gauge edgeprobe_invalid_targets, by namespace and source."""
        return {
            (labels["namespace"], labels["source"]): value
            async for labels, value in self._series("edgeprobe_invalid_targets")
        }

    async def _series(self, name: str) -> AsyncIterator[tuple[dict[str, str], float]]:
        """Those of that name on its page, with their labels; no value here holds a comma."""
        for line in (await self._text("/metrics")).splitlines():
            if line.startswith(f"{name}{{"):
                labels, _, value = line.partition("{")[2].rpartition("} ")
                pairs = (part.split("=", 1) for part in labels.split(","))
                yield {key: held.strip('"') for key, held in pairs}, float(value)

    async def _get(self, path: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(await self._text(path))
        return document

    async def _text(self, path: str) -> str:
        if self._session is None:
            raise RuntimeError("the daemon is not running")
        try:
            async with self._session.get(path) as response:
                response.raise_for_status()
                return await response.text()
        except aiohttp.ClientError as failed:
            raise DaemonFailed(f"{path}: {failed}: {self._tail()}") from None


def _environment() -> dict[str, str]:
    """Ours without settings: those of a daemon elsewhere, its key for one, are not for this one."""
    return {k: v for k, v in os.environ.items() if not k.upper().startswith(ENV_PREFIX)}


def _message(line: str) -> str:
    """What a log line says; all of one that is no record, such as a traceback's."""
    try:
        return str(json.loads(line)["message"])
    except (ValueError, KeyError, TypeError):
        return line


def _port_of(line: str) -> int | None:
    try:
        port = json.loads(line).get("port")
    except (ValueError, AttributeError):
        return None
    return port if isinstance(port, int) else None
