"""Events on their way to the API server: nothing that it does holds up who wants to tell.

What cannot be posted waits, little of it, and what is too much is counted and logged, not kept.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Never

from probe.apiserver import objects
from probe.core.kube import Resource
from probe.core.schedule import Budget
from probe.reflector import ApiError, ApiTrouble, Backoff, Connection, Pace

log = logging.getLogger("probe.events")

Json = dict[str, Any]

EVENTS = Resource("events", "events.k8s.io/v1", dict, dict)

QUEUE_MAX = 100
"""Requests that wait for an API server that is away: four bursts of incidents."""

ENDING = "being terminated"
"""In what the API server says of a namespace that goes (NamespaceLifecycle admission): it takes its
Events with it, and that is no lack of rights."""

SAID_SECONDS = 60.0
"""Seconds at least between two lines about what was dropped. Arbitrary."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request to make: a "write" or a "list" in that namespace, as our rights go."""

    verb: str
    namespace: str
    make: Callable[[], Awaitable[None]]


class Outbox:
    """A line of requests about Events, and a budget: `rate` a second, `burst` at once."""

    def __init__(
        self, connection: Connection, rate: float, burst: float, pace: Pace | None = None
    ) -> None:
        self._connection = connection
        loop = asyncio.get_running_loop()
        self._backoff = Backoff(pace or Pace(), loop.time, random.Random())
        self._budget = Budget(rate, burst)
        self._jobs: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._forbidden: set[tuple[str, str]] = set()
        self._said: set[str] = set()
        self._dropped, self._dropped_said = 0, float("-inf")

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._jobs)

    def may(self, now: float) -> bool:
        """Whether the budget allows one Event more, which is then spent; else it is counted as
        dropped."""
        granted = self._budget.take(now, 1) > 0
        self._dropped += not granted
        return granted

    def plan(self, verb: str, namespace: str, make: Callable[[], Awaitable[None]]) -> None:
        """Puts a request in line; the oldest goes where too many wait."""
        if (verb, namespace) in self._forbidden:
            return
        if len(self._jobs) >= QUEUE_MAX:
            self._jobs.popleft()
            self._dropped += 1
        self._jobs.append(Job(verb, namespace, make))
        self._wake.set()

    def tick(self, now: float) -> None:
        """Says now and then what was dropped."""
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

    async def create(self, event: Json) -> None:
        """Posts a new Event. Raises ApiTrouble."""
        namespace = event["metadata"]["namespace"]
        try:
            await objects.create(self._connection, EVENTS, namespace, event)
        except ApiError as error:
            # The name is ours alone: an answer got lost, and the Event stands.
            if error.code != HTTPStatus.CONFLICT:
                raise

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
