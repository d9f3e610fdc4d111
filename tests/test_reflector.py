"""A well-behaved API server is mirrored: listed once, watched on, with what 1.36 really sends."""

import json
import random
from pathlib import Path

import pytest

from probe.apiserver.refusals import ApiError, Status
from probe.core.kube import DEPLOYMENTS, SERVICES, SLICES, Listed
from probe.reflector import Backoff, Pace, Unreachable
from tests.hostile import (
    DATA,
    Server,
    bookmark,
    connected,
    event,
    mirroring,
    page,
    plain,
    service,
    serving,
    stream,
    until,
)


async def test_what_an_api_server_sends_of_services_is_mirrored(tmp_path: Path) -> None:
    before = (DATA / "list-services.before.json").read_bytes()
    changes = (DATA / "watch-services.jsonl").read_bytes()
    server = Server([plain(200, before)], [stream(changes)])
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: "unready" in picture.names and "backend-v1" not in picture.names)

        assert picture.names == {
            *("external", "headless", "kubernetes", "local-only"),
            *("manual", "mixed", "nodeport", "unready"),
        }
        assert picture.lists == 1
        assert reflector.status.skipped == {}
        assert reflector.status.error is None
        [asked] = server.watched
        assert asked.query["resourceVersion"] == "320"
        assert asked.query["allowWatchBookmarks"] == "true"
        assert 30 <= int(asked.query["timeoutSeconds"]) <= 60


async def test_slices_and_deployments_are_read_as_they_come(tmp_path: Path) -> None:
    listed = json.loads((DATA / "list-endpointslices.json").read_bytes())
    changes = (DATA / "watch-endpointslices.jsonl").read_bytes()
    server = Server([page(listed["items"])], [stream(changes)])
    async with serving(server):
        async with mirroring(server.url, tmp_path, resource=SLICES) as (picture, reflector):
            await until(lambda: len(picture.events) == 11)
            assert reflector.status.skipped == {}
            assert server.asked[0].path == "/apis/discovery.k8s.io/v1/endpointslices"
        server.lists = [plain(200, (DATA / "list-deployments.json").read_bytes())]
        async with connected(server.url, tmp_path) as connection:
            found, version = await connection.list(DEPLOYMENTS)
            assert [fact.name for fact in found.facts] == ["backend-v1"]
            assert version


async def test_the_first_list_may_come_from_memory_and_is_paged(tmp_path: Path) -> None:
    server = Server(
        [page([service("a")], 7, "next"), page([service("b")], 7, "last"), page([service("c")], 7)],
        [stream()],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, _):
        await until(lambda: bool(server.watched))

        assert picture.names == {"a", "b", "c"}
        assert picture.lists == 1
        assert [asked.query for asked in server.listed] == [
            {"limit": "500", "resourceVersion": "0"},
            {"limit": "500", "continue": "next"},
            {"limit": "500", "continue": "last"},
        ]
        assert server.watched[0].query["resourceVersion"] == "7"
        assert server.asked[0].headers["User-Agent"] == "probe/test"


async def test_a_watch_that_ends_in_order_is_resumed_without_a_list(tmp_path: Path) -> None:
    server = Server(
        [page([service("a")], 1)],
        [
            stream(event("MODIFIED", service("a", 5, port=81)), bookmark(9), end=True),
            stream(event("DELETED", service("a", 10)), event("ADDED", service("b", 11))),
        ],
    )
    async with serving(server), mirroring(server.url, tmp_path) as (picture, reflector):
        await until(lambda: picture.names == {"b"})

        assert [asked.query["resourceVersion"] for asked in server.watched] == ["1", "9"]
        assert len(server.listed) == 1
        assert reflector.status.error is None


async def test_one_namespace_is_listed_as_that_namespace(tmp_path: Path) -> None:
    server = Server([page([service("a")])], [stream()])
    async with (
        serving(server),
        mirroring(server.url, tmp_path, namespace="demo") as (picture, reflector),
    ):
        await until(lambda: bool(server.watched))

        assert [asked.path for asked in server.asked] == ["/api/v1/namespaces/demo/services"] * 2
        assert isinstance(picture.events[0], Listed)
        assert picture.events[0].namespace == "demo"
        assert reflector.status.namespace == "demo"


async def test_one_list_gives_facts_and_their_version(tmp_path: Path) -> None:
    server = Server([page([service("a"), service("b")], 42)])
    async with serving(server), connected(server.url, tmp_path) as connection:
        found, version = await connection.list(SERVICES, "demo")

        assert ([fact.name for fact in found.facts], version) == (["a", "b"], "42")
        assert server.asked[0].query == {"limit": "500"}


async def test_the_status_tells_of_contact(tmp_path: Path) -> None:
    server = Server([page([service("a")])], [stream(0.1, bookmark(2))])
    async with serving(server), mirroring(server.url, tmp_path) as (_, reflector):
        status = reflector.status
        assert (status.synced, status.last_contact) == (False, None)
        await until(lambda: status.synced)
        first = status.last_contact
        assert first is not None
        await until(lambda: status.last_contact is not None and status.last_contact > first + 0.05)

        assert (len(server.listed), len(server.watched)) == (1, 1)
        assert status.last_contact_at is not None


def test_back_off_grows_from_eight_tenths_to_thirty_seconds_and_rests() -> None:
    now = 0.0
    backoff = Backoff(Pace(), lambda: now, random.Random(1))
    away = Unreachable("away")

    pauses = [backoff.pause(away) for _ in range(8)]

    for base, pause in zip((0.8, 1.6, 3.2, 6.4, 12.8, 15, 15, 15), pauses, strict=True):
        assert base <= pause < 2 * base
    now = 121.0
    assert backoff.pause(away) < 1.6


def test_a_denial_is_given_time_unless_it_is_one_of_an_api_server_that_has_just_started() -> None:
    denied = ApiError("forbidden", Status(403))
    first = Backoff(Pace(), lambda: 0.0, random.Random(1)).pause(denied)
    later = Backoff(Pace(), lambda: 0.0, random.Random(1)).pause(denied, worked=True)

    assert first >= Pace().longest
    assert later < 2 * Pace().first


@pytest.mark.parametrize("seed", range(3))
def test_no_two_reflectors_come_back_at_once(seed: int) -> None:
    chance = random.Random(seed)
    backoffs = [Backoff(Pace(), lambda: 0.0, chance) for _ in range(100)]
    first = sorted(backoff.pause(Unreachable("away")) for backoff in backoffs)
    resumed = sorted(backoff.spread() for backoff in backoffs)

    assert first[-1] - first[0] > 0.7
    assert resumed[-1] - resumed[0] > 0.9
