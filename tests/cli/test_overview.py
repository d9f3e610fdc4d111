"""Many Services on a terminal: a line for each, what is wrong first."""

import io
from typing import Any

from rich.console import Console

from probe.cli.overview import overview
from tests.cli.documents import MISMATCH, document, port, vip


def named(name: str, verdict: str, namespace: str = "shop") -> dict[str, Any]:
    found = document(port(vip(), verdict=verdict, summary=f"it is {verdict}"))
    return {**found, "service": {"namespace": namespace, "name": name}, "advice": ["look at it"]}


def shown(*documents: dict[str, Any], width: int = 120, silent: int = 0) -> list[str]:
    stream = io.StringIO()
    overview(Console(file=stream, width=width, highlight=False), list(documents), silent)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_failing_services_come_first_then_what_could_not_be_told() -> None:
    lines = shown(
        named("a", "healthy"),
        named("b", "masked"),
        named("d", "lossy"),
        named("c", "port_mismatch"),
        named("c", "port_mismatch", "app"),
    )

    assert [line.split()[:4] for line in lines[1:6]] == [
        ["app", "c", "✗", "port_mismatch"],
        ["shop", "c", "✗", "port_mismatch"],
        ["shop", "d", "✗", "lossy"],
        ["shop", "b", "!", "masked"],
        ["shop", "a", "✓", "healthy"],
    ]
    assert "shop/d: look at it" in lines
    assert not any(line.startswith("shop/a:") for line in lines)
    assert lines[-1].startswith("3 of 5 Services fail, 1 could not be told; ")


def test_a_narrow_terminal_wraps_what_is_wrong_and_cuts_what_is_not() -> None:
    healthy = document(port(vip(), summary="a long sentence " * 10))
    lines = shown(MISMATCH, healthy, width=70)
    end = lines.index("")

    assert "set targetPort to 8080" in " ".join(" ".join(line.split()) for line in lines[:end])
    assert lines[end - 1].endswith("…")
    assert max(map(len, lines[:end])) <= 70
    assert lines[-1].startswith("1 of 2 Services fails; ")


def test_what_is_on_purpose_comes_last_and_is_no_failure() -> None:
    empty, by_rule = named("zero", "no_endpoints"), named("dns", "unknown")
    empty["on_purpose"] = by_rule["on_purpose"] = True
    starts = {**named("new", "no_endpoints"), "starting": True}
    lines = shown(empty, by_rule, named("a", "healthy"), starts)

    assert [line.split()[1:4] for line in lines[1:5]] == [
        ["new", "!", "no_endpoints"],
        ["a", "✓", "healthy"],
        ["dns", "-", "unknown"],
        ["zero", "-", "no_endpoints"],
    ]
    assert not any("look at it" in line for line in lines)
    assert "0 of 4 Services fail, 1 could not be told, 2 do not count" in " ".join(lines)


def test_nodes_that_did_not_answer_are_told() -> None:
    assert (
        "0 of 1 Services fail, 2 nodes did not answer; "
        in shown(named("a", "healthy"), silent=2)[-1]
    )
