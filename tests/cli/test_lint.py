"""`probe lint` as a user runs it: files and pipes in, findings and exit codes out."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from probe.cli.commands import app
from tests.lint.texts import INCIDENT
from tests.running import probe, shell

FIXED = INCIDENT.replace("targetPort: 8081", "targetPort: 8080")

ADDRESSES = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: gateway, namespace: demo-app}
data:
  UPSTREAM_URL: http://0:80/
---
apiVersion: v1
kind: Pod
metadata: {name: gateway, namespace: demo-app}
spec:
  containers:
    - name: gateway
      image: registry.example/gateway:1
      env:
        - name: UPSTREAM_ADDR
          value: "0:80"
"""
"""An address that nobody can dial, twice."""


def put(path: Path, text: str) -> None:
    path.write_text(text)


def got(path: Path) -> str:
    return path.read_text()


@pytest.fixture
def incident(tmp_path: Path) -> Path:
    path = tmp_path / "backend.yaml"
    path.write_text(INCIDENT)
    return path


async def test_the_port_mismatch_is_one_error_and_mended_by_fix(incident: Path) -> None:
    found = await probe("lint", str(incident))

    assert found.code == 1
    lines = found.out.splitlines()
    assert lines[0] == str(incident)
    assert lines[1].split() == [
        *("11:19", "error", "target-port-mismatch", "Service", "demo-app/backend-v1")
    ]
    assert lines[3:5] == [
        "      11 |       targetPort: 8081  # as it was before the move",
        "         |                   ^^^^",
    ]
    assert lines[5] == "    fix: set targetPort to 8080 (probe lint --fix does it)"
    assert lines[-1] == "2 documents: 1 error, 0 warnings, 0 infos"

    fixed = await probe("lint", "--fix", str(incident))

    assert fixed.code == 0
    assert "-      targetPort: 8081  # as it was before the move\n" in fixed.out
    assert "+      targetPort: 8080  # as it was before the move\n" in fixed.out
    assert fixed.out.endswith("2 documents: 0 errors, 0 warnings, 0 infos (1 file mended)\n")
    assert got(incident) == FIXED
    assert (await probe("lint", str(incident))).code == 0


async def test_an_address_of_zero_is_one_error_wherever_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ADDRESSES)

    found = await probe("lint", str(tmp_path), "-o", "json")

    assert found.code == 1
    told = [(f["rule"], f["line"], f["object"]) for f in found.document["findings"]]
    assert told == [
        ("zero-address", 5, "ConfigMap demo-app/gateway"),
        ("zero-address", 16, "Pod demo-app/gateway"),
    ]


async def test_json_is_as_promised(incident: Path) -> None:
    document = (await probe("lint", str(incident), "-o", "json")).document

    assert document["summary"] == {"documents": 2, "errors": 1, "warnings": 0, "infos": 0}
    (finding,) = document["findings"]
    assert finding.pop("message").startswith("targetPort 8081 is none of the ports that Deployment")
    assert finding == {
        "rule": "target-port-mismatch",
        "severity": "error",
        "file": str(incident),
        "line": 11,
        "column": 19,
        "object": "Service demo-app/backend-v1",
        "fix": "set targetPort to 8080",
    }


async def test_a_pipe_is_linted(incident: Path) -> None:
    found = await shell(f"cat {incident} | probe lint - -o github")

    assert found.code == 1
    assert found.out.startswith("::error title=target-port-mismatch::Service demo-app/backend-v1: ")


async def test_a_pipe_whose_first_half_failed_does_not_pass() -> None:
    found = await shell("false | probe lint -")

    assert found.code == 2
    assert found.err.startswith("probe: nothing was checked: there is no manifest")


async def test_a_standard_input_that_is_closed_is_told() -> None:
    found = await shell("probe lint - <&-")

    assert (found.code, found.err) == (2, "probe: standard input is closed\n")


