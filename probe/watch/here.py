"""The rollout as it is met from here: the daemon's own parts for one workload and its Services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from probe.core import kube, report
from probe.core.course import QUIET_SECONDS
from probe.core.edges import Kind
from probe.core.health import UNSURE
from probe.core.rollouts import Rollout
from probe.core.rounds import Dial
from probe.core.verdicts import FAILING
from probe.core.world import World
from probe.descriptors import affordable
from probe.dialer import Dialer
from probe.discovery import Discovery
from probe.reflector import Connection, Unreachable
from probe.settings import Settings
from probe.watch.subject import Subject

TICK = 0.02
"""Seconds between two looks at the schedule: one slot of its wheel, as in the daemon."""

KNOWN_SECONDS = 30.0
"""In which the API server must have told what is there: somebody waits."""

CALM_SECONDS = 10.0
"""After which whatever flaps is taken as it is: a failure is confirmed in two intervals."""

KINDS = {
    "Deployment": kube.DEPLOYMENTS,
    "StatefulSet": kube.STATEFUL_SETS,
    "DaemonSet": kube.DAEMON_SETS,
}

Json = dict[str, Any]


class Here:
    """Dials the Services that stand in front of one workload when the watch begins; closely, once
    it rolls."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        subject: Subject,
        services: tuple[str, ...],
    ) -> None:
        # A failure is laid to its cause once every endpoint in use was dialed after it.
        self.after_failures = max(QUIET_SECONDS, settings.interval + settings.timeout)
        self._subject = subject
        self._services = frozenset(services)
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._epoch = datetime.now(UTC) - timedelta(seconds=now)
        alone = settings.model_copy(
            update={"namespaces": (subject.namespace,), "deny_namespaces": ()}
        )
        config = alone.world(connection.allow_targets)
        self._world = World(replace(config, peers=None), now)  # nobody shares the work
        needed = (kube.SERVICES, kube.SLICES, KINDS[subject.kind])
        around = (kube.NODES,) if config.on_node else ()  # whose zones decide where we are led to
        self._discovery = Discovery(
            connection, (subject.namespace,), self._take, (*needed, *around)
        )
        self._dialer: Dialer[Dial] = Dialer(
            seconds=settings.timeout, limit=affordable(settings.max_in_flight)
        )
        self._second = now
        self._tasks: list[asyncio.Task[None]] = []
        self._old: list[Rollout] = []
        self._rollout: Rollout | None = None

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Dials while the context lasts; what stands is known when it begins.

        Raises Unreachable if the API server does not tell.
        """
        self._tasks = [
            asyncio.create_task(self._discovery.run()),
            asyncio.create_task(self._tick()),
        ]
        try:
            await self._known()
            self._old = [r for r in self._rollouts() if r.ended is not None]
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._dialer.close()

    async def _known(self) -> None:
        """Until each edge was dialed, and what fails already is known to."""
        begun = self._loop.time()
        while reasons := self._discovery.not_ready():
            if self._loop.time() > begun + KNOWN_SECONDS:
                raise Unreachable(reasons[0])
            await asyncio.sleep(TICK)
        with suppress(TimeoutError):
            async with asyncio.timeout(CALM_SECONDS):
                while self._unsure():  # noqa: ASYNC110 - dials are being answered
                    await asyncio.sleep(TICK)

    def _unsure(self) -> bool:
        books = [book for _, book in self._world.books()]
        return not self._discovery.answered or any(
            track.dials == 0 or track.level in UNSURE or book.held_since is not None
            for book in books
            for track in book.of_kind(Kind.SERVICE, Kind.ENDPOINT)
            if book.leads_to(track.edge) or book.connects(track.edge)
        )

    async def _tick(self) -> None:
        while True:
            now = self._loop.time()
            self._world.record(self._dialer.collect(), now)
            dials = self._world.due(now, self._dialer.room)
            self._dialer.dial((dial, dial.edge.address, dial.edge.dial_port) for dial in dials)
            if now - self._second >= 1.0:
                self._second = now
                self._world.stale_seconds = self._discovery.stale_seconds(now)
                self._world.tick(now)
            if self._discovery.answered:
                self._world.judge(now)
            await asyncio.sleep(TICK)

    def _take(self, event: kube.Event) -> None:
        """Of other Services than those in front of the workload nothing is known, or dialed."""
        match event:
            case kube.Listed(resource, facts):
                kept = tuple(f for f in facts if self._concerns(resource, f))
                event = replace(event, facts=kept)
            case kube.Stored(resource, fact) if not self._concerns(resource, fact):
                return
        self._world.apply(event, self._loop.time())

    def _concerns(self, resource: str, fact: Any) -> bool:
        if resource == kube.SERVICES.name:
            return fact.name in self._services
        return resource != kube.SLICES.name or fact.service in self._services

    def _rollouts(self) -> list[Rollout]:
        """Those of the workload, the last one last."""
        mirror, subject = self._world.mirror, self._subject
        found = [*mirror.finished, *mirror.rollouts.values()]
        return [r for r in found if r.workload == (subject.kind, subject.namespace, subject.name)]

    def record(self) -> Json | None:
        """The rollout that is watched as it stands: one that ran when the watch began, or the
        first since; None before."""
        for task in self._tasks:
            if task.done():
                task.result()  # a bug in a loop that should never end is not to be hidden
        if self._rollout is None:
            new = (r for r in self._rollouts() if not any(r is old for old in self._old))
            self._rollout = next(new, None)
        rollout = self._rollout
        if rollout is None:
            return None
        return report.rollout(self._world, rollout, self._clock)

    def broken(self) -> list[str]:
        """What failed already before the rollout, a sentence for each Service port."""
        return [
            f"{book.implied.key.service}:{book.implied.key.port} fails already, and is not counted"
            f" while it does: {book.judgement.summary}"
            for _, book in self._world.books()
            if book.judgement.verdict in FAILING
        ]

    def silent(self) -> dict[str, str]:
        """Nobody else is asked."""
        return {}

    def _clock(self, at: float) -> datetime:
        return self._epoch + timedelta(seconds=at)
