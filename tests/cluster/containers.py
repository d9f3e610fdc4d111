"""A container of the kubelet stand-in: a process in its pod's network namespace, with the files of
its volumes, started again when it ends as the pod's restartPolicy says.

There is no root file system of its own and no PID namespace: an image is the name of a program of
this repository, and a `command` is found on this machine, `python` and `probe` being those that run
the tests. runAsUser takes every capability away, and the user is another one where this repository
and its Python are open to all users.
"""

import asyncio
import contextlib
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.probing import follow
from tests.cluster.processes import ROOT, mortal, within
from tests.cluster.timestamps import now

IMAGES: dict[str, list[str]] = {
    "probe.test/listener": [sys.executable, "-I", str(Path(__file__).with_name("listener.py"))],
    "edgeprobe": [sys.executable, "-m", "probe"],
}
"""Entrypoints by image name, tags apart."""

FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 300.0
"""Seconds before the second restart and before any; kubelet's. The first restart comes at once."""

LIVENESS_GRACE = 30.0
"""Seconds for a container whose liveness probe failed: Kubernetes' default."""

LEAST_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL, whatever preStop left: kubelet's minimumGracePeriod."""

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Surroundings:
    """What a container gets from its pod. `namespace` is None for hostNetwork."""

    namespace: str | None
    address: str
    volumes: Mapping[str, Path]
    variables: Mapping[str, str]
    security: Manifest
    restart: str
    log: Path


@dataclass
class State:
    """What its status says."""

    now: Manifest = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Manifest = field(default_factory=dict)
    restarts: int = 0
    ready: bool = False
    exit_code: int | None = None
    """Of the end after which it will not be started again."""


