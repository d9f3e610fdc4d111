"""What several daemons say of many Services, until it is laid together."""

import asyncio
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from probe.core.edges import ServiceKey
from probe.told import Document, decoded, read


class Services(msgspec.Struct):
    services: list[msgspec.Raw]


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
        for raw in decoded(body, Services).services:
            document = read(raw, Document)
            key = document["service"]["namespace"], document["service"]["name"]
            if self._wanted(key):
                found.append((key, zlib.compress(msgspec.json.encode(document), 1)))
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
