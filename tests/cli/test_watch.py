"""`probe watch`, as a person and a pipeline type it, on a cluster that the program itself holds."""

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from probe.cli.watch import command
from probe.demo.manifests import deployment, service
from tests.cli.conftest import holding
from tests.running import KUBECTL, Ended, kubectl, probe, running, until

pytestmark = pytest.mark.slow

HERE = ("-n", "demo-app", "--from", "here")
LAG = 2.0
"""Seconds by which ClusterIPs follow late in the cluster that is held."""

with_kubectl = pytest.mark.skipif(KUBECTL is None, reason="no kubectl in KUBEBUILDER_ASSETS")


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster whose proxy is LAG seconds late, with a Deployment `web` whose pods sleep for
    longer than that before they end."""
    flags = ("--proxy-lag", f"{LAG:g}", "--drain", f"{LAG + 2:g}")
    with holding(tmp_path_factory.mktemp("late"), "rolling-update", *flags) as path:
        yield path


async def watch(held: Path, *arguments: str) -> Ended:
    return await probe("watch", *arguments[:1], *HERE, "--kubeconfig", str(held), *arguments[1:])


def restart(held: Path, name: str) -> tuple[str, ...]:
    """As the command of a watch."""
    where = ("--kubeconfig", str(held), "-n", "demo-app")
    return ("--", KUBECTL or "", *where, "rollout", "restart", f"deployment/{name}")


async def make(held: Path, folder: Path, name: str, target: int = 8080) -> None:
    """A Deployment whose pods end at once, and its Service."""
    for manifest in (deployment(name, replicas=3), service(name, target=target)):
        path = folder / f"{name}-{manifest['kind']}.json"
        path.write_text(json.dumps(manifest))
        await kubectl(held, "apply", "-f", str(path))
    await kubectl(held, "rollout", "status", f"deployment/{name}", "-n", "demo-app")


@with_kubectl
async def test_rollouts_end_with_what_they_cost_as_text_json_and_junit(
    late: Path, tmp_path: Path
) -> None:
    await make(late, tmp_path, "hasty")
    await make(late, tmp_path, "broken", target=8081)
    clean, dirty, broken = await asyncio.gather(
        watch(late, "deploy/web", *restart(late, "web")),
        watch(late, "deployment/hasty", "-o", "json", *restart(late, "hasty")),
        watch(late, "deployment/broken", "-o", "junit", *restart(late, "broken")),
    )

    assert clean.code == 0, clean.out
    assert clean.out.splitlines()[-1] == "✓ no dial failed"
    assert "watching Deployment demo-app/web behind Service web, dialing from here" in clean.out
    assert "rolling" in clean.out
    assert clean.err == "deployment.apps/web restarted\n"

    record = dirty.document
    assert dirty.code == 1
    assert (record["workload"], record["outcome"]) == ("Deployment demo-app/hasty", "complete")
    assert record["failed"]["refused"] > 10
    assert 1 < record["removal_lag_seconds"] < 2 * LAG
    assert record["removal_lag_seconds"] < record["recommended_drain_seconds"]
    assert [note["code"] for note in record["preflight"]] == ["no_readiness_probe", "no_pre_stop"]
    assert "deployment.apps/hasty restarted" in dirty.err
    assert re.search(r"\d+ refused(, \d+ reset)? of \d+ dials", dirty.err)

    # It failed before: nobody can tell what this rollout cost, and it is not charged with it.
    assert broken.code == 3
    assert "! broken:8080 fails already, and is not counted while it does: targetPort" in broken.err
    suite = ElementTree.fromstring(broken.out)
    cases = {case.attrib["name"]: [e.tag for e in case] for case in suite}
    assert cases == {
        "Deployment rolls out": [],
        "callers notice nothing": ["skipped"],
        "the command succeeds": [],
    }


async def test_without_a_rollout_there_is_nothing_to_tell(late: Path) -> None:
    found = await watch(late, "deploy/web", "--timeout", "1", "-o", "json")

    assert found.code == 3
    assert found.document["workload"] == "Deployment demo-app/web"
    assert (found.document["outcome"], found.document["dials"]) == ("not seen", 0)


async def test_a_command_that_fails_gives_its_code(late: Path) -> None:
    found = await watch(late, "deploy/web", "--", "sh", "-c", "echo no cluster; exit 7")

    assert found.code == 7
    assert found.err == "no cluster\n"
    assert "✗ the command failed with code 7, and nothing rolled out" in found.out


async def test_the_timeout_holds_while_the_command_runs_on(late: Path) -> None:
    found = await watch(late, "deploy/web", "--timeout", "1s", "--", "sleep", "1000")

    assert found.code == 3
    assert found.err == "probe: no rollout was seen in time: the command is ended\n"


@pytest.mark.parametrize(
    ("workload", "options", "said"),
    [
        ("web", {}, "'web': write KIND/NAME, such as deployment/web"),
        ("pod/web", {}, "'pod' does not roll; deployment, statefulset, daemonset do"),
        ("deploy/web", {"timeout": "soon"}, "--timeout 'soon': write a duration such as 90s"),
        ("deploy/web", {"vantage": ""}, "--from is empty: write nodes, here or a node's name"),
        ("deploy/web", {"interval": 0.0}, "--interval: "),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(
    workload: str, options: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command(workload, **{"timeout": "10m", **options})

    found = capsys.readouterr()
    assert (ended.value.code, found.out) == (2, "")
    assert found.err.startswith("probe: ")
    assert said in found.err


async def test_what_cannot_be_watched_is_said_in_a_sentence(late: Path) -> None:
    gone, unknown, nobody = await asyncio.gather(
        watch(late, "deploy/gone"),
        watch(late, "deploy/web", "--", "/nonexistent"),
        watch(late, "deploy/web", "--from", "nodes"),
    )

    assert [ended.code for ended in (gone, unknown, nobody)] == [2, 2, 2]
    assert gone.err.startswith('probe: Deployment "gone" not found in namespace "demo-app"')
    assert "probe: /nonexistent cannot be run: No such file" in unknown.err
    assert "no pods are labelled app.kubernetes.io/name=" in nobody.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_who_stops_it_is_told_what_was_seen(number: int, late: Path) -> None:
    arguments = ("watch", "deploy/web", *HERE, "--kubeconfig", str(late), "-o", "json")
    async with running(*arguments) as started:
        await until(lambda: any("waiting for a rollout" in line for line in started.lines))
        code, _ = await started.stop(number)

    assert code == 130
    assert not any("Traceback" in line for line in started.lines)
