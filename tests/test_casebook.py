"""The daemon's incidents as people meet them: log, API, Events, on the embedded cluster."""

import asyncio
import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from probe.casebook import Casebook
from probe.core.judging import Turn
from probe.demo.manifests import deployment, service
from probe.settings import load
from tests.core.facts import Story, slice_of
from tests.core.facts import service as fact
from tests.core.turning import CUT_OFF
from tests.running import until
from tests.watched import WEB, Watched, standing, watching

pytestmark = pytest.mark.slow


async def incidents(watched: Watched, query: str = "") -> list[dict[str, Any]]:
    """What its API tells, as long as its rate limit allows."""
    while True:
        status, text = await watched.get(f"/api/v1/incidents{query}")
        if status == 200:
            found: list[dict[str, Any]] = json.loads(text)["incidents"]
            return found
        assert status == 429, text
        await asyncio.sleep(0.2)


async def states(watched: Watched) -> list[str]:
    return [i["state"] for i in await incidents(watched)]


def events(watched: Watched) -> list[dict[str, Any]]:
    """Those of the namespace, oldest first."""
    found = watched.cluster.store.list("events", "demo-app")
    return sorted(found, key=lambda event: str(event["eventTime"]))


async def test_an_incident_is_told_at_its_beginning_and_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe.incidents")
    async with standing(*WEB) as cluster, watching(cluster, tmp_path) as watched:
        await watched.becomes("web", "healthy")
        assert await incidents(watched) == []
        cluster.apply(service("web", target=8081), manager="argocd")
        await until(lambda: events(watched))
        (opened,) = await incidents(watched)
        cluster.apply(service("web"), manager="kubectl-patch")
        await until(lambda: len(events(watched)) == 2)
        (closed,) = await incidents(watched)
        assert await incidents(watched, "?namespace=other") == []

    assert (opened["state"], opened["verdict"]) == ("open", "port_mismatch")
    assert opened["change"]["by"] == "argocd"
    assert -2 < opened["seconds_before"] < 10
    assert opened["advice"][0].startswith("set targetPort to 8080: kubectl patch service web")
    assert (closed["state"], closed["id"], closed["flaps"]) == ("closed", opened["id"], 0)
    assert closed["ending"] == "2 of 2 endpoints answer, the ClusterIP answers"

    first, last = events(watched)
    assert (first["type"], first["reason"]) == ("Warning", "PortMismatch")
    assert (last["type"], last["reason"]) == ("Normal", "Recovered")
    assert "after service_edit by argocd, " in first["message"]
    assert "failed: port 8080: targetPort 8080 -> 8081; set targetPort" in first["message"]

    lines = [r for r in caplog.records if r.name == "probe.incidents"]
    assert [(r.levelname, r.__dict__["incident"]["id"]) for r in lines] == [
        ("WARNING", opened["id"]),
        ("INFO", opened["id"]),
    ]
    assert (
        lines[0]
        .getMessage()
        .startswith(
            f"incident {opened['id']} opened: demo-app/web:8080 port_mismatch: targetPort 8081 is"
        )
    )
    assert (
        lines[1]
        .getMessage()
        .endswith(" s: demo-app/web:8080 was port_mismatch; now " + closed["ending"])
    )


async def test_a_pod_that_dies_is_blamed_on_nothing_whatever_another_service_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "probe.incidents")
    api = deployment("api"), service("api")
    async with standing(*WEB, *api) as cluster, watching(cluster, tmp_path) as watched:
        await watched.becomes("web", "healthy")
        await watched.becomes("api", "healthy")
        cluster.apply(deployment("api", version="2"), manager="argocd")
        pods = cluster.store.list("pods", "demo-app")
        name = next(n for n in (pod["metadata"]["name"] for pod in pods) if n.startswith("web-"))
        cluster.set_behaviour("demo-app", name, "crash")
        await watched.becomes("web", "endpoint_down")
        await until(lambda: events_of(watched, "web"))
        (found,) = await incidents(watched, "?service=web")
        (told,) = events_of(watched, "web")

    assert (found["verdict"], found["change"]) == ("endpoint_down", None)
    assert found["seconds_before"] is None
    unseen = r"; no change seen since probe started, [\d.]+ s before it first failed, explains it"
    written = "; the Service was last written by sandbox at "
    assert re.search(f"{unseen}{written}.*Z; ", told["message"])
    lines = [r.getMessage() for r in caplog.records if "/web:" in r.getMessage()]
    assert re.search(f"{unseen}{written}[^;]*Z$", lines[0])


def events_of(watched: Watched, service: str) -> list[dict[str, Any]]:
    return [e for e in events(watched) if e["involvedObject"]["name"] == service]


async def test_a_service_that_is_deleted_ends_its_incident_without_an_event(tmp_path: Path) -> None:
    broken = deployment("late"), service("late", target=8081)
    async with standing(*broken) as cluster, watching(cluster, tmp_path) as watched:
        await until(lambda: events(watched))
        cluster.store.delete("services", "demo-app", "late")
        await until(lambda: closed(watched))
        (found,) = await incidents(watched)
        await asyncio.sleep(0.2)  # time in which an Event would be posted

        assert found["ending"] == "the Service was deleted"
        assert len(events(watched)) == 1


async def closed(watched: Watched) -> bool:
    return await states(watched) == ["closed"]


async def test_from_a_laptop_no_events_are_posted(tmp_path: Path) -> None:
    broken = deployment("late"), service("late", target=8081)
    async with (
        standing(*broken) as cluster,
        watching(cluster, tmp_path, vantage="local") as watched,
    ):
        await until(lambda: incidents(watched))
        await asyncio.sleep(0.2)

        assert events(watched) == []


def test_what_many_services_share_is_one_warning_that_counts_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = [f"svc-{number}" for number in range(5)]
    slices = [slice_of(f"10.0.0.{n}", service=name) for n, name in enumerate(names, 1)]
    story = Story().listed([fact(name=name) for name in names], slices).run(5)
    casebook = Casebook(load({"events": False}), story.world, NOWHERE, lambda at: EPOCH)
    for _, book in story.world.books():
        old, book.judgement = book.judgement, CUT_OFF
        casebook.take(Turn(book.implied.key, story.now, old, CUT_OFF))
    for second in range(5):
        casebook.tick(story.now + second)

    (line,) = (r for r in caplog.records if r.name == "probe.incidents")
    (told,) = casebook.document(story.now, None, "", "")["incidents"]
    assert line.getMessage() == (
        f"incident {told['id']} opened: node/node-2 (demo-app/svc-0, demo-app/svc-1, "
        "demo-app/svc-2 and 2 more) node_path: nothing on node-2 answers; "
        "no change seen since probe started, 5 s before it first failed, explains it"
    )
    assert told["service_count"] == 5


EPOCH = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
NOWHERE: Any = None
"""No connection: what posts nothing needs none."""
