"""What `probe watch` shows while it watches: a live picture on a terminal, lines elsewhere."""

import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TextIO

from rich.console import Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from probe.cli.tables import command, console, sentence
from probe.core.course import Sample, Stage, failures
from probe.told import printable
from probe.watch.session import Scene, View

BARS = "▂▃▄▅▆▇█"
CLEAN = "▁"

STYLES = re.compile(r"\x1b\[[0-9;:]*[mK]")
"""What gives a terminal's text its colour (ECMA-48, SGR), and what grep writes beside (EL)."""

LINES_APART = 1.0
"""Seconds between two lines about a rollout: of a large one there is news all the time. Chosen."""


def sparkline(samples: Iterable[Sample], width: int | None = None) -> Text:
    """A bar a second, the last ones if there is no room for all: how many of its dials failed."""
    held = list(samples)
    text = Text()
    for sample in held if width is None else held[-max(1, width) :]:
        if not sample.dials:
            text.append(" ")
        elif not sample.failed:
            text.append(CLEAN, "green")
        else:
            share = min(1.0, sample.failed / sample.dials)
            text.append(BARS[min(len(BARS) - 1, int(share * len(BARS)))], "red")
    return text


def doing(scene: Scene, now: float) -> str:
    """What goes on, in a few words."""
    course = scene.course
    match course.stage(now):
        case Stage.WAITING:
            return f"waiting for a rollout of {scene.subject}"
        case Stage.ROLLING:
            return "rolling"
        case Stage.LINGERING | Stage.OVER:
            assert course.record is not None
            left = course.unconfirmed
            why = f" until {left} failed dial{'s' * (left > 1)} can be explained" if left else ""
            return f"{course.record['outcome']}, still dialing{why}"


def met(scene: Scene) -> str:
    """What the dials met so far; "" before the rollout began."""
    record = scene.course.record
    if record is None:
        return ""
    failed = ", ".join(f"{count} {result}" for result, count in record["failed"].items())
    return f"{failed or 'none'} of {record['dials']} dials failed"


@contextmanager
def heard(view: View) -> Iterator[None]:
    """What our own parts would log goes to the view, so that nothing is drawn over."""
    log = logging.getLogger("probe")
    handler = _Heard(view)
    log.addHandler(handler)
    propagate, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


class _Heard(logging.Handler):
    """Warnings and worse, as a command says them."""

    def __init__(self, view: View) -> None:
        super().__init__(logging.WARNING)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        self._view.say(f"probe: {record.getMessage()}")


class Lines:
    """A line for each thing that happens, with the seconds since the start."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()
        self._told: tuple[Any, ...] = ()
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def stands(self, scene: Scene) -> None:
        self._print(f"watching {_what(scene)}")
        for node, why in scene.silent.items():
            self._print(f"  node {node} does not answer: {why}")
        for line in scene.broken:
            self._print(f"! {line}")
        for note in scene.notes:
            self._print(f"! {note.text}")
            self._print(f"    {note.fix}")

    def show(self, scene: Scene, now: float) -> None:
        course = scene.course
        failed = failures(course.record) if course.record else 0
        progress = course.progress.text() if course.progress and course.record else ""
        told = doing(scene, now), progress, failed
        turned = told[0] != (self._told or ("",))[0]
        if told == self._told or (not turned and now < self._next):
            return
        self._told, self._next = told, now + LINES_APART
        self._print("; ".join(filter(None, (doing(scene, now), progress, met(scene)))))

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def _print(self, line: str) -> None:
        seconds = time.monotonic() - self._started
        print(f"{seconds:6.1f}s  {line}", file=self._stream, flush=True)


def _what(scene: Scene) -> str:
    services = ", ".join(scene.services)
    plural = "s" if len(scene.services) > 1 else ""
    return f"{scene.subject} behind Service{plural} {services}, {scene.source}"


class Live:
    """The whole picture, drawn anew at every turn; nothing of it is left when the context ends but
    what was said above it."""

    def __init__(self) -> None:
        self._console = console()
        self._scene: Scene | None = None
        self._now = 0.0
        self._live = RichLive(
            console=self._console,
            get_renderable=self._draw,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: Any) -> None:
        self._live.__exit__(None, None, None)

    def stands(self, scene: Scene) -> None:
        out = self._console
        sentence(out, Text.assemble("watching ", (str(scene.subject), "bold"), _through(scene)))
        for line in scene.broken:
            sentence(out, Text(f"! {line}", "yellow"))
        for note in scene.notes:
            sentence(out, Text(f"! {note.text}", "yellow"))
            command(out, Text(f"    {note.fix}", "cyan"))
        out.print()

    def show(self, scene: Scene, now: float) -> None:
        self._scene, self._now = scene, now
        self._live.refresh()

    def say(self, line: str) -> None:
        if sys.stderr.isatty():
            plain = STYLES.sub("", line.removesuffix("\r")).expandtabs()
            self._console.print(Text(printable(plain), "dim"))
        else:
            print(line, file=sys.stderr, flush=True)

    def _draw(self) -> RenderableType:
        scene = self._scene
        if scene is None:
            return Text("looking at what stands ...", "dim")
        course, size = scene.course, self._console.size
        took = "" if course.began is None else f"  {self._now - course.began:.0f} s"
        head = Text.assemble((doing(scene, self._now), "bold cyan"), (took, "dim"))
        parts: list[RenderableType] = [_cut(head)]
        if course.record is not None:
            parts.append(self._pods(scene))
            parts.append(_cut(Text.assemble(("dials    ", "dim"), _met(scene))))
            room = size.width - len("failed   ") - 1
            line = Text.assemble(("failed   ", "dim"), sparkline(course.samples, room))
            parts.append(_cut(line))
            if len(course.record["nodes"]) > 1:
                parts += [Text(), _nodes(course.record["nodes"], size.height - HEAD_LINES)]
        if scene.silent:
            names = ", ".join(scene.silent)
            parts.append(_cut(Text(f"no answer from {names}", "yellow")))
        return Group(*parts)

    def _pods(self, scene: Scene) -> RenderableType:
        progress = scene.course.progress
        if progress is None:
            return Text()
        row = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=progress.share, width=20)
        row.add_row(Text("pods    ", "dim"), bar, _cut(Text(progress.text())))
        return row


HEAD_LINES = 10
"""Lines beside the nodes: those above, the table's own, the cursor's, and some of what was said."""


def _through(scene: Scene) -> Text:
    return Text(_what(scene).removeprefix(str(scene.subject)), "dim")


def _met(scene: Scene) -> Text:
    record = scene.course.record
    return Text(met(scene), "red" if record and record["failed"] else "green")


def _nodes(nodes: list[dict[str, Any]], room: int) -> Table:
    """Those with the most failures first."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("NODE", "DIALS", "FAILED", "REMOVAL LAG"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    ranked = sorted(nodes, key=lambda n: (-sum(n["failed"].values()), n["node"]))
    for node in ranked[: max(1, room)]:
        failed, lag = sum(node["failed"].values()), node["removal_lag_seconds"]
        table.add_row(
            node["node"],
            str(node["dials"]),
            Text(str(failed), "red" if failed else "green"),
            "" if lag is None else f"{lag:.1f} s",
        )
    return table


def _cut(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
