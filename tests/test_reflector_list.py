"""Whatever a list brings, it replaces the picture as a whole or not at all."""

import asyncio
import gzip
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from probe.core.kube import SERVICES, Listed
from probe.reflector import ApiError, Limits, Reflector, Unreachable
from tests.hostile import (
    HASTE,
    Picture,
    Server,
    broken_off,
    connected,
    event,
    huge,
    mirroring,
    page,
    plain,
    refuse,
    service,
    serving,
    silence,
    spec_null,
    stream,
    until,
)

pytestmark = pytest.mark.slow

GONE = refuse(410, "Expired")


async def test_a_410_in_the_middle_of_paging_starts_over(tmp_path: Path) -> None:
    server = Server(
        [page([service("old")], 5, "next"), GONE, page([service("a"), service("b")], 9)],
        [stream()],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: bool(server.watched))

        assert picture.names == {"a", "b"}
        assert "continue" not in server.listed[2].query
        assert server.watched[0].query["resourceVersion"] == "9"
        assert reflector.status.error is None


NO_LISTS = {
    "500": refuse(500),
    "503": refuse(503, "ServiceUnavailable"),
    "HTML error": plain(502, b"<html><h1>Bad Gateway</h1></html>", "text/html"),
    "redirect": plain(302, b"", headers={"Location": "http://127.0.0.1:1/login"}),
    "HTML": plain(200, b"<html>Sign in</html>", "text/html"),
    "nothing": plain(200, b""),
    "empty object": plain(200, b"{}"),
    "null": plain(200, b"null"),
    "a Status": plain(200, b'{"kind":"Status","metadata":{},"status":"Success"}'),
    "truncated": plain(200, b'{"metadata":{"resourceVersion":"9"},"items":[{"me'),
    "no version": plain(200, b'{"metadata":{"resourceVersion":""},"items":[]}'),
    "items of another shape": plain(200, b'{"metadata":{"resourceVersion":"9"},"items":{}}'),
    "no items": plain(200, b'{"kind":"ServiceList","metadata":{"resourceVersion":"9"}}'),
    "broken off": broken_off(b'{"metadata":{"resourceVersion":"9"},"items":[]'),
    "silence": silence,
    "silence in the middle": stream(b'{"kind":"ServiceList",'),
    "401": refuse(401, "Unauthorized"),
}


@pytest.mark.parametrize("what", NO_LISTS)
async def test_no_answer_of_this_kind_empties_the_picture(tmp_path: Path, what: str) -> None:
    server = Server([page([service("a")]), NO_LISTS[what], page([service("b")])], [GONE, stream()])
    limits = Limits(page=0.5) if "silence" in what else None
    async with (
        serving(server),
        mirroring(server.url, tmp_path, limits=limits) as (picture, reflector),
    ):
        await until(lambda: picture.names == {"b"})
        await until(lambda: reflector.status.error is None)

        assert len(server.listed) == 3
        lists = [event.facts for event in picture.events if isinstance(event, Listed)]
        assert [[fact.name for fact in facts] for facts in lists] == [["a"], ["b"]]


async def test_500s_are_retried_with_growing_pauses(tmp_path: Path) -> None:
    server = Server([refuse(500)] * 5 + [page([service("a")])], [stream()])
    pace = replace(HASTE, healthy=60.0)  # a slow answer is no time without trouble
    async with serving(server), mirroring(server.url, tmp_path, pace=pace) as (picture, reflector):
        await until(lambda: reflector.status.error is not None)
        assert reflector.status.error == (
            "the API server refused to list services: 500 Internal Server Error"
        )
        await until(lambda: picture.names == {"a"})

        at = [asked.at for asked in server.listed]
        pauses = [b - a for a, b in pairwise(at)]
        assert pauses[0] >= 0.02
        assert min(pauses[3:]) >= 0.1


async def test_retry_after_is_honoured(tmp_path: Path) -> None:
    async def asked_again_after(code: int) -> float:
        busy = refuse(code, "TooManyRequests", {"Retry-After": "1"})
        server = Server([busy, page([service("a")])], [stream()])
        async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
            await until(lambda: picture.names == {"a"})
            return server.listed[1].at - server.listed[0].at

    for pause in await asyncio.gather(asked_again_after(429), asked_again_after(503)):
        assert pause >= 1.0


@pytest.mark.parametrize("code", [429, 503])
async def test_after_retry_after_nobody_waits_much_longer(tmp_path: Path, code: int) -> None:
    server = Server([refuse(code, "TooManyRequests", {"Retry-After": "1"})])
    async with serving(server), connected(server.url, tmp_path) as connection:
        reflector = Reflector(connection, SERVICES, Picture(), pace=HASTE)

        assert 1.0 <= await reflector._step() <= 1.25


async def test_retry_after_is_never_more_than_a_minute(tmp_path: Path) -> None:
    server = Server([refuse(429, "TooManyRequests", {"Retry-After": "86400"})])
    async with serving(server), connected(server.url, tmp_path) as connection:
        with pytest.raises(ApiError) as caught:
            await connection.list(SERVICES)

        assert caught.value.retry_after == 60


