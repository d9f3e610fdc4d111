"""A rollout as two daemons tell of it, over the API server's pod proxy."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from probe.demo.manifests import deployment, service
from probe.reflector import Unreachable
from probe.vantages import NoDaemons
from probe.watch.nodes import Nodes
from probe.watch.subject import Subject
from tests.core.records import told as rolled
from tests.front import Answer, answering, front, says
from tests.running import until
from tests.watched import standing, two_daemons

SUBJECT = Subject("Deployment", "demo-app", "web")
pytestmark = pytest.mark.slow


def told(nodes: Nodes) -> Any:
    """The record once the rollout has ended, and both nodes have told of it."""
    record = nodes.record()
    whole = record is not None and record["ended"] is not None and len(record["nodes"]) == 2
    return record if whole else None


async def test_both_nodes_records_become_one_and_older_rollouts_are_none_of_it(
    tmp_path: Path,
) -> None:
    drained = partial(deployment, "web", drain=1)  # or a dial might meet a pod that is gone
    async with (
        standing(drained(), service("web")) as cluster,
        two_daemons(cluster, tmp_path) as (ahead, daemons),
    ):
        for watched in daemons:
            await watched.becomes("web", "healthy")
        cluster.apply(drained(version="2"))
        for watched in daemons:
            await until(partial(_ended, watched.daemon))
        ahead.pod("c", 1)  # where nobody listens
        nodes = Nodes(ahead.connection, ahead.settings, SUBJECT, ("web",), None)
        async with nodes.working():
            older = nodes.record()
            cluster.apply(drained(version="3"), manager="argocd")
            found = await until(partial(told, nodes))

    assert older is None
    assert (found["workload"], found["by"]) == ("Deployment demo-app/web", "argocd")
    assert found["detail"].endswith("web:2 -> registry.example/web:3")
    assert [node["node"] for node in found["nodes"]] == ["a", "b"]
    assert found["dials"] == sum(node["dials"] for node in found["nodes"])
    assert (nodes.broken(), list(nodes.silent()), found["silent"]) == ([], ["c"], ["c"])


def _ended(daemon: Any) -> bool:
    answer = daemon.rollouts(None, "", "", None)
    return any(record["ended"] for record in answer["rollouts"])


async def test_what_fails_before_is_said(tmp_path: Path) -> None:
    async with (
        standing(deployment("web"), service("web", target=8081)) as cluster,
        two_daemons(cluster, tmp_path) as (ahead, daemons),
    ):
        for watched in daemons:
            await watched.becomes("web", "port_mismatch")
        nodes = Nodes(ahead.connection, ahead.settings, SUBJECT, ("web",), None)
        async with nodes.working():
            (said,) = nodes.broken()

    assert said.startswith("web:8080 fails already, and is not counted while it does: targetPort")


async def test_without_a_daemon_there_is_nobody_to_ask(tmp_path: Path) -> None:
    async with front(tmp_path) as ahead:
        nodes = Nodes(ahead.connection, ahead.settings, SUBJECT, ("web",), None)
        with pytest.raises(NoDaemons):
            async with nodes.working():
                pass


async def test_a_daemon_without_rollouts_is_too_old(tmp_path: Path) -> None:
    async with front(tmp_path) as ahead, answering(says({}, 404)) as port:
        ahead.pod("a", port)
        nodes = Nodes(ahead.connection, ahead.settings, SUBJECT, ("web",), None)
        with pytest.raises(Unreachable, match="too old to tell of rollouts"):
            async with nodes.working():
                pass


async def test_daemons_that_fall_silent_later_are_named_and_asked_again(tmp_path: Path) -> None:
    answer = {"node": "a", "rollouts": [], "reports": []}
    async with front(tmp_path) as ahead, answering(says(answer)) as port:
        ahead.pod("a", port)
        nodes = Nodes(ahead.connection, ahead.settings, SUBJECT, (), None)
        async with nodes.working():
            before = nodes.silent()
            ahead.store.delete("pods", "edgeprobe", "edgeprobe-a")
            await until(nodes.silent)
            gone = nodes.silent()
            ahead.pod("a", port)
            await until(lambda: not nodes.silent())
            await asyncio.sleep(0)

    assert before == {}
    assert "no pods are labelled" in gone[""]


async def test_what_was_over_when_a_node_first_answered_begins_no_watch(tmp_path: Path) -> None:
    """It may be an older rollout; that it is of ours shows by when another node's began."""
    answers: dict[str, list[Any]] = {"a": [], "b": [between(10, 20)], "c": []}

    def of(node: str) -> Answer:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response({"node": node, "rollouts": answers[node], "reports": []})

        return answer

    async with (
        front(tmp_path) as ahead,
        answering(of("a")) as a,
        answering(of("b")) as b,
        answering(of("c")) as c,
    ):
        ahead.pod("a", a)
        ahead.pod("b", 1)  # where nobody listens
        nodes = Nodes(ahead.connection, ahead.settings, SUBJECT, (), None)
        async with nodes.working():
            silent = list(nodes.silent())
            ahead.store.delete("pods", "edgeprobe", "edgeprobe-b")
            ahead.pod("b", b)
            await until(lambda: not nodes.silent())
            await until(lambda: "b" in nodes._new)
            older = nodes.record()
            answers["a"] = [between(25, 40)]
            answers["c"] = [between(26, 41), between(10, 20)]
            ahead.pod("c", c)
            await until(lambda: nodes._new.get("a") and nodes._new.get("c"))
            found = nodes.record()

    assert (silent, older) == (["b"], None)
    assert found is not None
    assert (found["started"], found["ended"]) == (second(25), second(41))
    assert [node["node"] for node in found["nodes"]] == ["a", "c"]


def between(began: int, ended: int) -> Any:
    return rolled() | {
        "workload": str(SUBJECT),
        "started": second(began),
        "ended": second(ended),
        "seconds": float(ended - began),
    }


def second(number: int) -> str:
    return f"2026-11-21T10:00:{number:02}Z"
