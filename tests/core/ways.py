"""Ways to other nodes, as the tests of probe.core.nodepaths want them."""

from probe.core.edges import PortKey
from probe.core.health import Level
from probe.core.ledger import Track
from probe.core.nodepaths import NodePaths
from probe.core.results import Outcome
from tests.core.facts import CONNECTED, NODE, edge, endpoint

QUIET = 14.0


def track(
    name: str, address: str, *, node: str = "b", number: int = 80, pod: str | None = None
) -> Track:
    held = edge(address, number, key=PortKey("shop", name, number))
    return Track(held, endpoint(address, node=node, pod=pod), 0.0)


def meets(paths: NodePaths, held: Track, outcome: Outcome, at: float) -> None:
    """A dial that began at this moment; a failure is a confirmed one."""
    held.outcome, held.dialed_at = outcome, at
    held.level = Level.UP if outcome is CONNECTED else Level.DOWN
    paths.met(held)


def begun(*tracks: Track, own: str = NODE) -> NodePaths:
    paths = NodePaths(own, QUIET)
    for held in tracks:
        paths.begun(held)
    return paths


def dead(paths: NodePaths, now: float) -> set[str]:
    list(paths.review(now))
    return set(paths.dead)
