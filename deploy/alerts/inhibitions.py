"""Which alerts need not be sent while which others fire."""

from dataclasses import dataclass

from deploy.alerts.alert import CLUSTER, OF_PORT
from deploy.alerts.service_ports import SERVICE_PORTS


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While one of `sources` fires, `targets` with the same labels `equal` are not sent."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    equal: tuple[str, ...]


_OF_NODE = ("EdgeprobeProxyStale", "EdgeprobeProbeFault", "EdgeprobeRemovalLagHigh")
_OF_PROBER = ("EdgeprobeProberStale", "EdgeprobeProberMissing", "EdgeprobeLowCoverage")
_WHOLE = (*(alert.name for alert in SERVICE_PORTS[:4]), "EdgeprobeInvalidTarget")
"""Of a Service port of which nothing answers."""

INHIBITIONS = (
    Inhibition(("EdgeprobeNodePath",), (*_OF_NODE, *_OF_PROBER), (CLUSTER, "node")),
    Inhibition(
        ("EdgeprobeProbeFault", "EdgeprobeProberStale", "EdgeprobeProberMissing"),
        ("EdgeprobeLowCoverage",),
        (CLUSTER, "node"),
    ),
    Inhibition(
        _WHOLE,
        ("EdgeprobeEndpointDown", "EdgeprobeRefusedSteady"),
        OF_PORT,
    ),
    # A node that has not dialed the declared ports yet.
    Inhibition(("EdgeprobePortMismatch",), ("EdgeprobeNotListening",), OF_PORT),
    Inhibition(("EdgeprobeEndpointDown",), ("EdgeprobeRefusedSteady",), OF_PORT),
    Inhibition(("EdgeprobeProberAbsent",), ("EdgeprobeProberMissing",), (CLUSTER,)),
)
"""What need not be told while something else explains it, in the same cluster: to Alertmanager a
label that both alerts lack is equal."""
