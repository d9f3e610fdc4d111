"""The other daemons: the endpoints of the Service that they share.

Where they answer, and whether they can know of us: who is not among its endpoints is not counted
when the dials are shared, and who does not see it takes himself for the only one.
"""

from collections.abc import Sequence

from probe.core.edges import EndpointSlice, ServiceKey
from probe.core.ledger import ServiceRecord
from probe.core.targets import Network, fault

PORT_NAME = "http"
"""The name of the daemons' port in deploy/probe.yaml; a Service with one port needs none."""


LOST_SECONDS = 60.0
"""For so long the Service must not have us before that is worth a word. A slice has a new pod as
soon as that has an address, unless its controller is late. Chosen."""


class Membership:
    """Whether the daemons' Service `peers` has an endpoint on `node`, which is ours."""

    def __init__(self, peers: ServiceKey, node: str) -> None:
        self._peers = "/".join(peers)
        self._node = node
        self._lost_at: float | None = None
        self._told = ""

    def review(self, record: ServiceRecord | None, now: float) -> str | None:
        """A sentence that says why not, once it has been so for LOST_SECONDS; None where there is
        nothing to say, or nothing new. To be called about once a second with what is known of the
        Service."""
        lack = self._lack(record)
        if not lack:
            self._lost_at, self._told = None, ""
            return None
        if self._lost_at is None:
            self._lost_at = now
        if lack == self._told or now - self._lost_at < LOST_SECONDS:
            return None
        self._told = lack
        return lack

    def _lack(self, record: ServiceRecord | None) -> str:
        if record is None or record.service is None:
            return (
                f"no Service {self._peers} is seen (PROBE_PEERS): no daemon knows of another, and "
                "each dials as if it were alone; leave PROBE_PEERS empty if there is only one"
            )
        if all(endpoint.node != self._node for endpoint in record.held_endpoints()):
            return (
                f"Service {self._peers} (PROBE_PEERS) has no endpoint on node {self._node} "
                "(PROBE_NODE_NAME): the other daemons dial as if this one were not there"
            )
        return ""


def addresses(
    record: ServiceRecord | None, node: str, allow: Sequence[Network] = ()
) -> dict[str, tuple[str, int]]:
    """Address and port by node of the daemons on other nodes than `node` that do not terminate;
    none that may not be dialed."""
    found: dict[str, tuple[str, int]] = {}
    slices = record.slices.values() if record is not None else ()
    for held in sorted(slices, key=lambda s: s.address_type):  # IPv4 before IPv6
        port = _port(held)
        for endpoint in held.endpoints:
            other = endpoint.node not in ("", node) and not endpoint.terminating
            if other and not fault(endpoint.address, port, allow):
                found.setdefault(endpoint.node, (endpoint.address, port))
    return found


def _port(held: EndpointSlice) -> int:
    """0 where the slice names none."""
    ports = [p for p in held.ports if p.protocol == "TCP" and p.port]
    named = [p for p in ports if p.name == PORT_NAME]
    return next((p.port for p in (*named, *ports) if p.port), 0)
