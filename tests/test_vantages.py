"""Asking the daemons over the API server's pod proxy: daemons of this process as pods, and
stand-ins that answer as no daemon of ours would."""

import asyncio
import json
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from probe import gathered, podproxy, vantages
from probe import told as shapes
from probe.absent import NotFound
from probe.check import BadSelector, Selection
from probe.core.merging import Json, merged
from probe.demo.manifests import deployment, namespace, service
from probe.reflector import ApiError, Unreachable
from probe.vantages import NoDaemons, incidents_from_nodes
from tests.core.documents import change, told
from tests.front import CART, Answer, answering, document, edge, front, hangs, says
from tests.running import until
from tests.watched import WEB, Watched, standing, two_daemons

WEB_OF = Selection("demo-app", "web")


def incidents(watched: Watched) -> list[Json]:
    return list(watched.daemon.incidents(None, "", "")["incidents"])


def judged(watched: Watched, count: int) -> bool:
    return len(watched.turns) == count


@pytest.mark.slow
async def test_all_nodes_are_asked_for_what_is_so_now(tmp_path: Path) -> None:
    async with (
        standing(*WEB) as cluster,
        two_daemons(cluster, tmp_path) as (ahead, daemons),
    ):
        for watched in daemons:
            await watched.becomes("web", "healthy")
        (healthy,) = (await ahead.ask(WEB_OF)).documents
        cluster.apply(service("web", target=8081), manager="argocd")
        for watched in daemons:
            await until(partial(getattr, watched, "changes"))
        asked = await ahead.ask(WEB_OF)
        own = daemons[0].daemon.service("demo-app", "web")

    assert healthy["verdict"] == "healthy"
    assert own == shapes.read(json.dumps(own).encode(), shapes.Document)
    assert healthy["summary"].endswith("; seen from all 2 nodes")
    (found,) = asked.documents
    assert (asked.nodes, asked.silent) == (["a", "b"], {})
    assert found["verdict"] == "port_mismatch"
    assert found["sources"] == [{"node": n, "vantage": "pod"} for n in "ab"]
    edges = [(e["from"], e["result"]) for e in found["ports"][0]["edges"] if e["port"] == 8081]
    assert edges == [("a", "refused"), ("b", "refused")] * 2
    assert [(c["kind"], c["by"]) for c in found["changes"]].count(("service_edit", "argocd")) == 1


@pytest.mark.slow
async def test_one_node_can_be_asked_and_history_comes_from_all(tmp_path: Path) -> None:
    async with (
        standing(*WEB) as cluster,
        two_daemons(cluster, tmp_path) as (ahead, daemons),
    ):
        for watched in daemons:
            await watched.becomes("web", "healthy")
        asked = await ahead.ask(WEB_OF, "b")
        cluster.apply(service("web", target=8081), manager="argocd")
        for watched in daemons:
            await until(partial(incidents, watched))
        history = await incidents_from_nodes(ahead.connection, ahead.settings, WEB_OF, 600)
        (own,) = incidents(daemons[0])
        elsewhere = await incidents_from_nodes(
            ahead.connection, ahead.settings, Selection("shop"), 600
        )

    assert asked.nodes == ["b"]
    assert {e["from"] for e in asked.documents[0]["ports"][0]["edges"]} == {"b"}
    (incident,) = history["incidents"]
    assert own == shapes.read(json.dumps(own).encode(), shapes.Incident)
    assert (incident["verdict"], incident["state"]) == ("port_mismatch", "open")
    assert incident["nodes"] == history["nodes"] == ["a", "b"]
    assert [c["by"] for c in history["changes"] if c["kind"] == "service_edit"] == ["argocd"]
    assert (elsewhere["incidents"], elsewhere["changes"]) == ([], [])


