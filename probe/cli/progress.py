"""What goes on, in one line that is written over, for somebody who waits at a terminal."""

import asyncio
import os
import sys
import time
from types import TracebackType
from typing import Self, TextIO

PATIENCE = 0.3
"""Seconds before the first word: a check that is quicker needs none. Chosen."""

PAUSE = 0.1
"""Seconds between two writes, for terminals far away. Arbitrary."""


class Progress:
    """Call it inside an event loop with a few words each time: what is said too soon is shown as
    soon as it may be, if nothing newer is. It says nothing where nobody looks, and nothing of it
    is left on the terminal when the context ends."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._on = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._next = time.monotonic() + PATIENCE
        self._said = self._shown = ""
        self._later: asyncio.TimerHandle | None = None

    def __call__(self, said: str) -> None:
        self._said = said
        if not self._on or self._later is not None:
            return
        wait = self._next - time.monotonic()
        if wait > 0:
            self._later = asyncio.get_running_loop().call_later(wait, self._show)
        else:
            self._show()

    def _show(self) -> None:
        self._later = None
        if self._said == self._shown:
            return
        self._next, self._shown = time.monotonic() + PAUSE, self._said
        room = os.get_terminal_size(self._stream.fileno()).columns - 1
        self._write(f"\r\x1b[K{f'probe: {self._said} ...'[: max(room, 0)]}")

    def clear(self) -> None:
        """Leaves the line empty."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._shown:
            self._shown = ""
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.clear()
