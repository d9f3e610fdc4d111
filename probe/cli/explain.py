"""`probe explain [VERDICT]`: what the verdicts mean, and what to do about each."""

import json
import re
from enum import StrEnum
from typing import Annotated, Any

import typer

from probe.cli.failing import USAGE, fail, printing
from probe.core import explanations, report
from probe.core.explanations import EXPLANATIONS, Explanation
from probe.core.results import Result
from probe.core.suspects import Row, suspected
from probe.core.verdicts import Verdict

WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Between the words of PortMismatch."""


class Form(StrEnum):
    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def command(
    verdict: Annotated[
        str | None,
        typer.Argument(metavar="VERDICT", help="Such as port_mismatch. Default: all of them."),
    ] = None,
    output: Annotated[
        Form, typer.Option("--output", "-o", help="table, json, or markdown (all of them only).")
    ] = Form.TABLE,
) -> None:
    chosen = None if verdict is None else _found(verdict)
    if output is Form.MARKDOWN and chosen is not None:
        fail("-o markdown is the table of all verdicts: leave the VERDICT out", USAGE)
    with printing():
        match output:
            case Form.MARKDOWN:
                print(explanations.markdown())
            case Form.JSON:
                each = [_document(e) for e in EXPLANATIONS.values()]
                print(json.dumps(_document(chosen) if chosen else {"verdicts": each}, indent=2))
            case Form.TABLE if chosen is not None:
                _show(chosen)
            case Form.TABLE:
                _show_all()


def _found(text: str) -> Explanation:
    """By its name, or by that of an alert, as a pager shows it: EdgeprobePortMismatch."""
    words = WORD.sub("_", text.removeprefix("Edgeprobe")).lower().replace("-", "_")
    if words in (*Verdict,):
        return EXPLANATIONS[Verdict(words)]
    said = f"there is no verdict {text!r}"
    if words in (*Result,):
        said = f"{words} is what one dial met; a verdict is what all of them mean"
    fail(f"{said}: one of {', '.join(Verdict)}", USAGE)


def _document(each: Explanation) -> dict[str, Any]:
    return {
        "verdict": str(each.verdict),
        "meaning": each.meaning,
        "detail": each.detail,
        "causes": list(each.causes),
        "suspects": [_suspect(points, row) for points, row in suspected(each.verdict)],
        "next_step": each.next_step,
        "exit_code": report.exit_code(each.verdict),
    }


def _suspect(points: int, row: Row) -> dict[str, Any]:
    aspect = None if row.aspect is None else str(row.aspect)
    return {"change": str(row.kind), "aspect": aspect, "points": points, "why": row.why}


def _show(each: Explanation) -> None:
    from rich.text import Text

    from probe.cli.tables import command, console, sentence, verdict_style

    out = console()
    head = Text.assemble((str(each.verdict), verdict_style(each.verdict)), f": {each.meaning}")
    sentence(out, head)
    out.print()
    sentence(out, Text(each.detail))
    if each.causes:
        out.print("\nUsually")
    for cause in each.causes:
        sentence(out, Text(f"  - {cause}"))
    if found := suspected(each.verdict):
        out.print("\nChanges before it that it is blamed on, by points less the time between")
    for points, row in found:
        aspect = f" ({row.aspect})" if row.aspect else ""
        sentence(out, Text(f"  {points:3}  {row.kind}{aspect}: {row.why}"))
    out.print("\nNext step")
    command(out, Text(f"  {each.next_step}", "cyan"))
    out.print(Text(f"\nprobe check ends with {report.exit_code(each.verdict)}", "dim"))


def _show_all() -> None:
    from rich.table import Table
    from rich.text import Text

    from probe.cli.tables import console, sentence, verdict_style

    out = console()
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("VERDICT", no_wrap=True)
    table.add_column("EXIT", justify="right", no_wrap=True)
    table.add_column("MEANS", overflow="fold")
    for each in EXPLANATIONS.values():
        code = str(report.exit_code(each.verdict))
        name = Text(str(each.verdict), verdict_style(each.verdict))
        table.add_row(name, code, each.meaning)
    out.print(table)
    out.print()
    sentence(out, Text("The first that fits is given. probe explain VERDICT says more.", "dim"))
