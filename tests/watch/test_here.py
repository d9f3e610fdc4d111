"""A rollout met from here, on the embedded cluster."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from probe.demo.manifests import deployment, namespace, service
from probe.reflector import Unreachable
from probe.settings import load
from probe.watch import here
from probe.watch.here import Here
from probe.watch.subject import Subject
from tests.running import until
from tests.watch.reached import connected
from tests.watched import WEB, standing, stop_api

SUBJECT = Subject("Deployment", "demo-app", "web")
SETTINGS: dict[str, Any] = {"node_name": "a", "interval": 0.5, "timeout": 0.5, "vantage": "local"}
BESIDE = (
    *(namespace("shop"), deployment("web", namespace="shop"), service("web", namespace="shop")),
    *(deployment("cart"), service("cart")),
)


@pytest.mark.slow
async def test_only_the_services_in_front_are_dialed_and_the_first_rollout_is_told(
    tmp_path: Path,
) -> None:
    async with (
        standing(*WEB, *BESIDE) as cluster,
        connected(cluster, tmp_path) as connection,
    ):
        met = Here(connection, load(SETTINGS), SUBJECT, ("web",))
        async with met.working():
            before = met.record(), met.broken(), met.silent()
            dialed = {key for key, record in met._world.mirror.services.items() if record.books}
            cluster.apply(deployment("cart", version="2"))
            cluster.apply(deployment("web", version="2"), manager="argocd")
            await until(lambda: (met.record() or {}).get("ended"))
            first = met.record()
            cluster.apply(deployment("web", version="3"))
            await until(lambda: len(met._rollouts()) == 2)
            again = met.record()

    assert before == (None, [], {})
    assert dialed == {("demo-app", "web")}
    assert first is not None
    assert again is not None
    assert (first["workload"], first["services"]) == ("Deployment demo-app/web", ["web"])
    assert first["by"] == "argocd"
    assert [share["node"] for share in first["nodes"]] == ["a"]
    assert (again["started"], again["detail"]) == (first["started"], first["detail"])


@pytest.mark.slow
async def test_one_that_runs_when_the_watch_begins_is_its_rollout(tmp_path: Path) -> None:
    async with (
        standing(deployment("web", replicas=4, drain=4), service("web")) as cluster,
        connected(cluster, tmp_path) as connection,
    ):
        cluster.kubelet.start_delay = 600.0  # it is not over before anybody looks
        cluster.apply(deployment("web", replicas=4, drain=4, version="2"))
        met = Here(connection, load(SETTINGS), SUBJECT, ("web",))
        async with met.working():
            found = met.record()

    assert found is not None
    assert (found["detail"], found["outcome"]) == ("already in progress", "running")


async def test_an_api_server_that_does_not_tell_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sockets: ExitStack
) -> None:
    monkeypatch.setattr(here, "KNOWN_SECONDS", 0.2)
    async with standing(*WEB) as cluster, connected(cluster, tmp_path) as connection:
        await stop_api(cluster, sockets)
        met = Here(connection, load(SETTINGS), SUBJECT, ("web",))
        with pytest.raises(Unreachable, match="are not listed yet"):
            async with met.working():
                pass


@pytest.mark.parametrize(("interval", "patience", "seconds"), [(1.0, 2.0, 5.0), (10.0, 2.0, 12.0)])
async def test_a_failure_is_waited_for_until_all_was_dialed_again(
    interval: float, patience: float, seconds: float, tmp_path: Path
) -> None:
    pace = load(SETTINGS | {"interval": interval, "timeout": patience})
    async with standing(*WEB) as cluster, connected(cluster, tmp_path) as connection:
        assert Here(connection, pace, SUBJECT, ("web",)).after_failures == seconds
