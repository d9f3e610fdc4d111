"""Tables on terminals of every width: what a verdict is read off is never cut."""

import io
from typing import Any

import pytest
from rich.console import Console

from probe.cli.tables import edges_table
from tests.running import probe

POD = "backend-v1-6946cbff4c-6gmb6"
NOTE = "ICMP 3/1 from 10.244.1.1"
COLUMNS = ["PORT", "KIND", "ADDRESS", "POD", "NODE", "STATE", "RESULT", "RTT", "NOTE"]


def edge(address: str = "10.244.169.101", **changes: Any) -> dict[str, Any]:
    return {
        "kind": "candidate",
        "address": address,
        "port": 28080,
        "pod": POD,
        "node": "node-1.eu-west-1.compute.internal",
        "state": "failing",
        "result": "unreachable",
        "connect_seconds": None,
        "syn_retransmits": 0,
        "icmp": {"type": 3, "code": 1, "offender": "10.244.1.1"},
        **changes,
    }


def shown(width: int, *edges: dict[str, Any]) -> list[str]:
    document = {"sources": [{}], "ports": [{"port": 28080, "edges": list(edges)}]}
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(edges_table(document, width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", range(62, 180, 3))
def test_what_a_verdict_is_read_off_is_whole_at_every_width(width: int) -> None:
    header, row = shown(width, edge())

    assert set(header.split()) >= {"PORT", "KIND", "ADDRESS", "STATE", "RESULT"}
    assert row.split()[:3] == ["28080", "candidate", "10.244.169.101:28080"]
    assert {"failing", "unreachable"} <= set(row.split())
    assert len(row) <= width


def test_with_room_everything_is_there() -> None:
    header, row = shown(180, edge(connect_seconds=0.0004))

    assert header.split() == COLUMNS
    assert POD in row
    assert row.endswith(NOTE)


def test_pods_are_told_apart_by_how_their_names_end() -> None:
    _, row = shown(80, edge())

    assert "-6gmb6 " in row
    assert "…" in row


def test_an_empty_column_takes_no_room_from_a_full_one() -> None:
    header, row = shown(100, edge(node=None, icmp=None))

    assert "NODE" not in header
    assert "NOTE" not in header
    assert POD in row


def test_an_address_wider_than_the_terminal_is_wrapped_and_not_cut() -> None:
    header, *rows = shown(70, edge("2001:db8:1234:5678:9abc:def0:1234:5678"))

    start, end = header.index("ADDRESS"), header.index("STATE")
    address = "".join(row[start:end].strip() for row in rows)
    assert address == "[2001:db8:1234:5678:9abc:def0:1234:5678]:28080"


def test_an_address_is_no_markup() -> None:
    _, row = shown(140, edge("fd00:10:96::1f2"))

    assert "[fd00:10:96::1f2]:28080" in row


async def test_an_address_is_no_markup_among_dialed_ones_either() -> None:
    found = await probe("check", "addr", "[fd00::1]:80", "--timeout", "0.1")

    assert "[fd00::1]:80" in found.out
