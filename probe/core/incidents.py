"""All incidents of one node: opened by verdicts that turn, closed with hysteresis, remembered.

One ends when all of it has been quiet for a while: a verdict that flaps is one incident and counts
how often it came back. `unknown` neither opens nor ends one: then only the evidence is away.
"""

from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple, Protocol

from probe.core.changes import Change
from probe.core.edges import Author, PortKey
from probe.core.incident import SERVICES_KEPT, Incident, Standing, Step, standing
from probe.core.judging import Turn
from probe.core.suspects import LATEST
from probe.core.verdicts import Judgement, Verdict

QUIET_ROUNDS = 6
"""Intervals without a failure until an incident is over: at the default interval a minute, so that
a container's first restarts, 10, 20 and 40 s apart (the kubelet's back-off), are one incident."""

TELL_AFTER = 2.0
"""Seconds until an incident is told: a cause that many Services share reaches them one after the
other, and whatever it takes along by then was never an incident of its own. Chosen: a tenth of
what a verdict needs at most."""

OPEN_MAX = 1000
"""Open incidents that are kept, about 1 MiB. Whoever has more has one cause that nobody grouped;
what is beyond is counted, and taken in as others end."""

DENIED_MAX = 100
"""Open incidents besides those, of ports that are denied: one policy may turn thousands so, which
must not take an outage's place. What is beyond has its verdict alone. Arbitrary."""

CLOSED_KEPT = 500
"""Incidents remembered after their end, about 0.5 MiB: at ten an hour two days. Arbitrary."""

LOOKED_AT = 300
"""Service ports whose judgement is looked up again in one second (2 ms, measured)."""

TOLD_AT_ONCE = 100
"""Incidents told in one second: each weighs up to 1000 changes (0.15 ms, measured)."""


class Inquiry(Protocol):
    """What an incident asks about a Service port."""

    def judgement(self, key: PortKey) -> Judgement | None:
        """The one that holds; None if the port is no longer dialed."""

    def gone(self, key: PortKey) -> str:
        """Why there is no judgement, for people."""

    def advice(self, key: PortKey) -> tuple[str, ...]:
        """What to do about it."""

    def began(self, incident: Incident) -> float:
        """When the first dial began that failed by its cause."""

    def change(self, incident: Incident) -> Change | None:
        """The change that explains what began then; None for nothing that is known."""

    def watched(self, incident: Incident) -> float:
        """For how many seconds we had looked on when it began: no change before that is known."""

    def author(self, incident: Incident) -> Author | None:
        """Who wrote its Service last; None for a cause that Services share, or if nobody says."""


class Told(NamedTuple):
    """An incident has turned. It changes on: read it at once."""

    step: Step
    incident: Incident


