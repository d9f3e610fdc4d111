"""Many Services on a terminal: a line for each, what is wrong first, and what to do about it."""

from typing import Any

from rich.console import Console
from rich.text import Text

from probe.cli.grid import Column, grid
from probe.cli.path import Mark
from probe.cli.screen import mark_of, marks_of
from probe.cli.tables import command, sentence, verdict_style
from probe.core.gate import counts_as
from probe.core.verdicts import FAILING, SEVERITY, UNDECIDED, Verdict

Json = dict[str, Any]

COLUMNS = (Column("NAMESPACE"), Column("SERVICE"), Column("VERDICT"), Column("SUMMARY", wraps=True))


def overview(out: Console, documents: list[Json], silent: int = 0) -> None:
    """Prints the Services, failing ones first, each of these with its first advice; what is so on
    purpose comes last. `silent` nodes did not answer."""
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
    out.print(grid(COLUMNS, rows, out.width))
    failing = [d for d in ordered if counts_as(d) in FAILING]
    for document in failing:
        for line in document["advice"][:1]:
            name = f"{document['service']['namespace']}/{document['service']['name']}"
            command(out, Text.assemble("\n", (name, "bold"), ": ", (line, "cyan")))
    sentence(out, Text(f"\n{_tally(documents, silent)}", "dim"))


def _tally(documents: list[Json], silent: int) -> str:
    counted = [counts_as(document) for document in documents]
    failing = sum(verdict in FAILING for verdict in counted)
    undecided = sum(verdict in UNDECIDED for verdict in counted)
    parts = [f"{failing} of {len(documents)} Services {'fails' if failing == 1 else 'fail'}"]
    parts += [f"{undecided} could not be told"] if undecided else []
    if aside := counted.count(None):
        do = "does" if aside == 1 else "do"
        parts.append(f"{aside} {do} not count (scaled to zero, or not dialed by rule)")
    parts += [f"{silent} node{'s' * (silent > 1)} did not answer"] if silent else []
    return f"{', '.join(parts)}; probe check svc NAME -n NAMESPACE shows one's path"


def _rank(document: Json) -> tuple[int, int, str, str]:
    counted, service = counts_as(document), document["service"]
    groups = (FAILING, UNDECIDED, {Verdict.HEALTHY})
    group = next((n for n, group in enumerate(groups) if counted in group), len(groups))
    severity = SEVERITY.index(Verdict(document["verdict"]))
    return group, severity, service["namespace"], service["name"]
