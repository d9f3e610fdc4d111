"""One Service on a terminal: everything that matters, on few lines, at every width, in words."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from probe.cli import screen
from probe.core.changes import UNSEEN
from tests.cli.documents import MISMATCH, NODES, document, edge, port, vip

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def shown(found: dict[str, Any], width: int = 100, *, wide: bool = False) -> list[str]:
    """The lines on a terminal of that width, without colours."""
    stream = io.StringIO()
    out = Console(file=stream, width=width, force_terminal=True, no_color=True, highlight=False)
    screen.service(out, found, NOW, wide=wide)
    return [
        line.rstrip()
        for line in stream.getvalue()
        .replace("\x1b[1m", "")
        .replace("\x1b[2m", "")
        .replace("\x1b[1;2m", "")
        .replace("\x1b[0m", "")
        .splitlines()
    ]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_port_mismatch_is_told_in_under_25_lines(width: int) -> None:
    lines = shown(MISMATCH, width)
    text = " ".join(" ".join(lines).split())

    assert len(lines) < 25
    assert "demo-app/backend-v1 ClusterIP 10.96.1.2 http 8080 -> 8081/TCP" in text
    assert "targetPort 8081 is refused on 2 of 2 endpoints, port 8080 accepts" in text
    assert "120 s ago" not in text
    assert "2 min ago by kubectl-patch" in text
    assert "targetPort 8080 -> 8081" in text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_nothing_but_the_command_is_wider_than_the_terminal(width: int) -> None:
    lines = shown(MISMATCH, width)

    (command,) = [line for line in lines if "kubectl patch" in line]
    assert max(cell_len(line) for line in lines if line != command) <= width
    assert command == (
        "    kubectl patch service backend-v1 -n demo-app "
        """-p '{"spec":{"ports":[{"port":8080,"targetPort":8080}]}}'"""
    )


@pytest.mark.parametrize("width", [60, 80, 140])
def test_addresses_and_results_are_whole_on_narrow_terminals(width: int) -> None:
    address = "2001:db8:1234:5678:9abc:def0:1234:5678"
    lines = shown(document(port(edge(address, "refused"), verdict="not_listening")), width)

    (row,) = [line for line in lines if "endpoints" in line]
    assert "✗ refused" in row
    if width > 60:
        assert f"[{address}]:8080" in row
    else:
        assert address[:20] in row


def test_every_mark_is_said_in_words_too() -> None:
    row = next(line for line in shown(MISMATCH) if "ClusterIP  10" in line)

    assert row.split() == ["ClusterIP", "10.96.1.2:8080", "✗", "refused"]


def test_signs_that_an_output_cannot_show_are_others() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")

    screen.service(Console(file=stream, width=100), MISMATCH, NOW)

    stream.seek(0)
    text = stream.read()
    assert "x port_mismatch" in text
    assert "+ connected" in text


def test_fifty_healthy_endpoints_take_one_line() -> None:
    edges = [edge(f"10.244.1.{n}") for n in range(50)]

    lines = shown(document(port(vip(), *edges)))

    assert len(lines) < 9
    assert any(
        line.split()[:6] == ["endpoints", "50", "of", "them", "✓", "connected"] for line in lines
    )


def test_what_nodes_see_differently_is_told_from_which_node() -> None:
    seen = [vip(**{"from": n}) for n in NODES[:2]] + [vip("timeout", **{"from": NODES[2]})]

    lines = shown(document(port(*seen, verdict="proxy_stale"), nodes=NODES, vantage="pod"))

    assert "3 of 3 edges dialed from nodes node-a, node-b, node-c" in lines
    assert any(line.split()[2:] == ["✗", "timeout", "from", "node-c"] for line in lines)
    assert any("from node-a, node-b" in line for line in lines)


def test_wide_shows_every_edge_and_from_where() -> None:
    edges = [edge(f"10.244.1.{n}", **{"from": node}) for n in range(9) for node in NODES]

    lines = shown(document(port(*edges), nodes=NODES), 160, wide=True)

    rows = [line for line in lines if "endpoint" in line and "10.244" in line]
    assert len(rows) == 27
    assert {row.split()[1] for row in rows} == set(NODES)


def test_each_of_several_ports_has_its_head_and_its_path() -> None:
    found = document(
        port(vip("refused"), verdict="not_listening", summary="all refuse"),
        port(vip(port=9090), name="", port=9090, target_port="admin"),
    )

    lines = shown(found)

    assert "http 8080 -> 8080/TCP  ✗ not_listening: all refuse" in lines
    assert "9090 -> admin/TCP  ✓ healthy" in lines
    assert lines[0].endswith("http 8080 -> 8080/TCP, 9090 -> admin/TCP")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"type": "ClusterIP", "cluster_ips": []}, "ClusterIP headless"),
        (
            {"type": "ClusterIP", "cluster_ips": ["10.0.0.1", "fd00::1"]},
            "ClusterIP 10.0.0.1, fd00::1",
        ),
        ({"type": "ExternalName", "cluster_ips": []}, "ExternalName"),
        (None, ""),
    ],
)
def test_the_first_line_says_what_the_service_is(spec: dict[str, Any] | None, said: str) -> None:
    found = document(spec=spec and {**spec, "selector": {}})

    assert shown(found)[0].split("  ") == ["demo-app/backend-v1", *filter(None, [said])]


POD: dict[str, Any] = {
    "name": "web-1",
    "trouble": None,
    "mesh": None,
    "declared_ports": [8080],
    "sidecars": [],
}


def pods(*found: dict[str, Any], verdict: str = "no_endpoints", **more: Any) -> list[str]:
    """The lines about the pods."""
    told = document(port(verdict=verdict), pods=list(found), **more)
    lines = shown(told)
    start = next((n for n, line in enumerate(lines) if line.startswith("  pods")), len(lines))
    return [line[13:] for line in lines[start:] if line]


def test_pods_in_trouble_say_why_and_many_are_counted() -> None:
    broken = [
        {**POD, "name": f"web-{n}", "trouble": "app waits: CrashLoopBackOff"} for n in range(9)
    ]

    assert pods(broken[0], POD) == ["web-0: app waits: CrashLoopBackOff", "declare port 8080"]
    assert pods(*broken)[-2:] == ["and 6 more in trouble", "declare port 8080"]


def test_a_selector_that_no_pod_matches_is_told() -> None:
    assert pods() == ["none has the labels app=backend-v1"]


def test_meshes_and_policies_of_the_pods_are_named() -> None:
    found = pods({**POD, "mesh": "istio"}, POD, verdict="masked", policies=["deny-all"])

    assert found == [
        "declare port 8080",
        "1 of 2 are in the mesh istio",
        "selected by NetworkPolicy deny-all",
    ]


def test_healthy_pods_of_a_healthy_service_are_no_news() -> None:
    assert pods(POD, POD, verdict="healthy") == []


def change(kind: str, time: str = "2026-11-21T09:00:00Z") -> dict[str, Any]:
    named = {"kind": kind, "object": "Service a/b", "by": None, "managed": None, "detail": kind}
    return {"time": time, **named}


def test_the_change_that_explains_the_failure_stands_first_and_says_how_long_before() -> None:
    blamed, other = change("rollout"), change("service_edit")
    node = {**change("node"), "object": "Node node-2"}
    failing = document(port(verdict="blackholed"), changes=[other, blamed])
    elsewhere = {**blamed, "time": "2026-11-21T09:00:01Z"}
    near = shown({**failing, "change": elsewhere, "seconds_before": 4.2})
    late = shown({**failing, "change": node, "seconds_before": -45.0})

    assert [line[13:] for line in near if " ago" in line] == [
        "59 min ago, 4 s before it first failed: Service a/b: rollout",
        "60 min ago: Service a/b: service_edit",
    ]
    assert [line[13:] for line in late if " ago" in line] == [
        "60 min ago, heard 45 s after it first failed: Node node-2: node",
        "60 min ago: Service a/b: service_edit",
        "60 min ago: Service a/b: rollout",
    ]


def test_what_somebody_did_stands_before_what_followed_from_it() -> None:
    changes = [change("endpoint"), change("endpoint"), change("endpoint"), change("rollout")]

    failing = shown(document(port(verdict="blackholed"), changes=changes))
    healthy = shown(document(port(), changes=changes))

    assert [line.rpartition(" ")[2] for line in failing if " ago" in line] == [
        "rollout",
        "endpoint",
        "endpoint",
    ]
    assert [line for line in healthy if " ago" in line] == [
        "  changed    60 min ago: Service a/b: rollout"
    ]


def test_a_last_write_of_a_healthy_service_whose_old_values_nobody_saw_is_no_news() -> None:
    written = {**change("service_edit"), "detail": f"last written with ports 80; {UNSEEN}"}

    healthy = shown(document(port(), changes=[written]))
    failing = shown(document(port(verdict="blackholed"), changes=[written]))

    assert not any(" ago" in line for line in healthy)
    assert any("last written with ports 80" in line for line in failing)


TOLD = {
    "object": "Deployment demo-app/legacy",
    "detail": "container legacy: env UPSTREAM_ADDR=0:80: name the address that is meant",
}


def test_each_warning_of_a_healthy_service_has_its_line_and_is_no_change_besides() -> None:
    author = {"by": "kubectl-set", "time": "2026-11-21T09:00:00Z"}
    changes = [change("rollout"), {**change("invalid_target"), **TOLD}]
    other = {**TOLD, "detail": "argument http://0:81", "by": None, "time": None}

    lines = shown(
        document(port(), warnings=[{**TOLD, **author}, other], changes=changes[::-1]), width=160
    )

    assert [line for line in lines if "legacy" in line] == [
        f"  warning    {TOLD['object']}: {TOLD['detail']} (by kubectl-set, 60 min ago)",
        "             Deployment demo-app/legacy: argument http://0:81",
    ]
    assert "  changed    60 min ago: Service a/b: rollout" in lines


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172799, "47 h"),
        (172800, "2 d"),
        (-5, "0 s"),
    ],
)
def test_ages_are_told_in_one_unit(seconds: int, said: str) -> None:
    time = datetime.fromtimestamp(NOW.timestamp() - seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    assert screen.age(time, NOW) == said


def incident(**changes: Any) -> dict[str, Any]:
    return {
        "opened": "2026-11-21T09:50:00Z",
        "closed": None,
        "seconds": 600.0,
        "service_count": 1,
        "nodes": ["node-a"],
        "verdict": "port_mismatch",
        "summary": "targetPort 8081 is refused",
        "change": None,
        "seconds_before": None,
        **changes,
    }


def history(**found: Any) -> list[str]:
    stream = io.StringIO()
    told = {"incidents": [], "changes": [], "nodes": ["node-a"], "silent": {}, **found}
    screen.history(Console(file=stream, width=200), told, NOW)
    return [line[13:] for line in stream.getvalue().splitlines() if line]


def test_history_tells_incidents_and_changes_of_the_daemons() -> None:
    closed = incident(closed="2026-11-21T09:51:00Z", seconds=60.0, service_count=7)

    blamed = incident(change=change("service_edit"), seconds_before=4.0)
    lines = history(
        incidents=[blamed, closed], changes=[change("endpoint"), change("service_edit")]
    )

    assert lines == [
        "the daemons on node-a remember:",
        "10 min ago, still open, seen from node-a: port_mismatch: targetPort 8081 is refused; "
        "after service_edit, 4 s before it first failed: service_edit",
        "10 min ago, for 60 s, 7 Services, seen from node-a: port_mismatch: "
        "targetPort 8081 is refused; no known change of the ten minutes before explains it",
        "60 min ago: Service a/b: service_edit",
    ]


def test_who_watched_too_short_to_know_of_a_change_says_so() -> None:
    written = {"by": "ada", "time": "2026-11-21T09:48:00Z"}

    (_, line) = history(incidents=[incident(watched_seconds=3.0, last_write=written)])

    assert line.endswith(
        "; no change seen since probe started, 3 s before it first failed, explains it; "
        "the Service was last written by ada at 2026-11-21T09:48:00Z"
    )


def test_history_of_nothing_says_so_and_of_much_how_much_more() -> None:
    assert history() == ["the daemons on node-a remember nothing"]
    lines = history(incidents=[incident()] * 9, changes=[change("rollout")] * 5)
    assert "and 4 more incidents: -o json" in lines
    assert "and 2 more changes: -o json" in lines
