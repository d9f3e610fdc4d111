"""What another probe's documents must hold for us to read them; they may hold more.

A daemon may be older or newer than the command, and any pod may carry its label.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from probe.core.edges import Family, Kind, ServiceKey
from probe.core.verdicts import Verdict


class Named(msgspec.Struct):
    namespace: str
    name: str


class Source(msgspec.Struct):
    node: str
    vantage: str


class Icmp(msgspec.Struct):
    type: int
    code: int
    offender: str | None = None


class Edge(msgspec.Struct, rename={"from_": "from"}):
    from_: str
    kind: Kind
    address: str
    port: int
    family: Family
    pod: str | None
    node: str | None
    state: str
    result: str | None
    connect_seconds: float | None
    syn_retransmits: int
    icmp: Icmp | None


class Port(msgspec.Struct):
    name: str
    port: int
    target_port: int | str
    verdict: Verdict
    summary: str
    edges: list[Edge]


class Change(msgspec.Struct):
    time: datetime
    kind: str
    object: str
    by: str | None
    detail: str


class Document(msgspec.Struct):
    """A Service, as core/report.py tells it."""

    service: Named
    sources: list[Source]
    verdict: Verdict
    summary: str
    dialed: int
    expected: int
    ports: list[Port]
    changes: list[Change]
    advice: list[str]


class Taken(Named):
    ports: list[int]


class Cause(msgspec.Struct):
    kind: str
    name: str


class Incident(msgspec.Struct):
    """As core/report.py tells it, as far as it takes to lay those of several nodes together."""

    id: str
    cause: Cause
    verdict: Verdict
    worst_verdict: Verdict
    summary: str
    services: list[Taken]
    service_count: int
    opened: datetime
    closed: datetime | None
    seconds: float
    flaps: int
    change: Change | None
    advice: list[str]
    node: str


class Services(msgspec.Struct):
    services: list[msgspec.Raw]


class Unreadable(ValueError):
    """A document of another shape; the text is half a sentence."""


def read(body: bytes, shape: type) -> dict[str, Any]:
    """The document, if it has the shape. Raises Unreadable."""
    _decoded(body, shape)
    found: dict[str, Any] = msgspec.json.decode(body)
    return found


def _decoded(body: bytes | msgspec.Raw, shape: type) -> Any:
    try:
        return msgspec.json.decode(body, type=shape)
    except (ValueError, RecursionError) as wrong:
        raise Unreadable(f"its answer is of another version, or none of ours: {wrong}") from None


EDGES_KEPT = 200_000
"""Edges of all Services from all nodes, about 200 MB; past that only those that are not up."""


class Gathered:
    """The documents of many Services from many daemons. They are kept packed: a thousand Services
    from 500 nodes would take gigabytes otherwise."""

    def __init__(self, wanted: Callable[[ServiceKey], bool]) -> None:
        self._wanted = wanted
        self._packed: dict[ServiceKey, list[bytes]] = {}

    async def take(self, body: bytes) -> None:
        """Keeps what is wanted of one daemon's list, all or nothing. Raises Unreadable."""
        found: list[tuple[ServiceKey, bytes]] = []
        for raw in _decoded(body, Services).services:
            service = _decoded(raw, Document).service
            key = service.namespace, service.name
            if self._wanted(key):
                found.append((key, zlib.compress(raw, 1)))
            await asyncio.sleep(0)
        for key, packed in found:
            self._packed.setdefault(key, []).append(packed)

    def documents(self) -> Iterator[list[dict[str, Any]]]:
        """Those of each Service, by namespace and name."""
        edges = 0
        for key in sorted(self._packed):
            told = [msgspec.json.decode(zlib.decompress(held)) for held in self._packed.pop(key)]
            for port in (port for document in told for port in document["ports"]):
                if edges > EDGES_KEPT:
                    port["edges"] = [edge for edge in port["edges"] if edge["state"] != "up"]
                edges += len(port["edges"])
            yield told
