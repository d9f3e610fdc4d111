"""Many Services on a terminal: a line for each, what is wrong first, and what to do about it."""

from typing import Any

from rich.console import Console
from rich.text import Text

from probe.cli.grid import Column, grid
from probe.cli.screen import mark_of, marks_of
from probe.cli.tables import command, sentence, verdict_style
from probe.core.verdicts import FAILING, SEVERITY, UNDECIDED, Verdict

Json = dict[str, Any]

COLUMNS = (Column("NAMESPACE"), Column("SERVICE"), Column("VERDICT"), Column("SUMMARY", wraps=True))


def overview(out: Console, documents: list[Json]) -> None:
    """Prints the Services, failing ones first, each of these with its first advice."""
    marks = marks_of(out)
    ordered = sorted(documents, key=_rank)
    rows = []
    for document in ordered:
        verdict, service = Verdict(document["verdict"]), document["service"]
        shown = Text(f"{marks[mark_of(verdict)]} {verdict}", verdict_style(verdict))
        good = verdict not in FAILING | UNDECIDED
        summary = Text(document["summary"], no_wrap=good, overflow="ellipsis" if good else "fold")
        rows.append((service["namespace"], service["name"], shown, summary))
    out.print(grid(COLUMNS, rows, out.width))
    failing = [d for d in ordered if Verdict(d["verdict"]) in FAILING]
    for document in failing:
        for line in document["advice"][:1]:
            name = f"{document['service']['namespace']}/{document['service']['name']}"
            command(out, Text.assemble("\n", (name, "bold"), ": ", (line, "cyan")))
    undecided = sum(Verdict(d["verdict"]) in UNDECIDED for d in documents)
    tally = (
        f"\n{len(failing)} of {len(documents)} Services {'fails' if len(failing) == 1 else 'fail'}"
    )
    tally += f", {undecided} could not be told" if undecided else ""
    sentence(out, Text(f"{tally}; probe check svc NAME -n NAMESPACE shows one's path", "dim"))


def _rank(document: Json) -> tuple[int, int, str, str]:
    verdict, service = Verdict(document["verdict"]), document["service"]
    group = 0 if verdict in FAILING else 1 if verdict in UNDECIDED else 2
    return group, SEVERITY.index(verdict), service["namespace"], service["name"]
