"""Many Services on a terminal: a line for each, what is wrong first."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from probe.cli.overview import overview
from tests.cli.documents import MISMATCH, document, port, vip

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def named(name: str, verdict: str, namespace: str = "shop") -> dict[str, Any]:
    found = document(port(vip(), verdict=verdict, summary=f"it is {verdict}"))
    return {**found, "service": {"namespace": namespace, "name": name}, "advice": ["look at it"]}


def shown(*documents: dict[str, Any], width: int = 120, silent: int = 0) -> list[str]:
    stream = io.StringIO()
    overview(Console(file=stream, width=width, highlight=False), list(documents), NOW, silent)
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


NONE = "no usable endpoint: no pod that the selector matches is ready"


def test_a_long_name_is_cut_in_front_and_leaves_room_for_the_sentence() -> None:
    exporter = {
        **named("kube-prometheus-stack-prometheus-node-exporter", "no_endpoints", "monitoring"),
        "summary": NONE,
    }
    head, first, second, third, *_ = shown(exporter, named("web", "invalid_target"), width=80)

    assert head.split() == ["NAMESPACE", "SERVICE", "VERDICT", "SUMMARY"]
    assert first.split()[:4] == ["shop", "web", "✗", "invalid_target"]
    assert second.split()[:4] == ["monitoring", "…theus-node-exporter", "✗", "no_endpoints"]
    assert second[head.index("SUMMARY") :].startswith("no usable endpoint: no")
    assert max(map(len, (head, first, second, third))) <= 80


@pytest.mark.parametrize(("namespace", "width"), [("n" * 63, 80), ("shop", 50)])
def test_where_a_sentence_has_no_room_beside_its_service_it_stands_below(
    namespace: str, width: int
) -> None:
    long = {**named("s" * 63, "no_endpoints", namespace), "summary": NONE}
    lines = shown(long, named("web", "healthy"), width=width)
    text = "".join(lines)

    assert f"✗ no_endpoints  {namespace}/" in text
    assert "s" * 63 in text
    assert NONE in " ".join(" ".join(lines).split())
    assert lines[lines.index("✓ healthy  shop/web") + 1] == "    it is healthy"


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


def test_what_is_wrong_without_failing_any_service_is_told_once_and_counted() -> None:
    told = {"object": "Deployment shop/web", "detail": "env UPSTREAM=0:80", "by": None}
    other = {**told, "object": "Deployment shop/cart"}
    web = {**named("web", "healthy"), "warnings": [told]}
    admin = {**named("web-admin", "healthy"), "warnings": [told, other]}

    lines = shown(web, admin)

    assert [line for line in lines if line.startswith("warning: ")] == [
        "warning: Deployment shop/web: env UPSTREAM=0:80",
        "warning: Deployment shop/cart: env UPSTREAM=0:80",
    ]
    assert lines[-1].startswith("0 of 2 Services fail, 2 warnings; ")
    assert ", 1 warning; " in shown(web)[-1]
