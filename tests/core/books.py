"""Service ports with tracks, as the tests of what reads them want them."""

from math import inf

from probe.core.edges import Scope, implied
from probe.core.health import Level
from probe.core.ledger import PortBook, ServiceRecord, Track, View
from probe.core.results import Outcome
from tests.core.facts import NODE, REFUSED, edge, endpoint, port, service, slice_of

NOW = 1000.0
VIEW = View(NOW, settle=30.0, linger=30.0, interval=10.0, timeout=4.0)
PODS = ("10.0.0.1", "10.0.0.2")


def track(address: str, level: Level, outcome: Outcome | None, *, at: float = NOW - 1) -> Track:
    return Track(edge(address), endpoint(address), -inf, level=level, outcome=outcome, dialed_at=at)


def book(*tracks: Track, target: int = 8080) -> tuple[ServiceRecord, PortBook]:
    """A Service port with both pods behind it and these tracks."""
    held = service(port(8080, target))
    found = PortBook(implied(held, [slice_of(*PODS)], Scope()).ports[0])
    found.expect(NODE, local=False)
    found.tracks = {t.edge: t for t in tracks}
    return ServiceRecord(held, books={8080: found}), found


def refused() -> tuple[ServiceRecord, PortBook]:
    return book(*(track(pod, Level.DOWN, REFUSED) for pod in PODS), target=8081)
