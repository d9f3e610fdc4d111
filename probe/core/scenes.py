"""What the World remembers of the moment at which something began to fail, for finding the change
that explains it."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice, takewhile
from math import inf

from probe.core import suspects
from probe.core.changes import Change, ChangeKind
from probe.core.edges import Kind, PortKey, ServiceKey
from probe.core.health import Level
from probe.core.ledger import PortBook, ServiceRecord
from probe.core.rollouts import WorkloadKey
from probe.core.suspects import BY_VERDICT, PRECEDING_SECONDS, Scene
from probe.core.verdicts import Judgement, Verdict
from probe.core.world import World

JUDGED_WITHIN = 120.0
"""Seconds that a verdict takes at most from the first failed dial: 30 to settle, a round of 10 and
three dials of 4 s that confirm are half of it. What failed before that did so for another reason:
an endpoint that is down for hours is not how the failure of all of them began."""

PORTS_ASKED = 100
"""Service ports of one incident that are looked at: what they share began with any of them at the
same time, within one interval. Arbitrary."""

FAILS = frozenset({Level.SUSPECT, Level.CONFIRMED, Level.DOWN})


def began(world: World, ports: Collection[PortKey], judged_at: float) -> float:
    """When the first dial began that failed on the way to a verdict of that moment, or the last
    endpoint went; the moment itself where nothing tells, as for lost SYNs."""
    found = (book for _, book in _books(world, ports))
    known = [at for book in found for at in _failing_since(book)]
    return min([judged_at, *(at for at in known if judged_at - JUDGED_WITHIN <= at)])


def explanation(
    world: World, ports: Collection[PortKey], judgement: Judgement, at: float
) -> Change | None:
    """The change that explains best why these Service ports fail since that moment, all of them;
    None if nothing that is known does."""
    mirror = world.mirror
    after = at - PRECEDING_SECONDS
    one = next(iter(ports))  # what concerns all of them concerns this one
    known = takewhile(lambda change: change.at >= after, mirror.causes())
    recent = [change for change in known if not change.services or one.service in change.services]
    recent += _rollouts(world, one[:2], {(change.object, change.at) for change in recent})
    nodes = BY_VERDICT[judgement.verdict][ChangeKind.NODE] and not judgement.cause
    nodes = nodes and any(change.kind is ChangeKind.NODE for change in recent)
    scene = Scene(
        verdict=judgement.verdict,
        began=at,
        ports=frozenset(ports),
        own=world.config.node,
        accused=judgement.cause.partition("/")[2],
        nodes=_nodes(world, ports, after) if nodes else frozenset(),
        lasting=_lasting(world, recent),
        round=max(
            (t.period for _, b in _books(world, ports) for t in b.tracks.values()), default=0.0
        ),
    )
    return suspects.blamed(recent, scene)


def _books(world: World, ports: Collection[PortKey]) -> Iterator[tuple[ServiceRecord, PortBook]]:
    for key in islice(ports, PORTS_ASKED):
        record = world.mirror.services.get((key.namespace, key.service))
        book = record.books.get(key.port) if record is not None else None
        if record is not None and book is not None:
            yield record, book


def _failing_since(book: PortBook) -> Iterator[float]:
    """The moments at which this port may have begun to fail, as far as there are any."""
    if book.failing_since < inf:
        yield book.failing_since
    if book.judgement.verdict is Verdict.NO_ENDPOINTS:
        yield book.moved_at


def _rollouts(
    world: World, service: ServiceKey, known: Collection[tuple[str, float]]
) -> Iterator[Change]:
    """Those behind that Service whose change is not among those that are known: they began so long
    ago, or before us."""
    for rollout in world.mirror.all_rollouts_of(service):
        kind, namespace, name = rollout.workload
        object_ = f"{kind} {namespace}/{name}"
        if (object_, rollout.started) not in known:
            yield Change(
                rollout.started,
                ChangeKind.ROLLOUT,
                namespace,
                object_,
                rollout.detail,
                by=rollout.by,
                services=rollout.services,
                managed=rollout.managed,
            )


def _lasting(world: World, recent: Iterable[Change]) -> dict[str, tuple[float, float]]:
    """From when to when each workload that one of these changes is about rolled last."""
    found = {c.object: world.mirror.last_rollout(_workload(c.object)) for c in recent}
    return {
        object_: (rollout.started, inf if rollout.ended is None else rollout.ended)
        for object_, rollout in found.items()
        if rollout is not None
    }


def _workload(object_: str) -> WorkloadKey:
    """`Deployment demo-app/web`; what is no workload is none that rolls."""
    kind, _, name = object_.partition(" ")
    namespace, _, name = name.partition("/")
    return kind, namespace, name


def _nodes(world: World, ports: Collection[PortKey], after: float) -> frozenset[str]:
    """The nodes of endpoints that fail, take no traffic, or came or went lately."""
    nodes: set[str] = set()
    for record, book in _books(world, ports):
        failing = (t.endpoint for t in book.of_kind(Kind.ENDPOINT) if t.level in FAILS)
        nodes.update(endpoint.node for endpoint in failing if endpoint is not None)
        nodes.update(e.node for e in record.held_endpoints() if e.terminating or not e.ready)
    for change in takewhile(lambda c: c.at >= after, reversed(world.mirror.endpoint_changes)):
        if any(k.namespace == change.namespace and k.service in change.services for k in ports):
            nodes.add(change.node)
    return frozenset(nodes - {""})