async def test_all_services_are_told_by_namespace_and_by_label(tmp_path: Path) -> None:
    other = deployment("cart", namespace="shop"), service("cart", namespace="shop")
    async with (
        standing(*WEB, namespace("shop"), *other) as cluster,
        two_daemons(cluster, tmp_path) as (ahead, daemons),
    ):
        for watched in daemons:
            await until(partial(judged, watched, 2))
        ahead.service("cart", tier="front")
        ahead.service("web", "demo-app", tier="back")

        async def names(selection: Selection) -> list[str]:
            asked = await ahead.ask(selection)
            assert all(len(d["sources"]) == 2 for d in asked.documents)
            return [d["service"]["name"] for d in asked.documents]

        assert await names(Selection("")) == ["web", "edgeprobe", "cart"]
        assert await names(Selection("shop")) == ["cart"]
        assert await names(Selection("", selector="tier=front")) == ["cart"]
        assert await names(Selection("demo-app", selector="tier=front")) == []
        with pytest.raises(BadSelector):
            await ahead.ask(Selection("", selector="tier in (front"))


OTHER = {"namespace": "kube-system", "name": "cart"}
UNDATED = change("2026-11-20T12:00:00")


async def test_who_does_not_answer_is_named_with_the_reason_and_hides_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podproxy, "LIVE_SECONDS", 2.0)
    async with AsyncExitStack() as stack:
        ahead = await stack.enter_async_context(front(tmp_path))

        async def stands(node: str, answer: Answer) -> None:
            ahead.pod(node, await stack.enter_async_context(answering(answer)))

        await stands("fine", says(document("fine")))
        await stands("keyed", says({"error": "the header is missing"}, 401))
        await stands("broken", says({"error": "out of order"}, 500))
        await stands("strange", says({"service": {"name": "cart"}}))
        await stands("newer", says(told("newer", "possessed", edges=[edge("newer")])))
        await stands("other", says({**document("other"), "service": OTHER}))
        await stands("drawing", says({"error": "", "message": "\x1b[2Jhi"}, 500))
        await stands("undated", says(told("undated", edges=[edge("a")], changes=[UNDATED])))
        await stands("forbidding", says({"reason": "Forbidden", "message": "no\x07"}, 403))
        await stands("ignorant", says({"error": "there is no such thing"}, 404))
        ahead.pod("hanging", await stack.enter_async_context(answering(says({}), hangs)))
        ahead.pod("closed", 1)
        ahead.pod("starting", 1, phase="Pending", conditions=[])
        asked = await ahead.ask()

    assert asked.nodes == ["fine"]
    assert asked.documents == [merged([document("fine")], asked.silent)]
    assert (
        "; seen from 1 of 13 nodes: fine (no answer from broken, " in asked.documents[0]["summary"]
    )
    reasons = {
        "broken": "it answers 500 Internal Server Error",
        "closed": "the API server says: error trying to reach service: Cannot connect",
        "drawing": "it answers 500 \ufffd[2Jhi",
        "forbidding": "it is forbidden to ask it: no\ufffd",
        "hanging": "no answer within 2 s",
        "ignorant": "its daemon does not know the Service",
        "keyed": "it wants its key: set PROBE_API_KEY",
        "newer": "its answer is of another version, or none of ours: Invalid enum value",
        "other": "it answers for another Service",
        "starting": "its pod edgeprobe-starting is Pending",
        "strange": "its answer is of another version, or none of ours: Object missing required",
        "undated": "its answer is of another version, or none of ours: Expected `datetime` with a",
    }
    assert list(asked.silent) == list(reasons)
    for node, reason in reasons.items():
        assert asked.silent[node].startswith(reason)


async def test_a_daemon_that_cannot_dial_on_request_tells_what_it_knows(tmp_path: Path) -> None:
    methods = []

    async def older(request: web.Request) -> web.Response:
        methods.append(request.method)
        assert request.path in ("/api/v1/check/shop/cart", "/api/v1/services/shop/cart")
        old = request.method == "GET"
        return web.json_response(document("a") if old else {}, status=200 if old else 404)

    async with front(tmp_path) as ahead, answering(older) as port:
        ahead.pod("a", port)
        assert (await ahead.ask()).documents == [document("a")]

    assert methods == ["POST", "GET"]


