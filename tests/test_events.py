"""Incidents posted as Events to the sandbox's API server."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from probe.core.edges import PortKey
from probe.core.incident import Step
from probe.core.verdicts import Judgement, Verdict
from probe.events import (
    BURST,
    RECENT_MAX,
    REFRESH_SECONDS,
    SERIES_SECONDS,
)
from probe.sandbox.apiserver import ApiServer
from probe.sandbox.store import Store
from tests.posting import AWHILE, CUT_OFF, MISMATCH, WEB, Json, others_first, posting
from tests.running import until


@dataclass
class Sandbox:
    """The sandbox's API server, and what was posted to it."""

    store: Store
    url: str

    def events(self, namespace: str = "demo-app") -> list[Json]:
        """Oldest first."""
        found = self.store.list("events", namespace)
        return sorted(found, key=lambda e: int(e["metadata"]["resourceVersion"]))

    def reasons(self) -> list[str]:
        return [event["reason"] for event in self.events()]


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    store = Store()
    store.create("namespaces", {"metadata": {"name": "demo-app"}})
    server = ApiServer(store)
    await server.start()
    yield Sandbox(store, server.url)
    await server.stop()


async def test_the_beginning_and_the_end_are_posted(sandbox: Sandbox, tmp_path: Path) -> None:
    async with posting(sandbox.url, tmp_path) as desk:
        found = desk.opened()
        desk.now += 10
        desk.closes(found)
        await desk.done()

    first, last = sandbox.events()
    assert (first["type"], first["reason"]) == ("Warning", "NotListening")
    assert (last["type"], last["reason"]) == ("Normal", "Recovered")
    assert first["involvedObject"]["uid"] == "uid-web"
    assert first["reportingComponent"] == "edgeprobe.dev/probe"
    assert last["eventTime"] == "2026-11-21T10:16:50.000000Z"


async def test_what_concerns_a_node_is_posted_of_the_node(sandbox: Sandbox, tmp_path: Path) -> None:
    async with posting(sandbox.url, tmp_path) as desk:
        desk.opened(CUT_OFF, cause="node/node-2")
        await desk.done()

    (event,) = sandbox.events("default")
    assert event["involvedObject"]["kind"] == "Node"
    assert event["metadata"]["name"].startswith("node-2.")
    assert "it takes 1 Service along: demo-app/web" in event["message"]


