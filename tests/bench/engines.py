"""Dialers of every kind, each in a process of its own that counts its own CPU.

They all take orders on stdin and answer on stdout: see dialer.c. Their own start never counts.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench.report import Missing

IN_FLIGHT = 64
ADDRESSES = 2000
"""Distinct targets, as in dialer.c and dialer.go."""

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

PROBE_RST, PROBE_FIN = "probe's Dialer, RST", "probe's Dialer, FIN"
C, GO = "C, epoll", "Go, net.Dialer"
ASYNCIO = "asyncio.open_connection"


@dataclass(frozen=True, slots=True)
class Run:
    """An order carried out. `cpu` is the dialing process's user and system seconds."""

    connected: int
    refused: int
    failed: int
    cpu: float
    wall: float

    @property
    def dials(self) -> int:
        return self.connected + self.refused + self.failed


class Engine(Protocol):
    async def dial(self, port: int, dials: int, rate: int = 0) -> Run:
        """So many dials to that port, as fast as it can, or `rate` per second."""


def addresses() -> list[str]:
    return [f"127.77.{i // 250}.{1 + i % 250}" for i in range(ADDRESSES)]


class _Ordered:
    """An engine behind pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def dial(self, port: int, dials: int, rate: int = 0) -> Run:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{port} {dials} {rate}\n".encode())
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the engine ended in the middle of its work")
        return Run(**json.loads(line))


def _python(kind: str) -> Callable[[Path], Sequence[str]]:
    return lambda folder: (sys.executable, "-m", "tests.bench.dialing", kind, str(IN_FLIGHT))


def _c(folder: Path) -> Sequence[str]:
    compiler = shutil.which("cc")
    if compiler is None:
        raise Missing("not on this machine: no cc on PATH")
    return compiler, "-O2", "-o", str(folder / "dialer"), str(HERE / "dialer.c")


def _go(folder: Path) -> Sequence[str]:
    tool = shutil.which(os.environ.get("GO") or "go")
    if tool is None:
        raise Missing("not on this machine: no go on PATH, nor named by $GO")
    return tool, "build", "-o", str(folder / "dialer"), str(HERE / "dialer.go")


BUILT = {C: _c, GO: _go}
INTERPRETED = {
    PROBE_RST: _python("rst"),
    PROBE_FIN: _python("fin"),
    ASYNCIO: _python("asyncio"),
}


@asynccontextmanager
async def engine(name: str) -> AsyncIterator[Engine]:
    """The engine of that name, ready. Raises Missing if it cannot be had here."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if name in BUILT:
            await _build(BUILT[name](folder))
            command: Sequence[str] = (str(folder / "dialer"), str(IN_FLIGHT))
        else:
            command = INTERPRETED[name](folder)
        async with started(command) as process:
            yield _Ordered(process)


async def _build(command: Sequence[str]) -> None:
    # A newer toolchain or a module must not be fetched for a benchmark.
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off"}
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode:
        raise Missing(f"could not be built: {' '.join(said.decode().split())[:200]}")


@asynccontextmanager
async def started(
    command: Sequence[str], *, stderr: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with pipes to it, killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        cwd=ROOT,
        limit=2**28,  # an acceptor tells of a million intervals in one line
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
