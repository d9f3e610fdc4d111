"""What was there before is left out, wherever its line went."""

import json
import re
from pathlib import Path

import pytest

from probe.lint.baseline import BadBaseline, Baseline, write
from probe.lint.findings import Finding, Rule, Severity

RULE = Rule("a-rule", Severity.ERROR, "title", "why", "fix")


def finding(line: int = 3, message: str = "wrong", source: str = "a.yaml") -> Finding:
    return Finding(RULE, RULE.severity, source, line, 1, "Service default/a", message)


def test_a_finding_is_known_again_in_another_line(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"

    assert write(path, [finding(3)]) == 1
    assert Baseline(path).new([finding(30)]) == []


def test_another_message_or_file_is_another_finding(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write(path, [finding()])
    others = [finding(message="worse"), finding(source="b.yaml")]

    assert Baseline(path).new(others) == others


def test_of_several_alike_as_many_are_left_out_as_there_were(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write(path, [finding(1), finding(2)])

    assert Baseline(path).new([finding(1), finding(2), finding(3)]) == [finding(3)]


def test_files_are_called_as_the_folder_of_the_baseline_calls_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deploy").mkdir()
    monkeypatch.chdir(tmp_path)
    write(Path("deploy/baseline.json"), [finding(source="deploy/a.yaml")])

    assert json.loads(Path("deploy/baseline.json").read_text())["findings"][0]["file"] == "a.yaml"
    monkeypatch.chdir(tmp_path / "deploy")
    assert Baseline(Path("baseline.json")).new([finding(source="a.yaml")]) == []
    assert (
        Baseline(Path("baseline.json")).new([finding(source=str(Path("a.yaml").resolve()))]) == []
    )


def test_what_stands_in_no_file_is_called_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write(path, [finding(0, source="cluster")])

    assert json.loads(path.read_text())["findings"][0]["file"] == "cluster"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"findings": [1]}', "[" * 100_000, "\xff"])
def test_what_is_no_baseline_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text, "latin-1")

    with pytest.raises(BadBaseline, match="is no baseline"):
        Baseline(path)


def test_a_missing_baseline_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadBaseline, match=re.escape("none.json: No such file")):
        Baseline(tmp_path / "none.json")
