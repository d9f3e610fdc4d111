"""What a benchmark found: figures with their spread, as a table for people and as JSON."""

import os
import platform
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUANTILES = {"min": 0.0, "p25": 0.25, "p75": 0.75, "p95": 0.95, "p99": 0.99, "max": 1.0}


class Missing(Exception):
    """Something is not on this machine; the text says what. The benchmark goes on without it."""


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure, measured at least once."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Raises ValueError without values."""
        found = tuple(values)
        if not found:
            raise ValueError("nothing was measured")
        return cls(found)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def quantile(self, share: float) -> float:
        """The least value that so large a share of all do not exceed (nearest rank)."""
        ranked = sorted(self.values)
        return ranked[max(0, -int(-share * len(ranked) // 1) - 1)]

    def document(self) -> dict[str, float]:
        spread = {name: self.quantile(share) for name, share in QUANTILES.items()}
        return {"median": self.median, **spread, "samples": len(self.values)}

    def __str__(self) -> str:
        if len(self.values) == 1:
            return _shown(self.values[0])
        low, high = _shown(min(self.values)), _shown(max(self.values))
        return f"{_shown(self.median)} ({low}-{high})"


Cell = Spread | float | None


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Round by round, so that what slows the machine for a while weighs on both alike.

    Raises ValueError if they have not as many rounds.
    """
    return Spread.of(a / b for a, b in zip(ours, theirs, strict=True))


class Table:
    """Rows of figures under named columns: `columns` maps a figure's name to its heading."""

    def __init__(self, title: str, columns: dict[str, str]) -> None:
        self.title = title
        self._columns = columns
        self._rows: list[tuple[str, dict[str, Cell], str]] = []

    def add(self, what: str, note: str = "", **figures: Cell) -> None:
        """A row. Raises KeyError for a figure without a column."""
        if unknown := figures.keys() - self._columns.keys():
            raise KeyError(f"no column for {', '.join(sorted(unknown))}")
        self._rows.append((what, figures, note))

    def text(self) -> str:
        lines = [["", *self._columns.values(), ""]]
        for what, figures, note in self._rows:
            cells = (_cell(figures.get(name)) for name in self._columns)
            lines.append([what, *cells, note])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join([self.title, *("  " + _aligned(line, widths) for line in lines)])

    def document(self) -> dict[str, Any]:
        return {"title": self.title, "columns": self._columns, "rows": list(self._documents())}

    def _documents(self) -> Iterator[dict[str, Any]]:
        for what, figures, note in self._rows:
            found = {name: _document(cell) for name, cell in figures.items() if cell is not None}
            yield {"of": what, **({"note": note} if note else {}), "figures": found}


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu": model[0] if model else "",
        "cpus": len(os.sched_getaffinity(0)),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _document(cell: Spread | float) -> dict[str, float]:
    return (cell if isinstance(cell, Spread) else Spread.of([cell])).document()


def _cell(cell: Cell) -> str:
    return "" if cell is None else str(cell) if isinstance(cell, Spread) else _shown(cell)


def _shown(value: float) -> str:
    """Three digits or so, whatever the size."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _aligned(line: list[str], widths: list[int]) -> str:
    first, *cells, note = line
    middle = "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths[1:-1], strict=True))
    return f"{first:<{widths[0]}}{middle}  {note}".rstrip()
