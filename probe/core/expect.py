"""What kube-proxy should do at this node: which endpoints a ClusterIP leads to.

The rules of kubernetes pkg/proxy/topology.go: ready endpoints; where there is none, those that
serve although they terminate (KEP-1669); with internalTrafficPolicy Local only those on this
node (KEP-2086), and then a packet without one is dropped, not rejected.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from probe.core.edges import Edge, Endpoint

Backend = tuple[Edge, Endpoint]


class Expectation(StrEnum):
    """What a dial to the ClusterIP should meet here."""

    CONNECT = "connect"
    REJECT = "reject"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Expected:
    """`usable` are the backends that the ClusterIP leads to at this node, `anywhere` counts those
    that it leads to at some node."""

    expectation: Expectation
    usable: tuple[Backend, ...]
    anywhere: int


def usable(backends: Iterable[Backend]) -> tuple[Backend, ...]:
    """The backends that receive new connections somewhere in the cluster."""
    held = tuple(backends)
    ready = tuple(b for b in held if b[1].ready and not b[1].terminating)
    if ready:
        return ready
    forced = tuple(b for b in held if b[1].ready)
    return forced or tuple(b for b in held if b[1].serving and b[1].terminating)


def expected(backends: Iterable[Backend], node: str, *, local: bool) -> Expected:
    """The expectation for one ClusterIP of the family of these backends, seen from `node`."""
    found = usable(backends)
    if not found:
        return Expected(Expectation.REJECT, (), 0)
    if not local:
        return Expected(Expectation.CONNECT, found, len(found))
    here = tuple(b for b in found if b[1].node == node)
    return Expected(Expectation.CONNECT if here else Expectation.DROP, here, len(found))
