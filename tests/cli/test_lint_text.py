"""Findings as people read them."""

import pytest

from probe.cli.lint_text import SHOWN, show, show_diff
from probe.lint.findings import Edit, Finding, Rule, Severity
from probe.lint.linting import Report
from probe.lint.sources import Source

RULE = Rule("a-rule", Severity.ERROR, "title", "why", "fix")


def shown(capsys: pytest.CaptureFixture[str], line: str, column: int, fix: str = "") -> list[str]:
    """What is printed of a finding in that line."""
    finding = Finding(RULE, Severity.ERROR, "a.yaml", 1, column, "Service a/b", "wrong", fix)
    show(Report([finding], 1, {"a.yaml": Source("a.yaml", line)}))
    return capsys.readouterr().out.splitlines()


def test_the_caret_is_under_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, 'port: "80", b: 1', 7)[3:5] == [
        '       1 | port: "80", b: 1',
        "         |       ^^^^",
    ]


def test_wide_characters_and_tabs_do_not_move_the_caret(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "\t世界: x", 6)

    assert lines[3] == "       1 |  世界: x"
    assert lines[4] == "         | " + " " * 7 + "^"


def test_of_a_long_line_the_part_around_the_value_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = "a" * 5000 + " here " + "b" * 5000
    lines = shown(capsys, line, 5002)

    quoted = lines[3].partition(" | ")[2]
    assert len(quoted) == SHOWN + 2
    assert quoted.startswith("…a")
    assert quoted.endswith("b…")
    begin = lines[4].index("^")
    assert lines[3][begin : begin + 4] == "here"


def test_nothing_in_a_manifest_reaches_the_terminal_as_a_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = shown(capsys, "a: \x1b[2Jx\x07\u202e", 4, fix="\x1b[0m")

    assert lines[3] == "       1 | a: \ufffd[2Jx\ufffd\ufffd"
    assert lines[5] == "    fix: \ufffd[0m"


def test_a_finding_at_the_end_of_its_line_has_a_caret(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "a: [", 5)[4] == "         |     ^"


def test_what_fix_does_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    edit = Edit(1, 1, "80", "81")
    finding = Finding(RULE, Severity.ERROR, "cluster", 0, 0, "", "wrong", "set it", edit)
    show(Report([finding], 3), " (so)")

    assert capsys.readouterr().out.splitlines() == [
        "cluster",
        "  error    a-rule",
        "    wrong",
        "    fix: set it (probe lint --fix does it)",
        "",
        "3 documents: 1 error, 0 warnings, 0 infos (so)",
    ]


def test_a_terminal_gets_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    show_diff(["-a", "+b", " c"], stderr=True)

    assert capsys.readouterr().err == "\x1b[31m-a\x1b[0m\n\x1b[32m+b\x1b[0m\n c\x1b[0m\n"
