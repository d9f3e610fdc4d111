"""A daemon's reporter of rollouts with its World, and the other daemons as stand-ins."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from probe import reporting
from probe.core import kube
from probe.core.edges import Scope
from probe.core.results import Result
from probe.core.rollout_reports import record
from probe.core.rollouts import Rollout, begin
from probe.core.rounds import Config
from probe.core.schedule import leaders
from probe.core.world import World
from probe.reporting import Reporter
from probe.settings import load
from tests.core.facts import endpoint, service, slice_of, workload
from tests.front import HERE, Answer, Front, answering, front
from tests.running import until

Json = dict[str, Any]

PEERS = ("probes", "daemons")
EPOCH = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
ALLOW = (ip_network("127.0.0.0/8"),)


def clock(at: float) -> datetime:
    return EPOCH + timedelta(seconds=at)


@dataclass
class Desk:
    """A reporter of node `a` with its World, whose time is the loop's."""

    world: World
    reporter: Reporter
    front: Front

    def ends(self, name: str = "web", *, refused: int = 0, dials: int = 50) -> Rollout:
        """A rollout is over, and its aftermath."""
        now = asyncio.get_running_loop().time()
        made = rollout(name, now, refused=refused, dials=dials)
        self.world.mirror.finished.append(made)
        self.world.mirror.workloads[made.workload] = workload(name=name)
        return made

    def document(self, **query: Any) -> Json:
        scope = {"since": None, "namespace": "", "service": "", "workload": None} | query
        found = self.reporter.document(asyncio.get_running_loop().time(), **scope)
        return {"node": found["node"], **{k: list(found[k]) for k in ("rollouts", "reports")}}

    async def reports(self, count: int = 1) -> list[Json]:
        """So many of them, newest first."""

        def told() -> list[Json]:
            self.reporter.tick(asyncio.get_running_loop().time())
            return list(self.document()["reports"])

        await until(lambda: len(told()) >= count)
        return told()

    async def looked(self) -> None:
        """Every rollout has been looked at that is over."""

        def done() -> bool:
            self.reporter.tick(asyncio.get_running_loop().time())
            return not self.reporter.waiting

        await until(done)

    def events(self) -> list[Json]:
        return self.front.store.list("events", "demo-app")


def rollout(name: str, now: float, *, refused: int = 0, dials: int = 50) -> Rollout:
    made = begin(workload(name=name), (name,), "image", now - 20)
    made.ended, made.outcome, made.dials, made.window = now - 10, "complete", dials, 0.5
    if refused:
        made.failed = Counter({Result.REFUSED: refused})
        made.first_failure = made.last_failure = now - 15
        made.lag, made.error = 3.2, 0.4
    return made


@asynccontextmanager
async def reporting_with(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    others: Mapping[str, Answer | int] = {},
    *,
    events: bool = True,
) -> AsyncIterator[Desk]:
    """With the daemons of other nodes, at which nobody listens where a port is given."""
    monkeypatch.setattr(reporting, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(reporting, "TURN_SECONDS", 0.1)
    async with AsyncExitStack() as stack:
        ahead = await stack.enter_async_context(front(folder))
        ahead.store.create("namespaces", {"metadata": {"name": "demo-app"}})
        scope = Scope(allow_targets=ALLOW)
        world = World(Config("a", peers=PEERS, scope=scope, linger=0.1), 0.0)
        slices = [slice_of(endpoint(HERE, node="a"), service=PEERS[1], namespace=PEERS[0])]
        for node, answer in others.items():
            if isinstance(answer, int):
                port = answer
            else:
                port = await stack.enter_async_context(answering(answer))
            held = endpoint(HERE, node=node)
            named = {"service": PEERS[1], "namespace": PEERS[0], "name": f"daemons-{node}"}
            slices.append(slice_of(held, number=port, **named))
        world.apply(kube.Listed("services", (service(),)), 0.0)
        world.apply(kube.Listed("endpointslices", tuple(slices)), 0.0)
        settings = load({"events": events, "peers": "/".join(PEERS), "node_name": "a"})
        reporter = Reporter(settings, world, ahead.connection, clock)
        running = asyncio.create_task(reporter.run())
        try:
            yield Desk(world, reporter, ahead)
            assert not running.done(), running.result()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def named(*nodes: str, first: str) -> str:
    """A workload of whose rollouts `first` tells, of these nodes."""
    names = (f"web-{number}" for number in range(1000))
    return next(n for n in names if leaders(nodes, f"Deployment/demo-app/{n}", 1) == [first])


def daemon_of(node: str, *rollouts: Rollout, reports: tuple[Json, ...] = ()) -> Json:
    """What another daemon answers."""
    records = [record(known, node, clock) for known in rollouts]
    return {"node": node, "rollouts": records, "reports": list(reports)}
