"""What is listed once, where nothing that is watched tells: the ReplicaSets of a namespace.

Behind a Service there may be one that no Deployment owns. A watch of all of them would be ten
objects for each Deployment; the few that matter do so when every endpoint of a Service refuses.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Never

from probe.core import kube
from probe.core.workloads import Workload
from probe.reflector import ApiError, ApiTrouble, Connection

AGAIN_SECONDS = 300.0
"""After which a namespace is listed again if it is still, or again, asked for: ReplicaSets that
nobody owns change when a person changes them. Chosen."""

log = logging.getLogger("probe.lookups")


class Lookups:
    """Lists what is wanted, one namespace at a time; what is found goes to `sink`.

    `results` counts the lists by how they ended: `listed`, the code of a refusal, `unreachable`.
    The first of each kind of trouble is logged; without an answer we know as much as before.
    """

    def __init__(
        self,
        connection: Connection,
        sink: Callable[[kube.Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._sink = sink
        self._clock = clock
        self._wanted_at: dict[str, float] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self.results: Counter[str] = Counter()

    def want(self, namespaces: Iterable[str]) -> None:
        """Has the ReplicaSets of these namespaces listed soon, unless they were of late."""
        now = self._clock()
        self._wanted_at = {n: at for n, at in self._wanted_at.items() if now - at < AGAIN_SECONDS}
        for namespace in namespaces:
            if namespace not in self._wanted_at:
                self._wanted_at[namespace] = now
                self._queue.put_nowait(namespace)

    async def run(self) -> Never:
        """Lists what is wanted until cancelled."""
        while True:
            await self._list(await self._queue.get())

    async def finish(self) -> bool:
        """Lists all that is wanted by now; whether there was any."""
        any_wanted = not self._queue.empty()
        while not self._queue.empty():
            await self._list(self._queue.get_nowait())
        return any_wanted

    async def _list(self, namespace: str) -> None:
        try:
            # What the server has in memory will do: every daemon may ask at once.
            found, _ = await self._connection.list(
                kube.REPLICA_SETS, namespace, resource_version="0"
            )
        except ApiTrouble as error:
            kind = f"{error.code}" if isinstance(error, ApiError) else "unreachable"
            self.results[kind] += 1
            if self.results[kind] == 1:
                log.warning(
                    "%s", error, extra={"resource": kube.REPLICA_SETS.name, "trouble": kind}
                )
            return
        self.results["listed"] += 1
        self._sink(replace(found, facts=tuple(f for f in found.facts if isinstance(f, Workload))))
