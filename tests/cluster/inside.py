"""Commands, `probe` among them, inside the network namespace of a node or a pod."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.cluster.processes import mortal, within
from tests.cluster.relay import relay
from tests.namespaces import inside
from tests.running import PATIENCE, Daemon, Ended, Running, environment, until

PROBE = (sys.executable, "-m", "probe")


class Inside:
    """A network namespace as a place to run commands in."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace = namespace
        self._folder = folder

    async def run(self, *command: str, seconds: float = PATIENCE) -> Ended:
        """Runs a command to its end. Raises TimeoutError when that takes longer."""
        process = await self._start(command, asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(seconds):
                out, err = await process.communicate()
        except BaseException:
            process.kill()
            await process.communicate()
            raise
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def probe(self, *arguments: str, seconds: float = PATIENCE) -> Ended:
        """Runs `probe` to its end."""
        return await self.run(*PROBE, *arguments, seconds=seconds)

    async def connects(self, address: str, port: int, seconds: float = 1.0) -> bool:
        """Whether a TCP connection from in here comes about in time; without a process of its own,
        so that what lasts for seconds only is met."""
        with inside(self.namespace):
            dialing = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        with dialing:
            dialing.setblocking(False)
            try:
                async with asyncio.timeout(seconds):
                    await asyncio.get_running_loop().sock_connect(dialing, (address, port))
            except OSError:
                return False
            return True

    @asynccontextmanager
    async def running(self, *command: str) -> AsyncIterator[Running]:
        """A command that is stopped at the end; its stderr is read as it comes."""
        process = await self._start(command, asyncio.subprocess.DEVNULL)
        started = Running(process)
        reading = asyncio.create_task(_read(process, started.lines))
        try:
            yield started
        except BaseException as failed:
            failed.add_note("\n".join((" ".join(command), *started.lines[-50:])))
            raise
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                async with asyncio.timeout(PATIENCE):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            await reading

    @asynccontextmanager
    async def daemon(self, kubeconfig: Path, *flags: str, node: str) -> AsyncIterator[Daemon]:
        """`probe run` in there, and its HTTP out here; it stands once it serves."""
        arguments = ("--kubeconfig", str(kubeconfig), "--listen", "127.0.0.1:0")
        command = (*PROBE, "run", *arguments, "--node-name", node, *flags)
        async with self.running(*command) as started:

            def port() -> int | None:
                return next((r["port"] for r in started.records if "port" in r), None)

            found = await until(lambda: started.process.returncode is not None or port())
            assert started.process.returncode is None, "\n".join(started.lines)
            with relay(self.namespace, "127.0.0.1", found, self._folder) as here:
                yield Daemon(started, here)

    async def _start(self, command: tuple[str, ...], out: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(*mortal(), *within(self.namespace), *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
        )


async def _read(process: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        lines.append(line.decode().rstrip())
