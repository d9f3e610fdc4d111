"""The soak: a shop that lives, faults among it, and daemons that watch."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from probe.core.verdicts import Verdict
from tests.running import until
from tests.soak import faults, plan, shop
from tests.soak.client import AGAIN
from tests.soak.embedded import embedded
from tests.soak.faults import CALM_SECONDS, Injection
from tests.soak.ground import Ground
from tests.soak.logs import Logs
from tests.soak.operations import perform
from tests.soak.real import real
from tests.soak.rig import Rig, pause
from tests.soak.turns import Excuse, Incident, Opened, Turn, Turns

LIVES = 2
"""Operations that go on at once."""

LOOK = 0.2
"""Seconds between two looks into the logs."""

COUNTED_EVERY = 5.0
"""Seconds between two looks at the metrics."""


@dataclass(frozen=True)
class Options:
    minutes: float = 30.0
    seed: int = 1
    nodes: int = 2
    mode: str = "iptables"
    interval: float = 10.0
    faults: bool = True
    embedded: bool = False


@dataclass
class Result:
    """What a soak has shown."""

    options: Options
    ground: str
    seconds: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    dials: int = 0
    turns: list[Turn] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)
    injections: list[Injection] = field(default_factory=list)
    false: list[Incident] = field(default_factory=list)
    real: list[Incident] = field(default_factory=list)
    loud: list[Turn] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not (
            self.false
            or self.loud
            or self.complaints
            or any(each.missed or each.stuck for each in self.injections)
        )


class Soak:
    """One run. `logs` is for the ground, which comes after."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._began = datetime.now(UTC)
        self._options = options
        self._say = say
        self._turns = Turns()
        self._asking: set[asyncio.Task[None]] = set()
        self._injections: list[Injection] = []
        self.logs = Logs(
            self._began,
            told=self._told,
            opened=self._turns.opened.append,
            began=self._turns.forget,
        )
        self._rig: Rig

    def _now(self) -> float:
        return (datetime.now(UTC) - self._began).total_seconds()

    def _told(self, turn: Turn) -> None:
        self._say(f"{turn.at:7.1f}   {turn.port} {turn.was} -> {turn.verdict}: {turn.sentence}")
        incident = self._turns.take(turn, self._rig.around())
        if incident is not None:
            self._say(f"{turn.at:7.1f}   FALSE")
            task = asyncio.create_task(self._ask(incident))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, incident: Incident) -> None:
        """What the daemon says, and whether the API server says the same: pods of a busy machine
        may come too late for a Service that has one."""
        port = incident.port
        empty = incident.turns[0].verdict == Verdict.NO_ENDPOINTS
        if empty and not await self._rig.client.served(port.service):
            self._turns.believe(incident)
        incident.document = await self._rig.ground.document(port.node, port.namespace, port.service)

    async def run(self, ground: Ground) -> Result:
        """Sets up, lives for the time given, and waits until all is calm. If it is cancelled, it
        ends with what it has."""
        self._rig = Rig(ground, self._turns, self._now, self._say)
        await ground.set_up()
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(self._follow())
                await self._healthy()
                await self._live(self._now() + 60 * self._options.minutes)
                await self._end()
                following.cancel()
        await asyncio.gather(*self._asking)
        return Result(
            self._options,
            ground.name,
            self._now(),
            self._rig.done,
            ground.dials,
            self._turns.told,
            self._turns.opened,
            self._injections,
            self._turns.false,
            self._turns.real,
            [turn for turn in self._turns.alarms() if not self._turns.explained(turn)],
            self.logs.complaints,
        )

    async def _follow(self) -> None:
        """Takes in what the daemons say and do, until cancelled."""
        counted = self._now()
        while True:
            self._rig.ground.look()
            if self._now() - counted > COUNTED_EVERY:
                counted = self._now()
                await self._rig.ground.count()
            await asyncio.sleep(LOOK)

    async def _healthy(self) -> None:
        """Until each daemon has a verdict of every Service with pods."""

        def asked() -> bool:
            return all(
                any(turn.verdict == "healthy" for turn in self._turns.of(node, name))
                for node in self._rig.nodes
                for name, shape in shop.SHAPES.items()
                if shape.replicas
            )

        await until(asked, 120, every=AGAIN)

    async def _live(self, end: float) -> None:
        standing = frozenset({faults.DRAIN_RACE, "no_endpoints"})
        careless = Excuse("careless pods", standing, self._now(), frozenset({"careless"}))
        self._turns.excuses.append(careless)
        workers = [self._operate(n, end) for n in range(LIVES)]
        if self._options.faults:
            workers.append(self._inject(end))
        async with asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(worker)

    async def _operate(self, number: int, end: float) -> None:
        chance = plan.chance(self._options.seed, f"life {number}")
        for operation, target in plan.operations(chance, self._rig.nodes, self._rig.ground.lacks):
            await pause(chance, 0, 8)
            if self._now() > end:
                return
            # Its own chance: how much of it is used depends on what it finds.
            await perform(self._rig, random.Random(chance.random()), operation, target)

    async def _inject(self, end: float) -> None:
        chance = plan.chance(self._options.seed, "faults")
        for fault, target in plan.faults(chance, self._rig.ground.lacks):
            await pause(chance, 0, 20)
            if self._now() > end:
                return
            own = random.Random(chance.random())
            said = await faults.inject(self._rig, own, fault, target)
            if said is not None:
                self._injections.append(said)
                self._say(f"{self._now():7.1f}   {said}")

    async def _end(self) -> None:
        with contextlib.suppress(TimeoutError):
            await until(lambda: not list(self._turns.alarms()), CALM_SECONDS, every=AGAIN)
        await self._rig.ground.count()


async def soak(options: Options, say: Callable[[str], None]) -> Result:
    """One from beginning to end, on a cluster of its own."""
    run = Soak(options, say)
    if options.embedded:
        async with embedded(run.logs, options.interval) as small:
            return await run.run(small)
    async with real(run.logs, options.interval, options.nodes, options.mode) as large:
        return await run.run(large)
