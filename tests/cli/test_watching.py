"""`--watch`: redrawn on a terminal, appended elsewhere, until Ctrl-C."""

import asyncio
import json
import os
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.running import KUBECTL, PATIENCE, environment, kubectl, probe, until

pytestmark = pytest.mark.slow

HERE = ("-n", "demo-app")


@asynccontextmanager
async def watching(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`probe check ... --watch` on a pipe, ended by Ctrl-C."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "probe", "check", *arguments, "--watch"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(60):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        assert process.stderr is not None
        assert await process.stderr.read() == b""


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return (await process.stdout.readline()).decode()


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl in KUBEBUILDER_ASSETS")
async def test_watch_appends_a_line_when_the_verdict_changes(held_alone: Path) -> None:
    where = ("--kubeconfig", str(held_alone))
    async with watching("svc", "backend-v1", *HERE, *where) as process:
        first = await line_of(process)
        patch = '{"spec":{"ports":[{"port":8080,"targetPort":8080}]}}'
        await kubectl(held_alone, "patch", "service", "backend-v1", *HERE, "-p", patch)
        after = await line_of(process)
        while "healthy" not in after:  # the proxy follows late
            after = await line_of(process)

    assert re.match(
        r"20\d\d-\S+Z  demo-app/backend-v1  port_mismatch  targetPort 8081 is refused", first
    )
    assert "  demo-app/backend-v1  healthy  " in after
    assert process.returncode == 130


async def test_watch_as_json_is_a_document_on_each_line(held: Path) -> None:
    where = ("--kubeconfig", str(held), "-o", "json")
    async with watching("all", "-A", *where) as process:
        documents = [json.loads(await line_of(process)) for _ in range(2)]

    assert [d["verdict"] for d in documents] == ["port_mismatch"] * 2


async def test_watch_on_a_terminal_draws_over_what_stands_there(held: Path) -> None:
    master, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    os.set_blocking(master, False)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "probe", "check", "svc", "backend-v1", *HERE, "--watch"),
        stdout=terminal,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(TERM="xterm", KUBECONFIG=str(held)),
    )
    shown = b""  # a read may end within a character

    def drawn() -> int:
        nonlocal shown
        with suppress(BlockingIOError):
            shown += os.read(master, 2**16)
        return shown.count(b"\x1b[J")

    try:
        await until(lambda: drawn() >= 2)
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()
        os.close(terminal)
        os.close(master)

    assert process.returncode == 130
    second = shown.split(b"\x1b[H")[2].decode()
    picture = re.sub(r"\x1b\[[0-9;]*[mK]", "", second).splitlines()
    assert picture[0].startswith("demo-app/backend-v1  ClusterIP")
    assert picture[-2].startswith("checked 20")
    assert len(picture) <= 24


async def test_watch_of_what_is_not_there_ends_at_once(held: Path) -> None:
    found = await probe("check", "svc", "nope", "--watch", "--kubeconfig", str(held))

    assert (found.code, found.out) == (2, "")
