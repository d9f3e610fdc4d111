"""ReplicaSets that nobody owns, found where nothing else tells, by a check and by the daemon."""

import asyncio
import logging
from pathlib import Path
from typing import Any, cast

import pytest

from probe.apiserver.refusals import Status
from probe.check import Selection, check_services
from probe.core import kube
from probe.demo.manifests import Obj, deployment, namespace, service
from probe.lookups import AGAIN_SECONDS, Lookups
from probe.reflector import ApiError, ApiTrouble, Connection, Unreachable, connect
from probe.sandbox.cluster import Cluster
from probe.settings import load
from tests.running import until
from tests.watched import watching

SETTINGS = load({"timeout": 0.5, "vantage": "local", "node_name": "here"})


def replica_set(name: str) -> Obj:
    """As `deployment`, without a Deployment."""
    made = deployment(name)
    spec = {key: made["spec"][key] for key in ("replicas", "selector", "template")}
    return {**made, "kind": "ReplicaSet", "spec": spec}


async def standing(cluster: Cluster) -> None:
    """A bare ReplicaSet behind a Service with a wrong targetPort, beside a Deployment that has
    ReplicaSets of its own."""
    rest = (replica_set("web"), service("web", target=8081), deployment("other"))
    for each in (namespace("demo-app"), *rest):
        cluster.apply(each)
    await cluster.settled(within=20)


async def test_a_check_finds_the_port_that_a_bare_replica_set_declares(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        await standing(cluster)
        cluster.write_kubeconfig(tmp_path / "k")
        connection = await connect(str(tmp_path / "k"), None, user_agent="test")
        try:
            world, _ = await check_services(connection, SETTINGS, Selection("demo-app", "web"))
        finally:
            await connection.close()

    judged = world.mirror.services["demo-app", "web"].books[8080].judgement
    assert (judged.verdict, judged.port) == ("port_mismatch", 8080)
    assert ("ReplicaSet", "demo-app", "web") in world.mirror.workloads
    assert [key for key in world.mirror.workloads if key[0] == "ReplicaSet"][1:] == []


async def test_the_daemon_finds_it_too(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        await standing(cluster)
        async with watching(cluster, tmp_path) as watched:
            await watched.becomes("web", "port_mismatch")


class Answers:
    """A connection whose lists end in turn as they are told to, and are counted."""

    def __init__(self, *answers: ApiTrouble | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def list(
        self, resource: kube.Resource, namespace: str, **more: Any
    ) -> tuple[kube.Listed, str]:
        self.asked.append(namespace)
        if trouble := self.answers.pop(0) if self.answers else None:
            raise trouble
        return kube.Listed(resource.name, (), namespace), "1"


FORBIDDEN = ApiError("the API server forbids us to list replicasets", Status(code=403))
AWAY = Unreachable("the API server cannot be reached")


def made(answers: Answers, now: list[float]) -> tuple[Lookups, list[kube.Event]]:
    events: list[kube.Event] = []
    return Lookups(cast(Connection, answers), events.append, lambda: now[0]), events


async def test_a_namespace_is_listed_once_and_again_only_after_a_while() -> None:
    answers, now = Answers(), [0.0]
    lookups, events = made(answers, now)
    for now[0] in (0.0, 1.0, AGAIN_SECONDS - 1, AGAIN_SECONDS):
        lookups.want({"shop"})
        await lookups.finish()

    assert answers.asked == ["shop", "shop"]
    assert events == [kube.Listed("replicasets", (), "shop")] * 2
    assert not await lookups.finish()


async def test_trouble_is_counted_told_once_of_its_kind_and_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lookups, events = made(Answers(FORBIDDEN, AWAY, FORBIDDEN), [0.0])
    with caplog.at_level(logging.WARNING, "probe.lookups"):
        lookups.want(["a", "b", "c", "d"])
        assert await lookups.finish()

    assert lookups.results == {"403": 2, "unreachable": 1, "listed": 1}
    assert [record.message for record in caplog.records] == [str(FORBIDDEN), str(AWAY)]
    assert events == [kube.Listed("replicasets", (), "d")]


async def test_it_goes_on_until_it_is_cancelled() -> None:
    answers = Answers(AWAY)
    lookups, _ = made(answers, [0.0])
    running = asyncio.create_task(lookups.run())
    lookups.want({"a"})
    await until(lambda: answers.asked == ["a"])
    lookups.want({"b"})
    await until(lambda: answers.asked == ["a", "b"])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
