"""The kubelet's stand-in: pods with addresses of their own and real listening sockets.

A pod's processes are played by listeners in this process. Not played: images, volumes, restarts,
liveness and startup probes, init containers other than sidecars.
"""

import asyncio
import logging

from probe.sandbox.addresses import AddressPool
from probe.sandbox.answers import Answers
from probe.sandbox.containers import (
    BEHAVIOUR,
    Readiness,
    listen_ports,
    pre_stop_seconds,
    readiness,
)
from probe.sandbox.garbage import GRACE
from probe.sandbox.index import Index, Key, key_of
from probe.sandbox.listeners import Face, Listener, Wire
from probe.sandbox.nodes import address_of
from probe.sandbox.podstatus import ended, running, with_readiness
from probe.sandbox.store import Event, NotFound, Obj, Store

log = logging.getLogger(__name__)

START_DELAY = 0.3
"""Seconds from being bound to running. A pod of a small image takes 1-2 s; tests have less time."""

END_DELAY = 0.1
"""Seconds from the end of a pod's processes to the kubelet's telling of it: a real one looks at its
containers once a second (pkg/kubelet: genericPlegRelistPeriod); tests have less time. Until then
the pod is an endpoint that terminates and serves."""

TRIES = 3
"""Addresses tried for a pod before a port that cannot be bound is given up."""

BEHAVIOURS = {
    "serve": Face.OPEN,
    "hang": Face.HANG,
    "blackhole": Face.BLACKHOLE,
    "crash": Face.CLOSED,
}


