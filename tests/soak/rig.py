"""What operations and faults act on, and the journal of what they did."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.cluster.api import ApiError
from tests.soak.client import Client, Trouble
from tests.soak.ground import Ground
from tests.soak.shop import Shape
from tests.soak.turns import Turns

AROUND = 12
"""The operations that are shown beside a false incident."""


@dataclass
class Entry:
    """One thing that was done, in seconds since the soak began."""

    began: float
    what: str
    ended: float | None = None
    trouble: str = ""

    def __str__(self) -> str:
        ended = "" if self.ended is None else f"{self.ended:.1f}"
        return f"{self.began:7.1f}-{ended:<7} {self.what}{self.trouble and f': {self.trouble}'}"


class Gate:
    """Many may be inside together, or one alone."""

    def __init__(self) -> None:
        self._condition = asyncio.Condition()
        self._inside = 0
        self._alone = False

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        async with self._condition:
            await self._condition.wait_for(lambda: not self._alone)
            self._inside += 1
        try:
            yield
        finally:
            async with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        async with self._condition:
            await self._condition.wait_for(lambda: not self._alone)
            self._alone = True
            await self._condition.wait_for(lambda: not self._inside)
        try:
            yield
        finally:
            async with self._condition:
                self._alone = False
                self._condition.notify_all()


@dataclass
class Rig:
    """`now` is seconds since the soak began. `topology` is held by what moves pods from node to
    node, or by what needs them to stay."""

    ground: Ground
    turns: Turns
    now: Callable[[], float]
    say: Callable[[str], None]
    gate: Gate = field(default_factory=Gate)
    topology: asyncio.Lock = field(default_factory=asyncio.Lock)
    journal: list[Entry] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    @property
    def client(self) -> Client:
        return self.ground.client

    @property
    def nodes(self) -> list[str]:
        return self.ground.nodes

    def lock(self, shape: Shape) -> asyncio.Lock:
        """Of the pods behind it: one thing at a time is done to them and their Services."""
        return self._locks.setdefault(shape.app, asyncio.Lock())

    @asynccontextmanager
    async def doing(self, kind: str, what: str) -> AsyncIterator[Entry]:
        """Files it in the journal, with the trouble that it met; counts it by kind."""
        entry = Entry(self.now(), f"{kind} {what}")
        self.journal.append(entry)
        self.say(f"{entry.began:7.1f} {entry.what}")
        try:
            yield entry
            self.done[kind] += 1
        except (Trouble, ApiError) as trouble:
            entry.trouble = str(trouble)
            self.done[f"{kind}, in trouble"] += 1
            self.say(f"{self.now():7.1f} {entry.what}: {trouble}")
        finally:
            entry.ended = self.now()

    def around(self) -> list[str]:
        """What was done lately, and what is being done."""
        running = [entry for entry in self.journal if entry.ended is None]
        ended = [entry for entry in self.journal if entry.ended is not None]
        return [str(entry) for entry in (*ended[-AROUND:], *running)]


async def pause(chance: random.Random, least: float, most: float) -> None:
    await asyncio.sleep(chance.uniform(least, most))
