"""prometheus-blackbox-exporter as an engine: what its own process spends on a probe.

Who asks it, and what a Prometheus would spend on reading its answers, does not count.
"""

import asyncio
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.bench import process
from tests.bench.engines import Run, addresses, started
from tests.bench.report import Missing

NAME = "blackbox_exporter"
BINARIES = ("prometheus-blackbox-exporter", "blackbox_exporter")
"""Debian's package, and the project's own releases."""

CONNECTIONS = 16

CONFIG = """
modules:
  tcp_connect:
    prober: tcp
    timeout: 4s
    tcp:
      preferred_ip_protocol: ip4
"""


class Blackbox:
    def __init__(self, url: str, pid: int, session: aiohttp.ClientSession) -> None:
        self._url, self._pid, self._session = url, pid, session

    async def dial(self, port: int, dials: int, rate: int = 0) -> Run:
        """As fast as its connections allow; it knows no pace. A failure counts as refused: the
        exporter does not tell one from the other."""
        hosts = addresses()
        left = iter(range(dials))
        successes = 0

        async def work() -> None:
            nonlocal successes
            for i in left:
                query = {"module": "tcp_connect", "target": f"{hosts[i % len(hosts)]}:{port}"}
                async with self._session.get(f"{self._url}/probe", params=query) as response:
                    successes += b"\nprobe_success 1" in await response.read()

        spent, began = process.cpu(self._pid), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
        wall = time.perf_counter() - began
        return Run(successes, dials - successes, 0, process.cpu(self._pid) - spent, wall)


@asynccontextmanager
async def blackbox() -> AsyncIterator[Blackbox]:
    """An exporter of our own, ready. Raises Missing if none is installed."""
    binary = next(filter(None, map(shutil.which, BINARIES)), None)
    if binary is None:
        raise Missing(f"not on this machine: no {BINARIES[0]} on PATH")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "blackbox.yml"
        config.write_text(CONFIG)
        address = f"127.0.0.1:{free_port()}"
        command = (
            *(binary, f"--config.file={config}"),
            *(f"--web.listen-address={address}", "--log.level=error"),
        )
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with (
            started(command, stderr=asyncio.subprocess.DEVNULL) as exporter,
            aiohttp.ClientSession(connector=connector) as session,
        ):
            await _answers(session, f"http://{address}/-/healthy")
            yield Blackbox(f"http://{address}", exporter.pid, session)


async def _answers(session: aiohttp.ClientSession, url: str) -> None:
    for _ in range(200):
        try:
            async with session.get(url) as response:
                await response.read()
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)
    raise Missing("does not answer within 10 s of its start")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
