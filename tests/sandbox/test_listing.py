import json
from typing import Any

import pytest

from probe.sandbox.asking import read_continue, write_continue
from probe.sandbox.listing import EXPIRED, TOO_OLD
from tests.sandbox.conftest import Client

MAPS = "/api/v1/configmaps"


def fill(api: Client, *names: str) -> None:
    for name in names:
        namespace, _, name = name.partition("/")
        api.store.create("configmaps", {"metadata": {"name": name, "namespace": namespace}})


def names(answer: Any) -> list[str]:
    return [f"{i['metadata']['namespace']}/{i['metadata']['name']}" for i in answer["items"]]


async def test_a_list_has_its_version_and_its_items_have_no_kind(api: Client) -> None:
    fill(api, "b/x", "a/y")

    code, answer = await api("GET", MAPS)

    assert (code, answer["kind"], answer["apiVersion"]) == (200, "ConfigMapList", "v1")
    assert names(answer) == ["a/y", "b/x"]
    assert {"resourceVersion": str(api.store.version)} == answer["metadata"]
    assert {"metadata"} == answer["items"][0].keys()


async def test_pages_are_of_one_state_whatever_happens_meanwhile(api: Client) -> None:
    fill(api, "a/1", "a/2", "a/3", "b/1", "b/2")
    version = str(api.store.version)

    _, first = await api("GET", f"{MAPS}?limit=2")
    assert (["a/1", "a/2"], version, 3) == (
        names(first),
        first["metadata"]["resourceVersion"],
        first["metadata"]["remainingItemCount"],
    )
    fill(api, "a/21")
    api.store.delete("configmaps", "a", "3")
    api.store.update(
        "configmaps", {"metadata": {"name": "1", "namespace": "b"}, "data": {"x": "y"}}
    )
    _, second = await api("GET", f"{MAPS}?limit=2&continue={first['metadata']['continue']}")
    assert (["a/3", "b/1"], version) == (names(second), second["metadata"]["resourceVersion"])
    assert "data" not in second["items"][1]
    _, third = await api("GET", f"{MAPS}?limit=2&continue={second['metadata']['continue']}")
    assert (["b/2"], {"resourceVersion": version}) == (names(third), third["metadata"])


async def test_a_page_that_is_forgotten_is_gone_and_says_how_to_go_on(api: Client) -> None:
    api.store._history = type(api.store._history)(api.store._history, maxlen=4)
    fill(api, "a/1", "a/2", "a/3")
    _, first = await api("GET", f"{MAPS}?limit=1")
    fill(api, "a/4", "a/5", "a/6", "a/7", "a/8")

    code, gone = await api("GET", f"{MAPS}?limit=1&continue={first['metadata']['continue']}")

    assert (code, gone["reason"], gone["message"]) == (410, "Expired", EXPIRED)
    _, rest = await api("GET", f"{MAPS}?continue={gone['metadata']['continue']}")
    assert names(rest) == ["a/2", "a/3", "a/4", "a/5", "a/6", "a/7", "a/8"]


async def test_a_list_from_any_version_knows_no_pages(api: Client) -> None:
    """The real server answers it from its cache, and ignores the limit."""
    fill(api, "a/1", "a/2", "a/3")

    _, answer = await api("GET", f"{MAPS}?limit=1&resourceVersion=0")

    assert len(answer["items"]) == 3


async def test_an_exact_version_is_that_version(api: Client) -> None:
    fill(api, "a/1")
    then = api.store.version
    fill(api, "a/2")

    _, answer = await api("GET", f"{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact")
    assert (["a/1"], str(then)) == (names(answer), answer["metadata"]["resourceVersion"])
    _, newer = await api("GET", f"{MAPS}?resourceVersion={then}&resourceVersionMatch=NotOlderThan")
    assert names(newer) == ["a/1", "a/2"]

    api.store._history = type(api.store._history)(api.store._history, maxlen=2)
    fill(api, "a/3", "a/4", "a/5")
    code, gone = await api("GET", f"{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact")
    assert (code, gone["message"]) == (410, TOO_OLD)


async def test_a_version_that_is_not_yet_is_a_timeout(api: Client) -> None:
    code, refused = await api("GET", f"{MAPS}?resourceVersion=99999")

    assert (code, refused["reason"]) == (504, "Timeout")
    assert (
        f"Timeout: Too large resource version: 99999, current: {api.store.version}"
        == refused["message"]
    )


async def test_selectors_choose_and_say_nothing_of_the_rest(api: Client) -> None:
    fill(api, "a/1", "a/2", "a/3", "b/1")

    _, answer = await api("GET", f"{MAPS}?limit=2&fieldSelector=metadata.namespace%3Da")

    assert names(answer) == ["a/1", "a/2"]
    assert "remainingItemCount" not in answer["metadata"]


def test_a_token_is_read_as_it_was_written() -> None:
    assert read_continue(write_continue(7, "ns\0name")) == (7, "ns\0name")


@pytest.mark.parametrize("token", ["xxx", "e30", "bnVsbA", json.dumps({})])
async def test_a_token_of_somebody_else_is_a_bad_request(api: Client, token: str) -> None:
    code, refused = await api("GET", f"{MAPS}?limit=1&continue={token}")

    assert code == 400
    assert refused["message"].startswith("invalid continue token: continue key is not valid")
