"""Nodes of which nothing answers, told from the dials to the pods on them.

One silent pod is its own trouble, or a policy's. When pods of two Services on one node are silent
and nobody there has answered for a round of dials, what they share is the way to that node; when
that holds for every other node, it is the way from this one. Any answer clears a node: a refusal
comes from it as well as a handshake does. Each address family has a way of its own, by its own
routes: a node may be dead in one, and then an answer in the other clears nothing.
"""

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import inf

from probe.core.edges import Edge, Family, Kind, ServiceKey
from probe.core.health import Level
from probe.core.ledger import Track, is_silent

WITNESSES = 8
"""Edges remembered of each way to a node, one per Service, that are asked when another one falls
silent. Arbitrary: a few are enough for a node that lives to be cleared at once."""

EVERY = frozenset(Family)
NONE: frozenset[Family] = frozenset()


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


@dataclass(slots=True)
class Way:
    """The way to one node in one family. `answered` is when the last dial began that was."""

    answered: float = -inf
    silent: dict[Edge, Silence] = field(default_factory=dict)
    witnesses: list[Track] = field(default_factory=list)

    def living(self) -> list[Track]:
        return [track for track in self.witnesses if not track.gone]

    def down(self) -> list[Silence]:
        """The silent edges that count: a single lost dial does not."""
        return [held for held in self.silent.values() if held.since < inf]


