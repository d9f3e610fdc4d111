"""All reflectors of one daemon, and what they know together.

With a list of namespaces each is watched by itself, so that a Role in each suffices; without,
the whole cluster is watched and a ClusterRole is needed. What is in no namespace, such as a Node,
is watched in either case, if we may.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import chain

from probe.core import kube
from probe.reflector import Connection, Reflector, Status


class Discovery:
    """Runs a reflector for each resource (and namespace); events go to `sink`, in order."""

    def __init__(
        self,
        connection: Connection,
        namespaces: tuple[str, ...],
        sink: Callable[[kube.Event], None],
    ) -> None:
        self._reflectors = {
            resource.name: [
                Reflector(connection, resource, sink, namespace=namespace)
                for namespace in (resource.namespaced and namespaces) or ("",)
            ]
            for resource in kube.RESOURCES
        }
        self.statuses: Mapping[str, Combined] = {
            name: Combined([reflector.status for reflector in parts])
            for name, parts in self._reflectors.items()
        }
        self._required = [r.name for r in kube.RESOURCES if r.required]

    async def run(self) -> None:
        """Never returns; a reflector that ends has a bug and ends all."""
        async with asyncio.TaskGroup() as group:
            for reflector in chain.from_iterable(self._reflectors.values()):
                group.create_task(reflector.run())

    def not_ready(self) -> list[str]:
        """Why the required resources are not known yet, one sentence each."""
        waiting = {name: self.statuses[name] for name in self._required}
        return [
            f"{name} are not listed yet" + (f": {status.error}" if status.error else "")
            for name, status in waiting.items()
            if not status.synced
        ]

    @property
    def answered(self) -> bool:
        """Whether each resource has been listed, or refused, once: what is judged before may be
        called an outage for want of the workload that was scaled to zero on purpose."""
        return all(found.synced or found.error for found in self.statuses.values())

    def stale_seconds(self, now: float) -> float | None:
        """For how long a required resource has gone unheard; None while all are in touch."""
        ages = [
            now - contact
            for name in self._required
            for contact in [self.statuses[name].out_of_touch_since]
            if contact is not None
        ]
        return max(ages, default=None)


class Combined:
    """The statuses of one resource over its namespaces, as one: the worst of them."""

    def __init__(self, parts: list[Status]) -> None:
        self._parts = parts

    @property
    def synced(self) -> bool:
        return all(part.synced for part in self._parts)

    @property
    def error(self) -> str | None:
        return next((part.error for part in self._parts if part.error), None)

    @property
    def last_contact_time(self) -> float | None:
        known = [part.last_contact_at for part in self._parts]
        return min((at.timestamp() for at in known if at is not None), default=None)

    @property
    def out_of_touch_since(self) -> float | None:
        """Monotonic time of the last contact, while there is an error; else None."""
        since = [p.last_contact for p in self._parts if p.error and p.last_contact is not None]
        return min(since, default=None)

    @property
    def skipped(self) -> Mapping[str, int]:
        return sum((Counter(part.skipped) for part in self._parts), Counter())
