"""Documents that come from elsewhere, and what only looks like them."""

import json
from typing import Any

import pytest

from probe.told import Document, Gathered, Unreadable, read
from tests.front import document, edge

FINE = document("a")


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in FINE.items() if key != name}


def test_a_document_is_read_with_what_we_do_not_know_of() -> None:
    more = {**FINE, "spec": {"type": "ClusterIP"}}

    assert read(json.dumps(more).encode(), Document) == more


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 100_000,
        b'"\xff"',
        *(json.dumps(without(name)).encode() for name in FINE),
        json.dumps({**FINE, "verdict": "cursed"}).encode(),
        json.dumps({**FINE, "dialed": "3"}).encode(),
        json.dumps({**FINE, "ports": [{**FINE["ports"][0], "edges": [{}]}]}).encode(),
        json.dumps({**FINE, "changes": [{"time": "yesterday"}]}).encode(),
    ],
)
def test_what_is_of_another_shape_is_not_read(body: bytes) -> None:
    with pytest.raises(Unreadable, match="its answer is of another version, or none of ours"):
        read(body, Document)


def listed(*names: str, **more: Any) -> bytes:
    services = [{**FINE, "service": {"namespace": "shop", "name": name}} for name in names]
    return json.dumps({"services": [*services, *more.values()]}).encode()


async def test_lists_are_gathered_by_service() -> None:
    gathered = Gathered(lambda key: key != ("shop", "unwanted"))
    await gathered.take(listed("b", "a", "unwanted"))
    await gathered.take(listed("b"))

    found = list(gathered.documents())

    assert [[d["service"]["name"] for d in told] for told in found] == [["a"], ["b", "b"]]
    assert found[0][0]["ports"][0]["edges"] == [edge("a")]


async def test_of_a_list_with_one_bad_document_nothing_is_kept() -> None:
    gathered = Gathered(lambda key: True)
    with pytest.raises(Unreadable):
        await gathered.take(listed("a", bad={"service": {}}))

    assert list(gathered.documents()) == []
