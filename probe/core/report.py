"""Facts -> the JSON documents of the API and of `-o json`.

The shapes are interfaces: dashboards and scripts read them. Times are RFC 3339; a `Clock` turns
our monotonic receipt into them, since the core itself never knows the time of day.
"""

from collections.abc import Iterable, Iterator
from math import inf
from typing import Any

from probe.core import rollout_reports, scenes
from probe.core.advice import advice
from probe.core.changes import Change, ChangeKind, last_write
from probe.core.edges import Edge, Kind, Service, ServiceKey, spoken
from probe.core.incident import Standing, standing
from probe.core.ledger import PortBook, ServiceRecord, Track, state
from probe.core.moments import Clock, rfc3339
from probe.core.relevance import Relevance
from probe.core.results import Icmp, Outcome
from probe.core.rollouts import Rollout
from probe.core.targets import Target
from probe.core.undialed import undialed
from probe.core.verdicts import FAILING, SEVERITY, UNDECIDED, Verdict
from probe.core.world import World

Json = dict[str, Any]

CHANGES_SHOWN = 20


def services(world: World, now: float, clock: Clock, vantage: str, namespace: str = "") -> Json:
    """Every known Service, of one namespace if given, with its verdict, and the worst of them at
    this moment; what is so on purpose does not count.

    "services" is an iterator: a large cluster's would take longer than the dials may wait, so they
    are told one by one, each as it is when it is asked for. Those that are gone then are left out.
    """
    told = Relevance(world.mirror)
    known = sorted(
        (key, record)
        for key, record in world.mirror.services.items()
        if record.service is not None and namespace in ("", key[0])
    )
    counted = (
        Verdict.UNKNOWN if _starting(world, r, b) else b.judgement.verdict
        for _, r in known
        for b in (*r.books.values(), *undialed(world, r, now))
        if not _on_purpose(world, r, b)
    )
    verdict = worst(set(counted))
    return {
        "services": (
            _service(world, key, told.of(key), now, clock, vantage)
            for key, record in known
            if record.service is not None
        ),
        "verdict": str(verdict if world.mirror.synced else Verdict.UNKNOWN),
    }


def service(world: World, key: ServiceKey, now: float, clock: Clock, vantage: str) -> Json:
    """One Service. Raises KeyError if it is not known."""
    return _service(world, key, Relevance(world.mirror).of(key), now, clock, vantage)


def _service(
    world: World, key: ServiceKey, told: list[Change], now: float, clock: Clock, vantage: str
) -> Json:
    record = world.mirror.services[key]
    if record.service is None:
        raise KeyError(key)
    books = _books(world, record, now)
    ports = [_port(world, record, book, now) for book in books]
    asked = [book for book in books if not _on_purpose(world, record, book)]
    counted = asked or books
    verdict = worst(b.judgement.verdict for b in counted) if books else Verdict.UNKNOWN
    worst_book = next((b for b in counted if b.judgement.verdict is verdict), None)
    known = world.mirror.last_rollouts_of(key), world.mirror.workloads_of(record.service)
    return {
        "service": {"namespace": key[0], "name": key[1]},
        "spec": _spec(record.service),
        "sources": [{"node": world.config.node, "vantage": vantage}],
        "verdict": str(verdict),
        "summary": worst_book.judgement.summary if worst_book else _nothing(record),
        "on_purpose": not asked,
        "starting": worst_book is not None and _starting(world, record, worst_book),
        "skipped": list(dict.fromkeys(map(str, record.skipped))),
        "dialed": sum(_dialed(book) for book in books),
        "expected": sum(_expected(book) for book in books),
        "ports": ports,
        **_why(world, worst_book, clock),
        "changes": [change(c, clock) for c in _shown_changes(told, record.service, now)],
        "warnings": list(_warnings(world, record.service)),
        "advice": list(
            dict.fromkeys(line for b in books for line in advice(record.service, b, *known))
        ),
    }


def _warnings(world: World, service: Service) -> Iterator[Json]:
    """Addresses that nobody may dial and that the workloads behind it were told: none of its own
    dials meets them, so that its verdict says nothing of them. With who wrote each, and when."""
    for workload in world.mirror.workloads_of(service):
        for found in workload.invalid:
            teller = workload.tellers.get(found)
            yield {
                "object": f"{workload.kind} {workload.namespace}/{workload.name}",
                "detail": found[1],
                "by": teller.manager if teller else None,
                "time": teller.time if teller else None,
            }


