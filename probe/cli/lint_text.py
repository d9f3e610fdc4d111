"""The findings of `probe lint` for people: by file, with the line quoted and what to do."""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from probe.cli.grid import Column, grid
from probe.cli.tables import console
from probe.lint.findings import Finding, Rule, Severity
from probe.lint.linting import Report
from probe.lint.sources import STDIN, Source

SHOWN = 100
"""Columns of a quoted line that are shown, around what is pointed at: JSON may be one line."""

Paint = Callable[..., str]
"""Text and typer's styles in, text with them out."""

STYLES: dict[Severity, dict[str, Any]] = {
    Severity.ERROR: {"fg": "red", "bold": True},
    Severity.WARNING: {"fg": "yellow"},
    Severity.INFO: {"fg": "cyan"},
}
_TABLE_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^']|'')*'|[^\s,\[\]{}]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e]")


def show(report: Report, beside: str = "") -> None:
    """Prints everything; `beside` is added to the summary, the last line."""
    paint = _paint(console())
    for name, findings in groupby(report.findings, attrgetter("source")):
        print(paint(_plain("standard input" if name == STDIN else name), bold=True))
        for finding in findings:
            _show(paint, finding, report.sources.get(name))
        print()
    print(_summary(paint, report) + beside)


def _paint(out: Console) -> Paint:
    """typer's colours where rich would show some; rich itself takes a millisecond for a finding,
    of which there may be thousands."""
    if out.is_terminal and out.color_system and not out.no_color:
        return typer.style
    return lambda text, **_: text


def _show(paint: Paint, finding: Finding, source: Source | None) -> None:
    place = f"{finding.line}:{finding.column}" if finding.line else ""
    severity = paint(f"{finding.severity:<8}", **STYLES[finding.severity])
    head = [paint(f"{place:<8}", dim=True)] if place else []
    head += [severity, finding.rule.id]
    head += [paint(f" {_plain(finding.object)}", dim=True)] if finding.object else []
    print(f"  {' '.join(head)}")
    print(f"    {_plain(finding.message)}")
    if source is not None and finding.line:
        _quote(paint, finding, source.line(finding.line))
    if finding.fix:
        mended = " (probe lint --fix does it)" if finding.edit else ""
        print(f"    {paint('fix:', fg='green')} {_plain(finding.fix)}{mended}")


def _quote(paint: Paint, finding: Finding, line: str) -> None:
    """The line, as much of it as there is room for, and a caret under what it is about."""
    begin = finding.column - 1
    token = _TOKEN.match(line, begin)
    end = token.end() if token else begin + 1
    first = max(0, min(begin - SHOWN // 4, len(line) - SHOWN))
    shown = _plain(line[first : first + SHOWN])
    before = "…" if first else ""
    after = "…" if len(line) > first + SHOWN else ""
    indent = cell_len(before + shown[: begin - first])
    width = max(1, cell_len(shown[begin - first : end - first]))
    number = f"{finding.line:>8}"
    print(paint(f"{number} | ", dim=True) + before + shown + after)
    caret = paint("^" * width, **STYLES[finding.severity])
    gap = paint(" " * len(number) + " | ", dim=True)
    print(f"{gap}{' ' * indent}{caret}")


def _summary(paint: Paint, report: Report) -> str:
    said = [f"{report.documents} document{'' if report.documents == 1 else 's'}: "]
    for number, severity in enumerate(Severity):
        count = report.count(severity)
        text = f"{count} {severity}{'' if count == 1 else 's'}"
        said += ", " if number else "", paint(text, **STYLES[severity]) if count else text
    return "".join(said)


def rules_table(known: Sequence[Rule]) -> None:
    """Every rule with its one line."""
    out = console()
    rows = [(r.id, Text(r.severity, _TABLE_STYLES[r.severity]), r.title) for r in known]
    out.print(
        grid(
            (Column("RULE"), Column("SEVERITY"), Column("WHAT IT FINDS", wraps=True)),
            rows,
            out.width,
        )
    )


def show_diff(lines: Iterable[str], *, stderr: bool) -> None:
    """A unified diff."""
    paint = _paint(console(stderr=stderr))
    for line in lines:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        print(paint(_plain(line), fg=colour), file=sys.stderr if stderr else sys.stdout)


def _plain(text: str) -> str:
    """Nothing in a manifest moves the cursor of who reads about it."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).replace("\t", " ")
