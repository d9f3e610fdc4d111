"""Progress is for somebody who looks and waits, and leaves nothing behind."""

import asyncio
import io
import os
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TextIO

import pytest

from probe.cli import progress
from probe.cli.progress import PATIENCE, PAUSE, Progress


@contextmanager
def terminal(columns: int = 80) -> Iterator[tuple[TextIO, int]]:
    """A terminal to write to, and where what it shows can be read."""
    master, end = os.openpty()
    termios.tcsetwinsize(end, (24, columns))
    os.set_blocking(master, False)
    with os.fdopen(end, "w") as stream:
        yield stream, master
    os.close(master)


def seen(master: int) -> str:
    try:
        return os.read(master, 2**16).decode()
    except BlockingIOError:
        return ""


async def test_a_terminal_sees_one_line_that_is_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However long the first words take, they come too soon.
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 0.0))
    with terminal() as (stream, master), Progress(stream) as tell:
        tell("too soon")
        tell("listing Services")
        assert seen(master) == ""
        await asyncio.sleep(PATIENCE)
        assert seen(master) == "\r\x1b[Kprobe: listing Services ..."
        tell("listing Services")
        await asyncio.sleep(PAUSE)
        assert seen(master) == ""
        tell.clear()
        assert seen(master) == "\r\x1b[K"


async def test_what_is_over_says_nothing_any_more() -> None:
    with terminal() as (stream, master):
        with Progress(stream) as tell:
            tell("listing Services")
        await asyncio.sleep(PATIENCE)

        assert seen(master) == ""


def test_a_line_is_never_wider_than_the_terminal() -> None:
    with terminal(20) as (stream, master), Progress(stream) as tell:
        time.sleep(PATIENCE)
        tell("dialing: 1 of 20000 answered")

        assert seen(master) == "\r\x1b[Kprobe: dialing: 1 o"


def test_nobody_looks_at_a_pipe() -> None:
    stream = io.StringIO()
    with Progress(stream) as tell:
        time.sleep(PATIENCE)
        tell("listing Services")

    assert stream.getvalue() == ""