async def test_one_bad_item_costs_nobody_else_and_keeps_its_last_form(tmp_path: Path) -> None:
    server = Server(
        [page([service("a", port=81), service("gone")]), page([spec_null("a"), service("b")], 5)],
        [GONE, stream(event("ADDED", spec_null("c", 6)), 0.3, event("DELETED", service("a", 7)))],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: picture.lists >= 2)
        assert picture.names == {"a", "b"}
        assert picture.facts["demo", "a"].ports[0].port == 81
        await until(lambda: picture.names == {"b"})

        assert reflector.status.skipped == {"bad_object": 2}


async def test_a_fact_that_is_listed_again_is_the_one_that_was_known(tmp_path: Path) -> None:
    """Those who were told of it hold it too: every relist would double what is remembered."""
    server = Server(
        [
            page([service("a"), service("b", port=81)]),
            page([service("a"), service("b", port=82)], 5),
        ],
        [GONE, stream()],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
        await until(lambda: picture.lists >= 2)

    first, second, *_ = (each for each in picture.events if isinstance(each, Listed))
    changed: Any = second.facts[1]
    assert second.facts[0] is first.facts[0]
    assert changed.ports[0].port == 82


async def test_items_that_are_no_objects_are_counted(tmp_path: Path) -> None:
    items: list[Any] = [None, 7, [], {"metadata": None}, service("a")]
    server = Server([page(items)], [stream()])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: picture.names == {"a"})

        assert reflector.status.skipped == {"malformed_object": 4}


async def test_an_item_of_bad_json_costs_nobody_else(tmp_path: Path) -> None:
    good = json.dumps(service("a")).encode()
    bad = [b'{"metadata":{"name":oops}}', b"[" * 10**5 + b"]" * 10**5]
    for item in bad:
        body = b'{"metadata":{"resourceVersion":"1"},"items":[%b,%b]}' % (item, good)
        server = Server([plain(200, body)], [stream()])
        async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
            await until(lambda picture=picture: picture.names == {"a"})  # type: ignore[misc]

            assert reflector.status.skipped == {"malformed_object": 1}


async def test_no_items_at_all_is_an_answer_too(tmp_path: Path) -> None:
    empty = plain(200, b'{"metadata":{"resourceVersion":"5"},"items":null}')
    server = Server([page([service("a")]), empty], [GONE, stream()])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
        await until(lambda: picture.lists >= 2)

        assert picture.facts == {}


async def test_a_page_that_follows_itself_is_given_up(tmp_path: Path) -> None:
    server = Server([page([service("a")], 1, "again")], [stream()])
    async with serving(server), connected(server.url, tmp_path) as connection:
        with pytest.raises(Unreachable, match="one page of services for ever"):
            await connection.list(SERVICES)


async def test_gzip_is_understood(tmp_path: Path) -> None:
    body = b'{"metadata":{"resourceVersion":"5"},"items":[%b]}' % json.dumps(service("a")).encode()
    packed = plain(200, gzip.compress(body), headers={"Content-Encoding": "gzip"})
    server = Server([packed], [stream()])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
        await until(lambda: picture.names == {"a"})

        assert "gzip" in server.listed[0].headers["Accept-Encoding"]
        await until(lambda: bool(server.watched))
        assert server.watched[0].headers["Accept-Encoding"] == "identity"


async def test_an_item_over_the_limit_keeps_its_last_form(tmp_path: Path) -> None:
    first = json.dumps(service("a")).encode()
    head = (
        b'{"kind":"ServiceList","metadata":{"resourceVersion":"5"},"items":[%b,'
        b'{"metadata":{"name":"huge","namespace":"demo","annotations":{"x":"' % first
    )
    tail = b'\\"]}"}},"spec":{}},%b]}' % json.dumps(service("b")).encode()
    server = Server(
        [page([service("huge", port=99)]), huge(head, tail, 20 * 2**20)], [GONE, stream()]
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: picture.lists >= 2)

        assert picture.names == {"a", "b", "huge"}
        assert picture.facts["demo", "huge"].ports[0].port == 99
        assert reflector.status.skipped == {"oversized": 1}
        await until(lambda: len(server.watched) >= 2)
        assert server.watched[1].query["resourceVersion"] == "5"


async def test_a_list_that_goes_on_for_ever_is_given_up(tmp_path: Path) -> None:
    numbers = iter(range(10**6))

    async def endless(request: Any) -> Any:
        await asyncio.sleep(0.05)
        n = next(numbers)
        return await page([service(f"s{n}")], 1, f"token{n}")(request)

    server = Server([endless], [stream()])
    limits = Limits(listing=1.0)
    async with serving(server), connected(server.url, tmp_path, limits=limits) as connection:
        with pytest.raises(Unreachable, match="did not list all services within 1 s"):
            await connection.list(SERVICES)
