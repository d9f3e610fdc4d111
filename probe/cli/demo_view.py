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

from probe.cli.tables import console, result_style, verdict_style
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
    """The whole picture, redrawn four times a second."""

    LINES = 12

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._news: deque[Text] = deque(maxlen=self.LINES)
        self._started = time.monotonic()
        self._live = RichLive(
            console=console(), get_renderable=self._draw, refresh_per_second=4, transient=True
        )

    def tell(self, kind: str, line: str) -> None:
        seconds = time.monotonic() - self._started
        text = f"{seconds:5.1f}s {MARKS[kind]}{WORDS.get(kind, '')}{line}"
        self._news.append(Text(text, STYLES.get(kind, ""), no_wrap=True, overflow="ellipsis"))

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
        scene = self._scene
        head = Text.assemble(("probe demo  ", "bold"), (scene.title, "cyan"), overflow="ellipsis")
        head.no_wrap = True
        bar = ProgressBar(total=1.0, completed=scene.done, width=60)
        act = Text(f"  {scene.act}", "dim")
        return Group(head, bar, act, _services(scene.services), Text(), *self._news)


def _services(services: list[dict[str, Any]]) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("SERVICE", "PORT", "VERDICT", "EDGES", "CLUSTERIP", "ENDPOINTS", "WHY"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    for held in services:
        where = held["service"]
        for port in held["ports"]:
            verdict = Verdict(port["verdict"])
            up = sum(edge["state"] == "up" for edge in port["edges"])
            table.add_row(
                f"{where['namespace']}/{where['name']}",
                f"{port['port']}->{port['target_port']}",
                Text(str(verdict), verdict_style(verdict)),
                f"{up}/{len(port['edges'])}",
                _results(port, "service"),
                _results(port, "endpoint"),
                "" if verdict is Verdict.HEALTHY else port["summary"],
            )
    return table


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
        table.add_column(title, no_wrap=True, overflow="ellipsis")
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
    for item, sentence in score.summaries.items():
        out.print(Text.assemble((item, "bold"), f": {sentence}"), soft_wrap=True)
        for line in score.advice.get(item, ()):
            out.print(Text(f"  -> {line}", "cyan"), soft_wrap=True)
    for rollout in score.rollouts:
        failed = ", ".join(f"{n} {result}" for result, n in rollout["failed"].items())
        text = (
            f"rollout of {rollout['workload']}: {rollout['dials']} dials, {failed or 'no'} failed"
        )
        if rollout["removal_lag_seconds"] is not None:
            text += (
                f", removal lag {rollout['removal_lag_seconds']:.1f} s"
                f" (up to {rollout['removal_lag_error_seconds']:.1f} s more)"
                f": preStop.sleep of {rollout['recommended_drain_seconds']} s would have avoided it"
            )
        out.print(Text(text), soft_wrap=True)