def _why(world: World, book: PortBook | None, clock: Clock) -> Json:
    """The change that explains what is wrong; a single run has not seen any."""
    if book is None or world.config.once or standing(book.judgement) is not Standing.FAILING:
        return explained(None, None, clock)
    ports, judgement = [book.implied.key], book.judgement
    at = scenes.began(world, ports, book.judged_since)
    found = scenes.explanation(world, ports, judgement, at)
    return explained(found, at - found.at if found is not None else None, clock)


def _spec(service: Service) -> Json:
    """What it is, as a person names it; headless has no "cluster_ips"."""
    return {
        "type": service.type,
        "cluster_ips": list(service.cluster_ips),
        "selector": dict(service.selector),
    }


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one verdict for many: a failure beats what could not be told, which beats healthy."""

    def rank(verdict: Verdict) -> tuple[int, int]:
        group = 0 if verdict in FAILING else 1 if verdict in UNDECIDED else 2
        return group, SEVERITY.index(verdict)

    return min(verdicts, key=rank, default=Verdict.HEALTHY)


def _books(world: World, record: ServiceRecord, now: float) -> list[PortBook]:
    """The Service's TCP ports by number, those that are not dialed among them."""
    books = (*record.books.values(), *undialed(world, record, now))
    return sorted(books, key=lambda book: book.implied.key.port)


def _on_purpose(world: World, record: ServiceRecord, book: PortBook) -> bool:
    """Whether what the port is judged to be was wanted: its workload is scaled to zero, or a rule
    keeps us from dialing any of its endpoints."""
    if book.judgement.on_purpose:
        return not _starting(world, record, book)
    barred = book.anywhere > 0 and bool(book.implied.barred) and not _expected(book)
    return barred and book.judgement.verdict is Verdict.UNKNOWN


def _starting(world: World, record: ServiceRecord, book: PortBook) -> bool:
    """Whether the port has no endpoints yet, since the first pods of its workload start."""
    return book.judgement.on_purpose and not world.mirror.wants_nothing(record.service)


def _nothing(record: ServiceRecord) -> str:
    reasons = ", ".join(dict.fromkeys(map(spoken, record.skipped)))
    return f"nothing of it is dialed: {reasons or 'it has no ports'}"


def _shown(book: PortBook) -> list[Track]:
    return sorted(book.tracks.values(), key=lambda t: (_ORDER[t.edge.kind], t.edge))


_ORDER = {Kind.SERVICE: 0, Kind.ENDPOINT: 1, Kind.CANDIDATE: 2}


def _expected(book: PortBook) -> int:
    return sum(t.edge.kind is Kind.SERVICE or book.leads_to(t.edge) for t in book.tracks.values())


def _dialed(book: PortBook) -> int:
    return sum(
        t.outcome is not None and (t.edge.kind is Kind.SERVICE or book.leads_to(t.edge))
        for t in book.tracks.values()
    )


def _port(world: World, record: ServiceRecord, book: PortBook, now: float) -> Json:
    port = book.implied.port
    view = world.view(now)
    edges = [_edge(world.config.node, t, str(state(t, record, book, view))) for t in _shown(book)]
    return {
        "name": port.name,
        "port": port.port,
        "target_port": port.target_port,
        "verdict": str(book.judgement.verdict),
        "summary": book.judgement.summary,
        "on_purpose": _on_purpose(world, record, book),
        "starting": _starting(world, record, book),
        "edges": edges,
    }


def _edge(node: str, track: Track, shown_state: str) -> Json:
    edge: Edge = track.edge
    outcome = track.fault or track.outcome
    return {
        "from": node,
        "kind": str(edge.kind),
        "address": edge.address,
        "port": edge.dial_port,
        "family": str(edge.family),
        "pod": track.endpoint.pod or None if track.endpoint else None,
        "node": track.endpoint.node or None if track.endpoint else None,
        "state": shown_state,
        **_outcome(outcome),
    }


def _outcome(outcome: Outcome | None) -> Json:
    if outcome is None:
        return {"result": None, "connect_seconds": None, "syn_retransmits": 0, "icmp": None}
    return {
        "result": str(outcome.result),
        "connect_seconds": outcome.connect_seconds,
        "syn_retransmits": outcome.syn_retransmits,
        "icmp": _icmp(outcome.icmp),
    }