class Kubelet:
    """Runs every pod that is bound to a node. `start_delay` and `end_delay` are in seconds and may
    be changed."""

    def __init__(
        self, store: Store, index: Index, wire: Wire, *, start_delay: float = START_DELAY
    ) -> None:
        self.start_delay = start_delay
        self.end_delay = END_DELAY
        self.store = store
        self.wire = wire
        self._index = index
        self._addresses = AddressPool("127.244")
        self._runs: dict[str, PodRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        index.follow(self._on_event)
        for pod in index.all("pods"):
            self._consider(pod)

    @property
    def idle(self) -> bool:
        """No pod is starting, waiting for the answer to its first probes, or ending."""
        return not any(run.busy for run in self._runs.values())

    def set_behaviour(self, namespace: str, name: str, behaviour: str) -> None:
        """Makes one pod behave otherwise from now on: one of BEHAVIOURS.

        Raises NotFound for an unknown pod, ValueError for an unknown behaviour.
        """
        if behaviour not in BEHAVIOURS:
            raise ValueError(f"{behaviour!r} is none of {', '.join(BEHAVIOURS)}")
        pod = self.store.get("pods", namespace, name)
        pod["metadata"].setdefault("annotations", {})[BEHAVIOUR] = behaviour
        self.store.update("pods", pod)

    async def close(self) -> None:
        """Kills everything; the pods' objects stay as they are."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._addresses.close()

    def take_address(self, pod: Obj) -> str:
        """An address for the pod: its own, or its node's if it uses the host's network."""
        if pod["spec"].get("hostNetwork"):
            return self.host_address(pod)
        return self._addresses.take()

    def give_back(self, address: str) -> None:
        self._addresses.give_back(address)

    def host_address(self, pod: Obj) -> str:
        """The address of the pod's node, or "" if there is no such node."""
        node = self._index.get("nodes", ("", pod["spec"]["nodeName"]))
        return address_of(node) if node else ""

    def _on_event(self, event: Event) -> None:
        if event.resource != "pods":
            return
        if event.type != "DELETED":
            self._consider(event.object)
        elif run := self._runs.get(event.object["metadata"]["uid"]):
            run.kill()

    def _consider(self, pod: Obj) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._runs:
            self._runs[uid].update(pod)
        elif pod["spec"].get("nodeName") and _is_pending(pod):
            run = self._runs[uid] = PodRun(self, pod)
            task = asyncio.get_running_loop().create_task(run.run())
            self._tasks.add(task)
            run.task = task
            task.add_done_callback(lambda done: self._done(uid, done))

    def _done(self, uid: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        del self._runs[uid]
        if not task.cancelled() and (error := task.exception()):
            log.error("pod %s failed to run: %r", uid, error)
            log.debug("where it failed", exc_info=error)


def _is_pending(pod: Obj) -> bool:
    return bool(pod.get("status", {}).get("phase", "Pending") == "Pending")


class PodRun:
    """One pod's life, from being bound to being gone."""

    def __init__(self, kubelet: Kubelet, pod: Obj) -> None:
        self.busy = True
        self.task: asyncio.Task[None] | None = None
        self._kubelet = kubelet
        self._pod = pod
        self._key: Key = key_of(pod)
        self._ending = asyncio.Event()
        self._answers = Answers(f"{self._key[1]}\n")
        self._listeners: list[Listener] = []
        self._address = ""
        self.update(pod)

    def update(self, pod: Obj) -> None:
        """Takes note of what changed in the object: behaviour, and the wish that it ends."""
        self._pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self.busy = True
            self._ending.set()
        elif self._listeners:
            self._show(self._wanted_face())

    def kill(self) -> None:
        """The object is gone: end at once."""
        if self.task:
            self.task.cancel()

    async def run(self) -> None:
        try:
            if not await self._ends_within(self._kubelet.start_delay):
                self._start()
                await self._watch_readiness()
            await self._stop()
        finally:
            self._close()

    def _start(self) -> None:
        self._listen()
        probes = readiness(self._pod["spec"])
        host = self._kubelet.host_address(self._pod)
        self._write(running(self._object(), self._address, host, ready=not probes))

    async def _watch_readiness(self) -> None:
        """Probes until the pod ends. Every probe starts on its own, so that all are as punctual."""
        probes = readiness(self._pod["spec"])
        self.busy = bool(probes) or self._ending.is_set()
        answers = dict.fromkeys(range(len(probes)), False)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._probe(probe, i, answers)) for i, probe in enumerate(probes)
            ]
            await self._ending.wait()
            for task in tasks:
                task.cancel()

    async def _probe(self, probe: Readiness, number: int, answers: dict[int, bool]) -> None:
        in_a_row = 0
        await asyncio.sleep(probe.delay)
        while True:
            success = self._succeeds(probe)
            in_a_row = in_a_row + 1 if success != answers[number] else 0
            if in_a_row >= (probe.successes if success else probe.failures):
                answers[number] = success
                in_a_row = 0
                self._write(with_readiness(self._object(), all(answers.values())))
            self.busy = self._ending.is_set()
            await asyncio.sleep(probe.period)

    def _succeeds(self, probe: Readiness) -> bool:
        if probe.port is None:
            return True  # exec: there is no process to ask
        face = self._kubelet.wire.face((self._address, probe.port))
        return face is Face.OPEN or (face is Face.HANG and not probe.http)

    async def _stop(self) -> None:
        """preStop with the ports open, then SIGTERM, at which they close; all within the grace."""
        meta = self._pod["metadata"]
        grace = meta.get("deletionGracePeriodSeconds", GRACE)
        if self._address:
            await asyncio.sleep(min(pre_stop_seconds(self._pod["spec"]), grace))
            self._show(Face.CLOSED)
            await asyncio.sleep(self._kubelet.end_delay)
        self._close()
        self._write(ended(self._object()))
        last = self._object()
        if last is not None:
            last["metadata"]["deletionGracePeriodSeconds"] = 0
            self._write(last)
            self._kubelet.store.delete("pods", *self._key)

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return False
        return True

    def _listen(self) -> None:
        ports = listen_ports(self._pod["spec"])
        for attempt in range(1, TRIES + 1):
            self._address = self._kubelet.take_address(self._pod)
            self._listeners = [Listener((self._address, p), self._answers.take) for p in ports]
            if self._show(self._wanted_face()) or attempt == TRIES:
                return
            self._close()

    def _show(self, face: Face) -> bool:
        """Shows the face on all ports; False, and a warning, if one of them cannot be had."""
        complete = True
        for listener in self._listeners:
            try:
                listener.show(face)
            except OSError as error:
                log.warning("pod %s/%s: %s port %d: %s", *self._key, *listener.place, error)
                complete = False
            self._kubelet.wire.announce(listener.place, listener.face)
        return complete

    def _wanted_face(self) -> Face:
        annotations = self._pod["metadata"].get("annotations") or {}
        return BEHAVIOURS.get(annotations.get(BEHAVIOUR, "serve"), Face.OPEN)

    def _close(self) -> None:
        self._show(Face.CLOSED)
        self._listeners = []
        self._answers.close()
        if self._address:
            self._kubelet.give_back(self._address)
            self._address = ""

    def _object(self) -> Obj | None:
        """The pod as it is now, to be changed; None if it, or its name, is another's."""
        try:
            pod = self._kubelet.store.get("pods", *self._key)
        except NotFound:
            return None
        return pod if pod["metadata"]["uid"] == self._pod["metadata"]["uid"] else None

    def _write(self, pod: Obj | None) -> None:
        if pod is not None:
            self._kubelet.store.update("pods", pod, manager="kubelet", subresource="status")