class Incidents:
    """All incidents that one node sees. Only those that were told are to be shown.

    `history` holds those that are over, the newest last. `untracked` are failing ports for which
    there is no room. Call `take` for each turn, and `tick` about once a second.
    """

    def __init__(self, node: str, inquiry: Inquiry, *, quiet_seconds: float) -> None:
        self._node = node
        self._inquiry = inquiry
        self._quiet_seconds = quiet_seconds
        self._open: dict[str | PortKey, Incident] = {}
        self._of: dict[PortKey, list[Incident]] = {}
        self._to_look_at: list[PortKey] = []
        self._denied = 0
        self.history: deque[Incident] = deque(maxlen=CLOSED_KEPT)
        self.untracked: set[PortKey] = set()

    def told(self) -> list[Incident]:
        """Those to show: open ones first, the newest first."""
        shown = sorted((i for i in self._open.values() if i.told), key=lambda i: -i.opened)
        return [*shown, *reversed(self.history)]

    def take(self, turn: Turn) -> None:
        """A verdict has turned."""
        self._see(turn.key, turn.new, turn.at)

    def tick(self, now: float) -> list[Told]:
        """Lets time pass; what of it is to be told."""
        self._look_again(now)
        found: list[Told] = []
        opening = 0
        for incident in list(self._open.values()):
            incident.count(now)
            if not incident.told:
                if incident.closed is not None:
                    self._forget(incident)
                    continue
                if now - incident.opened < TELL_AFTER or opening >= TOLD_AT_ONCE:
                    continue
                opening += 1
            found.extend(Told(step, incident) for step in self._tell(incident, now))
            if incident.over(now, self._quiet_seconds):
                self._close(incident)
                found.append(Told(Step.CLOSED, incident))
        self._take_in(now)
        return found

    def _tell(self, incident: Incident, now: float) -> Iterator[Step]:
        if not incident.told:
            incident.tell(now)
            incident.advice = self._inquiry.advice(incident.lead)
            incident.began = self._inquiry.began(incident)
            incident.watched = self._inquiry.watched(incident)
            incident.author = self._inquiry.author(incident)
            self._explain(incident)
            yield Step.OPENED
            return
        for step in incident.steps(now):
            if step is Step.CHANGED:
                incident.advice = self._inquiry.advice(incident.lead)
                if now < incident.began + LATEST:
                    self._explain(incident)
            yield step
        if incident.looks_again(now):
            self._explain(incident)
            if incident.change is not None:
                yield Step.CHANGED

    def _explain(self, incident: Incident) -> None:
        """Looks for the change that explains how it began. One Service port's own stays explained,
        whatever it becomes; a cause that takes more Services along needs what concerns them all."""
        found = self._inquiry.change(incident)
        if found is not None or not incident.alone:
            incident.change = found

    def _see(self, key: PortKey, judgement: Judgement, at: float) -> None:
        stands, mine = standing(judgement), None
        self.untracked.discard(key)
        if stands is Standing.FAILING:
            mine = self._failing(key, judgement, at)
        for other in [i for i in self._of.get(key, ()) if i is not mine]:
            if stands is Standing.UNKNOWN:
                other.doubts(key, at)
            elif mine is None:
                healthy = judgement.verdict is Verdict.HEALTHY
                other.rests(key, judgement.summary, at, recovered=healthy)
            elif not other.told and len(other.ports) == 1:
                mine.opened = min(mine.opened, other.opened)
                self._forget(other)
            else:
                other.rests(key, f"it is part of incident {mine.id} now", at, recovered=False)

    def _failing(self, key: PortKey, judgement: Judgement, at: float) -> Incident | None:
        """The incident of which this failure is a part, None if there is no room for one."""
        scope = judgement.cause or key
        incident = self._open.get(scope)
        if incident is None:
            verdict = judgement.verdict
            denied = verdict is Verdict.DENIED
            if not self._room(denied=denied):
                if not denied:
                    self.untracked.add(key)
                return None
            self._denied += denied
            id_ = _id(self._node, scope, at)
            incident = Incident(id_, judgement.cause, at, key, judgement, verdict, verdict, at)
            self._open[scope] = incident
        incident.fails(key, judgement, at)
        known = self._of.setdefault(key, [])
        if incident not in known:
            known.append(incident)
        return incident

    def _room(self, *, denied: bool) -> bool:
        """Whether one more incident is kept. An outage that turns out to be denied gives its place
        to others."""
        if denied:
            return self._denied < DENIED_MAX
        return len(self._open) - self._denied < OPEN_MAX

    def _look_again(self, now: float) -> None:
        """Sentences change without a turn, and ports go without one."""
        if not self._to_look_at:
            self._to_look_at = [*self._of, *self.untracked]
        for _ in range(min(LOOKED_AT, len(self._to_look_at))):
            key = self._to_look_at.pop()
            judgement = self._inquiry.judgement(key)
            if judgement is not None:
                self._see(key, judgement, now)
                continue
            self.untracked.discard(key)
            for incident in self._of.pop(key, ()):
                incident.loses(key, self._inquiry.gone(key), now)

    def _take_in(self, now: float) -> None:
        self._denied = sum(i.judgement.verdict is Verdict.DENIED for i in self._open.values())
        while self.untracked and self._room(denied=False):
            key = self.untracked.pop()
            judgement = self._inquiry.judgement(key)
            if judgement is not None:
                self._see(key, judgement, now)

    def _close(self, incident: Incident) -> None:
        self._forget(incident)
        incident.services = incident.most
        kept = list(incident.ports.items())[:SERVICES_KEPT]
        incident.ports = dict(kept)
        self.history.append(incident)

    def _forget(self, incident: Incident) -> None:
        del self._open[incident.cause or incident.lead]
        for key in incident.ports:
            known = self._of.get(key, [])
            if incident in known:
                known.remove(incident)
            if not known:
                self._of.pop(key, None)


def _id(node: str, scope: str | PortKey, at: float) -> str:
    """Eight characters that no other incident has, here or on another node."""
    text = "\0".join((node, str(scope), repr(at)))
    return blake2b(text.encode(), digest_size=4).hexdigest()
