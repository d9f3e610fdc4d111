"""`probe demo` as a person runs it: every incident found by the daemon, and held for others."""

import asyncio
import json
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from probe.cli import demo
from probe.cli.commands import app
from probe.cli.output import Output
from probe.demo import play
from probe.demo.scenarios import SCENARIOS, Options, Scenario
from tests.running import (
    KUBECTL,
    Daemon,
    Ended,
    daemon,
    kubectl,
    probe,
    quiet,
    running,
    shell,
    until,
)

HELD = {
    "port-mismatch": ("port_mismatch", 1),
    "no-endpoints": ("no_endpoints", 1),
    "blackhole": ("blackholed", 1),
    "invalid-address": ("invalid_target", 2),
    "rolling-update": ("healthy", 0),
}


@pytest.mark.slow
async def test_the_tour_finds_every_incident() -> None:
    found = await probe("demo", "-o", "json", seconds=240)

    assert found.code == 0, found.err
    scores = found.document["scenarios"]
    assert [s["name"] for s in scores] == list(SCENARIOS)
    for score in scores:
        assert score["injected"] == sorted(score["found"], key=score["injected"].index)
        assert (score["missed"], score["false"]) == ([], [])
    (rollout,) = scores[-1]["rollouts"]
    assert rollout["workload"] == "Deployment demo-app/web"
    assert rollout["failed"]["refused"] > 0
    assert 1 < rollout["removal_lag_seconds"] < 4
    assert 3 <= rollout["recommended_drain_seconds"] <= 8
    assert scores[-1]["refused"].keys() <= {"rollout", "terminating"}


@pytest.mark.slow
async def test_with_a_drain_longer_than_the_lag_nothing_fails() -> None:
    found = await probe("demo", "rolling-update", "--drain", "3", "-o", "json", seconds=240)

    assert found.code == 0, found.err
    (score,) = found.document["scenarios"]
    assert (score["injected"], score["found"], score["false"]) == ([], [], [])
    (rollout,) = score["rollouts"]
    assert rollout["dials"] > 20
    assert rollout["failed"] == {}
    assert rollout["removal_lag_seconds"] is None
    assert rollout["recommended_drain_seconds"] is None


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize(("lag", "drain"), [(0, 0), (5, 0), (10, 0), (15, 0), (5, 8), (10, 15)])
async def test_the_drain_that_is_recommended_covers_the_lag_and_little_more(
    lag: int, drain: int
) -> None:
    flags = ("--proxy-lag", str(lag), "--drain", str(drain), "-o", "json")
    found = await probe("demo", "rolling-update", *flags, seconds=240)

    assert found.code == 0, found.err
    (score,) = found.document["scenarios"]
    (rollout,) = score["rollouts"]
    assert score["refused"].keys() <= {"rollout", "terminating"}
    if lag > drain:
        assert lag <= rollout["recommended_drain_seconds"] <= lag + 3
    elif drain:
        assert (rollout["failed"], rollout["recommended_drain_seconds"]) == ({}, None)


@pytest.mark.slow
async def test_what_is_not_found_is_missed_and_the_exit_code_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(play, "FIND_SECONDS", 8.0)
    real = SCENARIOS["no-endpoints"]
    expects = ("Service demo-app/cart:8080 lossy",)
    impossible = Scenario(
        "impossible", real.story, lambda o: expects, real.set_up, real.inject, real.heal
    )

    code = await demo._play([impossible], Options(), Output.JSON)

    (score,) = json.loads(capsys.readouterr().out)["scenarios"]
    assert code == 1
    assert score["missed"] == ["Service demo-app/cart:8080 lossy"]
    assert score["false"] == ["Service demo-app/cart:8080 no_endpoints"]


@dataclass
class Held:
    """What a check found in a held scenario, the rights of its kubeconfig, and how it ended."""

    found: Ended
    mode: int
    code: int
    seconds: float
    lines: list[str]
    left: bool


async def hold(name: str, path: Path) -> Held:
    async with running("demo", "--hold", name, "--write-kubeconfig", str(path)) as command:
        await until(lambda: path.exists() or command.process.returncode is not None)
        mode = rights(path)
        arguments = ("-n", "demo-app", "--kubeconfig", str(path), "--timeout", "1", "-o", "json")
        found = await probe("check", "all", *arguments)
        code, seconds = await command.stop(signal.SIGTERM if "port" in name else signal.SIGINT)
    return Held(found, mode, code, seconds, command.lines, exists(path))


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o777


