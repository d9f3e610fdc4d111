"""Incidents posted as Events to an API server that does as it is told, refusing mostly."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from probe.events import REFRESH_SECONDS
from probe.outbox import QUEUE_MAX
from tests.posting import AWHILE, MISMATCH, WEB, Json, others_first, posting
from tests.running import until


@dataclass
class Door:
    """An API server that answers everything with one code."""

    code: int = 201
    message: str = "no"
    asked: list[Json] = field(default_factory=list)
    hang_up: int = 0
    text: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(
            {"verb": request.method, "path": request.path, "body": json.loads(body or b"{}")}
        )
        if self.hang_up:
            self.hang_up -= 1
            assert request.transport is not None
            request.transport.abort()
        status = {"kind": "Status", "code": self.code, "message": self.message}
        text = self.text or json.dumps(status)
        return web.Response(text=text, status=self.code, content_type="application/json")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


@pytest.fixture
def door() -> Door:
    return Door()


async def test_what_is_forbidden_is_said_once_and_not_tried_again(
    door: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door.code = 403
    async with door.serving() as url, posting(url, tmp_path) as desk:
        desk.opened()
        desk.opened(MISMATCH)
        await desk.done()
        desk.opened()
        await desk.done()
        desk.opened(key=WEB._replace(namespace="shop"))
        await desk.done()

    assert len(door.asked) == 2  # once in each namespace
    (line,) = caplog.records
    assert line.getMessage() == (
        "the API server forbids us to create events of namespace demo-app: grant create on events "
        "in events.k8s.io; without that Events are not posted"
    )


async def test_a_namespace_that_goes_forbids_nothing(
    door: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door.code, door.message = 403, "unable to create: it is being terminated"
    async with door.serving() as url, posting(url, tmp_path) as desk:
        for _ in range(2):
            desk.opened()
            await desk.done()
            desk.passes(REFRESH_SECONDS)

    assert len(door.asked) > 1
    assert caplog.records == []


async def test_what_is_refused_is_dropped_and_said_once(
    door: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door.code, door.message = 422, "note: too long"
    async with door.serving() as url, posting(url, tmp_path) as desk:
        desk.opened()
        desk.opened(MISMATCH)
        await desk.done()

    assert len(door.asked) == 2
    (line,) = caplog.records
    assert line.getMessage() == (
        "an Event was not posted: the API server refused to create events of namespace demo-app: "
        "422 note: too long"
    )


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_trouble_that_passes_is_waited_out(
    door: Door, tmp_path: Path, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    door.code = code
    async with door.serving() as url, posting(url, tmp_path) as desk:
        desk.opened()
        await until(lambda: len(door.asked) >= 3)
        door.code = 201
        await desk.done()

    assert len({asked["body"]["metadata"]["name"] for asked in door.asked}) == 1
    assert caplog.records == []


async def test_an_answer_that_got_lost_makes_no_second_event(door: Door, tmp_path: Path) -> None:
    door.code, door.hang_up = 409, 1
    async with door.serving() as url, posting(url, tmp_path) as desk:
        desk.opened()
        await desk.done()

    assert len(door.asked) == 2


async def test_a_list_that_is_none_is_asked_for_again(door: Door, tmp_path: Path) -> None:
    door.code, door.text = 200, "<html>"
    async with door.serving() as url, posting(url, tmp_path, others=("b",)) as desk:
        desk.opened(key=others_first())
        desk.passes(AWHILE)
        await until(lambda: len(door.asked) >= 2)
        door.text = '{"items": []}'
        await until(lambda: door.asked[-1]["verb"] == "POST")

    assert {asked["verb"] for asked in door.asked[:2]} == {"GET"}


async def test_who_may_not_look_for_what_was_told_tells_it(door: Door, tmp_path: Path) -> None:
    door.code = 403
    async with door.serving() as url, posting(url, tmp_path, began=990.0) as desk:
        desk.opened()
        await desk.done()

    assert [asked["verb"] for asked in door.asked] == ["GET", "POST"]


async def test_who_cannot_look_now_looks_later(door: Door, tmp_path: Path) -> None:
    door.code = 500
    async with door.serving() as url, posting(url, tmp_path, began=990.0) as desk:
        desk.opened()
        await until(lambda: len(door.asked) >= 2)
        door.code, door.text = 200, '{"items": []}'
        await until(lambda: door.asked[-1]["verb"] == "POST")

    assert {asked["verb"] for asked in door.asked[:-1]} == {"GET"}


async def test_without_the_api_server_little_waits_and_the_oldest_goes(
    door: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with door.serving() as url, posting(url, tmp_path) as desk:
        door.code = 503
        for number in range(QUEUE_MAX + 20):
            desk.opened(key=WEB._replace(service=f"web-{number}"))
            desk.passes(10)
        assert desk.poster.waiting == QUEUE_MAX
        desk.passes(60)
        assert sum(getattr(record, "dropped", 0) for record in caplog.records) == 20
        door.code, door.asked = 201, []
        await desk.done()

    names = [str(asked["body"]["regarding"]["name"]) for asked in door.asked]
    assert names[-1] == f"web-{QUEUE_MAX + 19}"
    assert "web-0" not in names[1:]
    assert len(names) in (QUEUE_MAX, QUEUE_MAX + 1)
