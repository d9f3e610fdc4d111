"""One watch from its beginning to its end, with somebody who tells whatever a test wants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from probe.core.course import Course
from probe.demo.manifests import deployment
from probe.watch.session import Ending, Order, Scene, watch
from probe.watch.subject import Subject, look
from tests.running import until
from tests.watch.reached import connected
from tests.watched import standing, stop_api

WEB = Subject("Deployment", "demo-app", "web")
Tell = Callable[[], Any]


class Teller:
    """A witness that tells what it is asked to."""

    after_failures = 5.0

    def __init__(self, tell: Tell = lambda: None) -> None:
        self.record = tell

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        yield

    def broken(self) -> list[str]:
        return ["web:80 fails already"]

    def silent(self) -> dict[str, str]:
        return {}


class Seen:
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self.shown = 0
        self.said: list[str] = []

    def stands(self, scene: Scene) -> None:
        self.scene = scene

    def show(self, scene: Scene, now: float) -> None:
        self.shown += 1

    def say(self, line: str) -> None:
        self.said.append(line)


def record(*, ended: bool) -> dict[str, Any]:
    when = "2026-01-01T00:00:00Z" if ended else None
    return {"dials": 9, "failed": {}, "ended": when, "shortest_window_seconds": None}


async def watched(
    folder: Path,
    order: Order,
    teller: Teller | None = None,
    *,
    away: bool = False,
    over: bool = False,
) -> tuple[tuple[Ending, int | None], Seen]:
    """How the watch of a Deployment on the embedded cluster ended, and what was seen."""
    async with (
        standing(deployment("web")) as cluster,
        connected(cluster, folder) as connection,
    ):
        course = Course(progress=await look(connection, WEB))
        if over:
            course.record, course.ended = record(ended=True), 0.0
        seen = Seen()
        scene = Scene(WEB, ("web",), "dialing from here", course)
        with ExitStack() as sockets:
            if away:
                await stop_api(cluster, sockets)
            ended = await watch(connection, scene, teller or Teller(), seen, order)
        return ended, seen


async def test_without_a_rollout_it_is_over_when_patience_is(tmp_path: Path) -> None:
    ended, seen = await watched(tmp_path, Order((), 1.0))

    assert ended == (Ending.NOT_SEEN, None)
    assert seen.scene is not None
    assert [note.code for note in seen.scene.notes] == ["no_readiness_probe", "no_pre_stop"]
    assert seen.scene.broken == ["web:80 fails already"]
    assert seen.shown >= 2


async def test_a_rollout_is_watched_until_a_while_after_its_end(tmp_path: Path) -> None:
    teller = Teller(lambda: record(ended=True))
    ended, seen = await watched(tmp_path, Order((), 60), teller, over=True)

    assert ended == (Ending.ROLLED, None)
    assert seen.scene is not None
    assert seen.scene.course.record == record(ended=True)


@pytest.mark.slow
async def test_a_command_that_fails_and_begins_nothing_ends_it(tmp_path: Path) -> None:
    ended, seen = await watched(tmp_path, Order(("sh", "-c", "echo no; exit 4"), 60))

    assert (ended, seen.said) == ((Ending.COMMAND_FAILED, 4), ["no"])


async def test_a_command_that_fails_is_told_of_when_patience_is_over_as_well(
    tmp_path: Path,
) -> None:
    order = Order(("sh", "-c", "exit 4"), 2.0)

    assert (await watched(tmp_path, order))[0] == (Ending.COMMAND_FAILED, 4)


async def test_a_command_that_runs_on_is_ended_when_patience_is_over(tmp_path: Path) -> None:
    ended, seen = await watched(tmp_path, Order(("sleep", "1000"), 0.5))

    assert ended == (Ending.NOT_SEEN, None)
    assert seen.said == ["probe: no rollout was seen in time: the command is ended"]


async def test_a_command_is_waited_for_though_the_rollout_is_over(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    argv = ("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.1; done; exit 5")
    turns = 0

    def tell() -> dict[str, Any]:
        nonlocal turns
        turns += 1
        if turns == 4:
            gate.touch()
        return record(ended=True)

    ended, _ = await watched(tmp_path, Order(argv, 60), Teller(tell), over=True)

    assert ended == (Ending.ROLLED, 5)
    assert turns >= 4


@pytest.mark.slow
async def test_an_api_server_that_is_away_is_told_once_and_ends_nothing(tmp_path: Path) -> None:
    ended, seen = await watched(tmp_path, Order((), 3), away=True)

    assert ended == (Ending.NOT_SEEN, None)
    (said,) = seen.said
    assert said.endswith("the rollout's progress is as of before")
    assert seen.scene is not None
    assert seen.scene.course.progress is not None


async def test_a_bug_in_the_witness_is_not_hidden(tmp_path: Path) -> None:
    def tell() -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await watched(tmp_path, Order((), 60), Teller(tell))


async def test_progress_follows_the_workload(tmp_path: Path) -> None:
    async with (
        standing(deployment("web")) as cluster,
        connected(cluster, tmp_path) as connection,
    ):
        course = Course(progress=await look(connection, WEB))
        scene = Scene(WEB, ("web",), "dialing from here", course)
        cluster.apply(deployment("web", replicas=3))
        watching = asyncio.create_task(watch(connection, scene, Teller(), Seen(), Order((), 60)))
        await until(lambda: course.progress and course.progress.wanted == 3)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
