"""Mirrors one resource of the API server for ever: lists it, then watches, and tells of changes.

Whatever the server does or sends, the picture is kept until a better one is there: it is replaced
as a whole by a list, changed by single events, and never emptied because nobody answers. Nothing
that the API server does ends a Reflector, makes it spin, or grows its memory beyond the facts.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Never

from probe.apiserver.connection import Connection, connect
from probe.apiserver.decoding import Decoder, Key, Listing, Skip, Torn
from probe.apiserver.exchange import Limits
from probe.apiserver.framing import Piece
from probe.apiserver.refusals import (
    ApiError,
    ApiTrouble,
    ConnectionSettingsError,
    Unreachable,
)
from probe.core.kube import Event, Listed, Removed, Resource, Stored

__all__ = [
    "ApiError",
    "ApiTrouble",
    "Connection",
    "ConnectionSettingsError",
    "Limits",
    "Pace",
    "Reflector",
    "Status",
    "Unreachable",
    "connect",
]

QUIET_AGAIN = 600.0
"""Seconds without a skip after which its next one is logged again; arbitrary."""

log = logging.getLogger("probe.reflector")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the API server is asked, in seconds. Every pause has chance in it: when a server
    comes back, no two daemons and no two resources of one daemon may ask at once."""

    first: float = 0.8
    """client-go's reflector back-off: from 800 ms, doubling, up to 30 s with its jitter, which
    adds up to as much again: so pauses are [0.8, 1.6), [1.6, 3.2) ... [15, 30)."""
    longest: float = 15.0
    healthy: float = 120.0
    """Without trouble for this long, the next trouble starts from `first` (client-go)."""
    spread: float = 1.0
    """A watch that ended in order is opened again within this; with 1000 daemons and eight
    resources that is 8000 requests in a second, not at once. Arbitrary."""
    short: float = 1.0
    """A watch that ends sooner and brought nothing is trouble (client-go's very short watch)."""
    watch: float = 300.0
    """A watch lasts from this to twice this (client-go's minWatchTimeout), spread so that the
    watches of a restarted API server do not end together."""


@dataclass(slots=True)
class Status:
    """How the mirroring of one resource goes; read it at any time, change nothing.

    `error` is the current trouble as one sentence, None while all is well. `last_contact` is on
    the reflector's clock and `last_contact_at` on the wall: when a list or watch last brought
    anything. `skipped` counts by decoding.Reason. `forbidden` is a 403, `absent` a 404.
    """

    resource: str
    namespace: str = ""
    required: bool = False
    synced: bool = False
    error: str | None = None
    forbidden: bool = False
    absent: bool = False
    last_contact: float | None = None
    last_contact_at: datetime | None = None
    watches: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


class Backoff:
    """Pauses that grow while trouble lasts; see Pace."""

    def __init__(self, pace: Pace, clock: Callable[[], float], chance: random.Random) -> None:
        self._pace, self._clock, self._chance = pace, clock, chance
        self._base = pace.first
        self._last = float("-inf")

    def pause(self, error: ApiTrouble, *, worked: bool = False) -> float:
        """Seconds to wait after this trouble.

        What is denied is asked for as seldom as there is, unless it once `worked`: an API server
        that has just started knows no roles yet, and refuses everybody for a moment (seen on 1.36).
        """
        now = self._clock()
        base = self._pace.first if now - self._last > self._pace.healthy else self._base
        self._base = min(base * 2, self._pace.longest)
        self._last = now
        asked = 0.0
        if isinstance(error, ApiError):
            if error.denied and not worked:
                base = self._pace.longest
            asked = (error.retry_after or 0.0) * self._chance.uniform(1.0, 1.25)
        return max(base * self._chance.uniform(1.0, 2.0), asked)

    def spread(self) -> float:
        """Seconds to wait though nothing is wrong, so that not all come at once."""
        return self._chance.uniform(0.0, self._pace.spread)