class Container:
    """Runs until it may not be started again, or until `end` is through."""

    def __init__(self, spec: Manifest, around: Surroundings, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.state = State()
        self._around = around
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()
        self._starting = asyncio.Lock()
        self._killing: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def run(self) -> None:
        command = entrypoint(self.spec)
        if command is None:
            reason = {"reason": "ImagePullBackOff", "message": "no such image in IMAGES"}
            self._is({"waiting": reason})
            await self._ending.wait()
            self.state.exit_code = 0
            return
        backoff = 0.0
        while not self._ending.is_set():
            async with self._starting:
                if self._ending.is_set():
                    break
                process = self._process = await self._spawn(command)
            code = await self._follow(process)
            again = self._around.restart == "Always" or (
                self._around.restart == "OnFailure" and code != 0
            )
            if self._ending.is_set() or not again:
                self.state.exit_code = code
                break
            self.state.last = self.state.now
            if backoff:
                self._is({"waiting": {"reason": "CrashLoopBackOff"}})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), backoff or 0.01)
            self.state.restarts += 1
            backoff = min(backoff * 2, LONGEST_BACKOFF) or FIRST_BACKOFF
        if self.state.exit_code is None:
            self.state.exit_code = 0
        self._changed()

    async def end(self, grace: float) -> None:
        """preStop, SIGTERM, and SIGKILL when `grace` seconds are over: as a kubelet ends it."""
        async with self._starting:
            self._ending.set()
        await self._end_process(grace)

    async def _end_process(self, grace: float) -> None:
        """It may be started again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._before_stop()
        await self._stop(max(deadline - loop.time(), LEAST_GRACE if grace else 0.0))

    async def _follow(self, process: asyncio.subprocess.Process) -> int:
        """From start to exit; the exit code as a shell gives it."""
        started = now()
        self.state.ready = "readinessProbe" not in self.spec
        self._is({"running": {"startedAt": started}})
        probes = [asyncio.create_task(probing) for probing in self._probes()]
        try:
            code = await process.wait()
        finally:
            for probe in probes:
                probe.cancel()
            await asyncio.gather(*probes, return_exceptions=True)
        code = 128 - code if code < 0 else code
        self.state.ready = False
        ended = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            "startedAt": started,
            "finishedAt": now(),
        }
        self._is({"terminated": ended})
        return code

    def _probes(self) -> list[Any]:
        ports = self.spec.get("ports", ())
        asked = (("readinessProbe", self._tell_ready), ("livenessProbe", self._tell_alive))
        return [
            follow(self.spec[name], self._around.address, ports, self._execute, tell)
            for name, tell in asked
            if name in self.spec
        ]

    def _tell_ready(self, passed: bool) -> None:
        if self.state.ready != passed:
            self.state.ready = passed
            self._changed()

    def _tell_alive(self, passed: bool) -> None:
        if not passed and (self._killing is None or self._killing.done()):
            self._killing = asyncio.create_task(self._end_process(LIVENESS_GRACE))

    async def _before_stop(self) -> None:
        hook = self.spec.get("lifecycle", {}).get("preStop", {})
        if "sleep" in hook and self.running:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook and self.running:
            await self._execute(hook["exec"]["command"])

    async def _stop(self, seconds: float) -> None:
        process = self._process
        if process is None or not self.running:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait()
                return
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def _execute(self, command: Sequence[str]) -> int:
        process = await self._spawn(list(command))
        try:
            return await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise

    async def _spawn(self, command: list[str]) -> asyncio.subprocess.Process:
        with self._around.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self._confined([expanded(word, self._around.variables) for word in command]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.spec.get("workingDir", "/"),
                env=dict(self._around.variables),
                start_new_session=True,
            )

    def _confined(self, command: list[str]) -> list[str]:
        mounts = [
            (self._around.volumes[mount["name"]], mount["mountPath"])
            for mount in self.spec.get("volumeMounts", ())
        ]
        security = {**self._around.security, **self.spec.get("securityContext", {})}
        return [
            *within(self._around.namespace),
            *_mounting(mounts),
            *mortal(),  # last: a change of user makes the kernel forget it
            *_dropping(security),
            *command,
        ]

    def _is(self, state: Manifest) -> None:
        self.state.now = state
        self._changed()


def entrypoint(spec: Manifest) -> list[str] | None:
    """The command line; None where neither the image nor a command says what to run."""
    image = IMAGES.get(spec["image"].partition(":")[0])
    command = spec.get("command")
    if command is None and image is None:
        return None
    return [*(command or image or ()), *spec.get("args", ())]


REFERENCE = re.compile(r"\$(?:\$|\(([^()]+)\))")


def expanded(value: str, above: Mapping[str, str]) -> str:
    """A word or a variable's value as a kubelet sets it: $(NAME) is what stands `above` it,
    or stays; $$ is $ (third_party/forked/golang/expansion)."""

    def meant(found: re.Match[str]) -> str:
        return "$" if found[1] is None else above.get(found[1], found[0])

    return REFERENCE.sub(meant, value)


def base_variables(hostname: str, service: str) -> dict[str, str]:
    """What every container finds in its environment."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": "/",
        "HOSTNAME": hostname,
        "KUBERNETES_SERVICE_HOST": service,
        "KUBERNETES_SERVICE_PORT": "443",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _mounting(mounts: Sequence[tuple[Path, str]]) -> list[str]:
    """A mount namespace whose /run is empty but for the volumes there; others need a folder that
    exists on this machine."""
    if not mounts:
        return []
    lines = ["mount -t tmpfs -o mode=755 tmpfs /run"]
    for source, path in mounts:
        there = shlex.quote(path)
        if Path(path).resolve().is_relative_to("/run"):
            lines.append(f"mkdir -p {there}")
        lines.append(f"mount --bind {shlex.quote(str(source))} {there}")
    return ["unshare", "--mount", "sh", "-ec", "\n".join((*lines, 'exec "$@"')), "sh"]


def _dropping(security: Manifest) -> list[str]:
    """setpriv(1)'s options, after mortal()'s own."""
    if "runAsUser" not in security:
        return []
    user = security["runAsUser"]
    caps = ["--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs"]
    if not all(_open_to_all(Path(path)) for path in (ROOT, sys.prefix, sys.base_prefix)):
        return caps
    ids = ["--reuid", str(user), "--regid", str(security.get("runAsGroup", user))]
    return [*ids, "--clear-groups", *caps]


def _open_to_all(folder: Path) -> bool:
    real = folder.resolve()
    return all(each.stat().st_mode & 0o005 == 0o005 for each in (real, *real.parents))
