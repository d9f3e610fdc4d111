"""`probe run`: its settings, and the whole daemon beside a cluster that is held."""

import asyncio
import errno
import re
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from probe.cli import run
from probe.cli.commands import app
from probe.settings import Settings
from tests.cli.conftest import holding
from tests.running import (
    KUBECTL,
    Daemon,
    daemon,
    kubectl,
    probe,
    quiet,
    running,
    shell,
    total,
    until,
)

HERE = {"namespace": "demo-app", "service": "backend-v1", "port": "8080"}

WRONG = [
    (("--interval", "0"), {}, "--interval: must be at least 0.1"),
    (("--interval", "soon"), {}, "--interval: "),
    ((), {"PROBE_TIMEOUT": "-1"}, "PROBE_TIMEOUT: "),
    (("--listen", "9797"), {}, "--listen: '9797' is not HOST:PORT"),
    (("--listen", "127.0.0.1:99999"), {}, "--listen: '127.0.0.1:99999' is not HOST:PORT"),
    (("--allow-targets", "10.0.0.0/8,nonsense"), {}, "--allow-targets: 'nonsense' "),
    (("--manual-targets", "10.1.2.3/8"), {}, "--manual-targets: 10.1.2.3/8 has host bits set"),
    (("--namespaces", "a", "--deny-namespaces", "a"), {}, "name the same namespace"),
    (("--peers", "edgeprobe"), {}, "--peers: write it as NAMESPACE/NAME"),
    (("--log-level", "loud"), {}, "--log-level: "),
    (("--dial-mysql", "maybe"), {}, "--dial-mysql: "),
    (("--config", "/nonexistent.yaml"), {}, "--config /nonexistent.yaml: cannot be read"),
    ((), {"PROBE_CONFIG": "/nonexistent.yaml"}, "/nonexistent.yaml: cannot be read"),
    (("--kubeconfig", "/nonexistent.conf"), {}, "kubeconfig /nonexistent.conf does not exist"),
    (("--kubeconfig", "/dev/null"), {}, "kubeconfig /dev/null "),
    (("--nonsense", "1"), {}, "No such option: --nonsense"),
]


