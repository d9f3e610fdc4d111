"""Other daemons asked over HTTP: stand-ins on loopback that answer as it suits them."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from probe import peers
from probe.told import KEY_HEADER, Rollouts, read
from tests.front import HERE, Answer, answering, hangs, says

Json = dict[str, Any]

NOTHING: Json = {"node": "x", "rollouts": [], "reports": []}


async def asked(
    daemons: Mapping[str, Answer | int], key: str = "", query: Mapping[str, str] | None = None
) -> tuple[dict[str, Json], list[str]]:
    """What these daemons answer, and who does not; a number is a port on which nobody listens."""
    found: dict[str, Json] = {}

    async def take(node: str, body: bytes) -> None:
        found[node] = read(body, Rollouts)

    async with AsyncExitStack() as stack:
        places = {
            node: (
                HERE,
                one if isinstance(one, int) else await stack.enter_async_context(answering(one)),
            )
            for node, one in daemons.items()
        }
        silent = await peers.ask(
            places,
            "/api/v1/rollouts",
            query or {},
            key=key,
            take=take,
        )
    return found, silent


async def test_each_answer_is_taken_with_its_node() -> None:
    assert await asked({"b": says(NOTHING), "a": says(NOTHING)}) == (
        {"a": NOTHING, "b": NOTHING},
        [],
    )


async def test_nobody_is_asked_where_nobody_is() -> None:
    assert await asked({}) == ({}, [])


async def test_the_question_and_the_key_arrive() -> None:
    seen: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path_qs, request.headers.get(KEY_HEADER)))
        return web.json_response(NOTHING)

    await asked({"a": answer}, "secret", {"workload": "Deployment/web"})
    await asked({"a": answer})

    assert seen == [
        ("/api/v1/rollouts?workload=Deployment/web", "secret"),
        ("/api/v1/rollouts", None),
    ]


async def test_one_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "AGAIN_SECONDS", 0.01)
    refusals = [429, 429]

    async def busy(request: web.Request) -> web.Response:
        return web.json_response(NOTHING, status=refusals.pop() if refusals else 200)

    assert await asked({"a": busy}) == ({"a": NOTHING}, [])


async def test_one_that_stays_busy_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "BUSY_SECONDS", 0.0)

    assert await asked({"a": says({}, 429), "b": says(NOTHING)}) == ({"b": NOTHING}, ["a"])


async def elsewhere(request: web.Request) -> web.Response:
    raise web.HTTPFound("http://127.0.0.1:1/")


async def breaks_off(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(1, id="nobody listens"),
        pytest.param(says(NOTHING, 404), id="too old"),
        pytest.param(says(NOTHING, 401), id="another key"),
        pytest.param(says({"node": "x"}), id="another shape"),
        pytest.param(says({**NOTHING, "rollouts": [{"workload": 1}]}), id="another record"),
        elsewhere,
        breaks_off,
    ],
)
async def test_what_is_no_answer_of_ours_costs_nothing_but_its_word(answer: Answer | int) -> None:
    assert await asked({"a": answer, "b": says(NOTHING)}) == ({"b": NOTHING}, ["a"])


async def test_one_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "ANSWER_SECONDS", 0.1)

    assert await asked({"a": hangs}) == ({}, ["a"])


async def test_one_that_takes_its_time_holds_up_nobody() -> None:
    others = asyncio.Event()

    async def last(request: web.Request) -> web.Response:
        await others.wait()
        return web.json_response(NOTHING)

    async def first(request: web.Request) -> web.Response:
        others.set()
        return web.json_response(NOTHING)

    assert await asked({"a": last, "b": first}) == ({"a": NOTHING, "b": NOTHING}, [])


async def test_an_answer_without_an_end_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "ANSWER_MAX", 10)

    assert await asked({"a": says(NOTHING)}) == ({}, ["a"])


async def test_so_many_are_asked_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "AT_ONCE", 2)
    under_way, most = 0, 0

    async def counts(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return web.json_response(NOTHING)

    found, silent = await asked({f"node-{number}": counts for number in range(6)})

    assert (len(found), silent, most) == (6, [], 2)