class NodePaths:
    """The ways to the other nodes; `own` is ours, "" on a laptop. `dead` are those of which nothing
    answers in some families, with these, and `whole` those of them that answer in none. The
    families in `cut_off` are rather our own: of at least two others, none answers. `quiet` is
    for how many seconds nobody on a node may have answered until it counts as dead: a round of
    dials and their deadline; 0 is for a single run, in which nothing comes round. `proven` are the
    nodes of which something has answered, ours and the unnamed one among them.
    """

    def __init__(self, own: str, quiet: float) -> None:
        self.own = own
        self._quiet = quiet
        self._ways: dict[str, dict[Family, Way]] = {}
        self._silent: dict[str, None] = {}
        self._taken: dict[str, int] = {}
        self._taken_in_all = 0
        self._back_at = -inf
        self.proven = {own, ""}
        self.dead: Mapping[str, frozenset[Family]] = {}
        self.whole: frozenset[str] = frozenset()
        self.cut_off = NONE

    def begun(self, track: Track) -> None:
        """An edge is dialed from now on."""
        node = self._node(track)
        if node:
            way = self._ways.setdefault(node, {}).setdefault(track.edge.family, Way())
            known = way.living()
            if len(known) < WITNESSES and all(_service(t) != _service(track) for t in known):
                known.append(track)
            way.witnesses = known

    def met(self, track: Track) -> None:
        """A dial of this edge had an outcome."""
        node = self._node(track)
        if not node:
            return
        way = self._way(node, track)
        if way is None or not way.witnesses:  # the others there are gone, or were never enrolled
            self.begun(track)
            way = self._ways[node][track.edge.family]
        if is_silent(track):
            self._fell(node, way, track)
            return
        self.proven.add(node)
        if track.dialed_at > way.answered:
            way.answered = track.dialed_at
        if way.silent:
            way.silent.pop(track.edge, None)

    def _fell(self, node: str, way: Way, track: Track) -> None:
        self._silent[node] = None
        answered = self._answered(node, way)
        held = way.silent.get(track.edge)
        if held is None or held.track is not track:
            held = way.silent[track.edge] = Silence(track, track.dialed_at, answered)
        else:
            heard = answered if answered <= track.dialed_at else held.heard
            held.alone = held.alone or held.begun <= heard <= track.dialed_at
            held.heard = answered
        if track.level is Level.DOWN:
            held.since = min(held.since, track.dialed_at)

    def _answered(self, node: str, way: Way) -> float:
        """When somebody on the node answered who speaks for this way: one of its own family, or if
        no other Service is there in that, one of the other family."""
        if len(way.witnesses) > 1:
            return way.answered
        return max([way.answered for way in self._ways[node].values()])

    def witnesses(self, track: Track) -> list[Track]:
        """Edges of other Services on the same node, of the same family if there are any."""
        ways = self._ways.get(self._node(track), {})
        alike = [way for family, way in ways.items() if family is track.edge.family]
        return _of_others(track, alike) or _of_others(track, ways.values())

    def in_doubt(self, track: Track) -> bool:
        """Whether it is still open if this silent edge is alone in that on its node: nobody there
        has answered since, or only after the edge was dialed, as when the node comes back."""
        node = self._node(track)
        way = self._way(node, track)
        held = way.silent.get(track.edge) if way is not None else None
        if way is None or held is None or track.edge.family in self.dead.get(node, NONE):
            return False
        if self._answered(node, way) < held.since and self.witnesses(track):
            return True
        return held.track.dialed_at < self._outrun_at(node, way, held)

    def unheard(self, track: Track) -> bool:
        """Whether nobody on its node has answered since this silent edge fell so."""
        node = self._node(track)
        way = self._way(node, track)
        held = way.silent.get(track.edge) if way is not None else None
        if way is None or held is None:
            return False
        return self._answered(node, way) < held.begun

    def outrun(self) -> Iterator[Track]:
        """Silent edges that must be dialed again, since somebody on their node answers now, or on
        another one that was dead: what ailed that one may have ailed theirs."""
        for node in [n for n in self._silent if n not in self.whole]:
            dead = self.dead.get(node, NONE)
            for way in [way for family, way in self._ways[node].items() if family not in dead]:
                for held in way.down():
                    at = self._outrun_at(node, way, held)
                    if held.track.dialed_at < at and held.track.sent < at:
                        held.heard = self._answered(node, way)
                        yield held.track

    def _outrun_at(self, node: str, way: Way, held: Silence) -> float:
        """The moment before which a dial of the edge does not tell if its silence has ended
        together with its node's."""
        if held.alone or not self._quiet:
            return -inf
        return max(self._answered(node, way), self._back_at)

    def review(self, now: float) -> Iterator[ServiceKey]:
        """Looks anew which nodes are dead; the Services with silent edges on those that turned."""
        self._forget()
        found = {node: self._dead_in(node, now) for node in self._silent}
        dead = {node: families for node, families in found.items() if families}
        before, self.dead = self.dead, dead
        turned = [n for n in {**before, **dead} if before.get(n) != dead.get(n)]
        if any(before[node] - dead.get(node, NONE) for node in turned if node in before):
            self._back_at = now
        self.whole = frozenset(
            n for n, families in dead.items() if len(families) == len(self._ways[n])
        )
        self.cut_off = self._look_at_own() if len(dead) > 1 else NONE
        down = {node: list(self._down(node, families)) for node, families in dead.items()}
        self._taken = {node: _services(held) for node, held in down.items()}
        self._taken_in_all = _services(held for known in down.values() for held in known)
        for node, families in dead.items():
            for family in families:
                for held in self._ways[node][family].silent.values():
                    held.begun, held.alone = now, False  # what was heard of the node is over
        for node in turned:
            yield from {_service(held.track) for held in self._down(node, EVERY)}

    def _forget(self) -> None:
        """Forgets what is no longer dialed: nodes are replaced for ever."""
        for node in list(self._silent):
            for way in self._ways[node].values():
                for edge in [e for e, held in way.silent.items() if held.track.gone]:
                    del way.silent[edge]
            if not any(way.silent for way in self._ways[node].values()):
                del self._silent[node]
        doubtful = [
            (node, family)
            for node, ways in self._ways.items()
            for family, way in ways.items()
            if not way.witnesses or way.witnesses[0].gone  # a quick look
        ]
        for node, family in doubtful:
            way = self._ways[node][family]
            way.witnesses = way.living()
            if not way.witnesses and not way.silent:
                del self._ways[node][family]
            if not self._ways[node]:
                del self._ways[node]
                self.proven.discard(node)

    def _dead_in(self, node: str, now: float) -> frozenset[Family]:
        """The families in which nothing there answers: all, if together they have silence enough,
        or those that have it by themselves. What was dead stays so until something answers."""
        ways, before = self._ways[node], self.dead.get(node, NONE)
        if self._is_dead([*ways.values()], now, accused=len(before) == len(ways)):
            return frozenset(ways)
        return frozenset(
            family
            for family, way in ways.items()
            if self._is_dead([way], now, accused=family in before)
        )

    def _is_dead(self, ways: Collection[Way], now: float, *, accused: bool) -> bool:
        """Whether nobody on these ways answers; if they are not `accused` yet, two Services have to
        be silent that have no pod in common: one may have its own policy, and two may lead to the
        same pods."""
        down = [held for way in ways for held in way.down()]
        if not down or not (accused or _accuse(held.track for held in down)):
            return False
        answered = max(way.answered for way in ways)
        since = answered if answered > -inf else min(held.since for held in down)
        living = (track for way in ways for track in way.living())
        return now - since >= self._quiet and all(map(is_silent, living))

    def _look_at_own(self) -> frozenset[Family]:
        """The families in which no other node answers: in none, or of each at least two nodes that
        answer in the other."""
        living = [
            (node, family)
            for node, ways in self._ways.items()
            for family, way in ways.items()
            if way.living()
        ]
        if len(self.whole) > 1 and self.whole.issuperset(node for node, _ in living):
            return EVERY
        partly = Counter(f for n, found in self.dead.items() if n not in self.whole for f in found)
        alive = {family for node, family in living if family not in self.dead.get(node, NONE)}
        return frozenset(family for family, nodes in partly.items() if nodes > 1) - alive

    def services(self, node: str = "") -> int:
        """How many Services had silent endpoints on this dead node, or on all of them, when the
        nodes were last looked at."""
        return self._taken.get(node, 0) if node else self._taken_in_all

    def _down(self, node: str, families: Container[Family]) -> Iterator[Silence]:
        for family, way in self._ways.get(node, {}).items():
            if family in families:
                yield from way.down()

    def _way(self, node: str, track: Track) -> Way | None:
        ways = self._ways.get(node)
        return ways.get(track.edge.family) if ways is not None else None

    def _node(self, track: Track) -> str:
        """The other node that this edge leads to; "" for none."""
        endpoint = track.endpoint if track.edge.kind is Kind.ENDPOINT else None
        return endpoint.node if endpoint is not None and endpoint.node != self.own else ""


def _accuse(tracks: Iterable[Track]) -> bool:
    """Whether there are two Services among these that have no pod in common."""
    pods: dict[ServiceKey, set[tuple[str, str]]] = {}
    for track in tracks:
        pod = track.endpoint.pod if track.endpoint else ""
        where = (track.edge.key.namespace, pod) if pod else ("", track.edge.address)
        pods.setdefault(_service(track), set()).add(where)
    return any(a.isdisjoint(b) for a, b in combinations(pods.values(), 2))


def _of_others(track: Track, ways: Iterable[Way]) -> list[Track]:
    """Witnesses of other Services than this edge's."""
    return [t for way in ways for t in way.living() if _service(t) != _service(track)]


def _services(down: Iterable[Silence]) -> int:
    return len({_service(held.track) for held in down})


def _service(track: Track) -> ServiceKey:
    return track.edge.key[:2]
