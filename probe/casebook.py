"""The daemon's incidents: fed with verdict turns, logged once at each of their own turns, posted
as Events, shown by the API."""

import asyncio
import logging
from typing import Any

from probe.core import announcements, incident_reports
from probe.core.incident import Incident, Step
from probe.core.incidents import QUIET_ROUNDS, Incidents, Told
from probe.core.inquiry import WorldInquiry
from probe.core.judging import Turn
from probe.core.moments import Clock
from probe.core.world import World
from probe.events import Poster
from probe.reflector import Connection
from probe.settings import Settings

log = logging.getLogger("probe.incidents")

NAMED = 3
"""Services that a log line names; its JSON has more of them. Arbitrary."""


class Casebook:
    """The incidents of one daemon."""

    def __init__(
        self, settings: Settings, world: World, connection: Connection, clock: Clock
    ) -> None:
        self._node = settings.node
        self._clock = clock
        inquiry = WorldInquiry(world)
        quiet = QUIET_ROUNDS * settings.interval
        self._incidents = Incidents(self._node, inquiry, quiet_seconds=quiet)
        self._poster: Poster | None = None
        if settings.posts_events:
            self._poster = Poster(
                connection,
                self._node,
                world.started,
                nodes=lambda: world.nodes,
                uid=inquiry.uid,
                clock=clock,
                interval=settings.interval,
            )

    async def run(self) -> None:
        """Posts Events until cancelled, if that is wanted."""
        if self._poster is not None:
            await self._poster.run()
        await asyncio.Event().wait()

    def take(self, turn: Turn) -> None:
        """A verdict has turned."""
        self._incidents.take(turn)

    def tick(self, now: float) -> None:
        """Lets time pass; to be called about once a second."""
        for told in self._incidents.tick(now):
            self._log(told, now)
            if self._poster is not None:
                self._poster.tell(told, now)
        if self._poster is not None:
            self._poster.tick(now)

    def document(
        self, now: float, since: float | None, namespace: str, service: str
    ) -> dict[str, Any]:
        """What /api/v1/incidents answers."""
        return incident_reports.incidents(
            self._incidents,
            self._node,
            now,
            self._clock,
            since=since,
            namespace=namespace,
            service=service,
        )

    def _log(self, told: Told, now: float) -> None:
        step, incident = told
        if step is Step.REPEATED:
            return  # the verdict's own turn says so
        verdict, after = str(incident.judgement.verdict), ""
        text = f"{verdict}: {incident.judgement.summary}; {announcements.explained(incident)}"
        if incident.closed is not None:
            after = f" after {incident.closed - incident.opened:.0f} s"
            text = f"was {verdict}; {'now ' * incident.recovered}{incident.ending}"
        log.log(
            logging.INFO if step is Step.CLOSED else logging.WARNING,
            "incident %s %s%s: %s %s",
            *(incident.id, step, after, _whose(incident), text),
            extra={"incident": incident_reports.incident(incident, self._node, now, self._clock)},
        )


def _whose(incident: Incident) -> str:
    """The Service port, or the cause and whom it takes along."""
    if incident.alone:
        return "{}/{}:{}".format(*incident.lead)
    names = [f"{namespace}/{name}" for namespace, name in list(incident.taken())[:NAMED]]
    more = incident.services - len(names)
    others = f" and {more} more" if more > 0 else ""
    return f"{incident.cause} ({', '.join(names)}{others})"