async def test_where_nobody_can_be_asked_it_says_what_to_do(tmp_path: Path) -> None:
    async with front(tmp_path) as ahead:
        with pytest.raises(NoDaemons, match="there is no daemon to ask: install it"):
            await ahead.ask()
        ahead.pod("a", 1)
        ahead.pod("b", 1)
        with pytest.raises(NoDaemons, match='no daemon runs on node "c": there is one on a, b'):
            await ahead.ask(node="c")
        for selection in (CART, Selection("shop")):
            with pytest.raises(Unreachable, match="the daemon on node a does not answer: the API "):
                await ahead.ask(selection)
        with pytest.raises(Unreachable, match=", and 1 more do not answer"):
            await incidents_from_nodes(ahead.connection, ahead.settings, CART, 60)


async def test_asking_is_forbidden_to_us_only_if_nobody_answers(tmp_path: Path) -> None:
    refuses = says({"kind": "Status", "reason": "Forbidden", "message": "no"}, 403)
    async with (
        front(tmp_path) as ahead,
        answering(refuses, refuses) as refusing,
        answering(says({"error": "no"}, 404)) as ignorant,
        answering(says(document("c"))) as fine,
    ):
        ahead.pod("a", refusing)
        with pytest.raises(ApiError, match="forbids us to use pods/proxy in namespace edgeprobe"):
            await ahead.ask()
        ahead.pod("b", ignorant)
        with pytest.raises(NotFound):
            await ahead.ask()
        ahead.pod("c", fine)
        asked = await ahead.ask()

    assert asked.nodes == ["c"]
    assert asked.silent["a"] == "it is forbidden to ask it: no"


async def test_a_list_that_leads_elsewhere_makes_its_node_silent(tmp_path: Path) -> None:
    outside = {"namespace": "x/../kube-system/services/http:victim:80/proxy/?all=1#", "name": "a"}
    async with (
        front(tmp_path) as ahead,
        answering(says({"services": [document("a")]})) as fine,
        answering(says({"services": [{**document("b"), "service": outside}]})) as bad,
    ):
        ahead.pod("a", fine)
        ahead.pod("b", bad)
        asked = await ahead.ask(Selection(""))

    assert (asked.nodes, list(asked.silent)) == (["a"], ["b"])
    assert asked.documents == [merged([document("a")], ["b"])]


async def test_a_service_that_no_daemon_knows_is_not_there_or_not_watched(tmp_path: Path) -> None:
    async with front(tmp_path) as ahead, answering(says({"error": "no"}, 404)) as port:
        ahead.pod("a", port)
        with pytest.raises(NotFound, match='Service "cart" not found in namespace "shop"'):
            await ahead.ask()
        ahead.service("cart")
        with pytest.raises(Unreachable, match="no daemon watches Service shop/cart"):
            await ahead.ask()


@pytest.mark.parametrize("name", ["..", "a/b", "a?b", "A", ""])
async def test_what_can_be_no_name_is_asked_of_nobody(tmp_path: Path, name: str) -> None:
    async with front(tmp_path) as ahead:
        for selection in (Selection("shop", name), Selection(name or "..", "cart")):
            with pytest.raises(NotFound):
                await ahead.ask(selection)


@pytest.mark.slow
async def test_five_hundred_nodes_are_asked_a_few_at_a_time(tmp_path: Path) -> None:
    now = most = 0

    async def counting(request: web.Request) -> web.Response:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.01)
        now -= 1
        return web.json_response(document("any"))

    async with front(tmp_path) as ahead, answering(counting) as port:
        for number in range(500):
            ahead.pod(f"n{number}", port)
        asked = await ahead.ask()

    assert len(asked.nodes) == len(asked.documents[0]["sources"]) == 500
    assert 1 < most <= vantages.AT_ONCE


async def test_of_very_many_edges_those_that_are_up_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "EDGES_KEPT", 3)
    down = {**edge("a"), "state": "down", "result": "refused"}
    some = {**told("a", edges=[edge("a"), down])}
    listed = [{**some, "service": {"namespace": "shop", "name": f"s{n}"}} for n in range(4)]
    async with front(tmp_path) as ahead, answering(says({"services": listed})) as port:
        ahead.pod("a", port)
        found = (await ahead.ask(Selection("shop"))).documents

    assert [len(d["ports"][0]["edges"]) for d in found] == [2, 2, 1, 1]
    assert {d["ports"][0]["edges"][-1]["state"] for d in found} == {"down"}
