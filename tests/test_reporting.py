"""The reports of rollouts: gathered from other daemons and told once."""

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from probe import reporting
from probe.core.rollout_reports import record
from probe.core.schedule import leaders
from probe.demo.manifests import deployment, service
from probe.reporting import BURST
from tests.front import HERE, Answer, says
from tests.running import until
from tests.telling import Json, clock, daemon_of, named, reporting_with, rollout
from tests.watched import standing, watching


async def test_one_node_alone_tells_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with reporting_with(tmp_path, monkeypatch) as desk:
        desk.ends(refused=3)
        (report,) = await desk.reports()
        await until(desk.events)

    (event,) = desk.events()
    assert (report["failed"], report["recommended_drain_seconds"]) == ({"refused": 3}, 5)
    assert (event["type"], event["reason"]) == ("Warning", "RolloutFailedDials")
    assert event["involvedObject"]["name"] == "web"
    assert "{preStop: {sleep: {seconds: 5}}}" in event["message"]
    (line,) = [r for r in caplog.records if r.name == "probe.rollouts"]
    assert line.levelno == logging.WARNING
    assert line.__dict__["rollout"]["workload"] == "Deployment demo-app/web"


async def test_a_clean_rollout_is_told_as_a_normal_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reporting_with(tmp_path, monkeypatch) as desk:
        desk.ends()
        await desk.reports()
        await until(desk.events)

    assert [(e["type"], e["reason"]) for e in desk.events()] == [("Normal", "RolloutClean")]


async def test_what_the_others_saw_is_merged_and_the_silent_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = named("a", "b", "c", first="a")
    now = asyncio.get_running_loop().time()
    theirs = says(daemon_of("b", rollout(name, now, refused=4), rollout("other", now)))
    async with reporting_with(tmp_path, monkeypatch, {"b": theirs, "c": 1}) as desk:
        desk.ends(name)
        (report,) = await desk.reports()

    assert [share["node"] for share in report["nodes"]] == ["a", "b"]
    assert (report["dials"], report["failed"]) == (100, {"refused": 4})
    assert report["silent"] == ["c"]


