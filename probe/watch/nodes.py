"""The rollout as the daemons on the nodes meet it: all of them are asked again and again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from probe.check import Selection
from probe.core import rollout_reports
from probe.core.verdicts import FAILING, Verdict
from probe.reflector import ApiTrouble, Connection
from probe.settings import Settings
from probe.vantages import NoDaemons, from_nodes, rollouts_from_nodes
from probe.watch.subject import Subject

PAUSE = 2.0
"""Seconds between an answer and the next question: each takes every daemon a request. Chosen."""

BEFORE_SECONDS = 60.0
"""Rollouts that ended so long before we began are known to be older ones: a daemon keeps none
running for longer after its end (the setting linger). Arbitrary."""

SERVICES_CHECKED = 5
"""Services that are checked before: each is dialed by every daemon. Chosen."""

Json = dict[str, Any]


class Nodes:
    """What the daemons tell of one workload's rollout; `node` is the only one to ask, or None."""

    after_failures = 15.0
    """Seconds until a failure is laid to its cause: every endpoint in use is dialed after it, which
    takes a daemon's interval and timeout, 10 s and 4 s by default; and until we are told. Where
    they are longer the records say that failures are unconfirmed."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        subject: Subject,
        services: tuple[str, ...],
        node: str | None,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._subject = subject
        self._services = services
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._old: set[tuple[str, str]] = set()
        self._late: set[tuple[str, str]] = set()
        self._new: dict[str, list[Json]] = {}
        self._silent: dict[str, str] = {}
        self._broken: list[str] = []
        self._asking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Asks while the context lasts; which rollouts are older is known when it begins.

        Raises NoDaemons and ApiTrouble.
        """
        answers, self._silent = await self._ask()
        self._old = _ended(answers)
        self._new = {node: [] for node in answers}
        checks = (self._check(name) for name in self._services[:SERVICES_CHECKED])
        self._broken = [line for lines in await asyncio.gather(*checks) for line in lines]
        self._asking = asyncio.create_task(self._ask_on())
        try:
            yield
        finally:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> tuple[dict[str, list[Json]], dict[str, str]]:
        since = self._loop.time() - self._begun + BEFORE_SECONDS
        subject = self._subject
        workload = subject.kind, subject.namespace, subject.name
        return await rollouts_from_nodes(
            self._connection, self._settings, workload, since, self._node
        )

    async def _check(self, name: str) -> list[str]:
        """What of the Service fails already."""
        selection = Selection(self._subject.namespace, name)
        try:
            asked = await from_nodes(self._connection, self._settings, selection, self._node)
        except (ApiTrouble, NoDaemons):
            return []  # some answered before, and they tell of the rollout
        return [
            f"{name}:{port['port']} fails already, and is not counted while it does: "
            f"{port['summary']}"
            for document in asked.documents
            for port in document["ports"]
            if Verdict(port["verdict"]) in FAILING
        ]

    async def _ask_on(self) -> None:
        while True:
            try:
                answers, self._silent = await self._ask()
            except (ApiTrouble, NoDaemons) as trouble:
                self._silent = {"": str(trouble)}
            else:
                first = {n: told for n, told in answers.items() if n not in self._new}
                self._late |= _ended(first)
                for node, records in answers.items():
                    new = [r for r in records if (node, r["started"]) not in self._old]
                    self._new[node] = new or self._new.get(node, [])
            await asyncio.sleep(PAUSE)

    def record(self) -> Json | None:
        """What all nodes saw, as one record: of a rollout that ran when the watch began, or of the
        first since; None before."""
        if self._asking is not None and self._asking.done():
            self._asking.result()  # a bug in a loop that should never end is not to be hidden
        new = (r for node, held in self._new.items() for r in held if not self._is_late(node, r))
        first = min(new, key=lambda r: str(r["started"]), default=None)
        if first is None:
            return None
        found = (
            rollout_reports.match(first, self._since(first, node, held), node)
            for node, held in self._new.items()
        )
        whole = rollout_reports.merged(record for record in found if record is not None)
        return whole | {"silent": sorted(filter(None, self._silent))}

    def _is_late(self, node: str, record: Json) -> bool:
        """Whether it had ended when its node first answered, which was after we had begun: it may
        be an older rollout, and begins no watch."""
        return (node, record["started"]) in self._late

    def _since(self, first: Json, node: str, held: list[Json]) -> list[Json]:
        """Without what was over before the first rollout that is ours began."""
        return [r for r in held if not self._is_late(node, r) or r["ended"] > first["started"]]

    def broken(self) -> list[str]:
        """What failed before, a sentence for each Service port."""
        return self._broken

    def silent(self) -> dict[str, str]:
        """Nodes whose daemons do not answer, with the reasons."""
        return self._silent


def _ended(answers: dict[str, list[Json]]) -> set[tuple[str, str]]:
    """The rollouts that are over, each by its node and beginning."""
    return {(node, r["started"]) for node, told in answers.items() for r in told if r["ended"]}
