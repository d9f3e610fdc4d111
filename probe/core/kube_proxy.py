"""The kube-proxy of this node, told from the ClusterIPs of all Services.

In a large cluster a node dials most Services by their ClusterIP alone, and other nodes dial the
endpoints behind it. Where such a ClusterIP fails the endpoints may be down, or our kube-proxy is.
It is, where a Service of which we dial every endpoint has all of them answer and its ClusterIP not;
or where most ClusterIPs fail while what we dial behind them answers. Then what fails besides, and
nothing that we dial speaks against, is its fault too.

What stays undecided: whether such a Service is down itself at the same time; and a kube-proxy that
follows no more while only Services fail of which we dial no or not every endpoint.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum
from heapq import nlargest
from math import inf

from probe.core.edges import Kind, ServiceKey
from probe.core.health import Level
from probe.core.ledger import PortBook, ServiceRecord, Track, View, fresh
from probe.core.results import FAILURES
from probe.core.verdicts import FAILING, PROXY_PATIENCE, Verdict

MANY = 4
"""Services that fail at least where "most" are to accuse kube-proxy: in a large cluster two or
three are down for reasons of their own at any time. Chosen, as is the half that "most" means: one
without rules fails them all, and no cluster's Services are down by half while ours answer."""

WITNESSES = 8
"""ClusterIPs that are dialed soon when one has failed. Chosen, as that of nodepaths: a few suffice,
since one without rules fails each of them."""

ASK_AGAIN = 10.0
"""Seconds between two such askings: one default interval."""

LOOK_AGAIN = 1.0
"""Seconds between two looks at all Services while a ClusterIP fails of which we do not dial every
endpoint: 3 us each, 10 us for one that fails and whose endpoints we dial (measured)."""


ENDED = FAILING - {Verdict.DRAIN_RACE}
"""Verdicts by which it is known what else makes a ClusterIP fail. A drain race that does not end
is kube-proxy's."""


class Stand(IntEnum):
    """How one Service stands, what tells most first. LATE is what may be COMING, once kube-proxy
    has had its time to follow."""

    PROVEN = 0
    COMING = 1
    ANSWERED = 2
    UNSEEN = 3
    EXPLAINED = 4
    ANSWERS = 5
    LATE = 6
    NOTHING = 7


FAILS = (Stand.PROVEN, Stand.COMING, Stand.ANSWERED, Stand.UNSEEN)


class KubeProxy:
    """Looks at the `services` only when it is asked, and at all of them at once."""

    def __init__(self, services: Mapping[ServiceKey, ServiceRecord]) -> None:
        self._services = services
        self._asked: list[Track] = []
        self._asked_at = -inf
        self._looked_at = -inf
        self._proven_until = -inf
        self._most_until = -inf
        self._coming = False

    def witnesses(self, now: float) -> list[Track]:
        """ClusterIPs to dial soon, since one fails: first those of which we dial the endpoints,
        and of these the ones whose endpoints changed last. A proxy that is behind fails there."""
        if now - self._asked_at < ASK_AGAIN:
            return []
        found = (b for r in self._services.values() for b in r.books.values() if _may_tell(b))
        chosen = nlargest(WITNESSES, found, key=lambda b: (_sees_all(b), b.moved_at))
        self._asked = [track for book in chosen for track in _vips(book)]
        self._asked_at = now
        return self._asked

    def explains(self, book: PortBook, view: View) -> str:
        """Why it is kube-proxy's that this ClusterIP fails, as the end of a sentence; "" if that
        is not known. Dials until PROXY_PATIENCE after the last proof count: when kube-proxy is
        back, the ClusterIPs come round one after the other."""
        self._look(view)
        at = min((t.dialed_at for t in _vips(book) if _failed(t)), default=inf)
        if at <= self._proven_until and Kind.SERVICE in book.last_success:
            return "as does that of a Service whose endpoints all answer"
        return "as most do from here" if at <= self._most_until else ""

    def in_doubt(self, view: View) -> bool:
        """Whether dials under way may accuse kube-proxy."""
        self._look(view)
        asked, at = self._asked, self._asked_at
        return self._coming or any(not t.gone and (t.in_flight or t.sent < at) for t in asked)

    def _look(self, view: View) -> None:
        if view.now - self._looked_at < LOOK_AGAIN:
            return
        self._looked_at = view.now
        records = self._services.values()
        held = Counter(min(_stands(b, view) for b in r.books.values()) for r in records if r.books)
        self._coming = held[Stand.COMING] + held[Stand.LATE] > 0
        if held[Stand.PROVEN]:
            self._proven_until = view.now + PROXY_PATIENCE
        failing, seen = _sum(held, FAILS), _sum(held, FAILS[:-1])
        dialed = failing + held[Stand.EXPLAINED] + held[Stand.ANSWERS]
        if failing >= max(MANY, dialed / 2) and seen > held[Stand.EXPLAINED]:
            self._most_until = view.now + PROXY_PATIENCE


def _sum(held: Counter[Stand], stands: Iterable[Stand]) -> int:
    return sum(held[stand] for stand in stands)


def _vips(book: PortBook) -> list[Track]:
    """The ClusterIPs that should connect."""
    held = (book.tracks.get(edge) for edge in book.implied.cluster_ips if book.connects(edge))
    return [track for track in held if track is not None]


def _failed(track: Track) -> bool:
    return track.outcome is not None and track.outcome.result in FAILURES


def _may_tell(book: PortBook) -> bool:
    """Whether a dial of the ClusterIP would be news: it answered, or was not dialed since all that
    it leads to is new."""
    vips = _vips(book)
    return bool(vips) and all(t.level in (Level.UP, Level.NEW) for t in vips)


def _sees_all(book: PortBook) -> bool:
    """Whether we dial every endpoint that the ClusterIP leads to."""
    return len(_seen(book)) == book.leading


def _seen(book: PortBook) -> list[Track]:
    return [t for t in book.tracks.values() if book.leads_to(t.edge)]


def _stands(book: PortBook, view: View) -> Stand:
    vips = _vips(book)
    failing = [t for t in vips if t.level is not Level.UP and _failed(t) and fresh(t, view)]
    if not failing:
        return Stand.ANSWERS if any(t.outcome for t in vips) else Stand.NOTHING
    stands = _stands_behind(book)
    if not any(book.late(t, view.patience) for t in failing):
        return stands
    return Stand.LATE if stands is Stand.COMING else Stand.NOTHING


def _stands_behind(book: PortBook) -> Stand:
    """How a Service stands whose ClusterIP fails, by what is dialed behind it."""
    dialed = [t for t in _seen(book) if t.outcome is not None]
    if any(t.level is not Level.UP and _failed(t) for t in dialed):
        return Stand.EXPLAINED
    if not dialed:
        return Stand.UNSEEN
    if len(dialed) < book.leading or Kind.SERVICE not in book.last_success:
        return Stand.ANSWERED
    verdict = book.judgement.verdict
    if verdict is Verdict.PROXY_STALE:
        return Stand.PROVEN
    return Stand.ANSWERED if verdict in ENDED else Stand.COMING