async def test_a_warning_fails_the_run_where_it_shall(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("apiVersion: v1\nkind: A\nmetadata: {name: a}\nx: 1\nx: 2\n")

    assert (await probe("lint", str(path))).code == 0
    assert (await probe("lint", str(path), "--fail-on", "warning")).code == 1


async def test_what_was_there_before_can_be_left_out(incident: Path) -> None:
    baseline = str(incident.parent / "baseline.json")

    written = await probe("lint", str(incident), "--write-baseline", baseline)
    assert (written.code, written.out) == (
        0,
        "2 documents: 0 errors, 0 warnings, 0 infos (1 in the baseline)\n",
    )
    put(incident, f"# moved\n\n{INCIDENT}")
    assert (await probe("lint", str(incident), "--baseline", baseline)).code == 0
    put(incident, f"{INCIDENT}---\n{ADDRESSES}")
    found = await probe("lint", str(incident), "--baseline", baseline, "-o", "json")
    assert [f["rule"] for f in found.document["findings"]] == ["zero-address"] * 2
    assert [f["line"] for f in found.document["findings"]] == [45, 56]


async def test_with_another_output_the_diff_goes_to_stderr(incident: Path) -> None:
    found = await probe("lint", "--fix", "-o", "json", str(incident))

    assert found.document["findings"] == []
    assert "+      targetPort: 8080" in found.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to lint"),
        (("none.yaml",), "none.yaml: No such file or directory"),
        (("*.nothing",), "*.nothing: no file matches"),
        (("--live", "a.yaml"), "--live and paths exclude each other"),
        (("--fix", "-"), "--fix rewrites files"),
        (("--fix", "--live"), "--fix rewrites files"),
        (("-n", "x", "a.yaml"), "give --live too"),
        (("-A", "a.yaml"), "give --live too"),
        (("--live", "-n", ""), "-n is empty: write a namespace"),
        (("--live", "-n", "x", "-A"), "-n and -A exclude each other"),
        (("-", "-"), "standard input can be read once"),
        (("--baseline", "none.json", "/dev/null"), "none.json: No such file or directory"),
        (("--rules", "-o", "sarif"), "--rules prints text or json"),
        (("--live", "--kubeconfig", "/none"), "kubeconfig /none does not exist"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    found = CliRunner().invoke(app, ["lint", *arguments])

    assert (found.exit_code, found.stdout) == (2, "")
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1


async def test_a_baseline_that_cannot_be_written_is_told(incident: Path) -> None:
    found = await probe("lint", str(incident), "--write-baseline", "/none/there.json")

    assert (found.code, found.err) == (2, "probe: /none/there.json: No such file or directory\n")


async def test_the_rules_are_listed_and_each_says_why() -> None:
    table = (await probe("lint", "--rules")).out.splitlines()
    rules = (await probe("lint", "--rules", "-o", "json")).document["rules"]

    assert table[0].split() == ["RULE", "SEVERITY", "WHAT", "IT", "FINDS"]
    assert [line.split()[:2] for line in table[1:]] == [[r["id"], r["severity"]] for r in rules]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert all(rule[part] for part in ("title", "why", "fix", "page"))


async def test_names_and_texts_that_are_no_utf_8_are_told_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"apiVersion: v1\nkind: \xff\n")
    strange = tmp_path / "b\udcff.yaml"
    strange.write_text("a: [")

    files = (str(path), str(strange))
    outputs = ("text", "json", "sarif", "junit", "github")
    for found in await asyncio.gather(
        *(probe("lint", *files, "-o", output, PYTHONUTF8="1") for output in outputs)
    ):
        assert found.code == 1
        assert "byte 0xFF is no UTF-8" in found.out
        assert found.err == ""


async def test_the_cluster_is_linted_where_it_stands(held: Path) -> None:
    found = await probe("lint", "--live", "-A", "--kubeconfig", str(held), "-o", "json")

    assert (found.code, found.err) == (1, "")
    errors = [f for f in found.document["findings"] if f["severity"] == "error"]
    assert [(f["rule"], f["file"], f["object"]) for f in errors] == [
        ("target-port-mismatch", "cluster", "Service demo-app/backend-v1")
    ]
    assert not any("line" in finding for finding in found.document["findings"])


async def test_an_empty_namespace_of_the_cluster_does_not_pass(held: Path) -> None:
    found = await probe("lint", "--live", "-n", "nothing", "--kubeconfig", str(held))

    assert found.code == 2
    assert found.err.startswith("probe: nothing was checked")


async def test_sarif_is_one_document(incident: Path) -> None:
    found = await probe("lint", str(incident), "-o", "sarif")

    assert json.loads(found.out)["version"] == "2.1.0"
    assert found.code == 1
