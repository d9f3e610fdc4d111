"""What kube-proxy should do at this node: which endpoints a ClusterIP leads to.

The rules of kubernetes pkg/proxy/topology.go (CategorizeEndpoints), for one family:

- Ready endpoints; where there is none, those that serve although they terminate (KEP-1669).
- With internalTrafficPolicy Local the same, but of this node's endpoints alone (KEP-2086).
- Otherwise only those hinted for this node, if every ready endpoint has a hint for nodes and one
  of them is for this node; or else the same with zones (KEP-2433, KEP-3015). Hints that do not
  hold here are ignored: they never leave a node without endpoints.

Nobody tells us which proxy runs here, and they differ in what they give where a ClusterIP leads
nowhere. So no failure of such a dial is held against anybody:

- no endpoint at all: iptables and nftables reject (ICMP 3/3 or 1/4; a timeout once the kernel's
  ICMP rate is used up); IPVS too (ip_vs_leave); Cilium fails the connect() itself (EHOSTUNREACH
  or EPERM) or, balancing packets, drops or rejects them.
- none on this node, for Local: iptables and nftables drop; IPVS and Cilium do as without any.

And Cilium ignores hints by default, kube-proxy before 1.34 those for nodes: a ClusterIP may lead
to every usable endpoint, whatever the hints say.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from probe.core.edges import Edge, Endpoint

Backend = tuple[Edge, Endpoint]
Backends = tuple[Backend, ...]


class Place(NamedTuple):
    """Where dials begin: a node, and its zone where that is known. Without a node no rule of a
    node holds."""

    node: str = ""
    zone: str = ""


class Expectation(StrEnum):
    """What a dial to the ClusterIP should meet here."""

    CONNECT = "connect"
    REJECT = "reject"
    DROP = "drop"
    NOTHING = "nothing"
    """Nothing to say: it may meet an endpoint of which nobody knows whether it should answer."""


@dataclass(frozen=True, slots=True)
class Expected:
    """`usable` are the backends that take traffic of this node, now or once hints cease to hold;
    `led` those of them that the ClusterIP leads to by the hints of now. `anywhere` counts those
    that some node uses."""

    expectation: Expectation
    usable: Backends
    led: Backends
    anywhere: int


def expected(backends: Iterable[Backend], here: Place, *, local: bool) -> Expected:
    """The expectation for one ClusterIP of the family of these backends, seen from here."""
    held = tuple(backends)
    anywhere = in_use(held)
    if not anywhere:
        return Expected(Expectation.REJECT, (), (), 0)
    if local:
        usable = led = in_use(b for b in held if here.node == b[1].node != "")
    else:
        usable, led = anywhere, _hinted(anywhere, here)
    if not led:
        return Expected(Expectation.DROP, (), (), len(anywhere))
    sure = all(endpoint.serving for _, endpoint in usable)
    expectation = Expectation.CONNECT if sure else Expectation.NOTHING
    return Expected(expectation, usable, led, len(anywhere))


def in_use(backends: Iterable[Backend]) -> Backends:
    """Of these, the ones that receive new connections."""
    held = tuple(backends)
    ready = tuple(b for b in held if b[1].ready)
    return ready or tuple(b for b in held if b[1].serving and b[1].terminating)


def answers(endpoint: Endpoint) -> bool:
    """Whether an endpoint in use should answer.

    publishNotReadyAddresses calls every endpoint ready: one that does not serve, and one that is
    being ended, may or may not.
    """
    return endpoint.serving and not (endpoint.ready and endpoint.terminating)


def _hinted(usable: Backends, here: Place) -> Backends:
    if not all(endpoint.ready for _, endpoint in usable):
        return usable
    hints = [endpoint.hints for _, endpoint in usable]
    for name, names in (
        (here.node, [h.nodes for h in hints]),
        (here.zone, [h.zones for h in hints]),
    ):
        led = tuple(b for b, found in zip(usable, names, strict=True) if name in found)
        if led and all(names):
            return led
    return usable
