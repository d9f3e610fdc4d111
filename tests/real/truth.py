"""When the kube-proxy of each node really forgot the pods that went, read off its rules."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from tests.cluster.api import Api
from tests.cluster.cluster import Cluster
from tests.namespaces import inside, run

Key = TypeVar("Key")

LOOK_EVERY = 0.1
"""Seconds between two looks."""

RULES = {
    "iptables": (("iptables-save", "-t", "nat"), r'"\S+ -> ([\d.]+):8080"'),
    "nftables": (
        ("nft", "list", "table", "ip", "kube-proxy"),
        r"\d : (?:goto endpoint\S+__)?([\d.]+)(?: \. |/)8080",
    ),
}
"""By mode of kube-proxy: the command that lists its rules, and what stands in the one that chooses
an endpoint (of nftables from 1.36 on, and before it). Those that name an endpoint that is gone may
stay for a while where nothing leads to them."""


@dataclass
class Turn:
    """From `since` or later, and not after `until`, something was no more. Monotonic seconds."""

    since: float
    until: float | None = None

    def look(self, there: bool, began: float, ended: float) -> None:
        if self.until is None and there:
            self.since = began
        elif self.until is None:
            self.until = ended


@dataclass
class Truth:
    """Looks at the rules of every node and at the slices, for as long as it runs.

    `ready` tells until when the slices called an address ready, `ruled` until when a node's rules
    led to it.
    """

    cluster: Cluster
    space: str
    addresses: Iterable[str]
    ready: dict[str, Turn] = field(default_factory=dict)
    ruled: dict[tuple[str, str], Turn] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Truth"]:
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def told(self, addresses: Iterable[str]) -> bool:
        """Whether the slices have told that all of these go."""
        return all(a in self.ready and self.ready[a].until is not None for a in addresses)

    def forgotten(self, addresses: Iterable[str]) -> bool:
        """Whether no node's rules lead to any of these any more."""
        nodes = [node.name for node in self.cluster.nodes]
        turns = [self.ruled.get((node, address)) for node in nodes for address in addresses]
        return all(turn is not None and turn.until is not None for turn in turns)

    def lag(self, node: str, addresses: Iterable[str]) -> tuple[float, float]:
        """Seconds for which that node's rules led to the one that was kept longest, after the
        slices had told that it goes: no less, and no more."""
        pairs = [(self.ready[address], self.ruled[node, address]) for address in addresses]
        return (
            max(ruled.since - (ready.until or 0.0) for ready, ruled in pairs),
            max((ruled.until or 0.0) - ready.since for ready, ruled in pairs),
        )

    async def _run(self) -> None:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.space}/endpointslices"
        async with Api(self.cluster.kubeconfig) as api:
            while True:
                began = time.monotonic()
                slices = (await api.request("GET", path))["items"]
                ready = {
                    address
                    for each in slices
                    for endpoint in each.get("endpoints") or ()
                    if endpoint["conditions"].get("ready")
                    for address in endpoint["addresses"]
                }
                _look(self.ready, {a: a in ready for a in self.addresses}, began)
                for node in self.cluster.nodes:
                    began = time.monotonic()
                    ruled = await asyncio.to_thread(_ruled, node.namespace, self.cluster.mode)
                    there = {(node.name, a): a in ruled for a in self.addresses}
                    _look(self.ruled, there, began)
                await asyncio.sleep(LOOK_EVERY)


def _look(turns: dict[Key, Turn], there: dict[Key, bool], began: float) -> None:
    ended = time.monotonic()
    for key, is_there in there.items():
        turns.setdefault(key, Turn(began)).look(is_there, began, ended)


def _ruled(namespace: str, mode: str) -> set[str]:
    command, chosen = RULES[mode]
    with inside(namespace):
        return set(re.findall(chosen, run(*command)))
