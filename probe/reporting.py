"""The rollout reports: what all daemons saw of a rollout, told once.

When a rollout and its aftermath are over, one daemon, on which all agree without asking, asks the
others for what they saw, and tells: in its log, by its API and as a Kubernetes Event regarding the
workload. Another one does so only if it is found not to have. Nothing of this holds up a dial.
"""

import asyncio
import logging
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from math import inf
from typing import Any, Never

import msgspec

from probe import peers, told
from probe.core import report, rollout_events, rollout_reports
from probe.core.moments import Clock
from probe.core.peers import addresses
from probe.core.rolling import ROLLOUTS_KEPT
from probe.core.rollouts import Rollout
from probe.core.schedule import leaders
from probe.core.world import World
from probe.outbox import Outbox
from probe.reflector import Connection
from probe.settings import Settings

log = logging.getLogger("probe.rollouts")

Json = dict[str, Any]
Take = Callable[[str, list[Json], list[Json]], None]
"""Gets a node's records and what its daemon has told, of the rollouts that were asked for."""

PATH = "/api/v1/rollouts"

SETTLE_SECONDS = 5.0
"""Until all daemons have closed a rollout that we have: their watches differ by a second or two."""

TURN_SECONDS = 40.0
"""For each daemon that may tell before us: it asks the others for up to 30 s (probe/peers.py)."""

TELLERS = 3
"""Daemons that may tell of a rollout: should all of them end within two minutes, nobody does."""

SINCE_SECONDS = 60.0
"""Records are asked for that ended so long before ours: clocks and watches differ. Arbitrary."""

RATE, BURST = 0.2, 25
"""Events per second, and at once, as of incidents; of those they take nothing away."""

REPORTS_KEPT = ROLLOUTS_KEPT
REPORTS_BYTES = 2 * 2**20
"""As many as were told here last, packed: KB each where there are hundreds of nodes."""

LOGGED_NODES = 20
"""Nodes of a report that a log line has, those of the longest lag: container runtimes split lines
of more than 16 KiB."""


