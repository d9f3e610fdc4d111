"""What a terminal shows of `probe check`, of any width and encoding."""

import asyncio
import os
import re
import sys
import termios
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import pytest

from tests.running import environment, probe

pytestmark = pytest.mark.slow

HERE = ("-n", "demo-app")


async def typed(*arguments: str, columns: int, **env: str) -> list[str]:
    """The lines that a terminal of that many columns shows of a command, without colours."""
    master, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "probe", *arguments),
            stdout=terminal,
            env=environment(TERM="xterm", **env),
        )
    finally:
        os.close(terminal)
    shown = b""
    with suppress(OSError):  # EIO once nobody holds the terminal any more; a read may be a part
        while True:
            shown += await asyncio.to_thread(os.read, master, 2**16)
    os.close(master)
    await process.wait()
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()


@pytest.mark.parametrize("columns", [80, 100, 140])
async def test_a_terminal_shows_whole_what_a_verdict_is_read_off(columns: int, held: Path) -> None:
    arguments = ("check", "svc", "backend-v1", *HERE, "--kubeconfig", str(held))
    (port,) = (await probe(*arguments, "-o", "json")).document["ports"]

    lines = await typed(*arguments, "-o", "wide", columns=columns)

    start = next(i for i, line in enumerate(lines) if "ADDRESS" in line)
    assert lines[start].split()[:3] == ["PORT", "KIND", "ADDRESS"]
    rows = [line.split() for line in takewhile(str.strip, lines[start + 1 :])]
    assert len(rows) == len(port["edges"]) == 5
    for row, edge in zip(rows, port["edges"], strict=True):
        address = f"{edge['address']}:{edge['port']}"
        assert row[:3] == [str(port["port"]), edge["kind"], address]
        assert {edge["state"], edge["result"]} <= set(row)
        assert edge["pod"] is None or row[3].endswith(edge["pod"][-5:])
    assert columns < 140 or "node-1" in "".join(lines)


@pytest.mark.parametrize("columns", [60, 80, 140])
async def test_the_screen_of_a_mismatch_fits_a_terminal(columns: int, held: Path) -> None:
    arguments = ("check", "svc", "backend-v1", *HERE, "--kubeconfig", str(held))

    lines = await typed(*arguments, columns=columns)

    told = " ".join(" ".join(lines).split())
    assert len(lines) < 25
    assert "targetPort 8081 is refused on 2 of 2 endpoints" in told
    assert "by argocd-controller" in told
    (command,) = [line for line in lines if "kubectl patch" in line]
    assert command.endswith("'")
    assert all(len(line) <= columns for line in lines if line != command)
    for line in lines:
        if "127.244." in line:
            assert {"✗", "✓"} & set(line.split())
            assert {"refused", "connected"} & set(line.split())


async def test_a_terminal_that_is_not_utf_8_is_shown_other_signs(held: Path) -> None:
    arguments = ("check", "svc", "backend-v1", *HERE, "--kubeconfig", str(held))

    lines = await typed(*arguments, columns=60, PYTHONIOENCODING="ascii")

    assert any(line.startswith("x port_mismatch  ") for line in lines)
    assert len([line for line in lines if "x refused" in line]) == 3
