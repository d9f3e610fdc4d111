import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from probe.sandbox import watching
from probe.sandbox.apiserver import ApiServer
from probe.sandbox.store import Store
from tests.sandbox.conftest import Client

pytestmark = pytest.mark.slow

ALL = "/api/v1/configmaps?watch=1&timeoutSeconds=1"


def config(name: str, namespace: str = "default", **labels: str) -> Any:
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
    }


def told(events: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [(kind, obj["metadata"].get("name", "")) for kind, obj in events]


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within five seconds")


def shortly(store: Store, change: Callable[..., Any], *arguments: Any) -> None:
    """Once somebody watches, whom a busy machine may bring late."""
    before = len(store._subscribers)
    loop = asyncio.get_running_loop()

    def once_watched() -> None:
        if len(store._subscribers) > before:
            change(*arguments)
        else:
            loop.call_later(0.01, once_watched)

    loop.call_soon(once_watched)


@pytest.mark.parametrize("version", ["", "&resourceVersion=0"])
async def test_a_watch_from_any_version_begins_with_what_there_is(
    api: Client, version: str
) -> None:
    api.store.create("configmaps", config("a"))
    shortly(api.store, api.store.create, "configmaps", config("b"))

    events = await api.watch(ALL + version)

    assert told(events) == [("ADDED", "a"), ("ADDED", "b")]
    assert (events[0][1]["kind"], events[0][1]["apiVersion"]) == ("ConfigMap", "v1")


async def test_a_watch_from_a_version_tells_what_happened_since(api: Client) -> None:
    made = api.store.create("configmaps", config("a"))
    api.store.update("configmaps", config("a", x="y"))
    shortly(api.store, api.store.delete, "configmaps", "default", "a")

    events = await api.watch(f"{ALL}&resourceVersion={made['metadata']['resourceVersion']}")

    assert told(events) == [("MODIFIED", "a"), ("DELETED", "a")]
    assert int(events[0][1]["metadata"]["resourceVersion"]) < int(
        events[1][1]["metadata"]["resourceVersion"]
    )


async def test_a_watch_of_a_namespace_hears_of_no_other(api: Client) -> None:
    api.store.create("configmaps", config("a", "elsewhere"))
    api.store.create("configmaps", config("b", "default"))

    events = await api.watch(
        "/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=1&resourceVersion=1"
    )

    assert told(events) == [("ADDED", "b")]


async def test_what_enters_a_selector_is_added_and_what_leaves_it_deleted(api: Client) -> None:
    start = api.store.version
    api.store.create("configmaps", config("a", x="no"))
    api.store.update("configmaps", config("a", x="yes"))
    api.store.update("configmaps", config("a", x="yes", more="1"))
    left = api.store.update("configmaps", config("a", x="no"))
    api.store.delete("configmaps", "default", "a")

    events = await api.watch(f"{ALL}&resourceVersion={start}&labelSelector=x%3Dyes")

    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert events[2][1]["metadata"]["labels"] == {"x": "yes", "more": "1"}
    assert left["metadata"]["resourceVersion"] == events[2][1]["metadata"]["resourceVersion"]


async def test_one_object_can_be_watched_by_its_path(api: Client) -> None:
    api.store.create("configmaps", config("a"))
    api.store.create("configmaps", config("b"))

    events = await api.watch("/api/v1/namespaces/default/configmaps/b?watch=1&timeoutSeconds=1")

    assert told(events) == [("ADDED", "b")]


async def test_a_streaming_list_ends_with_its_bookmark(api: Client) -> None:
    """As the real server: see watchlist.txt among the captures."""
    api.store.create("configmaps", config("a"))
    version = str(api.store.version)

    events = await api.watch(
        f"{ALL}&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    )

    assert told(events) == [("ADDED", "a"), ("BOOKMARK", ""), ("BOOKMARK", "")]
    assert {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {
            "resourceVersion": version,
            "annotations": {"k8s.io/initial-events-end": "true"},
        },
    } == events[1][1]
    assert {"resourceVersion": version} == events[2][1]["metadata"]


async def test_a_streaming_list_must_say_what_it_matches(api: Client) -> None:
    code, refused = await api("GET", f"{ALL}&sendInitialEvents=true")

    assert code == 422
    assert refused["message"] == (
        'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    )


async def test_without_initial_events_a_watch_begins_now(api: Client) -> None:
    api.store.create("configmaps", config("a"))
    shortly(api.store, api.store.create, "configmaps", config("b"))

    events = await api.watch(f"{ALL}&sendInitialEvents=false&resourceVersionMatch=NotOlderThan")

    assert told(events) == [("ADDED", "b")]


async def test_bookmarks_come_every_few_seconds_and_at_the_end(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_SECONDS", 0.02)  # fifty in the watch's second
    shortly(api.store, api.store.create, "secrets", config("elsewhere"))

    events = await api.watch(f"{ALL}&allowWatchBookmarks=true&resourceVersion=1")

    assert len(events) > 2
    assert set(told(events)) == {("BOOKMARK", "")}
    assert str(api.store.version) == events[-1][1]["metadata"]["resourceVersion"]


async def test_a_version_too_old_gets_an_error_event_that_carries_the_410(
    api: Client,
) -> None:
    """As the real server: see watch-410.txt among the captures."""
    server = ApiServer(store := Store(history=3))
    await server.start()
    for number in range(6):
        store.create("configmaps", config(f"c{number}"))
    async with api.session.get(f"{server.url}{ALL}&resourceVersion=1") as response:
        assert response.status == 200
        event = json.loads(await response.read())
    await server.stop()

    assert {
        "type": "ERROR",
        "object": {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": f"too old resource version: 1 ({store.version - 3})",
            "reason": "Expired",
            "code": 410,
        },
    } == event


async def test_a_client_that_goes_away_leaves_nothing_behind(api: Client) -> None:
    before = len(asyncio.all_tasks())
    response = await api.session.get(f"{api.server.url}/api/v1/configmaps?watch=1")
    assert api.store._subscribers  # the watch, and the server itself
    listening = len(api.store._subscribers)

    response.close()
    await until(lambda: len(api.store._subscribers) == listening - 1)
    await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_client_that_does_not_read_is_cut_off(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "STALLED_SECONDS", 0.2)
    host, port = api.server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1)
    writer.write(b"GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.read(1)
    for number in range(80):
        data = {"d": "x" * 200_000}
        api.store.create("configmaps", {"metadata": {"name": f"c{number}"}, "data": data})
        await asyncio.sleep(0.005)

    await until(lambda: len(api.store._subscribers) == 1)
    writer.close()


async def test_a_watch_of_tables_gives_the_columns_once(api: Client) -> None:
    api.store.create("configmaps", config("a"))
    api.store.create("configmaps", config("b"))
    table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}

    async with api.session.get(api.server.url + ALL, headers=table) as response:
        events = [json.loads(line)["object"] for line in (await response.read()).splitlines()]

    assert [len(event["columnDefinitions"]) for event in events] == [3, 0]
    assert [event["rows"][0]["cells"][0] for event in events] == ["a", "b"]
