"""Tables for a terminal: what a person reads first stands first, colour only says it again."""

import sys
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from probe.core.results import FAILURES, Outcome, Result
from probe.core.targets import Target
from probe.core.verdicts import FAILING, UNDECIDED, Verdict

WIDE = 200
"""Columns when the output is no terminal: nobody wants a piped table wrapped at 80."""

COLUMNS = ("  PORT", "KIND", "ADDRESS", "POD", "NODE", "STATE", "RESULT", "RTT", "NOTE")
GAP = 2
LEAST = {"RTT": 7, "POD": 8, "NODE": 8, "NOTE": 12}
"""The columns that give way on a narrow terminal, the last ones first, and the width below which
each says nothing any more."""

_STATE_STYLES = {"up": "green", "down": "bold red", "failing": "yellow"}


def console(*, stderr: bool = False) -> Console:
    """A console that keeps its lines whole when piped."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream, width=None if stream.isatty() else WIDE, highlight=False, emoji=False
    )


def sentence(out: Console, text: Text) -> None:
    """Prints prose: wrapped between words on a terminal, one line elsewhere."""
    out.print(text, soft_wrap=not out.is_terminal)


def command(out: Console, text: Text) -> None:
    """Prints what a person may copy: one line everywhere, the terminal itself may wrap it."""
    out.print(text, soft_wrap=True)


def verdict_style(verdict: Verdict) -> str:
    if verdict in FAILING:
        return "bold red"
    return "yellow" if verdict in UNDECIDED else "green"


def result_style(result: str | None) -> str:
    if result is None:
        return "dim"
    if result == Result.CONNECTED:
        return "green"
    return "red" if result in FAILURES else "yellow"


def service_table(document: dict[str, Any]) -> None:
    """One Service: verdict and sentence, what to do, every edge, what changed."""
    out = console()
    name = f"{document['service']['namespace']}/{document['service']['name']}"
    verdict = Verdict(document["verdict"])
    head = Text.assemble((name, "bold"), "  ", (str(verdict), verdict_style(verdict)))
    head.append(f"  {document['dialed']} of {document['expected']} edges dialed", "dim")
    out.print(head)
    sentence(out, Text(f"  {document['summary']}"))
    for line in document["advice"]:
        command(out, Text(f"  -> {line}", "cyan"))
    if any(port["edges"] for port in document["ports"]):
        out.print(edges_table(document, out.width))
    for change in document["changes"][:5]:
        by = f" by {change['by']}" if change["by"] else ""
        text = f"  {change['time']} {change['object']}{by}: {change['detail']}"
        sentence(out, Text(text, "dim"))
    out.print()


def edges_table(document: dict[str, Any], room: int) -> Table:
    rows = [
        (
            f"  {port['port']}",
            edge["kind"],
            _host_port(edge["address"], edge["port"]),
            edge["pod"] or "",
            edge["node"] or "",
            Text(edge["state"], _STATE_STYLES.get(edge["state"], "dim")),
            Text(edge["result"] or "not dialed", result_style(edge["result"])),
            _milliseconds(edge["connect_seconds"]),
            _note(edge),
        )
        for port in document["ports"]
        for edge in port["edges"]
    ]
    widths = _fitted(rows, room)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
    for title, width in widths.items():
        # What no terminal may cut is wrapped where even all of the room is too little.
        table.add_column(title, no_wrap=title != "ADDRESS", overflow="fold", max_width=width)
    for row in rows:
        cells = zip(COLUMNS, row, strict=True)
        table.add_row(*(_cut(t, cell, widths[t]) for t, cell in cells if t in widths))
    return table


def _fitted(rows: Sequence[tuple[str | Text, ...]], room: int) -> dict[str, int]:
    """The columns that are shown, in order, and their widths: where a verdict is read off comes
    first, whatever has room beside it next, and what has not is in the JSON."""
    cells = zip(COLUMNS, *rows, strict=True)
    natural = {title: max(map(cell_len, map(str, (title, *column)))) for title, *column in cells}
    used = {title for title, *column in zip(COLUMNS, *rows, strict=True) if any(column)}
    left = room + GAP - sum(w + GAP for t, w in natural.items() if t not in LEAST)
    if sum(natural[title] + GAP for title in LEAST) <= left:
        return natural
    shown = {title: width for title, width in natural.items() if title not in LEAST}
    for title, least in LEAST.items():
        width = min(least, natural[title])
        if title in used and width + GAP <= left:
            shown[title] = width
            left -= width + GAP
    for title in LEAST:
        if title in shown:
            more = min(left, natural[title] - shown[title])
            shown[title] += more
            left -= more
    return {title: shown[title] for title in COLUMNS if title in shown}


def _cut(title: str, cell: str | Text, width: int) -> str | Text:
    """The cell in that width. Pods of one Service differ in how their names end."""
    if title not in LEAST or cell_len(str(cell)) <= width:
        return cell
    text = str(cell)
    return f"…{text[1 - width :]}" if title == "POD" else f"{text[: width - 1]}…"


def addresses_table(found: list[tuple[Target, Outcome]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("ADDRESS", "RESULT", "RTT", "DETAIL"):
        # Prose is wrapped, so that nothing else is cut.
        table.add_column(title, no_wrap=title != "DETAIL", overflow="fold")
    for target, outcome in found:
        table.add_row(
            str(target),
            Text(outcome.result, result_style(outcome.result)),
            _milliseconds(outcome.connect_seconds),
            "" if outcome.result is Result.CONNECTED else outcome.detail,
        )
    console().print(table)


def _note(edge: dict[str, Any]) -> str:
    parts = []
    if edge["icmp"]:
        parts.append(
            f"ICMP {edge['icmp']['type']}/{edge['icmp']['code']} from {edge['icmp']['offender']}"
        )
    if edge["syn_retransmits"]:
        again = edge["syn_retransmits"]
        parts.append(f"{again} {'SYN' if again == 1 else 'SYNs'} sent again")
    return ", ".join(parts)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.2f} ms"


def _host_port(address: str, port: int) -> str:
    return str(Target(address, port))
