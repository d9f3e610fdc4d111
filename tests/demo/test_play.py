"""The player: what was injected against what the daemon says, with a daemon of the test's own."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from probe.demo import play
from probe.demo.daemon import PACE, Watched
from probe.demo.play import Player, Scene, Score
from probe.demo.scenarios import Options, Scenario
from probe.sandbox.cluster import Cluster

WEB = "Service demo-app/web:8080"


class Said:
    """A daemon that says what a test lets it say."""

    def __init__(self) -> None:
        self.verdict = "healthy"
        self.invalid: dict[tuple[str, str], float] = {}
        self.rollouts: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self.phases = [{"rollout": 2, "steady": 1}, {"rollout": 5, "steady": 1}]

    def becomes(self, verdict: str) -> None:
        self.verdict = verdict

    async def services(self) -> list[dict[str, Any]]:
        port = {"port": 8080, "verdict": self.verdict, "summary": "as said"}
        where = {"namespace": "demo-app", "name": "web"}
        return [{"service": where, "ports": [port], "advice": ["do this"]}]

    async def changes(self) -> dict[str, Any]:
        return {"changes": [], "rollouts": self.rollouts}

    async def invalid_targets(self) -> Mapping[tuple[str, str], float]:
        return self.invalid

    async def reports(self, workload: str) -> list[dict[str, Any]]:
        return [told for told in self.told if told["workload"] == workload]

    async def refused(self, namespace: str) -> dict[str, int]:
        return self.phases.pop(0)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL", "FIND_SECONDS", "HEAL_SECONDS", "REPORT_SECONDS"):
        monkeypatch.setattr(play, name, {"POLL": 0.01}.get(name, 0.1))
    monkeypatch.setitem(PACE, "settle", "0")


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster(serve_api=False) as standing:
        yield standing


async def played(
    cluster: Cluster,
    daemon: Said,
    injected: str,
    healed: str = "healthy",
    *expects: str,
    rolls: str | None = None,
) -> tuple[Score, list[tuple[str, str]]]:
    """The score of a scenario that makes the daemon say these, and what was told meanwhile."""

    async def nothing(cluster: Cluster, options: Options) -> None:
        return

    async def inject(cluster: Cluster, options: Options) -> None:
        daemon.becomes(injected)

    async def heal(cluster: Cluster, options: Options) -> None:
        daemon.becomes(healed)

    scenario = Scenario("test", "a story", lambda options: expects, nothing, inject, heal, rolls)
    told: list[tuple[str, str]] = []
    player = Player(
        cluster,
        cast("Watched", daemon),
        Options(proxy_lag=0),
        Scene(),
        lambda kind, line: told.append((kind, line)),
    )
    (score,) = await player.play([scenario])
    return score, told


async def test_what_the_daemon_finds_is_found_and_its_end_is_seen(cluster: Cluster) -> None:
    expected = f"{WEB} blackholed"

    score, told = await played(cluster, Said(), "blackholed", "healthy", expected)

    assert score.passed
    assert (score.found, score.missed, score.false) == ([expected], [], [])
    assert score.summaries == {expected: "as said"}
    assert score.advice == {expected: ["do this"]}
    assert ("found", expected) in told
    assert score.seconds is not None


async def test_what_the_daemon_does_not_find_is_missed(cluster: Cluster) -> None:
    score, told = await played(cluster, Said(), "healthy", "healthy", f"{WEB} blackholed")

    assert not score.passed
    assert score.document()["missed"] == [f"{WEB} blackholed"]
    assert ("missed", f"{WEB} blackholed") in told


async def test_a_verdict_that_was_not_injected_is_a_false_alarm(cluster: Cluster) -> None:
    score, told = await played(cluster, Said(), "lossy")

    assert not score.passed
    assert score.document()["false"] == [f"{WEB} lossy"]
    assert ("false", f"{WEB} lossy") in told


async def test_a_verdict_that_does_not_go_away_is_not_healed(cluster: Cluster) -> None:
    score, _ = await played(cluster, Said(), "lossy", "lossy", f"{WEB} lossy")

    assert score.found
    assert not score.passed
    assert not score.document()["healed"]


async def test_an_address_in_a_workload_is_read_off_the_metrics(cluster: Cluster) -> None:
    class Invalid(Said):
        def becomes(self, verdict: str) -> None:
            counts = {("demo-app", "env"): 1.0, ("demo-app", "service"): 1.0}
            self.invalid = counts if verdict == "injected" else {}

        async def changes(self) -> dict[str, Any]:
            found = await super().changes()
            return {**found, "changes": [invalid("other"), invalid("demo-app")]}

    def invalid(namespace: str) -> dict[str, Any]:
        object_, detail = f"Deployment {namespace}/legacy", "env UPSTREAM_ADDR=0:80"
        told = {"time": "", "kind": "invalid_target", "object": object_, "detail": detail}
        return {**told, "by": None}

    expected = "Namespace demo-app invalid_target in env"

    score, _ = await played(cluster, Invalid(), "injected", "healthy", expected)

    assert score.passed
    assert score.found == [expected]
    assert score.summaries == {expected: "Deployment demo-app/legacy: env UPSTREAM_ADDR=0:80"}


ROLLED = {"workload": "Deployment demo-app/web", "outcome": "complete"}


def rolling() -> Said:
    """One that has seen the rollout end."""
    daemon = Said()
    daemon.rollouts = [ROLLED]
    return daemon


async def test_a_rollout_comes_with_its_report_and_the_phases_of_what_was_refused(
    cluster: Cluster,
) -> None:
    daemon = rolling()
    daemon.told = [ROLLED, {**ROLLED, "workload": "another"}]

    score, _ = await played(cluster, daemon, "healthy", rolls="Deployment demo-app/web")

    assert score.passed
    assert (score.document()["rollouts"], score.document()["refused"]) == ([ROLLED], {"rollout": 3})


async def test_a_refusal_that_is_filed_as_steady_is_a_false_alarm(cluster: Cluster) -> None:
    daemon = rolling()
    daemon.told, daemon.phases = [ROLLED], [{}, {"steady": 4}]

    score, _ = await played(cluster, daemon, "healthy", rolls="Deployment demo-app/web")

    assert not score.passed
    assert score.false == ["4 dials refused by the rollout are filed as steady"]


@pytest.mark.slow
async def test_a_report_that_does_not_come_is_missed(cluster: Cluster) -> None:
    score, told = await played(cluster, rolling(), "healthy", rolls="Deployment demo-app/web")

    assert ("missed", "the report of the rollout of Deployment demo-app/web") in told
    assert not score.passed


async def test_the_document_has_the_shape_that_scripts_read() -> None:
    document = Score("x", ["a", "b"], found=["a"], false=["c"]).document()

    assert {
        k: document[k] for k in ("name", "injected", "found", "missed", "false", "rollouts")
    } == {
        "name": "x",
        "injected": ["a", "b"],
        "found": ["a"],
        "missed": ["b"],
        "false": ["c"],
        "rollouts": [],
    }


@pytest.mark.parametrize(
    ("item", "concerned"),
    [
        (f"{WEB} endpoint_down", True),
        ("Service demo-app/web:80 endpoint_down", False),
        ("Service demo-app/legacy:8080 blackholed", False),
    ],
)
def test_what_is_mended_pod_by_pod_fails_by_another_name_until_it_is(
    item: str, *, concerned: bool
) -> None:
    assert Score("x", [f"{WEB} blackholed"]).concerns(item) is concerned
