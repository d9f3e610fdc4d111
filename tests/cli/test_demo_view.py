"""What the demo shows: lines, a live picture that fits, and a summary."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from probe.cli import demo_view
from probe.cli.demo_view import Lines, Live, summary
from probe.demo.play import Scene, Score
from tests.core.records import rollout, told

ROLLOUT, QUIET = told(rollout(2.0, 0.6, refused=48)), told()
FOUND = "Service demo-app/external-db:5432 invalid_target"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., io.StringIO]:
    """Makes the view print on a terminal of that size."""

    def make(width: int, height: int = 24) -> io.StringIO:
        stream = io.StringIO()

        def console(*, stderr: bool = False) -> Console:
            return Console(
                file=stream, width=width, height=height, force_terminal=True, color_system=None
            )

        monkeypatch.setattr(demo_view, "console", console)
        return stream

    return make


def held(name: str, verdict: str, result: str) -> dict[str, Any]:
    edges = [{"kind": "service", "result": result, "state": "up"}]
    edges += [{"kind": "endpoint", "result": result, "state": "up"}] * 2
    port = {
        "port": 8080,
        "target_port": 8081,
        "verdict": verdict,
        "summary": "why " * 40,
        "edges": edges,
    }
    return {"service": {"namespace": "demo-app", "name": name}, "ports": [port]}


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (140, 40)])
def test_the_live_picture_fits_and_shows_every_verdict_whole(
    width: int, height: int, screen: Callable[..., io.StringIO]
) -> None:
    stream = screen(width, height)
    scene = Scene("rolling-update", "a new image rolls out " * 9, "waiting " * 3, 0.5)
    scene.services = [held("backend-v1", "invalid_target", "timeout")] + [
        held(f"service-{i}", "healthy", "connected") for i in range(7)
    ]
    live = Live(scene)
    for i in range(50):
        live.tell("change", f"news {i} " * 30)

    Console(file=stream, width=width, height=height).print(live._draw())

    lines = stream.getvalue().splitlines()
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "invalid_target" in text
    assert "demo-app/backend-v1" in text
    assert "2 timeout" in text
    assert "news 49" in lines[-1]
    assert ("why why" in text) == (width >= demo_view.WITH_REASONS)


def test_lines_say_what_happened_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    moments = iter((100.0, 100.0, 112.34))  # when it began, and when each is told
    monkeypatch.setattr(demo_view, "time", SimpleNamespace(monotonic=lambda: next(moments)))

    with Lines(stream) as lines:
        lines.tell("scenario", "blackhole: every pod stops answering")
        lines.tell("missed", FOUND)

    assert stream.getvalue() == (
        f"  0.0s == blackhole: every pod stops answering\n 12.3s  ! MISSED: {FOUND}\n"
    )


@pytest.mark.parametrize("width", [80, 140])
def test_the_summary_fits_and_says_what_was_missed(
    width: int, screen: Callable[..., io.StringIO]
) -> None:
    stream = screen(width)
    bad = Score("invalid-address", [FOUND, "b"], found=["b"], false=["Service x/y:1 lossy"])
    good = Score("rolling-update", ["c"], found=["c"], healed=True, seconds=0.8)
    good.rollouts = [ROLLOUT, QUIET]
    good.refused = {"terminating": 8, "rollout": 40}
    good.summaries, good.advice = {"c": "as said"}, {"c": ["do this"]}

    summary([bad, good])

    text = stream.getvalue()
    words = " ".join(text.split())
    assert max(map(len, text.splitlines())) <= width
    assert "1 of 2 scenarios found as injected" in text
    assert "invalid-address" in text
    assert "not seen" in text
    assert "  -> do this" in text
    assert "48 refused of 300 ClusterIP dials failed" in words
    assert "removal lag 2.0 s (up to 0.6 s more)" in words
    assert "a preStop.sleep of 4 s would have avoided it" in words
    assert "\n     spec:\n       template:\n" in text
    assert "none of 300 ClusterIP dials failed" in words
    assert "filed under: 40 rollout, 8 terminating" in words
