"""Which Service ports wait to be judged, and how much judging one step may do.

To judge is to look at all of a port's edges, and what happens to one port often happens to
thousands at once: at the start, when a node goes, when the API server comes back. So the ports
wait their turn, first come, first served, and no step holds the dials up for long.
"""

from math import inf

from probe.core.edges import PortKey
from probe.core.ledger import PortBook, ServiceRecord

SPACING = 0.0002
"""Seconds per edge between two judgements of a Service port: a few endpoints are judged at once,
five thousand once a second."""

EDGES = 500
"""Edges looked at in one step: 5 ms (measured), a quarter of a tick of 20 ms."""

PORT = 10
"""Edges that take as long as what a port without any takes (0.1 ms, measured)."""

Waiting = dict[PortKey, tuple[ServiceRecord, PortBook]]


class Docket:
    """Ports that wait, and the restless ones, which time alone may turn.

    `once` is for a single run, in which nothing is put off.
    """

    def __init__(self, *, once: bool) -> None:
        self.waiting: Waiting = {}
        self.restless: Waiting = {}
        self._edges: float = inf if once else EDGES
        self._spacing = 0.0 if once else SPACING

    def add(self, record: ServiceRecord, book: PortBook) -> None:
        """Puts a port in line, unless it stands there already."""
        self.waiting.setdefault(book.implied.key, (record, book))

    def rest(self, record: ServiceRecord, book: PortBook, *, restless: bool) -> None:
        """Tells whether the port is to be judged again although nothing happens to it."""
        if restless:
            self.restless[book.implied.key] = record, book
        else:
            self.restless.pop(book.implied.key, None)

    def stir(self) -> None:
        """Puts the restless in line; to be called about once a second."""
        for key, held in self.restless.items():
            self.waiting.setdefault(key, held)  # behind those that wait already, lest these starve

    def drop(self, book: PortBook) -> None:
        """Forgets a port that is gone."""
        self.waiting.pop(book.implied.key, None)
        self.restless.pop(book.implied.key, None)

    def take(self, now: float) -> list[tuple[ServiceRecord, PortBook]]:
        """The ports to judge in this step, each out of the line from here on."""
        found: Waiting = {}
        looked = 0
        for key, (record, book) in self.waiting.items():
            if now >= book.judged_at + len(book.tracks) * self._spacing:
                looked += PORT + len(book.tracks)
                found[key] = record, book
                if looked >= self._edges:
                    break
        for key in found:
            del self.waiting[key]
        return list(found.values())
