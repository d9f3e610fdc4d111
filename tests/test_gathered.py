"""What several daemons say of many Services."""

import json
from typing import Any

import pytest

from probe.gathered import Gathered
from probe.told import Unreadable
from tests.front import document, edge

FINE = document("a")


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


@pytest.mark.parametrize(
    "bad", [{"service": {}}, {**FINE, "service": {"namespace": "..", "name": "cart"}}]
)
async def test_of_a_list_with_one_bad_document_nothing_is_kept(bad: dict[str, Any]) -> None:
    gathered = Gathered(lambda key: True)
    with pytest.raises(Unreadable):
        await gathered.take(listed("a", bad=bad))

    assert list(gathered.documents()) == []