async def test_many_that_end_at_once_take_one_question_to_each_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, str]] = []
    now = asyncio.get_running_loop().time()
    names = [
        n
        for n in (f"web-{i}" for i in range(40))
        if leaders("ab", f"Deployment/demo-app/{n}", 1) == ["a"]
    ]

    async def answer(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.json_response(daemon_of("b", *(rollout(n, now, refused=1) for n in names)))

    async with reporting_with(tmp_path, monkeypatch, {"b": answer}) as desk:
        for name in names:
            desk.ends(name)
        reports = await desk.reports(len(names))

    assert len(names) > 5
    assert [set(query) for query in asked] == [{"since", "namespace"}]
    assert all(len(report["nodes"]) == 2 for report in reports)


async def test_of_several_namespaces_everything_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, str]] = []
    name = named("a", "b", first="a")
    elsewhere = next(
        n
        for n in (f"shop-{i}" for i in range(99))
        if leaders("ab", f"Deployment/{n}/web", 1) == ["a"]
    )

    async def answer(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.json_response(daemon_of("b"))

    async with reporting_with(tmp_path, monkeypatch, {"b": answer}) as desk:
        desk.ends(name)
        desk.ends("web").workload = ("Deployment", elsewhere, "web")
        await desk.reports(2)

    assert [set(query) for query in asked] == [{"since"}]


async def test_one_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []
    name = named("a", "b", first="a")

    async def answer(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.json_response(daemon_of("b"))

    async with reporting_with(tmp_path, monkeypatch, {"b": answer}) as desk:
        desk.ends(name)
        await desk.reports()

    (query,) = asked
    assert query["workload"] == f"Deployment/{name}"
    assert 60 <= int(query["since"]) < 90


async def test_another_daemon_tells_of_what_is_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has told; so nothing comes from us until a later one, of our own, is told."""
    theirs, ours = named("a", "b", first="b"), named("a", "b", first="a")
    now = asyncio.get_running_loop().time()
    report = record(rollout(theirs, now), "b", clock)
    async with reporting_with(
        tmp_path, monkeypatch, {"b": says(daemon_of("b", reports=(report,)))}
    ) as desk:
        desk.ends(theirs)
        await desk.looked()
        desk.ends(ours)
        (report,) = await desk.reports()

    assert report["workload"].endswith(ours)


async def test_of_many_that_another_daemon_told_of_it_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = asyncio.get_running_loop().time()
    theirs = [
        n
        for n in (f"web-{number}" for number in range(40))
        if leaders("ab", f"Deployment/demo-app/{n}", 1) == ["b"]
    ]
    reports = tuple(record(rollout(name, now), "b", clock) for name in theirs[1:])
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.json_response(daemon_of("b", reports=reports))

    async with reporting_with(tmp_path, monkeypatch, {"b": answer}) as desk:
        for name in theirs:
            desk.ends(name)
        (report,) = await desk.reports()

    assert report["workload"].endswith(theirs[0])
    assert [set(query) for query in asked] == [
        {"since", "namespace"},
        {"since", "namespace", "workload"},
    ]


async def test_what_ends_at_once_and_is_another_daemons_to_tell_is_looked_at_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reporting_with(tmp_path, monkeypatch, {"b": 1}) as desk:
        monkeypatch.setattr(reporting, "TURN_SECONDS", 3600.0)
        for number in range(40):
            desk.ends(f"web-{number}")

        def again() -> list[float]:
            desk.reporter.tick(asyncio.get_running_loop().time())
            return [due.at for due in desk.reporter._waiting if due.before]

        at = await until(again)

    assert len(at) > 5
    assert len(set(at)) == 1


@pytest.mark.parametrize("silent", [True, False])
async def test_where_the_one_whose_turn_it_is_has_not_told_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    name = named("a", "b", first="b")
    async with reporting_with(
        tmp_path, monkeypatch, {"b": 1 if silent else says(daemon_of("b"))}
    ) as desk:
        desk.ends(name)
        (report,) = await desk.reports()

    assert report["silent"] == (["b"] if silent else [])


async def test_only_three_daemons_ever_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: dict[str, Answer | int] = {f"node-{number}": 1 for number in range(6)}
    name = next(
        n
        for n in (f"web-{number}" for number in range(100))
        if "a" not in leaders(("a", *others), f"Deployment/demo-app/{n}", 3)
    )
    async with reporting_with(tmp_path, monkeypatch, others) as desk:
        desk.ends(name)
        await desk.looked()

        assert desk.document()["reports"] == []


async def test_what_cost_nobody_anything_or_has_no_service_is_no_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reporting_with(tmp_path, monkeypatch) as desk:
        desk.ends("batch").services = ()
        desk.ends("headless", dials=0)
        desk.ends("scaled").scaling = True
        gone = desk.ends("gone")
        del desk.world.mirror.workloads[gone.workload]
        desk.ends("web")
        desk.ends("scaled-badly", refused=1).scaling = True
        reports = await desk.reports(5)
        await until(lambda: len(desk.events()) >= 2)

    told = [r["workload"].partition("/")[2] for r in reports]
    assert told == ["scaled-badly", "web", "gone", "scaled", "headless"]
    assert {e["involvedObject"]["name"] for e in desk.events()} == {"web", "scaled-badly"}


@pytest.mark.parametrize(("reports", "size"), [(3, 2**20), (1000, 3000)], ids=["count", "bytes"])
async def test_of_what_was_told_the_last_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reports: int, size: int
) -> None:
    monkeypatch.setattr(reporting, "REPORTS_KEPT", reports)
    monkeypatch.setattr(reporting, "REPORTS_BYTES", size)
    async with reporting_with(tmp_path, monkeypatch) as desk:
        for number in range(20):
            desk.ends(f"web-{number}")
        await desk.looked()
        await until(lambda: desk.document()["reports"][:1] != [])
        await until(lambda: desk.document()["reports"][0]["workload"].endswith("web-19"))

    kept = [told["workload"].rpartition("-")[2] for told in desk.document()["reports"]]
    assert kept == [str(19 - place) for place in range(len(kept))]
    assert 1 < len(kept) < 10


@pytest.mark.slow
async def test_a_thousand_at_once_post_no_more_than_a_burst_and_the_rest_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reporting, "RATE", 1e-9)  # however long it takes
    async with reporting_with(tmp_path, monkeypatch) as desk:
        for number in range(1000):
            desk.ends(f"web-{number}")
        await desk.reports(1000)
        desk.reporter.tick(asyncio.get_running_loop().time() + 60)
        await until(lambda: len(desk.events()) >= BURST)

    dropped = sum(getattr(r, "dropped", 0) for r in caplog.records)
    assert (len(desk.events()), dropped) == (BURST, 1000 - BURST)


async def test_without_events_it_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reporting_with(tmp_path, monkeypatch, events=False) as desk:
        desk.ends()
        await desk.reports()

    assert desk.events() == []


async def test_reports_are_told_of_a_time_a_namespace_a_service_or_a_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reporting_with(tmp_path, monkeypatch) as desk:
        desk.ends("cart")
        desk.ends("web")
        await desk.reports(2)

        def told(**query: Any) -> list[list[str]]:
            found = desk.document(**query)
            return [
                [told["workload"].partition("/")[2] for told in found[kind]]
                for kind in ("rollouts", "reports")
            ]

        assert told() == [["web", "cart"], ["web", "cart"]]
        assert told(service="web", namespace="demo-app") == [["web"], ["web"]]
        assert told(workload=("Deployment", "cart")) == [["cart"], ["cart"]]
        assert told(workload=("StatefulSet", "cart")) == [[], []]
        assert told(namespace="shop") == [[], []]
        assert told(since=5.0) == [[], ["web", "cart"]]


def shared(node: str, port: int) -> Json:
    """A slice of the daemons' Service."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"daemons-{node}",
            "namespace": "demo-app",
            "labels": {"kubernetes.io/service-name": "daemons"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": port}],
        "endpoints": [{"addresses": [HERE], "conditions": {"ready": True}, "nodeName": node}],
    }


@pytest.mark.slow
async def test_two_daemons_see_a_rollout_and_one_tells_what_both_saw(tmp_path: Path) -> None:
    web_of = (deployment("web", replicas=2, drain=1), service("web"))
    async with standing(*web_of) as cluster, AsyncExitStack() as stack:
        daemons = []
        for node in "ab":
            (tmp_path / node).mkdir()
            settings = {"node_name": node, "peers": "demo-app/daemons", "api_key": "secret\n"}
            watched = await stack.enter_async_context(
                watching(cluster, tmp_path / node, events=True, **settings)
            )
            cluster.apply(shared(node, watched.daemon.port))
            daemons.append(watched)
        await until(lambda: all(len(w.daemon.world.nodes) == 2 for w in daemons))
        for watched in daemons:
            await watched.becomes("web", "healthy")
        cluster.apply(deployment("web", replicas=2, version="2", drain=1), manager="kubectl-set")

        def reports() -> list[Json]:
            found = [w.daemon.rollouts(None, "", "", None)["reports"] for w in daemons]
            return [report for told in found for report in told]

        await until(reports)
        await until(lambda: _events(cluster.store.list("events", "demo-app")))

    (report,) = reports()
    assert [share["node"] for share in report["nodes"]] == ["a", "b"]
    assert report["silent"] == []
    assert report["dials"] == sum(share["dials"] for share in report["nodes"]) > 10
    assert (report["failed"], report["recommended_drain_seconds"]) == ({}, None)
    (event,) = _events(cluster.store.list("events", "demo-app"))
    assert event["reason"] == "RolloutClean"
    assert json.dumps(event).count("from 2 nodes") == 1


def _events(found: list[Json]) -> list[Json]:
    """Those of rollouts."""
    return [event for event in found if event["reason"].startswith("Rollout")]
