"""A Service port's document -> the path as people think it: ClusterIP, endpoints, declared ports.

Rows only, no terminal: what is said the same way twice is said once, failing hops before healthy
ones, and of many the first few.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from probe.core.results import Result
from probe.core.targets import Target

Json = dict[str, Any]

Called = Mapping[str, str]
"""Nodes' short names."""

ROLES = {"service": "ClusterIP", "endpoint": "endpoints", "candidate": "declared"}

FEW = 4
"""Healthy hops of one role that are told one by one; more are counted. Arbitrary."""

SHOWN = 8
"""Failing hops of one role that are told one by one: a screen holds no more. Arbitrary."""

NAMED = 3
"""Nodes that are named where several saw the same. Arbitrary."""


class Mark(Enum):
    GOOD = "good"
    BAD = "bad"
    DOUBTFUL = "doubtful"
    NONE = "none"


STATES = {"up": Mark.GOOD, "down": Mark.BAD, "failing": Mark.DOUBTFUL}
"""The states that decide; in the others the last result is what is known."""


@dataclass(frozen=True, slots=True)
class Row:
    """One hop as some of the sources see it. `sources` is "" where all see the same."""

    role: str
    address: str
    mark: Mark
    result: str
    sources: str = ""
    pod: str = ""
    node: str = ""
    note: str = ""


def path(port: Json, sources: int, called: Called | None = None) -> list[Row]:
    """The rows of one Service port, as seen from that many sources; nodes by what they are
    `called` for short."""
    found: list[Row] = []
    for kind, role in ROLES.items():
        edges = [edge for edge in port["edges"] if edge["kind"] == kind]
        found += _told(role, [_hop(role, seen, sources, called or {}) for seen in _hops(edges)])
    return [
        row if before is None or row.role != before.role else replace(row, role="")
        for before, row in zip([None, *found], found, strict=False)
    ]


def _hops(edges: Iterable[Json]) -> Iterable[list[Json]]:
    """The edges that lead to the same address and port, in order of first appearance."""
    hops: dict[tuple[str, int], list[Json]] = {}
    for edge in edges:
        hops.setdefault((edge["address"], edge["port"]), []).append(edge)
    return hops.values()


def _hop(role: str, seen: list[Json], sources: int, called: Called) -> list[Row]:
    """One address: a row for each thing that is seen there."""
    groups: dict[tuple[Mark, str], list[Json]] = {}
    for edge in seen:
        groups.setdefault((mark(edge), _result(edge)), []).append(edge)
    rows: list[Row] = []
    for (found, result), edges in sorted(groups.items(), key=lambda group: _worst(group[0][0])):
        first = edges[0]
        apart = len(groups) > 1 or (0 < len(edges) < sources and found is not Mark.GOOD)
        rows.append(
            Row(
                role=role,
                address=str(Target(first["address"], first["port"])),
                mark=found,
                result=result,
                sources=_seers(edges, len(rows), called) if apart and sources > 1 else "",
                pod=first["pod"] or "",
                node=called.get(first["node"], first["node"] or ""),
                note=", ".join(filter(None, (took(edges), note(edges)))),
            )
        )
    return [rows[0], *(replace(row, address="", pod="", node="") for row in rows[1:])]


def _seers(edges: list[Json], before: int, called: Called) -> str:
    """The nodes that see the same; many that see something better than those `before` them are
    only counted."""
    nodes = list(dict.fromkeys(edge["from"] for edge in edges))
    if before and len(nodes) > NAMED:
        return f"the other {len(nodes)}" if before == 1 else f"{len(nodes)} others"
    return names(called.get(node, node) for node in nodes)


def _told(role: str, hops: list[list[Row]]) -> list[Row]:
    """All of few hops; of many those that fail, and how many more there are of each."""
    bad = [rows for rows in hops if rows[0].mark is not Mark.GOOD]
    good = [rows for rows in hops if rows[0].mark is Mark.GOOD]
    kept, left = bad[:SHOWN], bad[SHOWN:]
    shown = [row for rows in kept for row in rows]
    shown += _counted(role, left, more=bool(kept))
    if len(hops) <= FEW:
        return shown + [row for rows in good for row in rows]
    return shown + list(_counted(role, good, more=bool(kept)))


def _counted(role: str, hops: list[list[Row]], *, more: bool) -> Iterator[Row]:
    tally = Counter((rows[0].mark, rows[0].result) for rows in hops)
    for (found, result), count in tally.items():
        alike = [rows[0] for rows in hops if (rows[0].mark, rows[0].result) == (found, result)]
        if count == 1:
            yield alike[0]
            continue
        yield Row(role, f"{count} more" if more else f"{count} of them", found, result)


def mark(edge: Json) -> Mark:
    """What a person makes of an edge at a glance: its state, or what little is known."""
    if edge["result"] is None:
        return Mark.NONE
    if edge["state"] == "excluded":
        return Mark.NONE
    unsure = Mark.GOOD if edge["result"] == Result.CONNECTED else Mark.DOUBTFUL
    return STATES.get(edge["state"], unsure)


def _worst(found: Mark) -> int:
    return (Mark.BAD, Mark.DOUBTFUL, Mark.NONE, Mark.GOOD).index(found)


def _result(edge: Json) -> str:
    if edge["result"] is None:
        return "not dialed"
    result: str = edge["result"]
    return f"{result}, not counted" if edge["state"] == "excluded" else result


def note(edges: list[Json]) -> str:
    """Who sent the ICMP, and whether SYNs were lost."""
    icmps = (edge["icmp"] for edge in edges if edge["icmp"])
    parts = [f"ICMP {icmp['type']}/{icmp['code']} from {icmp['offender']}" for icmp in icmps]
    if again := sum(edge["syn_retransmits"] for edge in edges):
        parts.append(f"{again} {'SYN' if again == 1 else 'SYNs'} sent again")
    return ", ".join(dict.fromkeys(parts))


def took(edges: list[Json]) -> str:
    """How long the connects took, "" without any."""
    times = sorted(e["connect_seconds"] for e in edges if e["connect_seconds"] is not None)
    if not times:
        return ""
    least, most = (f"{seconds * 1000:.2f}" for seconds in (times[0], times[-1]))
    return f"{least} ms" if len(times) == 1 else f"{least}-{most} ms"


def names(nodes: Iterable[str]) -> str:
    """`a, b, c and 46 more`."""
    found = list(dict.fromkeys(nodes))
    if len(found) <= NAMED + 1:
        return ", ".join(found)
    return f"{', '.join(found[:NAMED])} and {len(found) - NAMED} more"


def called(nodes: Iterable[str]) -> Called:
    """What nodes may be called among each other: clouds name them by host and domain, and the host
    tells them apart."""
    known = set(nodes)
    hosts = {node: node.partition(".")[0] for node in known}
    return hosts if len(set(hosts.values())) == len(known) else {node: node for node in known}
