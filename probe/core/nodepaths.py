"""Nodes of which nothing answers, told from the dials to the pods on them.

One silent pod is its own trouble, or a policy's. When pods of two Services on one node are silent
and nobody there has answered for a round of dials, what they share is the way to that node; when
that holds for every other node, it is the way from this one. Any answer clears a node: a refusal
comes from it as well as a handshake does.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf

from probe.core.edges import Edge, Kind, ServiceKey
from probe.core.health import Level
from probe.core.ledger import Track, is_silent

WITNESSES = 8
"""Edges remembered of each node, one per Service, that are asked when another one falls silent.
Arbitrary: a few are enough for a node that lives to be cleared at once."""

ACCUSERS = 2
"""Services, on as many addresses, whose silence accuses a node: one may have its own policy."""


@dataclass(slots=True)
class Silence:
    """An edge that fell silent at `begun`, and is down `since` then; inf until it is down.

    `heard` is when the dial began that was the last one answered from its node, as known before
    the edge's next dial begins. It is `alone` once it failed again after somebody there had
    answered during its silence: then that is not the node's.
    """

    track: Track
    begun: float
    heard: float
    since: float = inf
    alone: bool = False


class NodePaths:
    """The ways to the other nodes; `own` is ours, "" on a laptop. `dead` are those of which nothing
    answers; with `cut_off` that is rather our own: of at least two others, none answers. `quiet` is
    for how many seconds nobody on a node may have answered until it counts as dead: a round of
    dials and their deadline; 0 is for a single run, in which nothing comes round. `proven` are the
    nodes of which something has answered, ours and the unnamed one among them.
    """

    def __init__(self, own: str, quiet: float) -> None:
        self.own = own
        self._quiet = quiet
        self._answered: dict[str, float] = {}
        self._silent: dict[str, dict[Edge, Silence]] = {}
        self._witnesses: dict[str, list[Track]] = {}
        self._taken: dict[str, int] = {}
        self._taken_in_all = 0
        self.proven = {own, ""}
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
        if node not in self._witnesses:  # the others there are gone, or were never enrolled
            self.begun(track)
        if is_silent(track):
            self._fell(node, track)
        else:
            self.proven.add(node)
            self._answered[node] = max(track.dialed_at, self._answered.get(node, -inf))
            self._forget(node, track)

    def _fell(self, node: str, track: Track) -> None:
        answered = self._answered.get(node, -inf)
        held = self._silent.setdefault(node, {}).get(track.edge)
        if held is None or held.track is not track:
            held = Silence(track, track.dialed_at, answered)
            self._silent[node][track.edge] = held
        else:
            heard = answered if answered <= track.dialed_at else held.heard
            held.alone = held.alone or held.begun <= heard <= track.dialed_at
            held.heard = answered
        if track.level is Level.DOWN:
            held.since = min(held.since, track.dialed_at)

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
        """Whether it is still open if this silent edge is alone in that on its node: nobody there
        has answered since, or only after the edge was dialed, as when the node comes back."""
        node = self._node(track)
        held = self._silent.get(node, {}).get(track.edge)
        if held is None or node in self.dead:
            return False
        if self._answered.get(node, -inf) < held.since:
            return bool(self.witnesses(track))
        return self._outrun(held, node)

    def outrun(self) -> Iterator[Track]:
        """Silent edges that must be dialed again, since somebody on their node answers now."""
        for node in [n for n in self._silent if n not in self.dead]:
            answered = self._answered.get(node, -inf)
            for held in self._down(node):
                if self._outrun(held, node) and held.track.sent < answered:
                    held.heard = answered
                    yield held.track

    def _outrun(self, held: Silence, node: str) -> bool:
        """Whether the edge's silence may have ended together with its node's."""
        if held.alone or not self._quiet:
            return False
        return held.track.dialed_at < self._answered.get(node, -inf)

    def review(self, now: float) -> Iterator[ServiceKey]:
        """Looks anew which nodes are dead; the Services with silent edges on those that turned."""
        self._forget_nodes()
        dead = frozenset(node for node in list(self._silent) if self._is_dead(node, now))
        turned, self.dead = dead ^ self.dead, dead
        others = {node for node in self._witnesses if self._living(node)} if len(dead) > 1 else ()
        self.cut_off = len(dead) > 1 and dead.issuperset(others)
        self._taken = {node: self._services((node,)) for node in dead}
        self._taken_in_all = self._services(dead)
        for node in dead:
            for held in self._silent[node].values():
                held.begun, held.alone = now, False  # what was heard of the node is over
        for node in turned:
            yield from {_service(held.track) for held in self._down(node)}

    def _forget_nodes(self) -> None:
        """Forgets the nodes on which nothing is dialed any more: they are replaced for ever."""
        doubtful = [node for node, held in self._witnesses.items() if held[0].gone]  # a quick look
        for node in [n for n in doubtful if not self._living(n)]:
            del self._witnesses[node]
            self._answered.pop(node, None)
            self.proven.discard(node)

    def services(self, node: str = "") -> int:
        """How many Services had silent endpoints on this dead node, or on all of them, when the
        nodes were last looked at."""
        return self._taken.get(node, 0) if node else self._taken_in_all

    def _services(self, nodes: Iterable[str]) -> int:
        return len({_service(held.track) for node in nodes for held in self._down(node)})

    def _down(self, node: str) -> list[Silence]:
        """The silent edges there that count: a single lost dial does not."""
        return [held for held in self._silent.get(node, {}).values() if held.since < inf]

    def _is_dead(self, node: str, now: float) -> bool:
        known = self._silent[node]
        for edge in [e for e, held in known.items() if held.track.gone]:
            del known[edge]
        if not known:
            del self._silent[node]
            return False
        down = self._down(node)
        accusers = {_service(held.track): held.track.edge.address for held in down}
        first = min((held.since for held in down), default=now)
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


def _service(track: Track) -> ServiceKey:
    return track.edge.key[:2]
