"""Which endpoints this node dials: agreed on with the other daemons without asking them.

Every daemon knows who is alive from the same EndpointSlices and ranks itself for each endpoint by
the same hash. An endpoint's rank here is kept, since it adds up: who joins or leaves is looked at
alone, not everybody again for every endpoint.
"""

from collections.abc import Iterable

from probe.core.edges import Edge, Endpoint
from probe.core.ledger import PortBook
from probe.core.rounds import Config
from probe.core.schedule import Cadence, rank


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
            for edge in book.ranks:
                book.ranks[edge] += self._rank(joined, edge) - self._rank(left, edge)
        return True

    def mine(self, book: PortBook) -> dict[Edge, Endpoint]:
        """The endpoints of the Service port that this node dials: its own, and its share.

        Only those that take traffic or have just ceased to: whether an unready pod answers is
        between it and its readiness probe.
        """
        dialed = [
            (edge, endpoint)
            for edge, endpoint in book.implied.backends()
            if (endpoint.ready or endpoint.terminating) and edge not in book.implied.barred
        ]
        if self._config.once or self.cadence.sources >= len(self.nodes):
            book.ranks = {}
            return dict(dialed)
        known = book.ranks
        book.ranks = {
            edge: known[edge] if edge in known else self._rank(self.nodes, edge)
            for edge, _ in dialed
        }
        return {
            edge: endpoint
            for edge, endpoint in dialed
            if endpoint.node == self._config.node or book.ranks[edge] < self.cadence.sources
        }

    def _rank(self, nodes: Iterable[str], edge: Edge) -> int:
        return rank(self._config.node, nodes, f"{edge.address}:{edge.dial_port}")
