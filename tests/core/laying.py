"""A Service port one of whose pods was removed, and dials of its ClusterIP."""

from math import inf

from probe.core import blame
from probe.core.edges import Scope, implied
from probe.core.expect import Place
from probe.core.health import Level
from probe.core.ledger import PortBook, ServiceRecord, Track
from probe.core.results import Result
from probe.core.rollouts import Removal, Rollout
from tests.core.facts import CONNECTED, NODE, edge, endpoint, leaving, service, slice_of

NOW = 1000.0
PODS = ("10.0.0.1", "10.0.0.2")
ROLLOUT = ("Deployment", "demo-app", "backend-v1")


def rollout() -> Rollout:
    return Rollout(ROLLOUT, ("backend-v1",), 900.0, 1500.0)


def port_of(*levels: Level) -> tuple[ServiceRecord, PortBook]:
    """A Service port whose endpoints have come so far, one of three pods having gone at NOW."""
    book = PortBook(implied(service(), [slice_of(*PODS)], Scope()).ports[0])
    book.expect(Place(NODE), local=False)
    for pod, level in zip(PODS, levels, strict=False):
        book.tracks[edge(pod)] = Track(edge(pod), endpoint(pod), -inf, level=level)
    return ServiceRecord(service(), removals=[Removal("10.0.0.3", NOW, gone_at=NOW)]), book


def dial(
    record: ServiceRecord,
    book: PortBook,
    result: Result,
    at: float,
    *running: Rollout,
    period: float = 0.5,
    waited: float = 0.0,
) -> bool:
    """A ClusterIP dial that began at that moment."""
    return blame.cluster_ip(record, book, result, at, period, running, waited=waited)


def answer(record: ServiceRecord, book: PortBook, at: float) -> None:
    """All endpoints in use answer a dial that begins at that moment."""
    for track in book.tracks.values():
        track.level, track.dialed_at = Level.UP, at
    blame.confirm(record, book, at)


def answers_still(book: PortBook, pod: str, at: float) -> None:
    """A removed pod answers a dial that begins at that moment: it sleeps in its preStop hook."""
    removed = edge(pod)
    track = Track(removed, leaving(pod), -inf, outcome=CONNECTED, dialed_at=at)
    book.tracks[removed], book.idle = track, frozenset({removed})
