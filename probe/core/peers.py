"""Where the other daemons answer: the endpoints of the Service that they share."""

from collections.abc import Sequence

from probe.core.edges import EndpointSlice
from probe.core.ledger import ServiceRecord
from probe.core.targets import Network, fault

PORT_NAME = "http"
"""The name of the daemons' port in deploy/probe.yaml; a Service with one port needs none."""


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