class Reflector:
    """One resource, of one namespace if given, told to `sink` as events in order of receipt.

    The sink is called synchronously, owns no event until it returns, and must not raise: first
    Listed, then Stored and Removed, and Listed again whenever the server made us start over;
    Removed only of what was told before.
    An object that cannot be read is skipped, and its last readable form stands until it is
    removed or readable again.

    Watches that end without a word prove nothing: a quiet resource has none, but neither has a
    version that the server does not know, such as after etcd was restored from a backup (1.36
    accepts the watch and stays mute for ever). So after the 2nd, 4th, 8th ... in a row we list.
    """

    def __init__(
        self,
        connection: Connection,
        resource: Resource,
        sink: Callable[[Event], None],
        *,
        namespace: str = "",
        pace: Pace | None = None,
    ) -> None:
        self.status = Status(resource.name, namespace, resource.required)
        self._connection = connection
        self._resource = resource
        self._namespace = namespace
        self._sink = sink
        self._pace = pace or Pace()
        self._clock = time.monotonic
        self._chance = random.Random()
        self._backoff = Backoff(self._pace, self._clock, self._chance)
        self._decoder = Decoder(resource)
        self._facts: dict[Key, Any] = {}
        self._version: str | None = None
        self._list_from: str | None = "0"
        self._torn_at: str | None = None
        self._passed_torn = False
        self._accepted: float | None = None
        self._mute = 0
        self._gone_at = float("-inf")
        self._told: set[str] = set()
        self._skipped_at: dict[str, float] = {}

    async def run(self) -> Never:
        """Mirrors until cancelled."""
        while True:
            pause = await self._step()
            await asyncio.sleep(pause)

    async def _step(self) -> float:
        """One list or one watch; returns how long to pause before the next step."""
        try:
            if self._version is None:
                await self._list()
                return 0.0
            await self._watch(self._version)
            return self._backoff.spread()
        except ApiTrouble as error:
            return self._troubled(error)

    async def _list(self) -> None:
        listing = await self._connection.listing(
            self._resource, self._namespace, resource_version=self._list_from
        )
        self._contact()
        self._replace(listing)
        self._version, self._list_from = listing.version, None

    def _replace(self, listing: Listing) -> None:
        """The new picture, with the last good form of what cannot be read in it."""
        for skip in listing.skipped:
            self._skip(skip)
            if skip.key in self._facts:
                listing.facts.setdefault(skip.key, self._facts[skip.key])
        for key, fact in listing.facts.items():
            if (held := self._facts.get(key)) == fact:
                listing.facts[key] = held  # the one that others hold too
        self._facts = listing.facts
        self._sink(Listed(self._resource.name, tuple(self._facts.values()), self._namespace))
        self.status.synced = True

    async def _watch(self, version: str) -> None:
        """Watches from the version until the stream ends. Raises ApiTrouble unless that was
        worth its request: it lasted, or it brought something new."""
        self.status.watches += 1
        self._passed_torn = False
        self._accepted = None
        ended = Unreachable(
            f"the API server ends watches of {self._resource.name} as soon as they begin"
        )
        try:
            await self._stream(version)
        except Unreachable as error:
            ended = error
        if self._passed_torn and self._version == version:
            self._start_over()
            raise Unreachable(f"the watch of {self._resource.name} is broken at {version}")
        if self._version == version and not self._lasted():
            raise ended
        if self._mute > 1 and self._mute.bit_count() == 1:
            self._start_over()

    def _lasted(self) -> bool:
        return self._accepted is not None and self._clock() - self._accepted >= self._pace.short

    async def _stream(self, version: str) -> None:
        """One watch, to its end. All is well once it stands or brings something."""
        standing: asyncio.TimerHandle | None = None
        seconds = self._pace.watch * self._chance.uniform(1.0, 2.0)
        stream = self._connection.watch(self._resource, self._namespace, version, seconds)
        try:
            async with aclosing(stream) as batches:
                async for lines in batches:
                    self._contact()
                    if standing is None:
                        self._accepted = self._clock()
                        self._mute += 1
                        loop = asyncio.get_running_loop()
                        standing = loop.call_later(self._pace.short, self._recovered)
                    for line in lines:
                        self._mute = 0
                        self._hear(line)
        finally:
            if standing is not None:
                standing.cancel()

    def _hear(self, line: Piece) -> None:
        """Does what a watch line says. Raises ApiError for what it refuses.

        After a line that is no JSON the stream is not trusted: Unreachable, and the next watch
        starts from the last good version. If that brings the line again, we go past it.
        """
        try:
            heard = self._decoder.line(line, self._namespace)
        except Torn as error:
            self._skip(Skip("malformed_json", str(error)))
            if self._torn_at == self._version:
                self._passed_torn = True
                return
            self._torn_at = self._version
            raise Unreachable(f"the watch of {self._resource.name} is broken: {error}") from error
        if isinstance(heard, Skip):
            self._skip(heard)
        else:
            if heard.event is not None:
                self._tell(heard.event)
            self._recovered()
        self._version = heard.version or self._version

    def _tell(self, event: Stored | Removed) -> None:
        match event:
            case Stored(_, fact):
                self._facts[fact.namespace, fact.name] = fact
            case Removed(_, namespace, name):
                if self._facts.pop((namespace, name), None) is None:
                    return
        self._sink(event)

    def _skip(self, skip: Skip) -> None:
        """Counts it, and logs the first of its kind until the kind has stopped."""
        now = self._clock()
        quiet = now - self._skipped_at.get(skip.reason, float("-inf"))
        self._skipped_at[skip.reason] = now
        self.status.skipped[skip.reason] += 1
        if quiet >= QUIET_AGAIN:
            log.warning(
                "skipping %s: %s (further ones are only counted)",
                f"{self._resource.name} {'/'.join(skip.key)}" if skip.key else self._resource.name,
                skip.detail,
                extra={"resource": self._resource.name, "reason": skip.reason},
            )

    def _contact(self) -> None:
        self.status.last_contact = self._clock()
        self.status.last_contact_at = datetime.now(UTC)

    def _start_over(self) -> None:
        """The next step is a list, from etcd: a server's memory may be what we just left."""
        self._version, self._list_from = None, None

    def _troubled(self, error: ApiTrouble) -> float:
        """Notes the trouble and returns how long to wait; the picture stays as it is."""
        if isinstance(error, ApiError):
            if error.forgotten or error.asks_amiss:
                self._start_over()
            if error.forgotten and self._clock() - self._gone_at > self._pace.healthy:
                self._gone_at = self._clock()
                return self._backoff.spread()
            if error.denied:
                self.status.forbidden = error.code == HTTPStatus.FORBIDDEN
                self.status.absent = error.code == HTTPStatus.NOT_FOUND
        pause = self._backoff.pause(error, worked=self.status.synced)
        self.status.error = str(error)
        kind = f"{error.code}" if isinstance(error, ApiError) else "unreachable"
        if kind not in self._told:
            self._told.add(kind)
            log.warning("%s", error, extra={"resource": self._resource.name, "trouble": kind})
        return pause

    def _recovered(self) -> None:
        if self.status.error is None:
            return
        self.status.error = None
        self.status.forbidden = self.status.absent = False
        self._told.clear()
        log.info(
            "%s are watched again", self._resource.name, extra={"resource": self._resource.name}
        )
