"""The long run: reflectors feed the World, the World says what to dial, the dialer says what the
kernel said, the server shows what it means.

One event loop, no threads, no locks: each step between two awaits leaves the World whole. While
the API server is away the daemon goes on dialing what it knows, and says how stale that is.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from math import inf
from typing import Any

from probe import memory, sysctl
from probe.casebook import Casebook
from probe.core import kube, report
from probe.core.changes import Change, ChangeKind
from probe.core.closing import Choice, Closing, Mode
from probe.core.edges import Kind
from probe.core.judging import Turn
from probe.core.peers import Membership
from probe.core.rounds import Config, Dial
from probe.core.world import World
from probe.descriptors import affordable
from probe.dialer import Dialer
from probe.discovery import Discovery
from probe.lookups import Lookups
from probe.metrics import Metrics
from probe.ondemand import OnDemand
from probe.reflector import Connection
from probe.reporting import Reporter
from probe.server import ACCEPTED, CONNECTIONS_MAX, Server
from probe.settings import Settings, parse_listen
from probe.wallclock import WallClock

log = logging.getLogger("probe.daemon")

TICK = 0.02
"""Seconds between two looks at the schedule: one slot of its wheel."""

ALIVE_SECONDS = 30.0
"""/livez fails when the scheduler has not ticked for this long: a loop that was held up for a
moment, however busy the node, is no reason to be restarted. Arbitrary."""

DRAIN_SECONDS = 1.0
"""Seconds that dials in flight get at SIGTERM; all must be over within two."""


LEVELS = {ChangeKind.ENDPOINT: logging.DEBUG, ChangeKind.INVALID_TARGET: logging.WARNING}
"""How loud a change is: a rollout of a large Service is thousands of endpoints come and gone."""


class Daemon:
    """One `probe run`. `turned` and `changed` are called for each verdict turn and change, after
    they were logged."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        *,
        turned: Callable[[Turn], None] = lambda turn: None,
        changed: Callable[[Change], None] = lambda change: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._turned, self._changed = turned, changed
        now = self._loop.time()
        self._clock = WallClock(self._loop.time)
        self.world = World(settings.world(connection.allow_targets), now)
        self._dialer: Dialer[Dial] = Dialer(
            seconds=settings.timeout,
            limit=affordable(settings.max_in_flight, CONNECTIONS_MAX + ACCEPTED),
        )
        self.discovery = Discovery(connection, settings.namespaces, self._apply)
        self._lookups = Lookups(connection, self._apply)
        self._metrics = Metrics(
            self.world,
            self.discovery.statuses,
            vantage=settings.vantage,
            unix=lambda at: self._clock(at).timestamp(),
            max_series=settings.max_series,
        )
        self._closing = Closing(Choice(settings.close))
        self._begun = 0
        self._close_by(self._closing.mode)
        self._membership = _membership(self.world.config)
        self._casebook = Casebook(settings, self.world, connection, self._clock)
        self._reporter = Reporter(settings, self.world, connection, self._clock)
        self._on_demand = OnDemand(self.world, settings.timeout, self._loop.time)
        self._server = Server(self, api_key=settings.api_key)
        self._ticked = self._second = now
        self._first_round = False

    @property
    def port(self) -> int:
        """The port that is really listened on."""
        return self._server.port

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then drains. Raises CannotListen."""
        await self._server.start(*parse_listen(self._settings.listen))
        log.info(
            "dialing as node %s, serving on port %d",
            self._settings.node,
            self.port,
            extra={"node": self._settings.node, "port": self.port},
        )
        stopping = asyncio.create_task(stop.wait())
        endless = (
            self.discovery.run(),
            self._lookups.run(),
            self._tick_forever(),
            self._casebook.run(),
            self._reporter.run(),
        )
        tasks = {stopping, *map(asyncio.create_task, endless)}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()  # a bug in a loop that should never end ends the daemon, loudly
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._drain()

    async def _drain(self) -> None:
        until = self._loop.time() + DRAIN_SECONDS
        while self._dialer.in_flight and self._loop.time() < until:
            await asyncio.sleep(TICK)
            self._record()
        self._dialer.close()
        await self._server.close()
        log.info("stopped")

    async def _tick_forever(self) -> None:
        while True:
            self._tick(self._loop.time())
            await asyncio.sleep(TICK)

    def _tick(self, now: float) -> None:
        self._ticked = now
        self._record()
        dials = self.world.due(now, self._dialer.room)
        self._dialer.dial((dial, dial.edge.address, dial.edge.dial_port) for dial in dials)
        self._begun += len(dials)
        if now - self._second >= 1.0:
            self._second = now
            self._clock.renew()
            self.world.stale_seconds = self.discovery.stale_seconds(now)
            self._tell(self.world.tick(now))
            self._metrics.observe_lags()
            self._choose_closing(now)
            self._casebook.tick(now)
            self._reporter.tick(now)
            self._lookups.want(self.world.wanted_replica_sets())
            if self._learned():
                self._find_itself(now)
        for turn in self.world.judge(now) if self.discovery.answered else ():
            self._log_turn(turn)
            self._casebook.take(turn)
            self._turned(turn)

    def _find_itself(self, now: float) -> None:
        """Warns if the daemons' Service does not hold this one: too much is dialed then."""
        if self._membership is None:
            return
        record = self.world.mirror.services.get(self.world.config.peers or ("", ""))
        if (why := self._membership.review(record, now)) is not None:
            log.warning("%s", why, extra={"peers": self._settings.peers})

    def _choose_closing(self, now: float) -> None:
        begun, self._begun = self._begun, 0
        why = self._closing.dialed(begun, now, sysctl.bounds())
        if why is not None:
            log.info("%s", why, extra={"close": str(self._closing.mode)})
            self._close_by(self._closing.mode)

    def _close_by(self, mode: Mode) -> None:
        self._dialer.abort = mode is Mode.RST
        self._metrics.closing(mode)

    def _apply(self, event: kube.Event) -> None:
        self._tell(self.world.apply(event, self._loop.time()))

    def _record(self) -> None:
        """Takes in what the dials met since the last tick."""
        outcomes = self._dialer.collect()
        self._metrics.observe(outcomes)
        self.world.record(outcomes, self._loop.time())

    def _tell(self, found: list[Change]) -> None:
        for change in found:
            log.log(
                LEVELS.get(change.kind, logging.INFO),
                "%s %s%s: %s",
                *(change.kind, change.object, f" by {change.by}" if change.by else ""),
                change.detail,
                extra={"change": report.change(change, self._clock)},
            )
            self._changed(change)

    def _log_turn(self, turn: Turn) -> None:
        """Alarm is the incident's to give: what many Services share is one there."""
        key, new = turn.key, turn.new
        log.info(
            "%s/%s:%d %s: %s",
            *key,
            new.verdict,
            new.summary,
            extra={
                "namespace": key.namespace,
                "service": key.service,
                "service_port": key.port,
                "verdict": str(new.verdict),
                "was": str(turn.old.verdict),
                "on_purpose": new.on_purpose,
                "cause": new.cause,
            },
        )

    # What the server asks.

    def alive(self) -> str | None:
        late = self._loop.time() - self._ticked
        return f"the scheduler has not ticked for {late:.0f} s" if late > ALIVE_SECONDS else None

    def ready(self) -> list[str]:
        reasons = self.discovery.not_ready()
        if not reasons and not self._learned():
            reasons = ["the first round of dials is not done"]
        return reasons

    def _learned(self) -> bool:
        """Whether the cluster is known and was dialed once."""
        if not self._first_round and self._round_done():
            self._first_round = True
            memory.learned()
        return self._first_round

    def _round_done(self) -> bool:
        """Those that came later have rounds of their own: where pods come and go all the time,
        there is always one that is not dialed yet."""
        return not self.discovery.not_ready() and all(
            track.dials > 0 or track.since > -inf
            for _, book in self.world.books()
            if book.leading
            for track in book.of_kind(Kind.SERVICE, Kind.ENDPOINT)
            if track.edge.kind is Kind.ENDPOINT or book.connects(track.edge)
        )

    async def metrics(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        for chunk in self._metrics.chunks(self._loop.time(), openmetrics=openmetrics):
            yield chunk
            await asyncio.sleep(0)

    def services(self, namespace: str = "") -> dict[str, Any]:
        now = self._loop.time()
        vantage = self._settings.vantage
        return report.services(self.world, now, self._clock, vantage, namespace)

    def service(self, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            key = namespace, name
            now = self._loop.time()
            return report.service(self.world, key, now, self._clock, self._settings.vantage)
        except KeyError:
            return None

    async def check(self, namespace: str, name: str) -> dict[str, Any] | None:
        if self.service(namespace, name) is None:
            return None
        await self._on_demand.check((namespace, name))
        return self.service(namespace, name)

    def incidents(self, since: float | None, namespace: str, service: str) -> dict[str, Any]:
        return self._casebook.document(self._loop.time(), since, namespace, service)

    def changes(self, since: float | None, namespace: str, service: str) -> dict[str, Any]:
        after = -inf if since is None else self._loop.time() - since
        return report.changes(
            self.world, self._clock, after=after, namespace=namespace, service=service
        )

    def rollouts(
        self,
        since: float | None,
        namespace: str,
        service: str,
        workload: tuple[str, str] | None,
    ) -> dict[str, Any]:
        return self._reporter.document(self._loop.time(), since, namespace, service, workload)


def _membership(config: Config) -> Membership | None:
    """None for who is no pod of the Service: one alone, or outside of the cluster."""
    return Membership(config.peers, config.node) if config.peers and config.on_node else None
