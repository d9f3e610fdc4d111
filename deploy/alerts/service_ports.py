"""Alerts for each Service port that fails by itself."""

from deploy.alerts.alert import (
    CRITICAL,
    OF_THE_PORT,
    PORT,
    SERVICE,
    THE_PORT,
    WARNING,
    Alert,
    frozen,
    queried,
)


def _of_service(
    name: str,
    severity: str,
    hold: str,
    verdict: str,
    means: str,
    do: str,
    *,
    by: str = PORT,
    only: str = "",
    where: str = "",
) -> Alert:
    """An alert for each Service port with this verdict, from however many nodes it is seen."""
    selector = f'edgeprobe_verdict_info{{{OF_THE_PORT},verdict="{verdict}"}}'
    stands = frozen(f"Edgeprobe{name}", by, of=PORT) if severity == CRITICAL else ""
    return Alert(
        f"Edgeprobe{name}",
        severity,
        hold,
        verdict,
        f'count by ({by}) (edgeprobe_verdict_info{{verdict="{verdict}"}}{only}){where}{stands}',
        f"{SERVICE}: {means}",
        f"{SERVICE} is {verdict}{{{{ with {queried(selector, THE_PORT)} }}}}, seen from node "
        "{{ . | sortByLabel `node` | first | label `node` }}{{ if gt $value 1.0 }} and "
        f"others, {{{{ $value }}}} in all{{{{ end }}}}{{{{ end }}}}: {means}. {do}",
    )


_COMPARE = (
    "Compare the selector with the pods: kubectl describe service {{ $labels.service }} "
    "-n {{ $labels.namespace }}"
)
_TOLD = f'max by ({PORT}) (ALERTS{{alertname="Edgeprobe%s",alertstate="firing"}})'
"""The Service ports of which an alert of this name fires: probers that begin anew forget."""

_ANSWERED = f"""(
  max by ({PORT}) (edgeprobe_edge_last_success_timestamp_seconds)
  or {_TOLD % "NoEndpoints"}
)"""
"""The Service ports that have answered since some prober began, or before its outage."""

_ANSWERED_HERE = (
    f"\nand on (node, {PORT}) max by (node, {PORT}) (edgeprobe_edge_last_success_timestamp_seconds)"
)
"""Those that answered this very prober: policies let pods of their own node in and no others."""

_STILL = f"""
or edgeprobe_verdict_info{{verdict="blackholed"}} and on ({PORT}) {_TOLD % "Blackholed"}
  unless on ({PORT}) edgeprobe_verdict{{verdict="healthy"}}"""
"""Those of an outage that was told before the prober began anew, unless it is over: what answers
somebody is silent for those that a policy leaves out."""

_SILENT = (
    f'count by ({PORT}) (edgeprobe_verdict_info{{verdict="blackholed"}}{_ANSWERED_HERE}{_STILL})'
)

SERVICE_PORTS = (
    _of_service(
        "PortMismatch",
        CRITICAL,
        "10s",
        "port_mismatch",
        "targetPort {{ $labels.target_port }} is refused, port {{ $labels.candidate }} accepts",
        "Set the targetPort (where UDP has the same number, by the line of probe check): "
        "kubectl patch service {{ $labels.service }} "
        "-n {{ $labels.namespace }} -p "
        '\'{"spec":{"ports":[{"port":{{ $labels.port }},"targetPort":{{ $labels.candidate }}}]}}\'',
        by=f"{PORT}, target_port, candidate",
    ),
    _of_service(
        "NotListening",
        CRITICAL,
        "10s",
        "not_listening",
        "every endpoint refuses targetPort {{ $labels.target_port }}",
        "See what the containers listen on: kubectl exec -n {{ $labels.namespace }} POD -- ss -ltn",
        by=f"{PORT}, target_port",
    ),
    _of_service(
        "NoEndpoints",
        CRITICAL,
        "20s",
        "no_endpoints",
        "no endpoint takes traffic",
        _COMPARE,
        where=f"\nand on ({PORT}) {_ANSWERED}",
    ),
    _of_service(
        "Blackholed",
        CRITICAL,
        "10s",
        "blackholed",
        "no endpoint answers",
        "See which policy selects the pods: kubectl get networkpolicies -n {{ $labels.namespace }}",
        only=_ANSWERED_HERE + _STILL,
    ),
    _of_service(
        "EndpointDown",
        WARNING,
        "1m",
        "endpoint_down",
        "some endpoints fail",
        "Callers meet them by chance. edgeprobe_endpoint_up tells which: kubectl get pods "
        "-n {{ $labels.namespace }} -o wide",
    ),
    _of_service(
        "InvalidTarget",
        WARNING,
        "10s",
        "invalid_target",
        "an address of it may not be dialed",
        "Find who writes it: kubectl get endpointslices -n {{ $labels.namespace }} "
        "-l kubernetes.io/service-name={{ $labels.service }} -o yaml",
    ),
    # Charts bring Services that select nothing on a managed control plane: nobody is to be woken.
    _of_service(
        "NoEndpointsYet",
        WARNING,
        "15m",
        "no_endpoints",
        "no endpoint takes traffic, and none has since the probers began",
        _COMPARE + '. If it is meant to be so, annotate it edgeprobe.dev/probe: "false"',
        where=f"\nunless on ({PORT}) {_ANSWERED}",
    ),
    # A policy that probe does not read leaves it out from the first dial on: nobody is to be woken.
    _of_service(
        "NoAnswerYet",
        WARNING,
        "15m",
        "blackholed",
        "no endpoint answers, and none has answered there since the prober began",
        "A policy of a kind that probe does not read may leave it out: see whether a "
        "CiliumNetworkPolicy, a NetworkPolicy or GlobalNetworkPolicy of Calico or an "
        "AdminNetworkPolicy selects the pods. If it is meant to be so, annotate it "
        'edgeprobe.dev/probe: "false"',
        where=f"\nunless on ({PORT}) {_SILENT}",
    ),
)
