"""A table in columns that fit a terminal: what a verdict is read off is whole at every width."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

GAP = 2
"""Columns of space between two columns."""

Cell = str | Text


@dataclass(frozen=True, slots=True)
class Column:
    """One column. With a `least` width it gives way where there is no room: of several the last
    one first, down to that width, below which it says nothing any more, and then altogether.
    What is cut off is the end, or the `front`; nothing if it `wraps`, as prose does. Without, it is
    never cut, and if it wraps it is folded where even all of the room is too little.
    """

    title: str
    least: int | None = None
    front: bool = False
    wraps: bool = False


def grid(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int, *, headed: bool = True
) -> Table:
    """The rows in `room` columns of a terminal; a column without a word in it is left out."""
    shown = _widths(columns, rows, room, headed=headed)
    table = Table(
        box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0), show_header=headed
    )
    for column in columns:
        if column.title in shown:
            width = shown[column.title]
            table.add_column(
                column.title, no_wrap=not column.wraps, overflow="fold", max_width=width
            )
    for row in rows:
        cells = zip(columns, row, strict=True)
        table.add_row(*(_cut(c, cell, shown[c.title]) for c, cell in cells if c.title in shown))
    return table


def fits(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int) -> bool:
    """Whether the grid has every column that has a word in it, at its least width or wider."""
    said = [c.title for c, *cells in zip(columns, *rows, strict=True) if any(map(str, cells))]
    return len(_widths(columns, rows, room, headed=True)) == len(said)


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int, *, headed: bool
) -> dict[str, int]:
    natural = {}
    for column, *cells in zip(columns, *rows, strict=True):
        if any(map(str, cells)):
            said = (column.title, *cells) if headed else cells
            natural[column.title] = max(cell_len(str(cell)) for cell in said)
    least = {c.title: c.least for c in columns if c.least is not None and c.title in natural}
    left = room + GAP - sum(w + GAP for title, w in natural.items() if title not in least)
    if sum(natural[title] + GAP for title in least) <= left:
        return natural
    shown = {title: width for title, width in natural.items() if title not in least}
    for title, floor in least.items():
        width = min(floor, natural[title])
        if width + GAP <= left:
            shown[title] = width
            left -= width + GAP
    for title in least:
        if title in shown:
            more = min(left, natural[title] - shown[title])
            shown[title] += more
            left -= more
    return shown


def _cut(column: Column, cell: Cell, width: int) -> Text:
    text = str(cell)
    if column.least is None or column.wraps or cell_len(text) <= width:
        return cell if isinstance(cell, Text) else Text(cell)
    style = cell.style if isinstance(cell, Text) else ""
    return Text(f"…{text[1 - width :]}" if column.front else f"{text[: width - 1]}…", style)
