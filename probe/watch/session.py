"""One watch, from its beginning until the rollout has ended and nothing more is to be expected."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from probe.core.course import Course, Stage
from probe.core.preflight import Note, notes
from probe.core.progress import Progress
from probe.reflector import ApiTrouble, Connection
from probe.watch.command import Command
from probe.watch.subject import Subject, look

TURN = 0.25
"""Seconds between two looks at the record, and drawings of it."""

LOOK = 0.5
"""Seconds between two questions to the API server how far the workload is."""

UNHEARD = 3.0
"""Seconds after a command has failed in which the rollout that it may have begun all the same must
have been seen."""

Json = dict[str, Any]


class Witness(Protocol):
    """Who meets the rollout, and tells."""

    after_failures: float
    """Seconds without a failure after which all of them are laid to their causes."""

    def working(self) -> AbstractAsyncContextManager[None]:
        """While the context lasts it dials, or asks those who do. Raises ApiTrouble, NotFound."""

    def record(self) -> Json | None:
        """The rollout's record (core/rollout_reports) as it stands; None before it began."""

    def broken(self) -> list[str]:
        """What failed before, a sentence each."""

    def silent(self) -> dict[str, str]:
        """Nodes whose daemons do not answer, with the reasons."""


class View(Protocol):
    """Told what happens while the context lasts."""

    def stands(self, scene: "Scene") -> None:
        """The watch has begun: from now on a rollout is seen."""

    def show(self, scene: "Scene", now: float) -> None:
        """As it is now; several times a second."""

    def say(self, line: str) -> None:
        """A line of the command's, or trouble."""


@dataclass(slots=True)
class Scene:
    """What a view shows: filled here, read by whoever draws. `source` says who dials."""

    subject: Subject
    services: tuple[str, ...]
    source: str
    course: Course
    notes: tuple[Note, ...] = ()
    broken: list[str] = field(default_factory=list)
    silent: dict[str, str] = field(default_factory=dict)


class Ending(StrEnum):
    """Why a watch is over."""

    ROLLED = "rolled"
    NOT_SEEN = "not seen"
    STOPPED = "stopped"
    COMMAND_FAILED = "command failed"


@dataclass(frozen=True, slots=True)
class Order:
    """What is wished: the command to run, if any, and for how many seconds to wait until a
    rollout is seen."""

    argv: tuple[str, ...]
    patience: float


async def watch(
    connection: Connection,
    scene: Scene,
    witness: Witness,
    view: View,
    order: Order,
) -> tuple[Ending, int | None]:
    """Watches until it is over, or cancelled: why it ended, and the command's exit code, None if
    it was ended while it ran: for a rollout that was seen it is waited for.

    Raises what finding out what stands raises, and CannotRun.
    """
    loop = asyncio.get_running_loop()
    course = scene.course
    async with witness.working(), _following(connection, scene, view):
        if course.progress is not None:
            scene.notes = notes(course.progress.workload, course.progress.strategy)
        scene.broken, scene.silent = witness.broken(), witness.silent()
        view.stands(scene)
        begun = loop.time()
        async with _running(order.argv, view) as command:
            failed_at: float | None = None
            while True:
                now = loop.time()
                course.see(witness.record(), now)
                scene.silent = witness.silent()
                view.show(scene, now)
                code = command.code if command is not None else 0
                if code and failed_at is None:
                    failed_at = now
                ending = _ending(course, now, now - begun >= order.patience, failed_at)
                if ending is Ending.NOT_SEEN and code is None:
                    view.say("probe: no rollout was seen in time: the command is ended")
                    return ending, None
                if ending is not None and code is not None:
                    return ending, command.code if command is not None else None
                await asyncio.sleep(TURN)


def _ending(
    course: Course, now: float, patience_over: bool, failed_at: float | None
) -> Ending | None:
    stage = course.stage(now)
    if stage is Stage.OVER:
        return Ending.ROLLED
    if stage is not Stage.WAITING:
        return None
    if failed_at is not None:
        return Ending.COMMAND_FAILED if patience_over or now - failed_at >= UNHEARD else None
    return Ending.NOT_SEEN if patience_over else None


@asynccontextmanager
async def _running(argv: Sequence[str], view: View) -> AsyncIterator[Command | None]:
    if not argv:
        yield None
        return
    command = Command(argv, view.say)
    await command.start()
    try:
        yield command
    finally:
        await command.end()


@asynccontextmanager
async def _following(connection: Connection, scene: Scene, view: View) -> AsyncIterator[None]:
    """Keeps the workload's progress up to date; what it was stands while nobody answers."""

    async def follow() -> None:
        told = ""
        while True:
            await asyncio.sleep(LOOK)
            try:
                found: Progress | None = await look(connection, scene.subject)
            except ApiTrouble as trouble:
                if str(trouble) != told:
                    told = str(trouble)
                    view.say(f"probe: {told}; the rollout's progress is as of before")
                continue
            told = ""
            scene.course.progress = found or scene.course.progress

    following = asyncio.create_task(follow())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
