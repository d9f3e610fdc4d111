"""The command that triggers the rollout, run while it is watched."""

import asyncio
import codecs
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

END_SECONDS = 5.0
"""For a command to end after SIGTERM, before it is killed. Chosen."""

LAST_WORDS = 0.5
"""Seconds in which what it has written before it ended must have been read. Its children may hold
the pipe open, and are not waited for. Chosen."""

CHUNK = 2**16
"""Bytes read at once; a longer line is told in pieces."""


class CannotRun(ValueError):
    """There is no such command, or it is none; the text says so."""


class Command:
    """One run of a command; each line that it writes goes to `say`. Its stdin is ours.

    It has a process group, so that its children end with it: a pipeline's SIGTERM reaches us alone.
    Not where we read from a terminal: that one stops whoever reads from it in another group, and
    sends what is typed to end us to the command and its children as well."""

    def __init__(self, argv: Sequence[str], say: Callable[[str], None]) -> None:
        self._argv = argv
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._grouped = not os.isatty(0)

    @property
    def code(self) -> int | None:
        """Its exit code, as a shell tells it; None while it runs."""
        code = self._process.returncode if self._process is not None else None
        return code if code is None or code >= 0 else 128 - code

    async def start(self) -> None:
        """Raises CannotRun."""
        ours, theirs = os.pipe()  # asyncio's own would make its end wait for its children's
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdout=theirs,
                stderr=theirs,
                process_group=0 if self._grouped else None,
            )
        except OSError as failed:
            os.close(ours)
            raise CannotRun(f"{self._argv[0]} cannot be run: {failed.strerror}") from None
        finally:
            os.close(theirs)
        self._reading = asyncio.create_task(self._read(ours))

    async def _read(self, pipe: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", 0)
        )
        decoder, held = codecs.getincrementaldecoder("utf-8")("replace"), ""
        try:
            while chunk := await reader.read(CHUNK):
                *lines, held = (held + decoder.decode(chunk)).split("\n")
                if len(held) > CHUNK:
                    lines, held = [*lines, held], ""
                for line in lines:
                    self._say(line)
            if held:
                self._say(held)
        finally:
            transport.close()

    async def end(self) -> None:
        """Ends it and its children, if it still runs, once its words are told."""
        process, reading = self._process, self._reading
        if process is None or reading is None:
            return
        if process.returncode is None:
            self._signal(process.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
            except TimeoutError:
                self._signal(process.pid, signal.SIGKILL)
                await process.wait()
        await asyncio.wait({reading}, timeout=LAST_WORDS)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            (os.killpg if self._grouped else os.kill)(pid, number)
