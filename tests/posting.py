"""A poster of Events with its incidents, as the tests of it want one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from probe.core.announcements import turn_to_tell
from probe.core.edges import PortKey
from probe.core.incident import Incident, Standing, Step
from probe.core.incidents import Told
from probe.core.verdicts import Judgement, Verdict
from probe.events import (
    Poster,
)
from probe.reflector import Pace, connect
from tests.running import until

Json = dict[str, Any]

AWHILE = 60.0
"""Seconds after which those who may tell first have told."""

HASTE = Pace(first=0.02, longest=0.05)
WEB = PortKey("demo-app", "web", 80)
REFUSED = Judgement(Verdict.NOT_LISTENING, "targetPort 8081 is refused on 2 of 2 endpoints")
MISMATCH = Judgement(Verdict.PORT_MISMATCH, "set targetPort to 8080")
CUT_OFF = Judgement(Verdict.NODE_PATH, "nothing on node-2 answers")

EPOCH = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def incident(judgement: Judgement = REFUSED, key: PortKey = WEB, *, cause: str = "") -> Incident:
    verdict, number = judgement.verdict, next(_numbers)
    made = Incident(f"{number:08x}", cause, 0.0, key, judgement, verdict, verdict, 0.0)
    made.ports = {key: Standing.FAILING}
    return made


_numbers = iter(range(1_000_000))


@dataclass
class Desk:
    """A poster with its clock, which only moves when told to."""

    poster: Poster
    now: float = 1000.0

    def tell(self, step: Step, found: Incident) -> Incident:
        self.poster.tell(Told(step, found), self.now)
        return found

    def opened(self, *args: Any, **more: Any) -> Incident:
        return self.tell(Step.OPENED, incident(*args, **more))

    def closes(self, found: Incident, ending: str = "2 of 2 endpoints answer") -> None:
        found.closed, found.ending, found.recovered = self.now, ending, True
        self.tell(Step.CLOSED, found)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.poster.tick(self.now)

    async def done(self) -> None:
        """All that was planned is posted."""
        await until(lambda: not self.poster.waiting)


@asynccontextmanager
async def posting(
    url: str, folder: Path, *, node: str = "a", others: tuple[str, ...] = (), began: float = 0.0
) -> AsyncIterator[Desk]:
    """A poster that has begun long ago; without others the node tells everything."""
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": url}}],
        "users": [{"name": "x", "user": {}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    connection = await connect(str(folder / "kubeconfig"), None, user_agent="probe/test")
    poster = Poster(
        connection,
        node,
        began,
        nodes=lambda: (node, *others),
        uid=lambda namespace, name: "" if name == "gone" else f"uid-{name}",
        clock=lambda at: EPOCH + timedelta(seconds=at),
        interval=10.0,
        pace=HASTE,
    )
    running = asyncio.create_task(poster.run())
    try:
        yield Desk(poster)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await connection.close()


def others_first() -> PortKey:
    """A Service of which the other node tells before us."""
    return next(
        key
        for key in (WEB._replace(service=f"web-{n}") for n in range(100))
        if turn_to_tell(incident(key=key), "a", ("a", "b")) == 1
    )
