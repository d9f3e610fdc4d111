"""Which endpoints this node dials: agreed on with the other daemons without asking them.

Every daemon knows who is alive from the same EndpointSlices and ranks itself by the same hash, not
for each endpoint but for a group of them: whoever dials one endpoint of a Service dials all of a
small one and several of a large one, or nobody could tell a bad pod from a bad Service. A group's
rank here is kept, since it adds up: who joins or leaves is looked at alone, not everybody again.
"""

from collections.abc import Collection, Iterable

from probe.core.edges import Edge, Endpoint, ServiceKey
from probe.core.ledger import PortBook
from probe.core.rounds import Config
from probe.core.schedule import SOURCES_MIN, Cadence, rank, salt

GROUP = 8
"""Endpoints in a group, on average; up to twice as many before groups split. Chosen: a Service of
fewer than sixteen is seen whole by whoever dials it, of a larger one each sees several; and one of
5,000 is shared by all of 1,000 daemons, by none with more than twice the average."""


def groups(endpoints: int) -> int:
    """Into how many groups so many endpoints fall. A power of two: when groups split, half of each
    stays with its daemons, and in between nothing moves."""
    return 1 << max(0, (endpoints // GROUP).bit_length() - 1)


def group_of(edge: Edge, count: int) -> int:
    """The group of this endpoint, of so many; the same for all ports of its Service."""
    return salt(edge.address) & (count - 1) if count > 1 else 0


def shared_by(service: ServiceKey, group: int = 0) -> str:
    """By what the daemons rank themselves for a group of the Service's endpoints. The first group's
    is the Service's own: who is the first to tell of it is one that dials it."""
    return "/".join((*service, str(group)) if group else service)


def speaks_for(book: PortBook) -> bool:
    """Whether this node is one of the few that tell of a port that nobody dials an endpoint of.
    They are the first to dial some once there are any, so that no other begins to tell of it."""
    return book.ranks.get(0, 0) < SOURCES_MIN


class Sharing:
    """The live daemons' nodes (ours among them, sorted), and the cadence that their number sets."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.nodes: tuple[str, ...] = (config.node,)
        self.cadence = Cadence(config.interval, 1)

    def meet(self, alive: Iterable[str], books: Iterable[PortBook]) -> bool:
        """Takes the nodes of the live daemons; whether they have changed."""
        nodes = {*alive, self._config.node}
        joined, left = nodes - {*self.nodes}, {*self.nodes} - nodes
        if not joined and not left:
            return False
        self.nodes = tuple(sorted(nodes))
        self.cadence = Cadence(self._config.interval, len(nodes))
        for book in books:
            for group in book.ranks:
                moved = self._rank(joined, book, group) - self._rank(left, book, group)
                book.ranks[group] += moved
        return True

    @property
    def dials_all(self) -> bool:
        """Whether the caps allow that everybody dials everything."""
        return self._config.once or self.cadence.sources >= len(self.nodes)

    def mine(self, book: PortBook) -> dict[Edge, Endpoint]:
        """The endpoints of the Service port that this node dials: its own, and its share.

        Only those that take traffic or have just ceased to: whether an unready pod answers is
        between it and its readiness probe.
        """
        dialed = {
            edge: endpoint
            for edge, endpoint in book.implied.backends()
            if (endpoint.ready or endpoint.terminating) and edge not in book.implied.barred
        }
        if self.dials_all:
            book.ranks = {}
            return dialed
        # Unready ones count: that many become so must not move the others.
        count, known = groups(len(book.implied.edges)), book.ranks
        book.ranks = {
            group: known[group] if group in known else self._rank(self.nodes, book, group)
            for group in range(count)
        }
        return {
            edge: endpoint
            for edge, endpoint in dialed.items()
            if endpoint.node == self._config.node
            or book.ranks[group_of(edge, count)] < self.cadence.sources
        }

    def _rank(self, nodes: Collection[str], book: PortBook, group: int) -> int:
        key = shared_by(book.implied.key[:2], group)
        return rank(self._config.node, nodes, key) if nodes else 0
