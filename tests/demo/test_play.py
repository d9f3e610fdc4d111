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


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL", "FIND_SECONDS", "HEAL_SECONDS"):
        monkeypatch.setattr(play, name, {"POLL": 0.01}.get(name, 0.1))
    monkeypatch.setitem(PACE, "settle", "0")


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster(serve_api=False) as standing:
        yield standing


async def played(
    cluster: Cluster, daemon: Said, injected: str, healed: str = "healthy", *expects: str
) -> tuple[Score, list[tuple[str, str]]]:
    """The score of a scenario that makes the daemon say these, and what was told meanwhile."""

    async def nothing(cluster: Cluster, options: Options) -> None:
        return

    async def inject(cluster: Cluster, options: Options) -> None:
        daemon.becomes(injected)

    async def heal(cluster: Cluster, options: Options) -> None:
        daemon.becomes(healed)

    scenario = Scenario("test", "a story", lambda options: expects, nothing, inject, heal)
    told: list[tuple[str, str]] = []
    player = Player(
        cluster,
        cast("Watched", daemon),
        Options(),
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

    expected = "Namespace demo-app invalid_target in env"

    score, _ = await played(cluster, Invalid(), "injected", "healthy", expected)

    assert score.passed
    assert score.found == [expected]


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
