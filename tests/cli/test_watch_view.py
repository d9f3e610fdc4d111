"""What `probe watch` shows while it watches: lines, and a live picture that fits."""

import io
import logging
from typing import Any

import pytest
from rich.console import Console

from probe.cli import watch_view
from probe.cli.watch_view import Lines, Live, heard, sparkline
from probe.core.course import Course, Sample
from probe.core.preflight import Note
from probe.watch.session import Scene
from probe.watch.subject import Subject
from tests.core.records import told

WEB = Subject("Deployment", "demo-app", "web")
NOTE = Note("no_pre_stop", "no container has a preStop hook", "lifecycle: {preStop: ...}")


class Progress:
    """How far it is, as a double: what is shown of it is its text and its share."""

    share = 0.5

    def text(self) -> str:
        return "2 of 4 updated, 4 available, 2 old"


def scene(record: dict[str, Any] | None = None) -> Scene:
    course = Course(record=record, progress=Progress())  # type: ignore[arg-type]
    course.began = None if record is None else 0.0
    if record is not None and record["ended"] is not None:
        course.ended = 10.0
    made = Scene(WEB, ("web", "web-admin"), "dialing from here", course, notes=(NOTE,))
    made.broken = ["web:80 fails already"]
    made.silent = {"node-9": "no answer within 5 s"}
    return made


def record(failed: int = 0, *, ended: bool = False, nodes: int = 1) -> dict[str, Any]:
    share = {"dials": 9, "failed": {"refused": failed}, "removal_lag_seconds": 1.5}
    return told() | {
        "dials": 9 * nodes,
        "failed": {"refused": failed} if failed else {},
        "ended": "2026-11-21T10:00:00Z" if ended else None,
        "nodes": [{"node": f"node-{i}", **share} for i in range(nodes)],
    }


def test_a_bar_a_second_is_as_high_as_the_share_of_failures() -> None:
    samples = [Sample(0, 0), Sample(9, 0), Sample(20, 1), Sample(20, 10), Sample(20, 20)]

    assert sparkline(samples).plain == " ▁▂▅█"
    assert sparkline(samples, 2).plain == "▅█"


def test_lines_are_told_when_something_turns() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    with lines:
        lines.stands(scene())
        lines.show(scene(), 0.0)
        lines.show(scene(), 0.25)
        lines.show(scene(record()), 1.0)
        lines.show(scene(record(2)), 1.25)  # too soon after the one before
        lines.show(scene(record(3)), 2.25)
        lines.show(scene(record(3, ended=True)), 11.0)

    said = [line.partition("s  ")[2] for line in stream.getvalue().splitlines()]
    assert said == [
        "watching Deployment demo-app/web behind Services web, web-admin, dialing from here",
        "  node node-9 does not answer: no answer within 5 s",
        "! web:80 fails already",
        "! no container has a preStop hook",
        "    lifecycle: {preStop: ...}",
        "waiting for a rollout of Deployment demo-app/web",
        "rolling; 2 of 4 updated, 4 available, 2 old; none of 9 dials failed",
        "rolling; 2 of 4 updated, 4 available, 2 old; 3 refused of 9 dials failed",
        "complete, still dialing; 2 of 4 updated, 4 available, 2 old; 3 refused of 9 dials failed",
    ]


def test_while_failures_are_open_it_says_why_it_goes_on() -> None:
    stream = io.StringIO()
    Lines(stream).show(scene(record(3, ended=True) | {"unconfirmed": 2}), 11.0)

    assert "complete, still dialing until 2 failed dials can be explained;" in stream.getvalue()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()

    def console(*, stderr: bool = False) -> Console:
        return Console(file=stream, width=80, height=24, force_terminal=True, color_system=None)

    monkeypatch.setattr(watch_view, "console", console)
    return stream


def drawn(live: Live, held: Scene) -> list[str]:
    live.show(held, 12.0)
    out = Console(width=80, height=24, color_system=None)
    with out.capture() as captured:
        out.print(live._draw())
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_live_picture_grows_with_what_there_is_to_show(screen: io.StringIO) -> None:
    with Live() as live:
        first = drawn(live, scene())
        rolling = drawn(live, scene(record()))
        held = scene(record(4, ended=True, nodes=3))
        held.course.samples.extend([Sample(20, 0), Sample(20, 20)])
        ended = drawn(live, held)

    assert first[0] == "waiting for a rollout of Deployment demo-app/web"
    assert rolling[0] == "rolling  12 s"
    assert rolling[1].startswith("pods     ━━━━━━━━━━")
    assert rolling[1].endswith(" 2 of 4 updated, 4 available, 2 old")
    assert ended[0] == "complete, still dialing  12 s"
    assert ended[2:4] == ["dials    4 refused of 27 dials failed", "failed   ▁█"]
    assert ended[5].split() == ["NODE", "DIALS", "FAILED", "REMOVAL", "LAG"]
    assert ended[6].split() == ["node-0", "9", "4", "1.5", "s"]
    assert ended[-1] == "no answer from node-9"


def test_it_fits_the_terminal_however_many_nodes_there_are(screen: io.StringIO) -> None:
    with Live() as live:
        lines = drawn(live, scene(record(4, nodes=500)))

    assert len(lines) < 24
    assert max(map(len, lines)) <= 80


def test_what_is_said_stands_above_it_and_steers_no_terminal(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Live() as live:
        live.stands(scene())
        live.say("to a file")
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        live.say("\x1b[2Jdeployment restarted")
        live.say("\x1b[1;32mNAME\x1b[0m\tSTATUS\x1b[m\x1b[K")

    assert capsys.readouterr().err == "to a file\n"
    shown = screen.getvalue()
    assert "watching Deployment demo-app/web" in shown
    assert "    lifecycle: {preStop: ...}" in shown
    assert "\ufffd[2Jdeployment restarted" in shown
    assert "NAME    STATUS" in shown


def test_what_our_own_parts_log_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with heard(Lines(io.StringIO())):
        logging.getLogger("probe.reflector").warning("nodes are forbidden")
        logging.getLogger("probe.reflector").info("nodes are watched again")

    assert capsys.readouterr().err == "probe: nodes are forbidden\n"
