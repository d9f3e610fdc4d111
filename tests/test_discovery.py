"""All reflectors of one daemon, seen as one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from probe.core import kube
from probe.core.mirror import Mirror
from probe.demo.manifests import deployment, namespace, service
from probe.discovery import DENIED_SECONDS, Combined, Discovery
from probe.reflector import Connection, Status, connect
from probe.sandbox.cluster import Cluster
from tests.core import facts
from tests.hostile import Server, bookmark, connected, page, refuse, serving, stream
from tests.running import until
from tests.watched import stop_api

OLD, NEW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
WELL = Status("services", "a", synced=True, last_contact=20.0, last_contact_at=NEW)
AWAY = replace(
    WELL, namespace="b", error="cannot be reached", last_contact=10.0, last_contact_at=OLD
)
NEVER = Status("services", "c", error="forbidden")


def test_a_resource_is_synced_once_it_is_in_every_namespace() -> None:
    assert Combined([WELL, AWAY]).synced
    assert not Combined([WELL, NEVER]).synced


def test_the_oldest_contact_counts_and_one_that_never_was_does_not_hide_it() -> None:
    assert Combined([WELL, AWAY]).last_contact_time == OLD.timestamp()
    assert Combined([NEVER]).last_contact_time is None


def test_out_of_touch_is_only_what_has_an_error() -> None:
    assert Combined([WELL]).out_of_touch_since is None
    assert Combined([WELL, AWAY]).out_of_touch_since == 10.0
    assert Combined([WELL, AWAY], {"b"}).out_of_touch_since is None
    assert Combined([WELL, AWAY]).error == "cannot be reached"


def test_skips_add_up() -> None:
    torn = Counter({"malformed_json": 2})
    found = Combined([replace(WELL, skipped=torn), replace(AWAY, skipped=torn)]).skipped

    assert dict(found) == {"malformed_json": 4}


async def mirrored(
    connection: Connection, namespaces: tuple[str, ...], enough: Callable[[Discovery], bool]
) -> tuple[Discovery, list[kube.Event]]:
    """Runs until `enough`, then stops; the discovery and the events it told."""
    events: list[kube.Event] = []
    discovery = Discovery(connection, namespaces, events.append)
    running = asyncio.create_task(discovery.run())
    try:
        await until(lambda: enough(discovery))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return discovery, events


async def test_every_resource_is_listed_and_told(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        for each in (namespace("demo-app"), deployment("web"), service("web")):
            cluster.apply(each)
        await cluster.settled()
        cluster.write_kubeconfig(tmp_path / "k")
        connection = await connect(str(tmp_path / "k"), None, user_agent="test")
        try:
            discovery, events = await mirrored(
                connection, (), lambda d: all(s.synced for s in d.statuses.values())
            )
        finally:
            await connection.close()

    listed = {e.resource: e for e in events if isinstance(e, kube.Listed)}
    assert set(listed) == {r.name for r in kube.RESOURCES} == set(discovery.statuses)
    assert "web" in {fact.name for fact in listed["services"].facts}
    assert discovery.not_ready() == []
    assert discovery.stale_seconds(asyncio.get_running_loop().time()) is None


async def test_with_a_list_of_namespaces_nothing_else_is_asked_for(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        for where in ("a", "b", "c"):
            cluster.apply(namespace(where))
            cluster.apply(service("web", namespace=where))
        await cluster.settled()
        cluster.write_kubeconfig(tmp_path / "k")
        connection = await connect(str(tmp_path / "k"), None, user_agent="test")
        try:
            _, events = await mirrored(connection, ("a", "b"), lambda d: d.not_ready() == [])
        finally:
            await connection.close()

    listed = [e for e in events if isinstance(e, kube.Listed) and e.resource == "services"]
    assert {"a", "b"} == {e.namespace for e in listed}
    assert {"a", "b"} == {fact.namespace for e in listed for fact in e.facts}


async def test_nodes_are_in_no_namespace_and_watched_whatever_is_asked_for(tmp_path: Path) -> None:
    async with Cluster(("node-1", "node-2")) as cluster:
        cluster.write_kubeconfig(tmp_path / "k")
        connection = await connect(str(tmp_path / "k"), None, user_agent="test")
        try:
            _, events = await mirrored(connection, ("a", "b"), lambda d: d.statuses["nodes"].synced)
        finally:
            await connection.close()

    (listed,) = [e for e in events if isinstance(e, kube.Listed) and e.resource == "nodes"]
    assert listed.namespace == ""
    assert all(node.ready and node.schedulable for node in listed.facts)
    assert len(listed.facts) == 2


async def test_until_it_is_listed_the_reason_is_told_and_then_the_age(
    tmp_path: Path, sockets: ExitStack
) -> None:
    async with Cluster() as cluster:
        cluster.write_kubeconfig(tmp_path / "k")
        await stop_api(cluster, sockets)
        connection = await connect(str(tmp_path / "k"), None, user_agent="test")
        try:
            discovery, events = await mirrored(
                connection, (), lambda d: all(s.error for s in d.statuses.values())
            )
        finally:
            await connection.close()

    assert events == []
    reasons = discovery.not_ready()
    assert [r.split(" are not listed yet: ")[0] for r in reasons] == ["services", "endpointslices"]
    assert all("cannot be reached" in reason for reason in reasons)
    assert discovery.stale_seconds(asyncio.get_running_loop().time()) is None


# Namespaces that we may no longer look into.

NOW = 1000.0


@dataclass
class Watched:
    """A discovery of these namespaces that does not run: its statuses are set by hand."""

    discovery: Discovery
    mirror: Mirror
    told: list[kube.Event] = field(default_factory=list)

    def parts(self, namespace: str, *resources: str) -> list[Status]:
        combined = [self.discovery.statuses[r] for r in resources or ("services", "endpointslices")]
        return [p for c in combined for p in c._parts if p.namespace == namespace]

    def well(self, namespace: str, *resources: str, now: float = NOW) -> None:
        for part in self.parts(namespace, *resources):
            part.synced, part.error, part.last_contact, part.last_contact_at = True, None, now, NEW
            part.forbidden = part.absent = False

    def denied(self, namespace: str, *resources: str, absent: bool = False) -> None:
        for part in self.parts(namespace, *resources):
            part.error, part.forbidden, part.absent = "forbids us to list", not absent, absent

    def away(self, namespace: str) -> None:
        for part in self.parts(namespace):
            part.error = "cannot be reached"

    def answered(self) -> bool:
        """Whether it may be judged, once what is optional has been listed."""
        for combined in self.discovery.statuses.values():
            for part in combined._parts:
                part.synced |= not part.required
        return self.discovery.answered

    def review(self, *times: float) -> list[kube.Event]:
        """What it tells when it looks at these moments."""
        before = len(self.told)
        for at in times:
            self.discovery.review(at)
        return self.told[before:]


@asynccontextmanager
async def watched(folder: Path, *namespaces: str) -> AsyncIterator[Watched]:
    """Of which nothing has been told yet."""
    async with connected("http://127.0.0.1:9", folder) as connection:

        def sink(event: kube.Event) -> None:
            found.told.append(event)
            found.mirror.apply(event, NOW)

        mirror = Mirror(30.0, namespaces)
        found = Watched(Discovery(connection, namespaces, sink), mirror)
        yield found


LATER = NOW + DENIED_SECONDS + 1
EMPTY = [kube.Listed("services", (), "b"), kube.Listed("endpointslices", (), "b")]


@pytest.mark.parametrize("absent", [False, True], ids=["403", "404"])
async def test_a_namespace_that_is_lastingly_denied_does_not_make_the_others_stale(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, absent: bool
) -> None:
    async with watched(tmp_path, "a", "b") as found:
        found.well("a")
        found.well("b")
        found.denied("b", absent=absent)
        assert found.review(NOW, LATER - 2) == []
        assert found.discovery.stale_seconds(LATER) == LATER - NOW

        assert found.review(LATER, LATER + 1) == EMPTY
        assert found.discovery.stale_seconds(LATER) is None
        assert "namespace b is left out: forbids us to list" in caplog.text

        found.away("a")
        found.review(LATER + 2)
        assert found.discovery.stale_seconds(LATER + 200) == LATER + 200 - NOW


async def test_its_services_are_forgotten_and_its_contact_is_no_matter_any_more(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path, "a", "b") as found:
        for name in "a", "b":
            held = facts.service(namespace=name)
            found.mirror.apply(kube.Listed("services", (held,), name), NOW)
            found.well(name)
        for part in found.parts("b"):
            part.last_contact_at = OLD
        found.denied("b")
        services = found.discovery.statuses["services"]
        found.review(NOW)
        assert services.last_contact_time == OLD.timestamp()
        assert services.synced
        found.review(LATER)

        assert set(found.mirror.services) == {("a", "backend-v1")}
        assert services.last_contact_time == NEW.timestamp()
        assert not services.synced  # there is one that is not watched, for whoever looks


async def test_one_that_was_never_seen_does_not_keep_the_others_from_being_judged(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path, "a", "b") as found:
        for resource in "services", "endpointslices":
            found.mirror.apply(kube.Listed(resource, (), "a"), NOW)
        found.well("a")
        found.denied("b")
        found.review(NOW, LATER - 2)
        assert not found.mirror.synced
        assert found.discovery.not_ready() == [
            "services are not listed yet: forbids us to list",
            "endpointslices are not listed yet: forbids us to list",
        ]

        found.review(LATER)
        assert found.mirror.synced
        assert found.answered()
        assert found.discovery.not_ready() == []
        assert not found.discovery.statuses["services"].synced


async def test_an_api_server_that_restarts_costs_no_namespace(tmp_path: Path) -> None:
    """It refuses everybody at first, and one namespace is asked again later than another."""
    async with watched(tmp_path, "a", "b") as found:
        for name in "a", "b":
            found.well(name)
            found.denied(name)
        assert found.review(NOW, LATER) == []
        found.well("a", now=LATER)
        assert found.review(LATER, LATER + 30) == []
        assert found.discovery.stale_seconds(LATER + 30) == LATER + 30 - NOW
        found.well("b", now=LATER + 31)
        assert found.review(LATER + 31) == []
        found.denied("b")

        assert found.review(LATER + 32, LATER + DENIED_SECONDS + 31) == []
        assert found.review(LATER + DENIED_SECONDS + 33) == EMPTY


async def test_one_that_cannot_be_reached_or_misses_one_right_is_not_left_out(
    tmp_path: Path,
) -> None:
    """Services without their slices would all be without endpoints."""
    async with watched(tmp_path, "a", "b", "c") as found:
        for name in "a", "b", "c":
            found.well(name)
        found.away("b")
        found.denied("c", "endpointslices")

        assert found.review(NOW, LATER) == []
        assert found.discovery.stale_seconds(LATER) == LATER - NOW


async def test_one_that_comes_back_is_judged_when_all_of_it_is_there(tmp_path: Path) -> None:
    async with watched(tmp_path, "a", "b") as found:
        found.well("a")
        found.denied("b")
        found.review(NOW, LATER)
        assert found.answered()
        found.well("b", "services")
        found.review(LATER + 1)
        assert not found.answered()
        found.well("b")
        found.review(LATER + 2)
        assert found.answered()

        found.away("b")
        assert found.discovery.stale_seconds(NOW + 7) == 7.0


@pytest.mark.slow
async def test_the_refusals_of_a_server_leave_a_namespace_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probe.discovery.DENIED_SECONDS", 0.1)
    good, bad = page([]), refuse(403)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (bad if "/namespaces/b/" in request.path else good)(request)

    server = Server([answer], [stream(bookmark(2))])
    async with serving(server), connected(server.url, tmp_path) as connection:
        discovery, events = await mirrored(
            connection, ("a", "b"), lambda d: d._left_out == {"b"} and d.answered
        )

    assert [e for e in events if isinstance(e, kube.Listed) and e.namespace == "b"] == EMPTY
    assert discovery.not_ready() == []
    assert discovery.stale_seconds(asyncio.get_running_loop().time()) is None
