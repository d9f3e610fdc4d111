"""What other repositories call: the pre-commit hook and the GitHub Action."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lint.texts import INCIDENT
from tests.running import ROOT, environment, probe

PYTHON = """\
#!/bin/sh
# Stands in for the Python of setup-python: makes a venv whose pip installs nothing.
mkdir -p "$3/bin"
printf '#!/bin/sh\\necho "$@" >> "%s/pip.log"\\n' "$3" > "$3/bin/pip"
printf '#!/bin/sh\\nexec "{python}" -m probe "$@"\\n' > "$3/bin/probe"
chmod +x "$3/bin/pip" "$3/bin/probe"
"""


def action(folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Runs the action's script as GitHub does, in that directory."""
    described: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    step = described["runs"]["steps"][-1]
    defaults = {name: about["default"] for name, about in described["inputs"].items()}
    given = {**defaults, **{name.replace("_", "-"): text for name, text in inputs.items()}}
    env = {"PYTHON": str(folder / "python"), "SOURCE": str(ROOT), "RUNNER_TEMP": str(folder)}
    for name, expression in step["env"].items():
        if "inputs." in expression:
            env[name] = given[expression.partition("inputs.")[2].removesuffix(" }}")]
    assert set(step["env"]) <= set(env)
    (folder / "python").write_text(PYTHON.format(python=sys.executable))
    (folder / "python").chmod(0o755)
    return subprocess.run(
        ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]),
        cwd=folder / "manifests",
        env={**os.environ, **environment(), "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "a.yaml").write_text(INCIDENT)
    return tmp_path


def test_the_action_shows_findings_beside_their_lines_and_fails(folder: Path) -> None:
    found = action(folder)

    assert (found.returncode, found.stderr) == (1, "")
    assert found.stdout.startswith(
        "::error file=a.yaml,line=11,col=19,title=target-port-mismatch::"
    )
    pip = (folder / "probe-lint" / "pip.log").read_text()
    assert f"--require-hashes -r {ROOT}/requirements.lock" in pip


def test_the_action_writes_sarif_also_where_something_is_found(folder: Path) -> None:
    found = action(folder, sarif="out.sarif", paths="a.yaml *.yaml")

    assert found.returncode == 1
    sarif = (folder / "manifests" / "out.sarif").read_text()
    assert '"startLine": 11' in sarif


def test_the_action_lints_the_paths_of_every_line(folder: Path) -> None:
    (folder / "manifests" / "good.yaml").write_text(INCIDENT.replace("8081", "8080"))
    found = action(folder, paths="good.yaml\n*.yml\n\n  a.yaml\n")

    assert (found.returncode, found.stdout.count("::error file=")) == (2, 0)  # there is no *.yml
    found = action(folder, paths="good.yaml\n\n  a.yaml\n")
    assert (found.returncode, found.stdout.count("::error file=a.yaml")) == (1, 1)


def test_the_action_leaves_out_a_baseline_and_passes(folder: Path) -> None:
    baseline = '{"findings": []}'
    (folder / "manifests" / "known").write_text(baseline)

    assert action(folder, baseline="known").returncode == 1
    assert action(folder, baseline="none").returncode == 2
    good = INCIDENT.replace("8081", "8080")
    (folder / "manifests" / "a.yaml").write_text(good)
    assert action(folder, baseline="known", fail_on="warning").returncode == 0


async def test_the_hook_calls_the_program_so_that_it_works(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    monkeypatch.chdir(folder / "manifests")
    called: list[str] = [*hook["entry"].split(), *hook["args"]]

    assert (called[0], hook["pass_filenames"]) == ("probe", False)
    assert (await probe(*called[1:], PYTHONPATH=str(ROOT))).code == 1
