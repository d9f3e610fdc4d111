"""Every verdict that every daemon told, what explains it, and what nothing explains."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from probe.core.verdicts import FAILING, Verdict

Json = dict[str, Any]

ALARMING: frozenset[str] = frozenset({*FAILING, Verdict.DENIED})
"""What a person would look into."""


class Port(NamedTuple):
    """A Service port as one daemon sees it."""

    node: str
    namespace: str
    service: str
    number: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}:{self.number} on {self.node}"


@dataclass(frozen=True, slots=True)
class Turn:
    """A verdict that changed; `at` is seconds since the soak began."""

    at: float
    port: Port
    verdict: str
    was: str
    sentence: str
    alarming: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """An incident that a daemon opened, by its cause."""

    at: float
    node: str
    cause: str
    verdict: str


@dataclass(slots=True, eq=False)
class Excuse:
    """What explains verdicts: of these Services on these nodes (None: of all), for a time."""

    what: str
    verdicts: frozenset[str]
    since: float
    services: frozenset[str] | None = None
    nodes: frozenset[str] | None = None
    until: float = inf

    def explains(self, turn: Turn) -> bool:
        return (
            turn.verdict in self.verdicts
            and self.since <= turn.at <= self.until
            and (self.services is None or turn.port.service in self.services)
            and (self.nodes is None or turn.port.node in self.nodes)
        )


@dataclass(slots=True, eq=False)
class Incident:
    """Something alarming that nothing explains, until the port is calm again."""

    port: Port
    turns: list[Turn]
    around: list[str]
    document: Json | None = None
    ended: float | None = None


@dataclass
class Turns:
    """All that were told, the incidents that the daemons opened, the latest verdict of each port,
    the excuses, the false incidents, and those that nothing explains and that were real."""

    told: list[Turn] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)
    now: dict[Port, Turn] = field(default_factory=dict)
    excuses: list[Excuse] = field(default_factory=list)
    false: list[Incident] = field(default_factory=list)
    real: list[Incident] = field(default_factory=list)
    _open: dict[Port, Incident] = field(default_factory=dict)

    def take(self, turn: Turn, around: list[str]) -> Incident | None:
        """Takes one in; the incident that it opened, if nothing explains it. `around` is what the
        cluster was doing."""
        self.told.append(turn)
        self.now[turn.port] = turn
        known = self._open.get(turn.port)
        if not turn.alarming or self.explained(turn):
            if known is not None:
                known.ended = turn.at
                del self._open[turn.port]
            return None
        if known is not None:
            known.turns.append(turn)
            return None
        found = self._open[turn.port] = Incident(turn.port, [turn], around)
        self.false.append(found)
        return found

    def explained(self, turn: Turn) -> bool:
        return any(excuse.explains(turn) for excuse in self.excuses)

    def believe(self, incident: Incident) -> None:
        """It was so: somebody else has seen it too."""
        self.false.remove(incident)
        self.real.append(incident)

    def forget(self, node: str) -> None:
        """The daemon there has ended: its successor begins anew."""
        self._drop(port for port in self.now if port.node == node)

    def end(self, service: str, number: int) -> None:
        """That Service port is no more, of which no daemon tells."""
        self._drop(p for p in self.now if (p.service, p.number) == (service, number))

    def _drop(self, ports: Iterable[Port]) -> None:
        for port in list(ports):
            del self.now[port]
            if (known := self._open.pop(port, None)) is not None:
                known.ended = known.turns[-1].at

    def of(self, node: str, service: str) -> list[Turn]:
        """The latest of each port of that Service there."""
        return [t for p, t in self.now.items() if (p.node, p.service) == (node, service)]

    def alarms(self) -> Iterator[Turn]:
        """What is alarming now."""
        return (turn for turn in self.now.values() if turn.alarming)
