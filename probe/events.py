"""Posts incidents as Kubernetes Events, where people look first: `kubectl describe service`.

One daemon tells of an incident; another one only if it still sees it after a while and nobody has
told. Nothing that the API server does holds up who calls: what cannot be posted waits, little of
it, and what is too much is counted and logged, not kept.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Never

from probe.apiserver import objects
from probe.core import announcements
from probe.core.announcements import CONTROLLER, NODES_NAMESPACE
from probe.core.incident import Incident, Step
from probe.core.incidents import Told
from probe.core.kube import Resource
from probe.core.report import Clock
from probe.core.schedule import Budget
from probe.reflector import ApiError, ApiTrouble, Backoff, Connection, Pace

log = logging.getLogger("probe.events")

Json = dict[str, Any]

EVENTS = Resource("events", "events.k8s.io/v1", dict, dict)

ALONE_ROUNDS = 3
"""Intervals (30 s by default) for which the others may tell of an incident before we look whether
they did: in one each of them dials what we did, in another it confirms, and one to spare."""

TURN_SECONDS = 3.0
"""Seconds more for each daemon whose turn it is before ours. Chosen: longer than a request."""

RATE, BURST = 0.2, 25
"""Events per second, and at once: client-go's burst (tools/record, maxBurst) and a sixtieth part of
its pause. With 500 daemons that is 100 requests a second, when everything fails."""

QUEUE_MAX = 100
"""Requests that wait for an API server that is away: four bursts."""

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

ENDING = "being terminated"
"""In what the API server says of a namespace that goes (NamespaceLifecycle admission): it takes its
Events with it, and that is no lack of rights."""

SAID_SECONDS = 60.0
"""Seconds at least between two lines about what was dropped. Arbitrary."""


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


@dataclass(frozen=True, slots=True)
class Job:
    """A request to make: a "write" or a "list" in that namespace, as our rights go."""

    verb: str
    namespace: str
    make: Callable[[], Awaitable[None]]


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
        self._backoff = Backoff(pace or Pace(), self._loop.time, random.Random())
        self._budget = Budget(RATE, BURST)
        self._ours: dict[str, Post] = {}
        self._recent: dict[tuple[str, ...], Post] = {}
        self._waiting: dict[str, tuple[float, Incident]] = {}
        self._jobs: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._forbidden: set[tuple[str, str]] = set()
        self._said: set[str] = set()
        self._dropped, self._dropped_said = 0, float("-inf")
        self._named = 0

    def tell(self, told: Told, now: float) -> None:
        """Plans the Event that this turn of an incident deserves, if it is ours to post."""
        step, incident = told
        if step is Step.OPENED:
            turn = announcements.turn_to_tell(incident, self._node, self._nodes())
            if turn == 0 and now < self._began + BEGINNING_SECONDS:
                first = partial(self._tell_unless_told, incident)
                self._plan("write", _namespace(incident), first)
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
                self._plan("list", _namespace(incident), partial(self._tell_if_alone, incident))
        for post in self._ours.values():
            if now >= post.due:
                refresh = post.due >= post.sent + REFRESH_SECONDS
                post.count += refresh
                self._observe(post, now)
        if self._dropped and now - self._dropped_said >= SAID_SECONDS:
            log.warning(
                "%d Events were not posted: there were too many of them",
                self._dropped,
                extra={"dropped": self._dropped},
            )
            self._dropped, self._dropped_said = 0, now

    async def run(self) -> Never:
        """Makes the planned requests, one at a time, until cancelled."""
        while True:
            await self._wake.wait()
            while self._jobs:
                job = self._jobs[0]
                pause = await self._do(job)
                if pause > 0:
                    await asyncio.sleep(pause)
                elif self._jobs and self._jobs[0] is job:
                    self._jobs.popleft()
            self._wake.clear()

    async def _do(self, job: Job) -> float:
        """Makes a request; how long to wait until it is made again, 0 if it is done with."""
        if (job.verb, job.namespace) in self._forbidden:
            return 0.0
        try:
            await job.make()
        except ApiError as error:
            if not error.asks_amiss:
                return self._backoff.pause(error)
            if error.code != HTTPStatus.FORBIDDEN:
                self._say(f"{job.verb} {error.code}", f"an Event was not posted: {error}")
            elif ENDING not in error.message:
                self._forbidden.add((job.verb, job.namespace))
                self._say(job.verb, f"{error}; without that Events are not posted")
        except ApiTrouble as error:
            return self._backoff.pause(error)
        return 0.0

    def _say(self, what: str, sentence: str) -> None:
        """Each thing is said once."""
        if what not in self._said:
            self._said.add(what)
            log.warning("%s", sentence)

    def _plan(self, verb: str, namespace: str, make: Callable[[], Awaitable[None]]) -> None:
        """Puts a request in line; the oldest goes where too many wait."""
        if (verb, namespace) in self._forbidden:
            return
        if len(self._jobs) >= QUEUE_MAX:
            self._jobs.popleft()
            self._dropped += 1
        self._jobs.append(Job(verb, namespace, make))
        self._wake.set()

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
        elif self._budget.take(now, 1):
            post = self._recent[said] = Post(event, 1, now, now + REFRESH_SECONDS)
            if len(self._recent) > RECENT_MAX:
                del self._recent[next(iter(self._recent))]
            self._plan("write", post.namespace, partial(self._create, event))
        else:
            self._dropped += 1
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
        if not self._budget.take(now, 1):
            self._dropped += 1
            return
        series = announcements.series(post.count, self._clock(now))
        self._plan("write", post.namespace, partial(self._patch, post.event, series))

    async def _create(self, event: Json) -> None:
        namespace = event["metadata"]["namespace"]
        try:
            await objects.create(self._connection, EVENTS, namespace, event)
        except ApiError as error:
            # The name is ours alone: an answer got lost, and the Event stands.
            if error.code != HTTPStatus.CONFLICT:
                raise

    async def _patch(self, event: Json, series: Json) -> None:
        namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
        try:
            await objects.patch(self._connection, EVENTS, namespace, name, series)
        except ApiError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            await self._create({**event, **series})  # forgotten, as Events are

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
