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
    led = (t for t in book.tracks.values() if book.leads_to(t.edge))
    tracks = [t for t in led if t.edge.family not in view.lacking]
    states = {t.edge: state(t, record, book, view) for t in tracks}
    dialed = [t for t in tracks if states[t.edge] in (State.UP, State.FAILING, State.DOWN)]
    down = [t for t in dialed if states[t.edge] is State.DOWN]
    refused = [t.edge for t in down if t.outcome and t.outcome.result is Result.REFUSED]
    if not refused or len(refused) < max(len(dialed), min(2, len(tracks))):
        return None
    behind, targets = list(workloads), {t.edge.dial_port for t in tracks}
    numbers = {d.port for w in behind for d in w.declared} - targets - BLOCKING_PORTS
    asides = {n for n in numbers if not all(_may_be_meant(n, targets, w) for w in behind)}
    found = sorted((number in asides, number) for number in numbers)[:CANDIDATES_MAX]
    return CandidatePlan(tuple(sorted(refused)), tuple((port, aside) for aside, port in found))


def _may_be_meant(number: int, targets: set[int], workload: Workload) -> bool:
    """Whether the workload lets believe that whoever wrote one of the target ports meant this one.

    A target port that it declares itself is right, and only not listened on yet (a slow start
    without a readinessProbe), unless the very container is told to listen elsewhere: a mistake of
    the Service was then made in the containerPort too. An application that declares nothing may
    listen anywhere; what stands beside it is not meant.
    """
    offered = [d for d in workload.declared if d.port == number]
    if any(d.auxiliary for d in offered):
        return False
    declared = [d for d in workload.declared if d.port in targets]
    if not declared:
        own = [d for d in workload.declared if d.container == workload.application]
        return not offered or not all(d.auxiliary for d in own)
    return any(
        d.told and all(not t.told and t.container == d.container for t in declared) for d in offered
    )


def candidates(record: ServiceRecord, book: PortBook) -> tuple[Candidate, ...]:
    """The dialed candidate ports with how many endpoints accepted each, and whether it may be
    meant: no other port of the Service leads there, and no workload has it for something else."""
    taken = {
        edge.dial_port
        for other in record.books.values()
        if other is not book
        for edge in other.implied.edges
    }
    asides = dict(book.plan.declared) if book.plan else {}
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
            eligible=port not in taken and not asides.get(port, False),
        )
        for port, accepted in sorted(found.items())
    )
