"""What goes on, in one line that is written over, for somebody who waits at a terminal."""

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
    """Call it with a few words each time; it says nothing where nobody looks. Nothing of it is
    left on the terminal when the context ends."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._on = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._next = time.monotonic() + PATIENCE
        self._shown = ""

    def __call__(self, said: str) -> None:
        now = time.monotonic()
        if not self._on or now < self._next or said == self._shown:
            return
        self._next, self._shown = now + PAUSE, said
        room = os.get_terminal_size(self._stream.fileno()).columns - 1
        self._write(f"\r\x1b[K{f'probe: {said} ...'[: max(room, 0)]}")

    def clear(self) -> None:
        """Leaves the line empty."""
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
