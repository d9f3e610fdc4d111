"""Records -> evidence: what was dialed of a Service port, counted for its verdict."""

from collections.abc import Iterable

from probe.core.candidates import candidates
from probe.core.edges import Kind
from probe.core.evidence import Evidence
from probe.core.health import Level, State
from probe.core.ledger import PortBook, ServiceRecord, Track, View, state
from probe.core.results import Result


def evidence(
    record: ServiceRecord, book: PortBook, view: View, *, scaled_to_zero: bool
) -> Evidence:
    """What judge() needs to know of this Service port at this moment."""
    service = record.service
    endpoints = [t for t in book.tracks.values() if book.leads_to(t.edge)]
    vips = [t for t in book.of_kind(Kind.SERVICE) if book.connects(t.edge)]
    tracks = (*endpoints, *vips)
    states = {t.edge: state(t, record, book, view) for t in tracks}
    dialed = [t for t in endpoints if _tells(states[t.edge])]
    down = [t for t in dialed if states[t.edge] is State.DOWN]
    vip_down = [t for t in vips if states[t.edge] is State.DOWN]
    asked = list(book.of_kind(Kind.CANDIDATE))
    faults = [t.fault for t in book.tracks.values() if t.fault is not None]
    barred = sum(book.leads_to(edge) for edge in book.implied.barred)
    return Evidence(
        target_port=_target_port(book, endpoints),
        usable=book.anywhere,
        expected=len(endpoints),
        dialed=len(dialed),
        up=sum(states[t.edge] is State.UP for t in dialed),
        down=_results(down),
        undecided=sum(
            states[t.edge] is State.FAILING or (t.outcome is None and t.fault is None)
            for t in endpoints
        )
        + sum(t.outcome is None and t.fault is None for t in vips)
        + sum(states[t.edge] in (State.UP, State.DOWN) and book.outran(t) for t in tracks),
        settling=sum(states[t.edge] is State.EXCLUDED for t in endpoints),
        vips=len(vips),
        vips_dialed=sum(_tells(states[t.edge]) for t in vips),
        vip_down=_results(vip_down),
        candidates=candidates(record, book),
        candidates_pending=any(t.outcome is None for t in asked),
        invalid=tuple(found.text for found in book.implied.invalid),
        local_faults=len(faults),
        local_fault_detail=faults[0].detail if faults else "",
        vip_faults=sum(t.fault is not None for t in vips),
        stale_seconds=view.stale_seconds if _doubtful((*endpoints, *vips), view) else None,
        drain_failures=sum(view.now - at < view.linger for at in book.drain_failures),
        new=view.now - record.since < view.settle,
        scaled_to_zero=scaled_to_zero,
        unresolved=not book.implied.edges and any(e.ready for e in record.held_endpoints()),
        has_selector=service is not None and bool(service.selector),
        recent_dials=book.recent_dials,
        recent_retransmits=book.recent_retransmits,
        undialed=barred,
        elsewhere=book.leading - len(endpoints) - barred,
        details=tuple(_sentence(t) for t in (*down, *vip_down) if t.outcome),
    )


def _doubtful(tracks: Iterable[Track], view: View) -> bool:
    """Whether edges are down, or would be had we heard of the API server lately."""
    failing = (Level.SUSPECT, Level.CONFIRMED, Level.DOWN)
    return view.stale and any(t.level in failing for t in tracks)


def _target_port(book: PortBook, endpoints: list[Track]) -> str:
    """What was dialed, for people: slices may be newer than the Service, or not made from it."""
    meant, dialed = book.implied.port.target_port, {t.edge.dial_port for t in endpoints}
    return str(*dialed) if isinstance(meant, int) and len(dialed) == 1 else str(meant)


def _tells(found: State) -> bool:
    return found not in (State.EXCLUDED, State.UNKNOWN)


def _results(tracks: list[Track]) -> tuple[Result, ...]:
    return tuple(t.outcome.result for t in tracks if t.outcome is not None)


def _sentence(track: Track) -> str:
    detail = track.outcome.detail if track.outcome else ""
    return f"{track.edge.address}:{track.edge.dial_port} {detail}".strip()
