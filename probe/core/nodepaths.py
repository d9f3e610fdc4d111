"""Nodes of which nothing answers, told from the dials to the pods on them.

One silent pod is its own trouble, or a policy's. When pods of two Services on one node are silent
and nobody there has answered for a round of dials, what they share is the way to that node; when
that holds for every other node, it is the way from this one. Any answer clears a node: a refusal
comes from it as well as a handshake does.
"""

from collections.abc import Iterable, Iterator
from math import inf

from probe.core.edges import Edge, Kind, ServiceKey
from probe.core.health import Level
from probe.core.ledger import Track
from probe.core.results import Result

SILENT = frozenset({Result.TIMEOUT, Result.UNREACHABLE})
"""Results that the host itself has no part in."""

WITNESSES = 8
"""Edges remembered of each node, one per Service, that are asked when another one falls silent.
Arbitrary: a few are enough for a node that lives to be cleared at once."""

ACCUSERS = 2
"""Services, on as many addresses, whose silence accuses a node: one may have its own policy."""


class NodePaths:
    """The ways to the other nodes; `own` is ours. `dead` are those of which nothing answers; with
    `cut_off` that is rather our own: of at least two others, none answers. `quiet` is for how many
    seconds nobody on a node may have answered until it counts as dead: a round of dials and their
    deadline.
    """

    def __init__(self, own: str, quiet: float) -> None:
        self.own = own
        self._quiet = quiet
        self._answered: dict[str, float] = {}
        self._silent: dict[str, dict[Edge, tuple[Track, float]]] = {}
        self._witnesses: dict[str, list[Track]] = {}
        self._taken: dict[str, int] = {}
        self._taken_in_all = 0
        self.dead: frozenset[str] = frozenset()
        self.cut_off = False

    def begun(self, track: Track) -> None:
        """An edge is dialed from now on."""
        node = self._node(track)
        if node:
            known = self._living(node)
            if len(known) < WITNESSES and all(_service(t) != _service(track) for t in known):
                known.append(track)
            self._witnesses[node] = known

    def met(self, track: Track) -> None:
        """A dial of this edge had an outcome."""
        node = self._node(track)
        if not node:
            return
        if not is_silent(track):
            self._answered[node] = max(track.dialed_at, self._answered.get(node, -inf))
            self._forget(node, track)
        elif track.level is Level.DOWN:
            self._silent.setdefault(node, {}).setdefault(track.edge, (track, track.dialed_at))

    def _forget(self, node: str, track: Track) -> None:
        held = self._silent.get(node)
        if held is not None:
            held.pop(track.edge, None)
            if not held:
                del self._silent[node]

    def witnesses(self, track: Track) -> list[Track]:
        """Edges of other Services on the same node."""
        node = self._node(track)
        return [t for t in self._living(node) if _service(t) != _service(track)] if node else []

    def in_doubt(self, track: Track) -> bool:
        """Whether it is still open if this silent edge is alone in that on its node."""
        node = self._node(track)
        found = self._silent.get(node, {}).get(track.edge) if node else None
        if not node or found is None or node in self.dead:
            return False
        return self._answered.get(node, -inf) < found[1] and bool(self.witnesses(track))

    def review(self, now: float) -> Iterator[ServiceKey]:
        """Looks anew which nodes are dead; the Services with silent edges on those that turned."""
        dead = frozenset(node for node in list(self._silent) if self._is_dead(node, now))
        turned, self.dead = dead ^ self.dead, dead
        others = {node for node in self._witnesses if self._living(node)} if len(dead) > 1 else ()
        self.cut_off = len(dead) > 1 and dead.issuperset(others)
        self._taken = {node: self._services((node,)) for node in dead}
        self._taken_in_all = self._services(dead)
        for node in turned:
            yield from {_service(track) for track, _ in self._silent.get(node, {}).values()}

    def services(self, node: str = "") -> int:
        """How many Services had silent endpoints on this dead node, or on all of them, when the
        nodes were last looked at."""
        return self._taken.get(node, 0) if node else self._taken_in_all

    def _services(self, nodes: Iterable[str]) -> int:
        held = (track for node in nodes for track, _ in self._silent.get(node, {}).values())
        return len({_service(track) for track in held})

    def _is_dead(self, node: str, now: float) -> bool:
        held = self._silent[node]
        for edge in [e for e, (track, _) in held.items() if track.gone]:
            del held[edge]
        if not held:
            del self._silent[node]
            return False
        first = min(since for _, since in held.values())
        accusers = {_service(track): edge.address for edge, (track, _) in held.items()}
        return (
            min(len(accusers), len({*accusers.values()})) >= ACCUSERS
            and now - self._answered.get(node, first) >= self._quiet
            and all(map(is_silent, self._living(node)))
        )

    def _living(self, node: str) -> list[Track]:
        return [track for track in self._witnesses.get(node, ()) if not track.gone]

    def _node(self, track: Track) -> str:
        """The other node that this edge leads to; "" for none."""
        endpoint = track.endpoint if track.edge.kind is Kind.ENDPOINT else None
        return endpoint.node if endpoint is not None and endpoint.node != self.own else ""


def is_silent(track: Track) -> bool:
    """Whether the edge's last dial was answered by nobody."""
    return track.outcome is not None and track.outcome.result in SILENT


def _service(track: Track) -> ServiceKey:
    return track.edge.key[:2]
