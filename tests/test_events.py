"""Incidents posted as Events: to the sandbox's API server, and to one that does what it is told."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from probe.core.announcements import turn_to_tell
from probe.core.edges import PortKey
from probe.core.incident import Incident, Standing, Step
from probe.core.incidents import Told
from probe.core.verdicts import Judgement, Verdict
from probe.events import (
    BURST,
    QUEUE_MAX,
    RECENT_MAX,
    REFRESH_SECONDS,
    SERIES_SECONDS,
    Poster,
)
from probe.reflector import Pace, connect
from probe.sandbox.apiserver import ApiServer
from probe.sandbox.store import Store
from tests.running import until

Json = dict[str, Any]

AWHILE = 60.0
"""Seconds after which those who may tell first have told."""

HASTE = Pace(first=0.02, longest=0.05)
WEB = PortKey("demo-app", "web", 80)
REFUSED = Judgement(Verdict.NOT_LISTENING, "targetPort 8081 is refused on 2 of 2 endpoints")
MISMATCH = Judgement(Verdict.PORT_MISMATCH, "set targetPort to 8080")
CUT_OFF = Judgement(Verdict.NODE_PATH, "nothing on node-2 answers")

EPOCH = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def incident(judgement: Judgement = REFUSED, key: PortKey = WEB, *, cause: str = "") -> Incident:
    verdict, number = judgement.verdict, next(_numbers)
    made = Incident(f"{number:08x}", cause, 0.0, key, judgement, verdict, verdict, 0.0)
    made.ports = {key: Standing.FAILING}
    return made


_numbers = iter(range(1_000_000))


@dataclass
class Desk:
    """A poster with its clock, which only moves when told to."""

    poster: Poster
    now: float = 1000.0

    def tell(self, step: Step, found: Incident) -> Incident:
        self.poster.tell(Told(step, found), self.now)
        return found

    def opened(self, *args: Any, **more: Any) -> Incident:
        return self.tell(Step.OPENED, incident(*args, **more))

    def closes(self, found: Incident, ending: str = "2 of 2 endpoints answer") -> None:
        found.closed, found.ending, found.recovered = self.now, ending, True
        self.tell(Step.CLOSED, found)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.poster.tick(self.now)

    async def done(self) -> None:
        """All that was planned is posted."""
        await until(lambda: not self.poster._jobs)


@asynccontextmanager
async def posting(
    url: str, folder: Path, *, node: str = "a", others: tuple[str, ...] = (), began: float = 0.0
) -> AsyncIterator[Desk]:
    """A poster that has begun long ago; without others the node tells everything."""
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": url}}],
        "users": [{"name": "x", "user": {}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    connection = await connect(str(folder / "kubeconfig"), None, user_agent="probe/test")
    poster = Poster(
        connection,
        node,
        began,
        nodes=lambda: (node, *others),
        uid=lambda namespace, name: "" if name == "gone" else f"uid-{name}",
        clock=lambda at: EPOCH + timedelta(seconds=at),
        interval=10.0,
        pace=HASTE,
    )
    running = asyncio.create_task(poster.run())
    try:
        yield Desk(poster)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await connection.close()


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


def others_first() -> PortKey:
    """A Service of which the other node tells before us."""
    return next(
        key
        for key in (WEB._replace(service=f"web-{n}") for n in range(100))
        if turn_to_tell(incident(key=key), "a", ("a", "b")) == 1
    )


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
        assert not desk.poster._jobs

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


async def test_without_the_api_server_little_waits_and_the_oldest_goes(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    door = Door()
    async with door.serving() as url, posting(url, tmp_path) as desk:
        door.code = 503
        for number in range(QUEUE_MAX + 20):
            desk.opened(key=WEB._replace(service=f"web-{number}"))
            desk.passes(10)
        assert len(desk.poster._jobs) == QUEUE_MAX
        assert desk.poster._dropped == 20 or desk.poster._dropped_said > 0
        door.code, door.asked = 201, []
        await desk.done()

    names = [str(asked["body"]["regarding"]["name"]) for asked in door.asked]
    assert names[-1] == f"web-{QUEUE_MAX + 19}"
    assert "web-0" not in names[1:]
    assert len(names) in (QUEUE_MAX, QUEUE_MAX + 1)


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
