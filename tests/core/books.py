"""Service ports with tracks, as the tests of what reads them want them."""

from collections.abc import Sequence
from math import inf

from probe.core.backing import Backing
from probe.core.edges import Scope, implied
from probe.core.evidence import Evidence
from probe.core.expect import Place
from probe.core.gathering import Circumstances, evidence
from probe.core.health import Level
from probe.core.kube_proxy import KubeProxy
from probe.core.ledger import PortBook, ServiceRecord, Track, View
from probe.core.nodepaths import NodePaths
from probe.core.results import Outcome
from probe.core.surroundings import Surroundings
from probe.core.workloads import Workload
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
    found.expect(Place(NODE), local=False)
    found.tracks = {t.edge: t for t in tracks}
    return ServiceRecord(held, books={8080: found}), found


def refused() -> tuple[ServiceRecord, PortBook]:
    return book(*(track(pod, Level.DOWN, REFUSED) for pod in PODS), target=8081)


def gathered(
    record: ServiceRecord,
    found: PortBook,
    view: View = VIEW,
    paths: NodePaths | None = None,
    around: Surroundings | None = None,
    workloads: Sequence[Workload] = (),
) -> Evidence:
    """The evidence of such a port, where nothing else is known."""
    return evidence(
        record,
        found,
        view,
        Backing(tuple(workloads)),
        Circumstances(paths or NodePaths(NODE, 14.0), around or Surroundings(), KubeProxy({})),
    )