@pytest.mark.parametrize(("flags", "env", "said"), WRONG)
def test_a_wrong_setting_is_one_sentence_that_names_it(
    flags: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    found = CliRunner().invoke(app, ["run", *flags], env=env)

    assert (found.exit_code, found.stdout) == (2, "")
    assert said in found.stderr
    assert found.stderr.startswith(("probe: ", "Usage: "))
    assert found.stderr.startswith("Usage: ") or len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("interval: never", "interval in {file}: "),
        ("intervall: 3", "intervall in {file}: there is no such setting"),
        ("- interval", "--config {file}: must hold a mapping of settings to values"),
        ("interval: [", "--config {file}: is not YAML"),
        ("allow-targets: [nonsense]", "allow_targets in {file}: 'nonsense' "),
    ],
)
def test_a_wrong_line_in_the_file_is_named_with_the_file(
    text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "probe.yaml"
    file.write_text(text)

    found = CliRunner().invoke(app, ["run", "--config", str(file)])

    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith(f"probe: {said.format(file=file)}")
    assert len(found.stderr.splitlines()) == 1


def test_the_help_lists_every_setting_with_its_variable() -> None:
    found = CliRunner().invoke(app, ["run", "--help"])

    words = set(re.findall(r"--[a-z-]+|PROBE_[A-Z_]+", found.stdout))
    names = ["config", *Settings.model_fields]
    assert {f"--{n.replace('_', '-')}" for n in names} | {"--help"} == {
        w for w in words if w.startswith("--")
    }
    assert {f"PROBE_{n.upper()}" for n in names} <= words


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for the daemons alone."""
    with holding(tmp_path_factory.mktemp("held")) as path:
        yield path


@pytest.mark.slow
async def test_an_address_that_cannot_be_listened_on_is_named(held: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for listen, said in (
            (address, "in use"),
            ("192.0.2.1:0", "annot assign"),
            ("no-such-host.invalid:0", "ame "),  # service not known, or resolution failed
        ):
            found = await probe("run", "--kubeconfig", str(held), "--listen", listen)
            assert found.code == 2
            assert f"probe: --listen {listen}: " in found.err
            assert said in found.err
            assert "Traceback" not in found.err


def test_a_misspelt_variable_is_warned_of_and_the_daemon_goes_on() -> None:
    """As far as it can go without a cluster."""
    flags = ("--kubeconfig", "/nonexistent.conf", "--log-format", "text")
    found = CliRunner().invoke(app, ["run", *flags], env={"PROBE_INTERVALL": "1"})

    warning, failure = found.stderr.splitlines()
    assert warning.endswith("PROBE_INTERVALL is no setting: did you mean PROBE_INTERVAL?")
    assert failure.startswith("probe: kubeconfig /nonexistent.conf does not exist")


@pytest.mark.parametrize("failed", [TimeoutError(), OSError(errno.EMFILE, "Too many open files")])
def test_only_the_listening_is_laid_to_listen(
    failed: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails inside the daemon is a bug or the machine's trouble, and shows where it was."""

    async def fails(*_: object) -> None:
        raise failed

    monkeypatch.setattr(run, "_run", fails)
    found = CliRunner().invoke(app, ["run"])

    assert found.exception is failed
    assert "--listen" not in found.stderr


@pytest.mark.slow
@pytest.mark.skipif(KUBECTL is None, reason="no kubectl in KUBEBUILDER_ASSETS")
async def test_with_default_settings_the_mismatch_is_found_and_its_end_as_well(
    held_alone: Path,
) -> None:
    async with daemon(held_alone) as found:
        refused = {**HERE, "result": "refused"}
        await until(lambda: _verdict(found, "port_mismatch"))
        before = await found.value("edgeprobe_dials_total", **refused)
        await until(lambda: _above(found, before, refused))
        assert await found.value("edgeprobe_dials_total", kind="candidate", result="connected") == 2

        patch = '{"spec":{"ports":[{"port":8080,"targetPort":8080}]}}'
        await kubectl(held_alone, "-n", "demo-app", "patch", "svc", "backend-v1", "-p", patch)
        await until(lambda: _verdict(found, "healthy"))

        edits = await until(lambda: _edits(found))  # another watch may tell of the pods first
        assert edits == [("kubectl-patch", "port 8080: targetPort 8081 -> 8080")]

        code, seconds = await found.command.stop(signal.SIGTERM)
        assert code == 0
        assert seconds < 20
    turns = [r for r in found.command.records if "was" in r]
    assert [(t["level"], t["service"], t["was"], t["verdict"]) for t in turns] == [
        ("info", "backend-v1", "unknown", "port_mismatch"),
        ("info", "backend-v1", "port_mismatch", "healthy"),
    ]
    assert len(found.command.lines) < 15
    assert found.command.records[-1]["message"] == "stopped"


async def _verdict(found: Daemon, verdict: str) -> bool:
    return await found.value("edgeprobe_verdict", **HERE, verdict=verdict) == 1


async def _edits(found: Daemon) -> list[tuple[str, str]]:
    """Who edited Services, and how."""
    changes = (await found.json("/api/v1/changes"))["changes"]
    return [(c["by"], c["detail"]) for c in changes if c["kind"] == "service_edit"]


async def _above(found: Daemon, before: float, labels: dict[str, str]) -> bool:
    return await found.value("edgeprobe_dials_total", **labels) > before


@pytest.mark.slow
async def test_two_daemons_share_the_caps_and_one_takes_over_when_the_other_leaves(
    held: Path,
) -> None:
    """At 0.5 s each would dial everything twice a second: together they may not exceed that."""
    flags = ("--interval", "0.5", "--timeout", "1", "--settle", "0")
    async with (
        daemon(held, *flags, node="node-1") as first,
        daemon(held, *flags, node="node-2") as second,
    ):
        for found in (first, second):
            await until(partial(_verdict, found, "port_mismatch"))
            await until(partial(_knows, found, 2))
        shared, least, most = await _window(first, second)

        # Two endpoints, one ClusterIP; the cap is 2/s each. A window may begin and end with a dial
        # of each edge, jitter takes up to a tenth from each period, and one wait is up to twice as
        # long: the ClusterIP's dials are spread anew, since their period has grown.
        for node in ("node-1", "node-2"):
            assert 0.7 * 2 * least < shared[node, "endpoint"] <= 1.1 * 2 * most + 2
            assert 0.7 * (least - 1) < shared[node, "service"] <= 1.1 * most + 1

        assert (await second.command.stop())[0] == 0
        await until(lambda: _knows(first, 1))
        alone, least, most = await _window(first)
        assert 0.7 * 4 * least < alone["node-1", "endpoint"] <= 1.1 * 4 * most + 2
        assert await first.value("edgeprobe_edges", state="down") == 3


async def _knows(found: Daemon, daemons: int) -> bool:
    """Whether it knows of so many daemons, itself among them, on the cluster's three nodes."""
    return await found.value("edgeprobe_prober_missing") == 3 - daemons


async def _window(*daemons: Daemon) -> tuple[dict[tuple[str, str], float], float, float]:
    """The dials of some seconds, by node and kind, and how many seconds that were at least and at
    most: reading the counts takes its time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    before = await _dials(*daemons)
    counted = loop.time()
    await asyncio.sleep(6)
    least = loop.time() - counted
    after = await _dials(*daemons)
    return {k: n - before[k] for k, n in after.items()}, least, loop.time() - began


async def _dials(*daemons: Daemon) -> dict[tuple[str, str], float]:
    """The dials that each node has made, by kind."""
    pages = [(await found.get("/metrics"))[1] for found in daemons]
    return {
        (node, kind): total(page, "edgeprobe_dials_total", {"node": node, "kind": kind})
        for node, page in zip(("node-1", "node-2"), pages, strict=False)
        for kind in ("endpoint", "service")
    }


@pytest.mark.slow
async def test_signals_end_it_at_any_moment_without_a_traceback(held: Path) -> None:
    arguments = ("run", "--kubeconfig", str(held), "--listen", "127.0.0.1:0")
    for number in (signal.SIGINT, signal.SIGTERM):
        for moment in (0.3, 0.8, 1.5):
            async with running(*arguments) as command:
                await asyncio.sleep(moment)
                code, seconds = await command.stop(number)
            assert quiet(command, code, number), command.lines
            assert seconds < 20


@pytest.mark.slow
async def test_a_reader_that_leaves_the_help_is_no_traceback() -> None:
    found = await shell("probe run --help | head -1")

    assert (found.out.split()[0], found.err) == ("Usage:", "")