@dataclass(frozen=True, slots=True)
class Due:
    """A rollout whose report is looked at `at` that time; `before` are the nodes that had the time
    to tell, if this is the second look."""

    at: float
    rollout: Rollout
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A report that was told `at` that time, packed."""

    at: float
    rollout: Rollout
    packed: bytes

    def unpacked(self) -> Json:
        found: Json = msgspec.json.decode(zlib.decompress(self.packed))
        return found


class Reporter:
    """Those of one daemon. `tick`, about once a second, only plans what `run` does."""

    def __init__(
        self, settings: Settings, world: World, connection: Connection, clock: Clock
    ) -> None:
        self._settings = settings
        self._world = world
        self._clock = clock
        self._allow = world.config.scope.allow_targets
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(connection, RATE, BURST) if settings.posts_events else None
        self._last: Rollout | None = None
        self._waiting: list[Due] = []
        self._ready: list[Due] = []
        self._wake = asyncio.Event()
        self._kept: deque[Kept] = deque()
        self._kept_bytes = 0
        self._named = 0

    def tick(self, now: float) -> None:
        """Plans the reports of what is over."""
        at = now + SETTLE_SECONDS * (len(self._world.nodes) > 1)
        self._waiting += [Due(at, rollout) for rollout in self._over() if rollout.services]
        ready = [due for due in self._waiting if due.at <= now]
        if ready:
            self._waiting = [due for due in self._waiting if due.at > now]
            self._ready += ready
            self._wake.set()
        if self._outbox is not None:
            self._outbox.tick(now)

    @property
    def waiting(self) -> int:
        """How many rollouts are over and not yet looked at."""
        return len(self._waiting) + len(self._ready)

    def _over(self) -> list[Rollout]:
        """The rollouts that are over since the last call, oldest first."""
        finished = self._world.mirror.finished
        new = list(takewhile(lambda rollout: rollout is not self._last, reversed(finished)))
        self._last = new[0] if new else self._last
        return new[::-1]

    async def run(self) -> Never:
        """Tells of what is planned until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._outbox is not None:
                group.create_task(self._outbox.run())
            while True:
                await self._wake.wait()
                self._wake.clear()
                ready, self._ready = self._ready, []
                await self._look(ready)

    async def _look(self, ready: list[Due]) -> None:
        """Tells of those that are ours to tell of, and looks at some others again later."""
        now = self._loop.time()  # one moment for all, that the second look is at all of them too
        ours, second = [], []
        for due in ready:
            first = leaders(self._world.nodes, "/".join(due.rollout.workload), TELLERS)
            before = tuple(takewhile(lambda node: node != self._world.config.node, first))
            if due.before:
                second.append(due)
            elif not before:
                ours.append(due.rollout)
            elif len(before) < len(first):
                at = now + len(before) * TURN_SECONDS
                self._waiting.append(Due(at, due.rollout, before))
        await self._tell(ours + await self._untold(second))

    async def _untold(self, second: list[Due]) -> list[Rollout]:
        """Those of which nobody before us has told."""
        if not second:
            return []
        reported: list[Json] = []

        def take(node: str, records: list[Json], reports: list[Json]) -> None:
            reported.extend(reports)

        before = {node for due in second for node in due.before}
        daemons = {node: place for node, place in self._peers().items() if node in before}
        await self._ask(daemons, [due.rollout for due in second], take)
        return [
            rollout
            async for rollout, own in self._records([due.rollout for due in second])
            if not any(rollout_reports.same(own, each) for each in reported)
        ]

    async def _records(self, rollouts: list[Rollout]) -> AsyncIterator[tuple[Rollout, Json]]:
        """What we saw ourselves; there may be a thousand, and the dials have to go on."""
        for rollout in rollouts:
            yield rollout, report.rollout(self._world, rollout, self._clock)
            await asyncio.sleep(0)

    def _peers(self) -> dict[str, tuple[str, int]]:
        config = self._world.config
        record = self._world.mirror.services.get(config.peers or ("", ""))
        return addresses(record, config.node, self._allow)

    async def _ask(
        self, daemons: dict[str, tuple[str, int]], rollouts: list[Rollout], take: Take
    ) -> list[str]:
        """Has the other daemons' answers about these rollouts taken; those who gave none."""
        workloads = {f"{r.workload[0]} {r.workload[1]}/{r.workload[2]}" for r in rollouts}

        async def read(node: str, body: bytes) -> None:
            take(node, *await told.records(body, workloads))

        ended = min(rollout.ended or inf for rollout in rollouts)
        query = {"since": f"{self._loop.time() - ended + SINCE_SECONDS:.0f}"}
        if len(namespaces := {rollout.workload[1] for rollout in rollouts}) == 1:
            query |= {"namespace": namespaces.pop()}
        if len(workloads) == 1:
            kind, _, name = rollouts[0].workload
            query |= {"workload": f"{kind}/{name}"}
        key = self._settings.api_key
        return await peers.ask(daemons, PATH, query, key=key, take=read)

    async def _tell(self, rollouts: list[Rollout]) -> None:
        """Gathers what the others saw of these rollouts, and tells of each."""
        if not rollouts:
            return
        found = [[record] async for _, record in self._records(rollouts)]

        def take(node: str, records: list[Json], reports: list[Json]) -> None:
            theirs: dict[str, list[Json]] = {}
            for record in records:
                theirs.setdefault(record["workload"], []).append(record)
            for own in found:
                known = theirs.get(own[0]["workload"], ())
                if match := rollout_reports.match(own[0], known, node):
                    own.append(match)

        daemons = self._peers()
        silent = {*self._world.nodes} - {self._world.config.node} - daemons.keys()
        silent |= {*await self._ask(daemons, rollouts, take)}
        for rollout, records in zip(rollouts, found, strict=True):
            whole = rollout_reports.merged(records, own=records[0])
            self._publish(rollout, whole | {"silent": sorted(silent)})
            await asyncio.sleep(0)

    def _publish(self, rollout: Rollout, found: Json) -> None:
        now = self._loop.time()
        self._keep(Kept(now, rollout, zlib.compress(msgspec.json.encode(found), 1)))
        log.log(
            logging.INFO if rollout_reports.clean(found) else logging.WARNING,
            "%s",
            rollout_reports.news(found),
            extra={"rollout": rollout_reports.shortened(found, LOGGED_NODES)},
        )
        workload = self._world.mirror.workloads.get(rollout.workload)
        # That an autoscaler has cost nothing, again and again, is no news.
        news = not rollout_reports.clean(found) or (found["dials"] and not rollout.scaling)
        if self._outbox is None or workload is None or not news or not self._outbox.may(now):
            return
        self._named += 1
        event = rollout_events.event(
            found,
            rollout.workload,
            workload.uid,
            node=self._world.config.node,
            moment=self._clock(now),
            name=f"{workload.name[:220].rstrip('-.')}.{int(now * 1000):x}.{self._named:x}",
        )
        post = partial(self._outbox.create, event)
        self._outbox.plan("write", workload.namespace, post)

    def _keep(self, kept: Kept) -> None:
        self._kept.append(kept)
        self._kept_bytes += len(kept.packed)
        while len(self._kept) > REPORTS_KEPT or self._kept_bytes > REPORTS_BYTES:
            self._kept_bytes -= len(self._kept.popleft().packed)

    def document(
        self,
        now: float,
        since: float | None,
        namespace: str,
        service: str,
        workload: tuple[str, str] | None,
    ) -> Json:
        """What /api/v1/rollouts answers."""
        after = -inf if since is None else now - since
        return {
            "node": self._world.config.node,
            "rollouts": report.rollouts(
                self._world,
                self._clock,
                after=after,
                namespace=namespace,
                service=service,
                workload=workload,
            ),
            "reports": self._reports(after, namespace, service, workload),
        }

    def _reports(
        self, after: float, namespace: str, service: str, workload: tuple[str, str] | None
    ) -> Iterator[Json]:
        for kept in reversed(self._kept.copy()):
            if kept.at >= after and report.concerns(kept.rollout, namespace, service, workload):
                yield kept.unpacked()
