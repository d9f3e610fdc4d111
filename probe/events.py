"""Posts incidents as Kubernetes Events, where people look first: `kubectl describe service`.

One daemon tells of an incident; another one only if it still sees it after a while and nobody has
told. Nothing that the API server does holds up who calls: what cannot be posted waits, little of
it, and what is too much is counted and logged, not kept.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Never

from probe.apiserver import objects
from probe.core import announcements
from probe.core.announcements import CONTROLLER, NODES_NAMESPACE
from probe.core.incident import Incident, Step
from probe.core.incidents import Told
from probe.core.moments import Clock
from probe.outbox import EVENTS, Outbox
from probe.reflector import ApiError, Connection, Pace

log = logging.getLogger("probe.events")

Json = dict[str, Any]

ALONE_ROUNDS = 3
"""Intervals (30 s by default) for which the others may tell of an incident before we look whether
they did: in one each of them dials what we did, in another it confirms, and one to spare."""

TURN_SECONDS = 3.0
"""Seconds more for each daemon whose turn it is before ours. Chosen: longer than a request."""

RATE, BURST = 0.2, 25
"""Events per second, and at once: client-go's burst (tools/record, maxBurst) and a sixtieth part of
its pause. With 500 daemons that is 100 requests a second, when everything fails."""


BEGINNING_SECONDS = 120.0
"""Seconds in which we look for what a daemon before us has told: an update of the DaemonSet is no
news about the Services. A first round with all its confirmations takes less. Chosen."""

SERIES_SECONDS = 60.0
"""Seconds at least between two requests that count an Event's repetitions. Arbitrary."""

REFRESH_SECONDS = 1800.0
"""Seconds after which the Event of an incident that goes on is observed again (client-go's
refreshTime): the API server forgets an Event one hour after its last write (--event-ttl)."""

RECENT_MAX = 200
"""Events that may be repeated by another incident of the same words, about 0.3 MiB. Arbitrary."""


@dataclass(slots=True)
class Post:
    """An Event of ours, observed `count` times; `due` is when it is to be observed again."""

    event: Json
    count: int
    sent: float
    due: float

    @property
    def namespace(self) -> str:
        namespace: str = self.event["metadata"]["namespace"]
        return namespace