def _icmp(icmp: Icmp | None) -> Json | None:
    if icmp is None:
        return None
    return {"type": icmp.type, "code": icmp.code, "offender": icmp.offender}


def address(target: Target, outcome: Outcome) -> Json:
    """One line of `probe check addr -o json`."""
    return {
        "address": target.host,
        "port": target.port,
        **_outcome(outcome),
        "detail": outcome.detail,
    }


def _shown_changes(told: list[Change], held: Service, now: float) -> list[Change]:
    """At most CHANGES_SHOWN of them: endpoints come and go in masses and may fill what others
    leave. The Service's last write stands for an edit that was not seen."""
    causes = [c for c in told if c.kind is not ChangeKind.ENDPOINT][:CHANGES_SHOWN]
    endpoints = [c for c in told if c.kind is ChangeKind.ENDPOINT]
    kept = {*causes, *endpoints[: CHANGES_SHOWN - len(causes)]}
    shown = [c for c in told if c in kept]
    edited = any(c.kind in (ChangeKind.SERVICE_EDIT, ChangeKind.SERVICE_ADDED) for c in shown)
    written = None if edited else last_write(held, now)
    return [*shown, written] if written else shown


def explained(found: Change | None, seconds_before: float | None, clock: Clock) -> Json:
    """The change that explains something, and how long before it we heard of that."""
    if found is None or seconds_before is None:
        return {"change": None, "seconds_before": None}
    return {"change": change(found, clock), "seconds_before": round(seconds_before, 1)}


def change(change: Change, clock: Clock) -> Json:
    return {
        "time": change.time or rfc3339(clock(change.at)),
        "kind": str(change.kind),
        "object": change.object,
        "by": change.by,
        "managed": change.managed or None,
        "detail": change.detail,
    }


def changes(
    world: World, clock: Clock, *, after: float = -inf, namespace: str = "", service: str = ""
) -> Json:
    """All remembered changes, newest first, and the rollouts with what they cost: those since the
    moment `after`, of a namespace or a Service if not "". Both are iterators, as of `services`."""
    return {
        "changes": (
            change(c, clock)
            for c in Relevance(world.mirror).within(namespace, service)
            if c.at >= after
        ),
        "rollouts": rollouts(world, clock, after=after, namespace=namespace, service=service),
    }


def rollouts(
    world: World,
    clock: Clock,
    *,
    after: float = -inf,
    namespace: str = "",
    service: str = "",
    workload: tuple[str, str] | None = None,
) -> Iterator[Json]:
    """This node's records of rollouts, newest first: those that were under way after that moment,
    of a namespace, a Service or a workload (kind and name) if given."""
    mirror = world.mirror
    meant = [
        known
        for known in (*mirror.finished, *mirror.rollouts.values())
        if (known.ended is None or known.ended >= after)
        and concerns(known, namespace, service, workload)
    ]
    return (rollout(world, known, clock) for known in sorted(meant, key=lambda r: -r.started))


def concerns(
    known: Rollout, namespace: str, service: str, workload: tuple[str, str] | None
) -> bool:
    """Whether a rollout is of that namespace, Service and workload, as far as they are given."""
    return (
        namespace in ("", known.workload[1])
        and (not service or service in known.services)
        and workload in (None, known.workload[::2])
    )


def rollout(world: World, known: Rollout, clock: Clock) -> Json:
    """One of them, with what its pods declare now and the ports on which they are dialed."""
    _, namespace, _ = known.workload
    records = [world.mirror.services.get((namespace, name)) for name in known.services]
    books = [book for record in records if record is not None for book in record.books.values()]
    return rollout_reports.record(
        known,
        world.config.node,
        clock,
        workload=world.mirror.workloads.get(known.workload),
        ports=sorted({edge.dial_port for book in books for edge in book.implied.edges}),
    )


def exit_code(verdict: Verdict, *, invalid: bool = False) -> int:
    """2 wrong configuration, 1 a failure was found, 3 could not tell, 0 healthy."""
    if invalid or verdict is Verdict.INVALID_TARGET:
        return 2
    if verdict in FAILING:
        return 1
    return 3 if verdict in UNDECIDED else 0
