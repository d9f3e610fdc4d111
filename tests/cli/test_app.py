"""The entry point where nobody can be written to."""

import subprocess
import sys

import pytest

from probe.cli.commands import app
from probe.demo.scenarios import SCENARIOS, TOUR
from tests.running import environment


def redirected(to: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ("sh", "-c", f'exec "$@" {to}', "sh", sys.executable, "-m", "probe", *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("check", "--help")])
def test_a_full_disk_is_said_in_a_sentence(arguments: tuple[str, ...]) -> None:
    found = redirected(">/dev/full", *arguments)

    assert found.returncode == 2
    assert found.stderr == "probe: the results cannot be written: No space left on device\n"


@pytest.mark.parametrize(("output", "code"), [("table", 1), ("json", 1)])
def test_a_closed_output_leaves_the_exit_code(output: str, code: int) -> None:
    found = redirected(">&-", "check", "addr", "127.0.0.1:1", "-o", output)

    assert (found.returncode, found.stderr) == (code, "")


def test_the_help_of_the_demo_names_every_scenario() -> None:
    (text,) = (c.help for c in app.registered_commands if c.callback.__name__ == "demo")  # type: ignore[union-attr]
    listed = text.partition("Scenarios: ")[2].partition(". ")[0]  # type: ignore[union-attr]

    names = [name.split()[0] for name in listed.replace(" (all, the default)", "").split(", ")]
    assert names == [TOUR, *SCENARIOS]