def exists(path: Path) -> bool:
    return path.exists()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held_each(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Held]:
    """All of them, two at a time: all at once they are done no sooner, and each waits longer."""
    folder = tmp_path_factory.mktemp("held")
    room = asyncio.Semaphore(2)

    async def one(name: str) -> Held:
        async with room:
            return await hold(name, folder / name)

    found = await asyncio.gather(*map(one, HELD))
    return dict(zip(HELD, found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", HELD)
async def test_a_held_scenario_stands_for_others_until_it_is_ended(
    name: str, held_each: dict[str, Held]
) -> None:
    held = held_each[name]

    assert held.mode == 0o600
    assert (held.found.document["verdict"], held.found.code) == HELD[name]
    assert (held.code, held.left) == (0, False)
    assert held.seconds < 20
    assert [line.partition(":")[0] for line in held.lines] == [f"holding {name}"]


@pytest.mark.slow
@pytest.mark.skipif(KUBECTL is None, reason="no kubectl in KUBEBUILDER_ASSETS")
async def test_what_kubectl_changes_in_a_held_cluster_has_its_effect(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    flags = ("--hold", "rolling-update", "--write-kubeconfig", str(path))
    quick = ("--interval", "0.5", "--timeout", "1", "--settle", "0")
    async with running("demo", *flags):
        await until(path.exists)
        async with daemon(path, *quick, "--linger", "4") as watching:

            async def becomes(verdict: str) -> None:
                async def is_so() -> bool:
                    return await watching.verdict("demo-app", "web") == verdict

                await until(is_so, every=0.2)

            await becomes("healthy")
            await kubectl(path, "-n", "demo-app", "rollout", "restart", "deploy/web")
            await becomes("drain_race")
            await kubectl(path, "-n", "demo-app", "rollout", "status", "deploy/web")
            await becomes("healthy")
            await kubectl(path, "-n", "demo-app", "scale", "deploy/web", "--replicas=0")
            await becomes("no_endpoints")
            await kubectl(path, "-n", "demo-app", "scale", "deploy/web", "--replicas=2")
            await becomes("healthy")
            await kubectl(path, "-n", "demo-app", "delete", "svc", "web")
            await until(lambda: _gone(watching))

            await until(lambda: _changed(watching))  # which several watches tell


async def _changed(watching: Daemon) -> bool:
    """Whether all that was done to the Deployment and its Service is among the changes."""
    kinds = {c["kind"] for c in (await watching.json("/api/v1/changes"))["changes"]}
    return {"rollout", "rollout_end", "scale", "service_removed"} <= kinds


async def _gone(watching: Daemon) -> bool:
    return (await watching.get("/api/v1/services/demo-app/web"))[0] == 404


@pytest.mark.slow
async def test_ctrl_c_ends_it_at_any_moment_without_a_traceback() -> None:
    for moment in (0.6, 4.0):
        async with running("demo", "blackhole") as command:
            await asyncio.sleep(moment)
            code, seconds = await command.stop(signal.SIGINT)
        assert quiet(command, code, signal.SIGINT), command.lines
        assert seconds < 20


@pytest.mark.slow
async def test_a_reader_that_leaves_ends_it_quietly() -> None:
    found = await shell("{ probe demo no-endpoints; echo $? >&2; } | head -1")

    assert "setting up healthy Services" in found.out
    assert found.err == "141\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nope",), "there is no scenario 'nope': choose from tour, port-mismatch"),
        (("--hold", "nope", "--write-kubeconfig", "{folder}/k"), "there is no scenario 'nope'"),
        (("--hold", "blackhole"), "--hold wants --write-kubeconfig FILE"),
        (("--write-kubeconfig", "{folder}/k"), "--write-kubeconfig is for --hold"),
        (("tour", "--hold", "blackhole"), "--hold takes the place of the scenarios"),
        (("--hold", "blackhole", "--write-kubeconfig", "/no/k"), "its directory does not exist"),
        (("--hold", "blackhole", "--write-kubeconfig", "{folder}"), "it is a directory"),
        (("--hold", "blackhole", "--write-kubeconfig", "{folder}/mine"), "is no sandbox's"),
        (("--proxy-lag", "2", "--drain", "2"), "are too close"),
        (("--proxy-lag", "-1"), "'--proxy-lag'"),
        (("--drain", "31"), "'--drain'"),
        (("-o", "xml"), "'xml' is not one of 'table', 'json'"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("clusters: []")

    found = CliRunner().invoke(app, ["demo", *(a.format(folder=tmp_path) for a in arguments)])

    assert (found.exit_code, found.stdout) == (2, "")
    assert said in found.stderr
    assert (tmp_path / "mine").read_text() == "clusters: []"
