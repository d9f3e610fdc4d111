"""All reflectors of one daemon, seen as one."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from probe.core import kube
from probe.demo.manifests import deployment, namespace, service
from probe.discovery import Combined, Discovery
from probe.reflector import Connection, Status, connect
from probe.sandbox.cluster import Cluster
from tests.running import until

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


async def test_until_it_is_listed_the_reason_is_told_and_then_the_age(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        assert cluster.api
        cluster.write_kubeconfig(tmp_path / "k")
        await cluster.api.stop()
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
