"""One incident: what is not healthy, from when to when, with its cause and its end.

A failing Service port is an incident of its own; those that share a cause (a node, its kube-proxy,
the prober on it) are one that takes them along.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from probe.core.changes import Change
from probe.core.edges import Author, PortKey, ServiceKey
from probe.core.suspects import LATEST
from probe.core.verdicts import FAILING, SEVERITY, Judgement, Verdict
from probe.core.words import Word

CHANGED_SECONDS = 10.0
"""Seconds at least between two tellings of how many Services an incident takes along: one default
interval, in which a cause reaches all of them."""

SERVICES_KEPT = 20
"""Service ports that are named of an incident; arbitrary."""

ALARMING = FAILING | {Verdict.DENIED}
"""Verdicts that make an incident, unless they hold on purpose or from the start."""


class Standing(Word):
    """How a Service port stands in an incident."""

    FAILING = "failing"
    UNKNOWN = "unknown"
    QUIET = "quiet"


def standing(judgement: Judgement) -> Standing:
    if judgement.verdict is Verdict.UNKNOWN:
        return Standing.UNKNOWN
    meant = judgement.on_purpose or judgement.from_start
    alarming = judgement.verdict in ALARMING and not meant
    return Standing.FAILING if alarming else Standing.QUIET


class Step(Word):
    """A turn of an incident. `repeated` is a flap: it was quiet, and came back."""

    OPENED = "opened"
    CHANGED = "changed"
    REPEATED = "repeated"
    CLOSED = "closed"


@dataclass(slots=True, eq=False)
class Incident:
    """One incident. Times are monotonic receipt, in seconds.

    `cause` is the judgements' own: "" for one Service port's, else "node/NAME", "proxy/NAME" or
    "self/NAME". `lead` is the port whose `judgement` stands for all of it, the last that failed.
    `services` counts the Services that it takes along now, `most` is the most at once. `closed` is
    since when it was quiet, `ending` the sentence that tells why it is over, `recovered` whether
    that is health. `began` is when the first dial began that failed by it, `change` what the
    cluster did that explains it, None for nothing that we know of, `watched` for how many seconds
    we had looked on when it began, `author` who had written its Service last; these and `advice`
    are known once it has been `told`.
    """

    id: str
    cause: str
    opened: float
    lead: PortKey
    judgement: Judgement
    first: Verdict
    worst: Verdict
    updated: float
    ports: dict[PortKey, Standing] = field(default_factory=dict)
    services: int = 1
    most: int = 1
    flaps: int = 0
    quiet_since: float | None = None
    away_since: float | None = None
    closed: float | None = None
    ending: str = ""
    recovered: bool = False
    told: bool = False
    began: float = inf
    change: Change | None = None
    watched: float | None = None
    author: Author | None = None
    advice: tuple[str, ...] = ()
    _counts: Counter[Standing] = field(default_factory=Counter)
    _was_quiet: bool = False
    _told_verdict: Verdict = Verdict.HEALTHY
    _told_services: int = 0
    _told_flaps: int = 0
    _told_at: float = 0.0
    _looked_again: bool = False

    @property
    def alone(self) -> bool:
        """Whether it is one Service port's own."""
        return not self.cause

    @property
    def seconds_before(self) -> float | None:
        """How long before its first failed dial we heard of the change that explains it; less than
        zero where it was heard late."""
        return None if self.change is None else self.began - self.change.at

    def taken(self) -> dict[ServiceKey, list[int]]:
        """The Services that it takes along with their ports, those that fail now first; of one
        that is closed, some of those that it took along."""
        ordered = sorted(self.ports, key=lambda key: (self.ports[key] is Standing.QUIET, key))
        found: dict[ServiceKey, list[int]] = {}
        for key in ordered:
            found.setdefault((key.namespace, key.service), []).append(key.port)
        return found

    def fails(self, key: PortKey, judgement: Judgement, at: float) -> None:
        """The port fails by this incident's cause."""
        self.worst = min(self.worst, judgement.verdict, key=SEVERITY.index)
        if self.ports.get(self.lead) is not Standing.FAILING:
            self.lead = key
        if key == self.lead and judgement != self.judgement:
            self.judgement, self.updated = judgement, at
        self._stand(key, Standing.FAILING, at)

    def rests(self, key: PortKey, ending: str, at: float, *, recovered: bool) -> None:
        """The port does not fail, or not by this cause; `ending` is what holds instead."""
        self.ending, self.recovered = ending, recovered
        self._stand(key, Standing.QUIET, at)

    def doubts(self, key: PortKey, at: float) -> None:
        """Nobody knows at present whether the port fails."""
        self._stand(key, Standing.UNKNOWN, at)

    def loses(self, key: PortKey, why: str, at: float) -> None:
        """The port is gone; the last one stays, to be named."""
        if len(self.ports) == 1:
            self.ending, self.closed, self.recovered = why, at, False
        else:
            self._counts[self.ports.pop(key)] -= 1
            self._settle(at)

    def _stand(self, key: PortKey, stands: Standing, at: float) -> None:
        if (held := self.ports.get(key)) is not None:
            self._counts[held] -= 1
        self.ports[key] = stands
        self._counts[stands] += 1
        self._settle(at)

    def _settle(self, at: float) -> None:
        if self._counts[Standing.FAILING]:
            if self._was_quiet:
                self.flaps, self.updated = self.flaps + 1, at
            self._was_quiet, self.quiet_since, self.away_since = False, None, None
        elif self._counts[Standing.UNKNOWN]:
            self.quiet_since = None
            self.away_since = at if self.away_since is None else self.away_since
        elif self.quiet_since is None:
            self._was_quiet, self.quiet_since, self.away_since = True, at, None

    def count(self, now: float) -> None:
        """Counts the Services that it takes along."""
        if len(self.ports) > 1:
            resting = Standing.QUIET
            found = {key[:2] for key, stands in self.ports.items() if stands is not resting}
            if len(found) != self.services and found:
                self.services, self.updated = len(found), now
                self.most = max(self.most, self.services)

    def steps(self, now: float) -> Iterator[Step]:
        """What of it is to be told after its opening, each once."""
        moved = self.services != self._told_services and now >= self._told_at + CHANGED_SECONDS
        if moved or self.judgement.verdict is not self._told_verdict:
            self._note(now)
            yield Step.CHANGED
        if self.flaps != self._told_flaps:
            self._told_flaps = self.flaps
            yield Step.REPEATED

    def looks_again(self, now: float) -> bool:
        """Whether it is time to look once more, and for the last time, for what explains it."""
        if self._looked_again or self.change is not None or now < self.began + LATEST:
            return False
        self._looked_again = True
        return True

    def over(self, now: float, quiet_seconds: float) -> bool:
        """Whether it has been quiet for so long, or is gone; it is closed then."""
        quiet = self.quiet_since
        if self.closed is None and quiet is not None and now - quiet >= quiet_seconds:
            self.closed = quiet
        return self.closed is not None

    def tell(self, now: float) -> None:
        """It is told from here on."""
        self.told = True
        self._told_flaps = self.flaps
        self._note(now)

    def _note(self, now: float) -> None:
        self._told_verdict, self._told_services = self.judgement.verdict, self.services
        self._told_at = now
