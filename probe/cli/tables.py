"""Tables for a terminal: what a person reads first stands first, colour only says it again."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probe.core.results import FAILURES, Outcome, Result
from probe.core.targets import Target
from probe.core.verdicts import FAILING, UNDECIDED, Verdict

WIDE = 200
"""Columns when the output is no terminal: nobody wants a piped table wrapped at 80."""

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
        out.print(_edges(document))
    for change in document["changes"][:5]:
        by = f" by {change['by']}" if change["by"] else ""
        text = f"  {change['time']} {change['object']}{by}: {change['detail']}"
        sentence(out, Text(text, "dim"))
    out.print()


def _edges(document: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=True, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("  PORT", "KIND", "ADDRESS", "POD", "NODE", "STATE", "RESULT", "RTT", "NOTE"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    for port in document["ports"]:
        for edge in port["edges"]:
            table.add_row(
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
    return table


def addresses_table(found: list[tuple[Target, Outcome]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("ADDRESS", "RESULT", "RTT", "DETAIL"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
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
