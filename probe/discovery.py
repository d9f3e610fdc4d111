"""All reflectors of one daemon, and what they know together.

With a list of namespaces each is watched by itself, so that a Role in each suffices; without,
the whole cluster is watched and a ClusterRole is needed. What is in no namespace, such as a Node,
is watched in either case, if we may.

A namespace of the list that we may no longer look into, such as one that was deleted with its
RoleBinding, is left out after a while: what it held is forgotten, and the others go on.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from itertools import chain

from probe.core import kube
from probe.reflector import Connection, Reflector, Status

DENIED_SECONDS = 60.0
"""A namespace that is denied for so long, while another one is in touch, is left out. Twice the
longest pause of a reflector (Pace: [15, 30) s), so that it was asked again since an API server
that restarts has learned its roles."""

log = logging.getLogger("probe.discovery")


class Discovery:
    """Runs a reflector for each resource (and namespace); events go to `sink`, in order."""

    def __init__(
        self,
        connection: Connection,
        namespaces: tuple[str, ...],
        sink: Callable[[kube.Event], None],
        resources: tuple[kube.Resource, ...] = kube.RESOURCES,
    ) -> None:
        self._reflectors = {
            resource.name: [
                Reflector(connection, resource, sink, namespace=namespace)
                for namespace in (resource.namespaced and namespaces) or ("",)
            ]
            for resource in resources
        }
        self._left_out: set[str] = set()
        self.statuses: Mapping[str, Combined] = {
            name: Combined([reflector.status for reflector in parts], self._left_out)
            for name, parts in self._reflectors.items()
        }
        self._required = [r.name for r in resources if r.required]
        self._sink = sink
        self._namespaces = {
            namespace: [
                part.status
                for name in self._required
                for part in self._reflectors[name]
                if part.status.namespace == namespace
            ]
            for namespace in namespaces
        }
        self._denied_since: dict[str, float] = {}

    async def run(self) -> None:
        """Never returns; a reflector that ends has a bug and ends all."""
        async with asyncio.TaskGroup() as group:
            for reflector in chain.from_iterable(self._reflectors.values()):
                group.create_task(reflector.run())
            group.create_task(self._leave_out())

    def not_ready(self) -> list[str]:
        """Why the required resources are not known yet, one sentence each. Namespaces that are left
        out do not count: nobody waits for them."""
        waiting = {name: self.statuses[name].waiting for name in self._required}
        return [
            f"{name} are not listed yet" + next((f": {p.error}" for p in parts if p.error), "")
            for name, parts in waiting.items()
            if parts
        ]

    @property
    def answered(self) -> bool:
        """Whether each resource has been listed, or refused, once: what is judged before may be
        called an outage for want of the workload that was scaled to zero on purpose. So it is
        while a namespace that was left out comes back: its Services are there before its slices."""
        if any(not all(map(_denied, self._namespaces[left])) for left in self._left_out):
            return False
        return all(not found.waiting or found.error for found in self.statuses.values())

    def stale_seconds(self, now: float) -> float | None:
        """For how long a required resource has gone unheard; None while all are in touch.
        Namespaces that are left out do not count."""
        ages = [
            now - contact
            for name in self._required
            for contact in [self.statuses[name].out_of_touch_since]
            if contact is not None
        ]
        return max(ages, default=None)

    async def _leave_out(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._namespaces) > 1:
            self.review(loop.time())
            await asyncio.sleep(1.0)

    def review(self, now: float) -> None:
        """Leaves out the namespaces that are lastingly denied, and takes back those that are not;
        `now` is monotonic seconds. To be called about once a second: run() does.

        What a namespace held is told to be gone when it is left out, since nothing tells us any
        more what becomes of it; and one that was never listed holds nothing.
        """
        in_touch = any(all(map(_in_touch, parts)) for parts in self._namespaces.values())
        for namespace, parts in self._namespaces.items():
            if all(map(_in_touch, parts)):
                self._left_out.discard(namespace)
            if not in_touch or not all(map(_denied, parts)):
                self._denied_since.pop(namespace, None)
                continue
            since = self._denied_since.setdefault(namespace, now)
            if now - since > DENIED_SECONDS and namespace not in self._left_out:
                self._left_out.add(namespace)
                log.warning(
                    "namespace %s is left out: %s",
                    namespace,
                    parts[0].error,
                    extra={"namespace": namespace},
                )
                for name in self._required:
                    self._sink(kube.Listed(name, (), namespace))


def _denied(status: Status) -> bool:
    """Whether the API server's last answer was a refusal (403, or 404)."""
    return status.error is not None and (status.forbidden or status.absent)


def _in_touch(status: Status) -> bool:
    return status.synced and status.error is None


class Combined:
    """The statuses of one resource over its namespaces, as one: the worst of them. With some in
    `left_out`, which changes, it is not synced; otherwise they do not count."""

    def __init__(self, parts: list[Status], left_out: Collection[str] = ()) -> None:
        self._parts = parts
        self._left_out = left_out

    @property
    def _awaited(self) -> list[Status]:
        return [part for part in self._parts if part.namespace not in self._left_out]

    @property
    def waiting(self) -> list[Status]:
        """Those that have not been listed yet."""
        return [part for part in self._awaited if not part.synced]

    @property
    def synced(self) -> bool:
        return self._awaited == self._parts and not self.waiting

    @property
    def error(self) -> str | None:
        return next((part.error for part in self._parts if part.error), None)

    @property
    def last_contact_time(self) -> float | None:
        known = [part.last_contact_at for part in self._awaited]
        return min((at.timestamp() for at in known if at is not None), default=None)

    @property
    def out_of_touch_since(self) -> float | None:
        """Monotonic time of the last contact, while there is an error; else None."""
        since = [
            part.last_contact
            for part in self._awaited
            if part.error and part.last_contact is not None
        ]
        return min(since, default=None)

    @property
    def skipped(self) -> Mapping[str, int]:
        return sum((Counter(part.skipped) for part in self._parts), Counter())