class Poster:
    """Tells Kubernetes of one node's incidents, from `now` on.

    `nodes` gives those of the live daemons, `uid` that of a Service by namespace and name, ""
    where it is unknown; `interval` (seconds) is that between two dials of an edge. `tell`, and
    `tick` about once a second, only plan what `run` does.
    """

    def __init__(
        self,
        connection: Connection,
        node: str,
        now: float,
        *,
        nodes: Callable[[], Collection[str]],
        uid: Callable[[str, str], str],
        clock: Clock,
        interval: float,
        pace: Pace | None = None,
    ) -> None:
        self._connection = connection
        self._node = node
        self._nodes, self._uid, self._clock = nodes, uid, clock
        self._alone_seconds = ALONE_ROUNDS * interval
        self._loop = asyncio.get_running_loop()
        self._began = now
        self._outbox = Outbox(connection, RATE, BURST, pace)
        self._ours: dict[str, Post] = {}
        self._recent: dict[tuple[str, ...], Post] = {}
        self._waiting: dict[str, tuple[float, Incident]] = {}
        self._named = 0

    def tell(self, told: Told, now: float) -> None:
        """Plans the Event that this turn of an incident deserves, if it is ours to post."""
        step, incident = told
        if step is Step.OPENED:
            turn = announcements.turn_to_tell(incident, self._node, self._nodes())
            if turn == 0 and now < self._began + BEGINNING_SECONDS:
                first = partial(self._tell_unless_told, incident)
                self._outbox.plan("write", _namespace(incident), first)
            elif turn == 0:
                self._post(incident, step, now)
            else:
                due = now + self._alone_seconds + turn * TURN_SECONDS
                self._waiting[incident.id] = due, incident
            return
        post = self._ours.get(incident.id)
        if step is Step.CLOSED:
            self._waiting.pop(incident.id, None)
            self._ours.pop(incident.id, None)
        if post is None:
            return
        if step is Step.REPEATED:
            post.due = min(post.due, post.sent + SERIES_SECONDS)
            post.count += 1
        elif announcements.reason(incident, step) != post.event["reason"]:
            self._post(incident, step, now)

    def tick(self, now: float) -> None:
        """Plans what time asks for."""
        for id_, (due, incident) in list(self._waiting.items()):
            if now >= due:
                del self._waiting[id_]
                self._outbox.plan(
                    "list", _namespace(incident), partial(self._tell_if_alone, incident)
                )
        for post in self._ours.values():
            if now >= post.due:
                refresh = post.due >= post.sent + REFRESH_SECONDS
                post.count += refresh
                self._observe(post, now)
        self._outbox.tick(now)

    @property
    def waiting(self) -> int:
        """How many requests wait to be made."""
        return len(self._outbox)

    async def run(self) -> Never:
        """Makes the planned requests, one at a time, until cancelled."""
        await self._outbox.run()

    def _post(self, incident: Incident, step: Step, now: float, *, lonely: bool = False) -> None:
        """Plans a new Event, or another observation of one that says the same."""
        uid = self._uid(*incident.lead[:2])
        if incident.alone and not uid:
            return  # the Service is gone
        moment = {Step.OPENED: incident.opened, Step.CLOSED: incident.closed}.get(step)
        event = announcements.event(
            incident,
            step,
            uid=uid,
            node=self._node,
            moment=self._clock(now if moment is None else moment),
            name=self._name(incident),
            lonely=lonely,
        )
        said = (
            event["metadata"]["namespace"],
            incident.lead.service,
            event["reason"],
            event["note"],
        )
        post = self._recent.get(said)
        if post is not None and now - post.sent < REFRESH_SECONDS:
            post.count += 1
            self._observe(post, now)
        elif self._outbox.may(now):
            post = self._recent[said] = Post(event, 1, now, now + REFRESH_SECONDS)
            if len(self._recent) > RECENT_MAX:
                del self._recent[next(iter(self._recent))]
            self._outbox.plan("write", post.namespace, partial(self._outbox.create, event))
        else:
            return
        if step is not Step.CLOSED:
            self._ours[incident.id] = post

    def _name(self, incident: Incident) -> str:
        """As client-go names them, by what they regard and something that is used once."""
        self._named += 1
        about = announcements.node_of(incident) or incident.lead.service
        return f"{about[:230].rstrip('-.')}.{incident.id}.{self._named:x}"

    def _observe(self, post: Post, now: float) -> None:
        post.sent, post.due = now, now + REFRESH_SECONDS
        if not self._outbox.may(now):
            return
        series = announcements.series(post.count, self._clock(now))
        self._outbox.plan("write", post.namespace, partial(self._patch, post.event, series))

    async def _patch(self, event: Json, series: Json) -> None:
        namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
        try:
            await objects.patch(self._connection, EVENTS, namespace, name, series)
        except ApiError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            await self._outbox.create({**event, **series})  # forgotten, as Events are

    async def _tell_unless_told(self, incident: Incident) -> None:
        """Posts the incident, or observes again what was posted before we began."""
        try:
            found = await self._find(incident)
        except ApiError as error:
            if not error.denied:
                raise
            found = []
        if incident.closed is not None:
            return
        reason = announcements.reason(incident, Step.OPENED)
        if same := [event for event in found if event.get("reason") == reason]:
            self._adopt(incident, same[0])
        else:
            self._post(incident, Step.OPENED, self._loop.time())

    async def _tell_if_alone(self, incident: Incident) -> None:
        """Posts the incident if it goes on and no other node has told of it."""
        ours = announcements.instance(self._node)
        found = await self._find(incident)
        others = [event for event in found if event.get("reportingInstance") != ours]
        if incident.closed is None and not others:
            self._post(incident, Step.OPENED, self._loop.time(), lonely=True)

    async def _find(self, incident: Incident) -> list[Json]:
        """The Events that tell of what the incident is about, and have not been taken back."""
        about = announcements.regarding(incident, "")
        found = await objects.find(
            self._connection,
            EVENTS,
            _namespace(incident),
            {
                "regarding.kind": about["kind"],
                "regarding.name": about["name"],
                "reportingController": CONTROLLER,
            },
        )
        return announcements.told_still(found, incident)

    def _adopt(self, incident: Incident, told: Json) -> None:
        """Goes on with an Event of a daemon before us, here or on another node."""
        now, meta = self._loop.time(), told["metadata"]
        event = {
            **told,
            "metadata": {n: meta[n] for n in ("name", "namespace", "labels") if n in meta},
        }
        count = (told.get("series") or {}).get("count") or 1
        post = self._ours[incident.id] = Post(event, count + 1, now, now + REFRESH_SECONDS)
        self._observe(post, now)


def _namespace(incident: Incident) -> str:
    return incident.lead.namespace if incident.alone else NODES_NAMESPACE
