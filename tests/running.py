"""`probe` as a user runs it: in processes of its own, read over pipes and HTTP, nothing waits
for ever."""

import asyncio
import inspect
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.binaries import find

ROOT = Path(__file__).parent.parent

PATIENCE = 60.0
"""Seconds until a wait in a test is a failure: many times what a quiet machine takes."""

BEFORE_MAIN = re.compile(
    rf'File "{re.escape(str(ROOT))}/probe/(cli/)?(__init__|__main__|app)\.py", '
    r"line \d+, in <module>"
)
"""In a traceback: what of ours Python reads before `main` can catch anything."""

KUBECTL = find("kubectl")


@dataclass
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@dataclass
class Running:
    """A command that goes on; its stderr is read as it comes."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its log, which is JSON since nobody sits at a terminal."""
        return [json.loads(line) for line in self.lines]

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Sends the signal; the exit code, and the seconds until it came."""
        sent = time.monotonic()
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            seconds = time.monotonic() - sent
            assert self.process.stderr is not None
            while not self.process.stderr.at_eof():  # noqa: ASYNC110 - its last words are being read
                await asyncio.sleep(0.01)
        return code, seconds


def quiet(command: Running, code: int, number: int) -> bool:
    """Whether the signal ended it without a word of ours. While Python itself starts, before our
    `main` runs, it has its own ways to end, with tracebacks in which that does not stand."""
    said = "".join(command.lines)
    if "Fatal Python error: init_import_site" in said:
        return True
    if "Traceback" in said:
        return str(ROOT / "probe") not in BEFORE_MAIN.sub("", said)
    return code in (0, 130, -number)


def environment(**more: str) -> dict[str, str]:
    """Nothing of ours but the path: no kubeconfig of the developer's, no PROBE_ settings. Not even
    root can make that home."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": "/proc/nonexistent", "PYTHONPATH": str(ROOT), **more}


async def probe(*arguments: str, seconds: float = PATIENCE, **env: str) -> Ended:
    """Runs a command to its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "probe", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**env),
    )
    return await _ended(process, seconds)


async def _ended(process: asyncio.subprocess.Process, seconds: float) -> Ended:
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, (out or b"").decode(), err.decode())


async def unread(*arguments: str) -> Ended:
    """Runs a command whose reader has left before it begins. In `probe ... | true` nobody knows
    who is first."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "probe", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
        )
    finally:
        os.close(theirs)
    return await _ended(process, PATIENCE)


async def shell(line: str) -> Ended:
    """Runs a line of bash in which `probe` is the program."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f'probe() {{ "{sys.executable}" -m probe "$@"; }}; {line}'),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    return await _ended(process, PATIENCE)


@asynccontextmanager
async def running(*arguments: str, **env: str) -> AsyncIterator[Running]:
    """A command that is stopped at the end, if it has not ended by then."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "probe", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**env),
    )
    command = Running(process)
    reading = asyncio.create_task(_read(process, command.lines))
    try:
        yield command
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(60):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await reading


async def _read(process: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        lines.append(line.decode().rstrip())


@dataclass
class Daemon:
    """A `probe run` by its port."""

    command: Running
    port: int

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as response,
        ):
            return response.status, await response.text()

    async def json(self, path: str) -> Any:
        """The document, waiting as long as the API's rate limit asks for: tests poll fast."""
        while True:
            status, text = await self.get(path)
            if status != HTTPStatus.TOO_MANY_REQUESTS:
                return json.loads(text)
            await asyncio.sleep(0.2)

    async def value(self, name: str, **labels: str) -> float:
        return total((await self.get("/metrics"))[1], name, labels)

    async def verdict(self, namespace: str, service: str) -> str | None:
        found = await self.json(f"/api/v1/services/{namespace}/{service}")
        verdict: str | None = found.get("verdict")
        return verdict


@asynccontextmanager
async def daemon(kubeconfig: Path, *flags: str, node: str = "a") -> AsyncIterator[Daemon]:
    """`probe run` on a free port; it stands once it serves."""
    arguments = ("--kubeconfig", str(kubeconfig), "--listen", "127.0.0.1:0", "--node-name", node)
    async with running("run", *arguments, *flags) as command:

        def port() -> int | None:
            return next((r["port"] for r in command.records if "port" in r), None)

        found = await until(lambda: port() or command.process.returncode is not None)
        assert command.process.returncode is None, command.lines
        yield Daemon(command, found)


def total(page: str, name: str, labels: Mapping[str, str]) -> float:
    """The sum of the series of that name that carry these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def until(
    asked: Callable[[], Awaitable[Any] | Any], seconds: float = PATIENCE, *, every: float = 0.05
) -> Any:
    """Asks again and again until the answer is true, and returns it. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            answer = asked()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(every)


async def kubectl(kubeconfig: Path, *arguments: str, seconds: float = PATIENCE) -> str:
    """A stock kubectl; its output. The caller has skipped the test without one."""
    assert KUBECTL is not None
    process = await asyncio.create_subprocess_exec(
        *(KUBECTL, "--kubeconfig", str(kubeconfig), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"HOME": str(kubeconfig.parent)},
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode == 0, output.decode()
    return output.decode()
