"""Events as a real API server takes them, counts them and gives them back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from probe.core.announcements import NOTE_MAX
from probe.core.edges import PortKey
from probe.core.incident import Step
from probe.core.verdicts import Judgement, Verdict
from probe.events import REFRESH_SECONDS, Poster
from probe.reflector import connect
from tests.cluster.apiserver import Cluster, real_cluster
from tests.posting import AWHILE, CUT_OFF, HASTE, WEB, Desk, others_first
from tests.running import kubectl, until

pytestmark = [pytest.mark.slow, pytest.mark.apiserver]

LONG = Judgement(Verdict.LOSSY, "ä" * 2000)


@asynccontextmanager
async def posting(
    kubeconfig: Path, node: str, *others: str, now: float = 1000.0, began: float = 0.0
) -> AsyncIterator[Desk]:
    """A poster whose clock stands at now."""
    connection = await connect(str(kubeconfig), None, user_agent="probe/test")
    epoch = datetime.now(UTC) - timedelta(seconds=now)
    poster = Poster(
        connection,
        node,
        began,
        nodes=lambda: (node, *others),
        uid=lambda namespace, name: "5e0f",
        clock=lambda at: epoch + timedelta(seconds=at),
        interval=10.0,
        pace=HASTE,
    )
    running = asyncio.create_task(poster.run())
    try:
        yield Desk(poster, now)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await connection.close()


async def events(cluster: Cluster, namespace: str = "demo-app") -> list[dict[str, Any]]:
    """Oldest first."""
    found = await cluster.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    items: list[dict[str, Any]] = found["items"]
    return sorted(items, key=lambda e: int(e["metadata"]["resourceVersion"]))


async def test_a_real_api_server_takes_what_is_posted(caplog: pytest.LogCaptureFixture) -> None:
    async with real_cluster() as cluster:
        namespace = {"metadata": {"name": "demo-app"}}
        await cluster.request("POST", "/api/v1/namespaces", namespace)
        await beginnings_and_ends_are_posted(cluster)
        await series_are_counted(cluster)
        await what_another_node_told_is_found(cluster)
        await what_was_told_before_is_gone_on_with(cluster)
        await notes_and_names_of_any_length_are_taken(cluster)
        assert caplog.records == []
        await what_is_forbidden_says_so(cluster, caplog)


async def beginnings_and_ends_are_posted(cluster: Cluster) -> None:
    async with posting(cluster.kubeconfig, "a") as desk:
        desk.closes(desk.opened())
        desk.opened(CUT_OFF, cause="node/node-2")
        await desk.done()

    first, last = await events(cluster)
    assert (first["type"], first["reason"], first["regarding"]["name"]) == (
        "Warning",
        "NotListening",
        "web",
    )
    assert (last["type"], last["reason"]) == ("Normal", "Recovered")
    (node,) = (e for e in await events(cluster, "default") if e["regarding"]["kind"] == "Node")
    assert node["reason"] == "NodePath"

    shown = await kubectl(cluster.kubeconfig, "get", "events", "-n", "demo-app")
    assert "NotListening" in shown
    assert "service/web" in shown


async def series_are_counted(cluster: Cluster) -> None:
    async with posting(cluster.kubeconfig, "a") as desk:
        desk.opened(key=WEB._replace(service="series"))
        for _ in range(2):
            desk.passes(REFRESH_SECONDS)
            await desk.done()

    (found,) = (e for e in await events(cluster) if e["regarding"]["name"] == "series")
    assert found["series"]["count"] == 3
    shown = await kubectl(cluster.kubeconfig, "get", "events", "-n", "demo-app")
    assert "service/series" in shown


async def what_another_node_told_is_found(cluster: Cluster) -> None:
    key: PortKey = others_first()
    async with posting(cluster.kubeconfig, "a", "b") as desk:
        async with posting(cluster.kubeconfig, "b", "a") as other:
            told = other.opened(key=key)
            await other.done()
            desk.opened(key=key)
            desk.passes(AWHILE)
            await desk.done()
            assert await tellers(cluster, key) == ["b"]
            other.closes(told)
            await other.done()

        desk.opened(key=key)
        desk.passes(AWHILE)
        await until(lambda: three(cluster, key))
        assert await tellers(cluster, key) == ["b", "b", "a"]


async def what_was_told_before_is_gone_on_with(cluster: Cluster) -> None:
    key = WEB._replace(service="standing")
    async with posting(cluster.kubeconfig, "a") as desk:
        desk.opened(key=key)
        await desk.done()
    async with posting(cluster.kubeconfig, "b", began=999.0) as desk:
        desk.opened(key=key)
        await until(lambda: told_twice(cluster, key))
        (found,) = (e for e in await events(cluster) if e["regarding"]["name"] == key.service)
        name = found["metadata"]["name"]
        path = f"/apis/events.k8s.io/v1/namespaces/demo-app/events/{name}"
        await cluster.request("DELETE", path)
        desk.passes(asyncio.get_running_loop().time() + REFRESH_SECONDS)  # by whose time it went on
        await until(lambda: told_twice(cluster, key))


async def told_twice(cluster: Cluster, key: PortKey) -> bool:
    found = [e for e in await events(cluster) if e["regarding"]["name"] == key.service]
    return [(e.get("series") or {}).get("count", 1) > 1 for e in found] == [True]


async def three(cluster: Cluster, key: PortKey) -> bool:
    return len(await tellers(cluster, key)) == 3


async def tellers(cluster: Cluster, key: PortKey) -> list[str]:
    """Who posted the Events of that Service."""
    found = [e for e in await events(cluster) if e["regarding"]["name"] == key.service]
    return [event["reportingInstance"] for event in found]


async def notes_and_names_of_any_length_are_taken(cluster: Cluster) -> None:
    name = "a" * 63
    async with posting(cluster.kubeconfig, ".".join([name] * 3)) as desk:
        desk.opened(LONG, WEB._replace(service=name))
        desk.tell(Step.REPEATED, desk.opened(LONG, WEB._replace(service="b-")))
        await desk.done()

    (found,) = (e for e in await events(cluster) if e["regarding"]["name"] == name)
    assert len(found["note"].encode()) in (NOTE_MAX - 1, NOTE_MAX)


async def what_is_forbidden_says_so(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    async with posting(cluster.write_kubeconfig("nobody"), "a") as desk:
        desk.opened()
        await desk.done()

    (line,) = caplog.records
    assert line.getMessage() == (
        "the API server forbids us to create events of namespace demo-app: grant create on events "
        "in events.k8s.io; without that Events are not posted"
    )
