"""Tables for a terminal: what a person reads first stands first, colour only says it again."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probe.cli.failing import UNREAD
from probe.cli.grid import Column, grid
from probe.cli.path import note, took
from probe.core.results import FAILURES, Outcome, Result
from probe.core.targets import Target
from probe.core.verdicts import FAILING, UNDECIDED, Verdict

WIDE = 200
"""Columns when the output is no terminal: nobody wants a piped table wrapped at 80."""

COLUMNS = (
    Column("PORT"),
    Column("FROM", least=8),
    Column("KIND"),
    Column("ADDRESS", wraps=True),
    Column("POD", least=8, front=True),
    Column("NODE", least=8),
    Column("STATE"),
    Column("RESULT"),
    Column("RTT", least=7),
    Column("NOTE", least=12),
)
"""Every edge. Pods of one Service differ in how their names end."""

_STATE_STYLES = {"up": "green", "down": "bold red", "failing": "yellow"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """A reader that has left is told by the same code everywhere; rich's own is 1."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            sys.exit(UNREAD)


def console(*, stderr: bool = False) -> Console:
    """A console that keeps its lines whole when piped, and takes what it is told as it is: rich
    would read the address in `[fd00::1]:80` as markup."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDE
    return _Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


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


def edges_table(document: dict[str, Any], room: int) -> Table:
    """Every edge, and from which node where there are several."""
    several = len(document["sources"]) > 1
    rows = [
        (
            str(port["port"]),
            edge["from"] if several else "",
            edge["kind"],
            str(Target(edge["address"], edge["port"])),
            edge["pod"] or "",
            edge["node"] or "",
            Text(edge["state"], _STATE_STYLES.get(edge["state"], "dim")),
            Text(edge["result"] or "not dialed", result_style(edge["result"])),
            took([edge]),
            note([edge]),
        )
        for port in document["ports"]
        for edge in port["edges"]
    ]
    return grid(COLUMNS, rows, room)


def addresses_table(found: list[tuple[Target, Outcome]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("ADDRESS", "RESULT", "RTT", "DETAIL"):
        # Prose is wrapped, so that nothing else is cut.
        table.add_column(title, no_wrap=title != "DETAIL", overflow="fold")
    for target, outcome in found:
        table.add_row(
            str(target),
            Text(outcome.result, result_style(outcome.result)),
            took([{"connect_seconds": outcome.connect_seconds}]),
            "" if outcome.result is Result.CONNECTED else outcome.detail,
        )
    console().print(table)