async def test_another_verdict_is_another_event_and_more_services_are_none(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    async with posting(sandbox.url, tmp_path) as desk:
        found = desk.opened()
        desk.tell(Step.CHANGED, found)
        found.judgement = MISMATCH
        desk.tell(Step.CHANGED, found)
        await desk.done()

    assert sandbox.reasons() == ["NotListening", "PortMismatch"]


async def test_a_service_that_is_gone_gets_no_event(sandbox: Sandbox, tmp_path: Path) -> None:
    async with posting(sandbox.url, tmp_path) as desk:
        desk.opened(key=WEB._replace(service="gone"))
        await desk.done()

    assert sandbox.events() == []


async def test_flaps_are_counted_in_one_event(sandbox: Sandbox, tmp_path: Path) -> None:
    async with posting(sandbox.url, tmp_path) as desk:
        found = desk.opened()
        for _ in range(3):
            desk.passes(10)
            desk.tell(Step.REPEATED, found)
        await desk.done()
        assert "series" not in sandbox.events()[0]
        desk.passes(SERIES_SECONDS)
        await desk.done()

    (event,) = sandbox.events()
    assert event["series"] == {"count": 4, "lastObservedTime": "2026-11-21T10:18:10.000000Z"}


async def test_one_that_goes_on_is_observed_again_before_it_is_forgotten(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    async with posting(sandbox.url, tmp_path) as desk:
        desk.opened()
        desk.passes(REFRESH_SECONDS - 1)
        await desk.done()
        assert "series" not in sandbox.events()[0]
        for count in (2, 3):
            desk.passes(REFRESH_SECONDS)
            await desk.done()
            assert sandbox.events()[0]["series"]["count"] == count

    assert len(sandbox.events()) == 1


async def test_an_event_that_was_forgotten_is_posted_anew(sandbox: Sandbox, tmp_path: Path) -> None:
    async with posting(sandbox.url, tmp_path) as desk:
        desk.opened()
        await desk.done()
        (event,) = sandbox.events()
        sandbox.store.delete("events", "demo-app", event["metadata"]["name"])
        desk.passes(REFRESH_SECONDS)
        await desk.done()

    (again,) = sandbox.events()
    assert again["series"]["count"] == 2
    assert again["message"] == event["message"]


async def test_what_comes_again_in_the_same_words_is_the_same_event(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    async with posting(sandbox.url, tmp_path) as desk:
        for _ in range(3):
            desk.closes(desk.opened())
            desk.passes(300)
        await desk.done()
        assert [e["series"]["count"] for e in sandbox.events()] == [3, 3]
        assert set(sandbox.reasons()) == {"NotListening", "Recovered"}
        desk.passes(REFRESH_SECONDS)
        desk.opened()
        await desk.done()

    assert sandbox.reasons().count("NotListening") == 2


async def test_of_what_may_come_again_only_the_last_is_remembered(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    async with posting(sandbox.url, tmp_path) as desk:
        for number in range(RECENT_MAX + 10):
            desk.opened(Judgement(Verdict.LOSSY, f"{number} connects lost a SYN"))
            desk.passes(10)
            if number % 50 == 0:
                await desk.done()
        assert len(desk.poster._recent) == RECENT_MAX
        await desk.done()
    assert len(sandbox.events()) == RECENT_MAX + 10


async def test_what_another_node_tells_is_not_told_twice(sandbox: Sandbox, tmp_path: Path) -> None:
    async with posting(sandbox.url, tmp_path, others=("b",)) as desk:
        key = others_first()
        found = desk.opened(key=key)
        desk.passes(1)
        await desk.done()
        assert sandbox.events() == []

        await told_by(sandbox, key, "b", "Warning")
        desk.passes(AWHILE)
        await desk.done()
        desk.tell(Step.REPEATED, found)
        desk.closes(found)
        await desk.done()

    assert len(sandbox.events()) == 1


async def test_what_no_other_node_tells_we_tell_and_say_so(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    async with posting(sandbox.url, tmp_path, others=("b",)) as desk:
        key = others_first()
        await told_by(sandbox, key, "b", "Warning", at="2026-11-21T09:00:00.000000Z")
        await told_by(sandbox, key, "b", "Normal", at="2026-11-21T09:30:00.000000Z")
        await told_by(sandbox, key, "a", "Warning", at="2026-11-21T09:40:00.000000Z")
        found = desk.opened(key=key)
        desk.passes(AWHILE)
        await until(lambda: len(sandbox.events()) == 4)
        desk.closes(found)
        await desk.done()

    told = sandbox.events()[3:]
    assert [event["reason"] for event in told] == ["NotListening", "Recovered"]
    assert told[0]["message"].endswith("(seen from node a, and no other node has told of it)")


async def test_a_series_of_another_node_counts_by_its_last_time(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    async with posting(sandbox.url, tmp_path, others=("b",)) as desk:
        key = others_first()
        await told_by(sandbox, key, "b", "Normal", at="2026-11-21T09:30:00.000000Z")
        series = {"count": 2, "lastObservedTime": "2026-11-21T09:50:00.000000Z"}
        old = "2026-11-21T09:00:00.000000Z"
        await told_by(sandbox, key, "b", "Warning", at=old, series=series)
        desk.opened(key=key)
        desk.passes(AWHILE)
        await desk.done()

    assert len(sandbox.events()) == 2


async def test_one_that_is_over_by_then_is_not_looked_for(sandbox: Sandbox, tmp_path: Path) -> None:
    async with posting(sandbox.url, tmp_path, others=("b",)) as desk:
        found = desk.opened(key=others_first())
        desk.closes(found)
        desk.passes(AWHILE)
        assert not desk.poster.waiting

        late = desk.opened(key=others_first())
        desk.passes(AWHILE)
        desk.closes(late)  # while it is being looked for
        await desk.done()

    assert sandbox.events() == []


async def test_what_was_told_before_we_began_is_not_told_again(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    async with posting(sandbox.url, tmp_path) as before:
        before.opened()
        before.opened(key=WEB._replace(port=443))
        before.closes(before.opened(key=WEB._replace(service="db")))
        await before.done()
    told = sorted(sandbox.reasons())

    async with posting(sandbox.url, tmp_path, node="b", began=990.0) as desk:
        found = desk.opened()
        await desk.done()
        assert sorted(sandbox.reasons()) == told
        (again,) = (e for e in sandbox.events() if "series" in e)
        assert again["metadata"]["labels"]["edgeprobe.dev/port"] == "80"
        assert (again["series"]["count"], again["reportingInstance"]) == (2, "a")

        desk.closes(found)
        desk.opened(MISMATCH, WEB._replace(port=443))
        desk.opened(key=WEB._replace(service="db"))
        await until(lambda: len(sandbox.events()) == len(told) + 3)

    assert sandbox.reasons()[-3:] == ["Recovered", "PortMismatch", "NotListening"]


async def test_what_is_over_before_we_looked_is_not_told(sandbox: Sandbox, tmp_path: Path) -> None:
    async with posting(sandbox.url, tmp_path, began=990.0) as desk:
        desk.closes(desk.opened())
        await desk.done()

    assert sandbox.events() == []


async def told_by(sandbox: Sandbox, key: PortKey, node: str, kind: str, **more: Any) -> None:
    """An Event of another daemon about that Service."""
    about = {"apiVersion": "v1", "kind": "Service", "namespace": key.namespace, "name": key.service}
    at = more.pop("at", "2026-11-21T10:16:40.000000Z")
    labels = {"edgeprobe.dev/port": str(key.port)}
    event = {
        "metadata": {"generateName": f"{key.service}.", "labels": labels},
        "eventTime": at,
        "type": kind,
        "reason": "NotListening",
        "action": "Dial",
        "note": "",
        "regarding": about,
        "reportingController": "edgeprobe.dev/probe",
        "reportingInstance": node,
        **more,
    }
    path = f"{sandbox.url}/apis/events.k8s.io/v1/namespaces/{key.namespace}/events"
    async with aiohttp.ClientSession() as session, session.post(path, json=event) as answer:
        assert answer.status == 201, await answer.text()


async def test_too_many_at_once_are_dropped_and_counted(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with posting(sandbox.url, tmp_path) as desk:
        for number in range(BURST + 7):
            desk.opened(key=WEB._replace(service=f"web-{number}"))
        desk.passes(0)
        await desk.done()
        desk.passes(1)

    assert len(sandbox.events()) == BURST
    (line,) = caplog.records
    assert line.getMessage() == "7 Events were not posted: there were too many of them"


async def test_an_event_of_anybody_without_labels_is_taken_as_it_is(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Whoever may create Events in the namespace of the nodes must not end a daemon."""
    about = {"apiVersion": "v1", "kind": "Node", "name": "node-2"}
    node = PortKey("default", "node-2", 0)
    await told_by(
        sandbox,
        node,
        "z",
        "Warning",
        metadata={"generateName": "node-2."},
        regarding=about,
        reason="NodePath",
    )
    async with posting(sandbox.url, tmp_path, node="b", began=990.0) as desk:
        desk.opened(CUT_OFF, cause="node/node-2")
        await desk.done()

    assert len(sandbox.events("default")) == 1
