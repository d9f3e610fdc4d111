"""Candidate ports: what is dialed besides when every endpoint refuses the target port."""

from collections.abc import Iterable

from probe.core.edges import BLOCKING_PORTS, Kind
from probe.core.evidence import Candidate
from probe.core.health import State
from probe.core.ledger import CandidatePlan, PortBook, ServiceRecord, View, state
from probe.core.ports import CANDIDATES_MAX
from probe.core.results import Result
from probe.core.workloads import Workload

CANDIDATE_ENDPOINTS = 3
"""Endpoints on which candidate ports are dialed: enough to see that they agree."""


def candidate_plan(
    record: ServiceRecord, book: PortBook, view: View, workloads: Iterable[Workload]
) -> CandidatePlan | None:
    """What to dial besides when every endpoint refuses the target port, those aside that are not
    judged yet; None otherwise."""
    tracks = [t for t in book.tracks.values() if book.leads_to(t.edge)]
    states = {t.edge: state(t, record, book, view) for t in tracks}
    dialed = [t for t in tracks if states[t.edge] in (State.UP, State.FAILING, State.DOWN)]
    down = [t for t in dialed if states[t.edge] is State.DOWN]
    refused = [t.edge for t in down if t.outcome and t.outcome.result is Result.REFUSED]
    if not refused or len(refused) < max(len(dialed), min(2, len(tracks))):
        return None
    targets = {t.edge.dial_port for t in tracks}
    told = [d for w in workloads for d in w.declared]
    auxiliary = {d.port for d in told if d.auxiliary}
    numbers = {d.port for d in told} - targets - BLOCKING_PORTS
    found = sorted((number in auxiliary, number) for number in numbers)[:CANDIDATES_MAX]
    return CandidatePlan(tuple(sorted(refused)), tuple((port, aside) for aside, port in found))


def candidates(record: ServiceRecord, book: PortBook) -> tuple[Candidate, ...]:
    """The dialed candidate ports with how many endpoints accepted each."""
    taken = {
        edge.dial_port
        for other in record.books.values()
        if other is not book
        for edge in other.implied.edges
    }
    auxiliary = dict(book.plan.declared) if book.plan else {}
    found: dict[int, list[bool]] = {}
    for track in book.of_kind(Kind.CANDIDATE):
        if track.outcome is not None:
            connected = track.outcome.result is Result.CONNECTED
            found.setdefault(track.edge.dial_port, []).append(connected)
    return tuple(
        Candidate(
            port,
            accepted=sum(accepted),
            dialed=len(accepted),
            eligible=port not in taken and not auxiliary.get(port, False),
        )
        for port, accepted in sorted(found.items())
    )
