"""What the demo shows: a live picture on a terminal, lines elsewhere, a summary at the end."""

import time
from collections import deque
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from rich.console import Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from probe.cli.tables import command, console, result_style, sentence, verdict_style
from probe.core import rollout_reports
from probe.core.results import FAILURES
from probe.core.verdicts import Verdict
from probe.demo.play import Scene, Score

MARKS = {
    "act": "   ",
    "scenario": "== ",
    "change": " ~ ",
    "verdict": " * ",
    "found": " + ",
    "missed": " ! ",
    "false": " ? ",
}
STYLES = {
    "scenario": "bold cyan",
    "found": "bold green",
    "missed": "bold red",
    "false": "bold yellow",
    "change": "dim",
}
WORDS = {"found": "found: ", "missed": "MISSED: ", "false": "FALSE ALARM: "}


class View(Protocol):
    """Told what happens while the context lasts."""

    def tell(self, kind: str, line: str) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None: ...


class Lines:
    """A line for each thing that happens, with the seconds since the start."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()

    def tell(self, kind: str, line: str) -> None:
        seconds = time.monotonic() - self._started
        text = f"{seconds:5.1f}s {MARKS[kind]}{WORDS.get(kind, '')}{line}"
        print(text, file=self._stream, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


class Live:
    """The whole picture, redrawn four times a second; the news take the lines that are left."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._news: deque[Text] = deque(maxlen=100)
        self._started = time.monotonic()
        self._console = console()
        self._live = RichLive(
            console=self._console, get_renderable=self._draw, refresh_per_second=4, transient=True
        )

    def tell(self, kind: str, line: str) -> None:
        seconds = time.monotonic() - self._started
        text = f"{seconds:5.1f}s {MARKS[kind]}{WORDS.get(kind, '')}{line}"
        self._news.append(_cut(Text(text, STYLES.get(kind, ""))))

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def _draw(self) -> RenderableType:
        scene, size = self._scene, self._console.size
        head = Text.assemble(("probe demo  ", "bold"), (scene.title, "cyan"))
        bar = ProgressBar(total=1.0, completed=scene.done, width=30)
        progress = Table.grid(padding=(0, 2))
        progress.add_row(bar, Text(scene.act, "dim"))
        services = _services(scene.services, reasons=size.width >= WITH_REASONS)
        left = max(1, size.height - services.row_count - HEAD_LINES)
        news = list(self._news)[-left:]
        return Group(head, _cut(Text(scene.story)), progress, Text(), services, Text(), *news)


WITH_REASONS = 110
"""Columns from which the table says why, too; on narrower terminals the news do that alone."""

HEAD_LINES = 7
"""Lines beside Services and news: title, story, progress, two blanks, header, the cursor's."""


def _cut(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _services(services: list[dict[str, Any]], *, reasons: bool) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), expand=reasons)
    for title in ("SERVICE", "PORT", "VERDICT", "CLUSTERIP", "ENDPOINTS"):
        least = max(map(len, Verdict)) if title == "VERDICT" else None
        table.add_column(title, no_wrap=True, overflow="ellipsis", min_width=least)
    if reasons:
        table.add_column("WHY", no_wrap=True, overflow="ellipsis", ratio=1)
    for held in services:
        where = held["service"]
        for port in held["ports"]:
            verdict = Verdict(port["verdict"])
            row: tuple[RenderableType, ...] = (
                f"{where['namespace']}/{where['name']}",
                f"{port['port']}->{port['target_port']}",
                Text(str(verdict), verdict_style(verdict)),
                _results(port, "service"),
                _results(port, "endpoint"),
            )
            table.add_row(*row, *([_why(port)] if reasons else []))
    return table


def _why(port: dict[str, Any]) -> Text:
    """The verdict's sentence; for healthy, what is being looked at before it may change."""
    if port["verdict"] != Verdict.HEALTHY:
        return Text(port["summary"])
    failing = [e for e in port["edges"] if e["result"] in FAILURES]
    return Text("failures are being confirmed" if failing else "", "dim")


def _results(port: dict[str, Any], kind: str) -> Text:
    """The last results of the edges of a kind, each once with its count."""
    results = [edge["result"] for edge in port["edges"] if edge["kind"] == kind]
    text = Text()
    for result in dict.fromkeys(results):
        count = results.count(result)
        shown = result or "not dialed"
        text.append(f"{count} {shown} " if count > 1 else f"{shown} ", result_style(result))
    return text


def summary(scores: list[Score]) -> None:
    """Injected against found, and what the daemon advised."""
    out = console()
    out.print()
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("SCENARIO", "INJECTED", "FOUND", "AFTER", "MENDED", "FALSE ALARMS"):
        table.add_column(title, no_wrap=title not in ("INJECTED", "FALSE ALARMS"))
    for score in scores:
        found = f"{len(score.injected) - len(score.missed)} of {len(score.injected)}"
        table.add_row(
            score.name,
            Text("\n".join(score.injected) or "nothing"),
            Text(found, "red" if score.missed else "green"),
            "" if score.seconds is None else f"{score.seconds:.1f} s",
            Text("seen" if score.healed else "not seen", "green" if score.healed else "red"),
            Text("\n".join(score.false) or "none", "red" if score.false else "green"),
        )
    out.print(table)
    out.print()
    for score in scores:
        _explain(score)
    passed = sum(score.passed for score in scores)
    verdict = f"{passed} of {len(scores)} scenarios found as injected"
    out.print(Text(verdict, "bold green" if passed == len(scores) else "bold red"))


def _explain(score: Score) -> None:
    """What the daemon said in its own words."""
    out = console()
    for item, said in score.summaries.items():
        sentence(out, Text.assemble((item, "bold"), f": {said}"))
        for line in score.advice.get(item, ()):
            command(out, Text(f"  -> {line}", "cyan"))
    for rollout in score.rollouts:
        told, *advice = rollout_reports.lines(rollout)
        sentence(out, Text(told, "bold"))
        for line in advice:
            if line.startswith(YAML):
                command(out, Text(f"     {line}", "cyan"))
            else:
                sentence(out, Text(f"  {line}"))
    if score.refused:
        phases = ", ".join(f"{count} {phase}" for phase, count in sorted(score.refused.items()))
        sentence(out, Text(f"  refused dials, by the phase they are filed under: {phases}", "dim"))


YAML = ("spec:", " ")
"""How those lines of a rollout's advice begin that are to be pasted."""
