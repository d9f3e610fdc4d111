"""Programs that go on beside a test, and die with it however it ends.

No event loop owns them, so a fixture may start what tests in other loops stop.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent

PATIENCE = 30.0
"""Seconds until a program that was asked to end is killed: arbitrary."""


def mortal() -> list[str]:
    """Makes the command that follows die with us (PR_SET_PDEATHSIG), where setpriv(1) is there."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "KILL"] if found else []


def within(namespace: str | None) -> list[str]:
    """Makes the command that follows run in that network namespace. Needs root unless None.

    nsenter and not `ip netns exec`: that one would also hide the cgroups.
    """
    return ["nsenter", f"--net=/run/netns/{namespace}", "--"] if namespace else []


class Living(NamedTuple):
    """A process, told from a later one of the same id by when it began, in ticks since boot."""

    pid: int
    began: int

    def lives(self) -> bool:
        return living(self.pid) == self


def living(pid: int) -> Living | None:
    """The process of that id; None if there is none, or only what nobody has waited for yet."""
    try:
        said = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return None
    state, *fields = said.rpartition(")")[2].split()  # proc(5): the name before it may say anything
    return None if state == "Z" else Living(pid, int(fields[18]))


class Program:
    """One program with a log of its own, which may be stopped and started again.

    Python programs find this repository's modules.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        namespace: str | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = [*mortal(), *within(namespace), *command]
        self._folder = folder
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """None unless it runs."""
        return None if self._process is None or self._ended() else self._process.pid

    def start(self) -> None:
        """Starts it, in a session of its own: Ctrl-C is for us to answer."""
        assert self.pid is None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                pass_fds=self._descriptors,
                start_new_session=True,
            )

    def check(self) -> None:
        """Fails the test with the end of the log if the program has ended by itself."""
        assert self.pid is not None, f"{self.name} ended: {self.log.read_text()[-2000:]}"

    def kill(self) -> None:
        """Ends it with SIGKILL, as a crash would; it is gone afterwards."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self) -> None:
        """Ends it with SIGTERM, or with SIGKILL if it takes longer than PATIENCE."""
        if self._process is None:
            return
        self._process.terminate()
        ending = asyncio.get_running_loop().time() + PATIENCE
        while not self._ended():
            await asyncio.sleep(0.02)
            if asyncio.get_running_loop().time() > ending:
                self.kill()

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stands still meanwhile."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None
