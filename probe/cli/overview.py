"""Many Services on a terminal: a line for each, what is wrong first, and what to do about it."""

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from probe.cli.grid import Column, fits, grid
from probe.cli.path import Mark
from probe.cli.screen import mark_of, marks_of, warning
from probe.cli.tables import command, sentence, verdict_style
from probe.core.gate import counts_as
from probe.core.merging import merged_warnings
from probe.core.verdicts import FAILING, SEVERITY, UNDECIDED, Verdict

Json = dict[str, Any]

COLUMNS = (
    Column("NAMESPACE"),
    Column("SERVICE", least=16, front=True),
    Column("VERDICT"),
    Column("SUMMARY", least=28, wraps=True),
)
"""Charts begin the names of their Services alike. Narrower than 28 columns a sentence is many
lines of two words; where it would be, it stands below its Service instead."""


def overview(out: Console, documents: list[Json], now: datetime, silent: int = 0) -> None:
    """Prints the Services, failing ones first, each of these with its first advice; what is so on
    purpose comes last. Then what is wrong without failing any of them. `silent` nodes did not
    answer."""
    marks = marks_of(out)
    ordered = sorted(documents, key=_rank)
    rows = []
    for document in ordered:
        counted, service = counts_as(document), document["service"]
        mark = Mark.NONE if counted is None else mark_of(counted)
        style = "dim" if counted is None else verdict_style(counted)
        shown = Text(f"{marks[mark]} {document['verdict']}", style)
        good = counted not in FAILING | UNDECIDED
        summary = Text(document["summary"], no_wrap=good, overflow="ellipsis" if good else "fold")
        rows.append((service["namespace"], service["name"], shown, summary))
    if fits(COLUMNS, rows, out.width):
        out.print(grid(COLUMNS, rows, out.width))
    else:
        for namespace, name, shown, summary in rows:
            command(out, Text.assemble(shown, f"  {namespace}/{name}"))
            out.print(Padding(summary, (0, 0, 0, 4), expand=False))
    failing = [d for d in ordered if counts_as(d) in FAILING]
    for document in failing:
        for line in document["advice"][:1]:
            name = f"{document['service']['namespace']}/{document['service']['name']}"
            command(out, Text.assemble("\n", (name, "bold"), ": ", (line, "cyan")))
    warnings = merged_warnings(documents)
    for told in warnings:
        sentence(out, Text.assemble("\n", ("warning", "bold"), ": ", warning(told, now)))
    sentence(out, Text(f"\n{_tally(documents, len(warnings), silent)}", "dim"))


def _tally(documents: list[Json], warnings: int, silent: int) -> str:
    counted = [counts_as(document) for document in documents]
    failing = sum(verdict in FAILING for verdict in counted)
    undecided = sum(verdict in UNDECIDED for verdict in counted)
    parts = [f"{failing} of {len(documents)} Services {'fails' if failing == 1 else 'fail'}"]
    parts += [f"{undecided} could not be told"] if undecided else []
    if aside := counted.count(None):
        do = "does" if aside == 1 else "do"
        parts.append(f"{aside} {do} not count (scaled to zero, or not dialed by rule)")
    parts += [f"{warnings} warning{'s' * (warnings > 1)}"] if warnings else []
    parts += [f"{silent} node{'s' * (silent > 1)} did not answer"] if silent else []
    return f"{', '.join(parts)}; probe check svc NAME -n NAMESPACE shows one's path"


def _rank(document: Json) -> tuple[int, int, str, str]:
    counted, service = counts_as(document), document["service"]
    groups = (FAILING, UNDECIDED, {Verdict.HEALTHY})
    group = next((n for n, group in enumerate(groups) if counted in group), len(groups))
    severity = SEVERITY.index(Verdict(document["verdict"]))
    return group, severity, service["namespace"], service["name"]
