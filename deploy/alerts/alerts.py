"""The alerts, once: what each asks of the metrics, how long it must hold, and what it says.

`python -m deploy.alerts` writes them as Prometheus' rule file, as a PrometheusRule and, with what
silences what, for Alertmanager. A verdict that pages is told within a minute of the fault at an
interval of 10 s and scrapes of 15 s: the verdict stands after 12 s at most, is scraped 15 s later,
evaluated 10 s later and must hold for another 10 to 20 s.

`node` is always the node that the alert is about. Verdicts that are no single Service's alone
(a node's network, its kube-proxy, the prober itself) are one alert for each node, however many
Services they take along; a rollout is one for each workload.
"""

from dataclasses import dataclass

INTERVAL = "10s"
"""Between two evaluations."""

CRITICAL, WARNING = "critical", "warning"

OF_PORT = ("namespace", "service", "port")
"""The labels of a Service port."""

PORT = ", ".join(OF_PORT)


@dataclass(frozen=True, slots=True)
class Alert:
    """`hold` is for how long the expression must give something. `runbook` names the page: that of
    the verdict, or of what ails the prober."""

    name: str
    severity: str
    hold: str
    runbook: str
    expr: str
    summary: str
    description: str


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While one of `sources` fires, `targets` with the same labels `equal` are not sent."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    equal: tuple[str, ...] = ()


def _first(selector: str, *values: str, by: str = "node") -> str:
    """A template's expression: the first series by that label, each %q filled in by a value."""
    return f"printf `{selector}` {' '.join(values)} | query | sortByLabel `{by}` | first"


SERVICE = "Service {{ $labels.namespace }}/{{ $labels.service }} port {{ $labels.port }}"


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
    selector = f'edgeprobe_verdict_info{{namespace=%q,service=%q,port=%q,verdict="{verdict}"}}'
    labels = ("$labels.namespace", "$labels.service", "$labels.port")
    return Alert(
        f"Edgeprobe{name}",
        severity,
        hold,
        verdict,
        f'count by ({by}) (edgeprobe_verdict_info{{verdict="{verdict}"}}{only}){where}',
        f"{SERVICE}: {means}",
        f"{SERVICE} is {verdict}, seen from node "
        f"{{{{ {_first(selector, *labels)} | label `node` }}}}{{{{ if gt $value 1.0 }}}} and "
        f"others, {{{{ $value }}}} in all{{{{ end }}}}: {means}. {do}",
    )


def _example(verdict: str, label: str, value: str) -> str:
    """One Service port with this verdict, where the label is that value, for a sentence."""
    first = _first(f'edgeprobe_verdict_info{{verdict="{verdict}",{label}=%q}}', value, by="service")
    return (
        f"{{{{ with {first} }}}}{{{{ .Labels.namespace }}}}/{{{{ .Labels.service }}}}{{{{ end }}}}"
    )


_COMPARE = (
    "Compare the selector with the pods: kubectl describe service {{ $labels.service }} "
    "-n {{ $labels.namespace }}"
)
_ANSWERED = f"max by ({PORT}) (edgeprobe_edge_last_success_timestamp_seconds)"
"""The Service ports that have answered since some prober began."""

_ANSWERED_HERE = (
    f"\nand on (node, {PORT}) max by (node, {PORT}) (edgeprobe_edge_last_success_timestamp_seconds)"
)
"""Those that answered this very prober: policies let pods of their own node in and no others."""

_SILENT = f'count by ({PORT}) (edgeprobe_verdict_info{{verdict="blackholed"}}{_ANSWERED_HERE})'

_VERDICTS = (
    _of_service(
        "PortMismatch",
        CRITICAL,
        "10s",
        "port_mismatch",
        "targetPort {{ $labels.target_port }} is refused, port {{ $labels.candidate }} accepts",
        "Set the targetPort: kubectl patch service {{ $labels.service }} "
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
        only=_ANSWERED_HERE,
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

_LOSSY = f"""count(
  edgeprobe_verdict_info{{verdict="lossy"}}
  unless on ({PORT}) edgeprobe_verdict_info{{verdict="endpoint_down"}}
)"""
"""Not where a ClusterIP fails now and then by an endpoint that only other nodes dial."""

_SHARED = (
    Alert(
        "EdgeprobeNodePath",
        CRITICAL,
        "10s",
        "node_path",
        "label_replace(count by (cause) (count by (cause, namespace, service) "
        '(edgeprobe_verdict_info{verdict="node_path"})), "node", "$1", "cause", "node/(.*)")',
        "Node {{ $labels.node }}: everything towards it, or from it, fails",
        "The verdict node_path holds for {{ $value }} Services, such as "
        + _example("node_path", "cause", "$labels.cause")
        + ": nothing on node {{ $labels.node }} answers, or it reaches no other. "
        "Look at the node: kubectl describe node {{ $labels.node }}",
    ),
    Alert(
        "EdgeprobeProxyStale",
        CRITICAL,
        "10s",
        "proxy_stale",
        'count by (node) (edgeprobe_verdict_info{verdict="proxy_stale"})',
        "Node {{ $labels.node }}: kube-proxy's rules are behind or missing",
        "The verdict proxy_stale holds on node {{ $labels.node }} for {{ $value }} Service ports, "
        "such as "
        + _example("proxy_stale", "node", "$labels.node")
        + ": their endpoints answer, the ClusterIPs do not. kubectl get pods -n kube-system "
        "-l k8s-app=kube-proxy -o wide --field-selector spec.nodeName={{ $labels.node }}",
    ),
    Alert(
        "EdgeprobeLossyPath",
        WARNING,
        "5m",
        "lossy",
        _LOSSY,
        "Dials fail now and then, or their SYNs get lost on the way",
        "The verdict lossy holds for {{ $value }} pairs of a node and a Service port"
        '{{ range query `topk(3, count by (node) (edgeprobe_verdict_info{verdict="lossy"}))` '
        "| sortByLabel `node` }}, node {{ .Labels.node }} ({{ .Value }}){{ end }}"
        "{{ range query `topk(3, count by (namespace, service) "
        '(edgeprobe_verdict_info{verdict="lossy"}))` | sortByLabel `service` }}, '
        "Service {{ .Labels.namespace }}/{{ .Labels.service }} ({{ .Value }}){{ end }}. "
        "Callers meet failures, or seconds of delay. Look for drops on those nodes' interfaces and "
        "for a full conntrack table; for kube-proxy's rules where only ClusterIPs fail.",
    ),
    Alert(
        "EdgeprobeInvalidAddress",
        WARNING,
        "10s",
        "invalid_target",
        "max by (namespace, source) "
        '(edgeprobe_invalid_targets{source!~"endpointslice|service"}) > 0',
        "Namespace {{ $labels.namespace }}: a workload is told an address that nobody may dial",
        "{{ $value }} addresses such as 0:80 stand in the {{ $labels.source }} of workloads in "
        "namespace {{ $labels.namespace }} (invalid_target): a dial would reach the caller itself. "
        "The prober's log and /api/v1/changes name them.",
    ),
)

# No timeouts: a ClusterIP that leads nowhere here (internalTrafficPolicy: Local) is dialed as well,
# and drops. Those that nothing explains make the verdict lossy.
_STEADY = f"""sum by ({PORT}) (
  increase(edgeprobe_dials_total{{kind!="candidate",result="refused",phase="steady"}}[2m])
) >= 3
unless on ({PORT})
  max by ({PORT}) (max_over_time(edgeprobe_verdict_info[5m]))"""

_REFUSED_FROM = (
    "printf `sort_desc(sum by (node) (increase(edgeprobe_dials_total"
    '{kind!="candidate",result="refused",phase="steady",namespace=%q,service=%q,port=%q}[2m])))` '
    "$labels.namespace $labels.service $labels.port | query"
)

_RECENT = "edgeprobe_rollout_failed_dials_total"
_ROLLOUT = "namespace, workload_kind, workload"
_WORKLOAD = "{{ $labels.workload_kind }} {{ $labels.namespace }}/{{ $labels.workload }}"
_DRAIN = (
    "printf `max(edgeprobe_recommended_drain_seconds{namespace=%q,workload_kind=%q,workload=%q})` "
    "$labels.namespace $labels.workload_kind $labels.workload | query"
)
_FAILED_ON = (
    "printf `sort_desc(sum by (node, service) (edgeprobe_rollout_failed_dials_total"
    "{namespace=%q,workload_kind=%q,workload=%q}))` "
    "$labels.namespace $labels.workload_kind $labels.workload | query"
)

_DIALS = (
    Alert(
        "EdgeprobeRefusedSteady",
        WARNING,
        "1m",
        "refused_steady",
        _STEADY,
        f"{SERVICE}: dials are refused while nothing changes",
        f"{SERVICE}: {{{{ $value | humanize }}}} dials were refused in 2 minutes, outside of "
        "rollouts and edits, most of them from node "
        f"{{{{ {_REFUSED_FROM} | first | label `node` }}}}, and no verdict explains it: an "
        "endpoint fails now and then. probe check svc {{ $labels.service }} "
        "-n {{ $labels.namespace }} --watch",
    ),
    Alert(
        "EdgeprobeRolloutFailedDials",
        WARNING,
        "0s",
        "drain_race",
        # A counter that begins with its first failure: increase() would not see that one.
        f"sum by ({_ROLLOUT}) "
        f"(clamp_min({_RECENT} - ({_RECENT} offset 10m or {_RECENT} * 0), 0)) > 0",
        f"{_WORKLOAD}: dials failed while it rolled out",
        "{{ $value }} ClusterIP dials failed in the last rollout of " + _WORKLOAD + " (drain_race)"
        f"{{{{ with {_FAILED_ON} }}}}, most of them on node {{{{ . | first | label `node` }}}} "
        "towards Service {{ . | first | label `service` }}{{ end }}"
        f"{{{{ with {_DRAIN} }}}}. A preStop sleep of {{{{ . | first | value }}}} s would have "
        "avoided it: lifecycle: {preStop: {sleep: {seconds: {{ . | first | value }}}}}{{ end }}",
    ),
    Alert(
        "EdgeprobeRemovalLagHigh",
        WARNING,
        "0s",
        "drain_race",
        "sum by (node) (increase(edgeprobe_endpoint_removal_lag_seconds_sum[30m])) "
        "/ sum by (node) (increase(edgeprobe_endpoint_removal_lag_seconds_count[30m])) > 10",
        "Node {{ $labels.node }}: removed endpoints get traffic for "
        "{{ $value | humanizeDuration }}",
        "ClusterIPs dialed from node {{ $labels.node }} led to removed endpoints for "
        "{{ $value | humanizeDuration }} on average, over the last half hour (drain_race): "
        "kube-proxy there is slow to follow. Pods need as long a preStop sleep.",
    ),
)

_PROBER = (
    Alert(
        "EdgeprobeProbeFault",
        WARNING,
        "1m",
        "probe_fault",
        'count by (node) (edgeprobe_verdict_info{verdict="probe_fault"}) '
        'or sum by (node) (increase(edgeprobe_dials_total{result="local_fault"}[5m])) > 10',
        "Node {{ $labels.node }}: the prober itself could not dial",
        "The prober on node {{ $labels.node }} lacks descriptors, source ports, memory or a route, "
        "or a policy binds its own pod (probe_fault, {{ $value | humanize }} times): it says "
        "nothing of the Services there.",
    ),
    Alert(
        "EdgeprobeProberStale",
        WARNING,
        "1m",
        "prober_stale",
        "time() - min by (node) (edgeprobe_discovery_last_contact_timestamp_seconds"
        '{resource=~"services|endpointslices"}) > 180 '
        "or max by (node) (edgeprobe_dial_lag_seconds) > 30",
        "Node {{ $labels.node }}: the prober is behind",
        "The prober on node {{ $labels.node }} has heard nothing of the API server, or has dials "
        "waiting, for {{ $value | humanizeDuration }}: failures accuse nobody while it lasts.",
    ),
    Alert(
        "EdgeprobeProberMissing",
        WARNING,
        "10m",
        "prober_missing",
        "label_replace(max by (missing_node) (edgeprobe_prober_missing), "
        '"node", "$1", "missing_node", "(.*)")',
        "Node {{ $labels.node }}: no prober runs there",
        "Node {{ $labels.node }} is ready and no prober on it is: its kube-proxy is not watched. "
        "kubectl get pods -A -l app.kubernetes.io/name=edgeprobe "
        "-o wide --field-selector spec.nodeName={{ $labels.node }}",
    ),
    Alert(
        "EdgeprobeProberAbsent",
        CRITICAL,
        "5m",
        "prober_missing",
        "absent(edgeprobe_build_info)",
        "No prober is scraped at all",
        "Prometheus gets no metrics of any edgeprobe daemon: nothing is watched, whatever no alert "
        "says. kubectl get daemonsets -A -l app.kubernetes.io/name=edgeprobe",
    ),
    Alert(
        "EdgeprobeSeriesCapped",
        WARNING,
        "10m",
        "series_capped",
        'max(edgeprobe_series{state="dropped"}) > 0',
        "Not all Service ports are on /metrics",
        "{{ $value }} series did not fit under max_series on node "
        '{{ with query `topk(1, edgeprobe_series{state="dropped"})` }}'
        "{{ . | first | label `node` }}{{ end }}: failing Service ports come first, others are "
        "left out. Raise max_series, or leave namespaces out.",
    ),
    Alert(
        "EdgeprobeLowCoverage",
        WARNING,
        "10m",
        "low_coverage",
        "min by (node) (edgeprobe_coverage_ratio) < 0.9",
        "Node {{ $labels.node }}: many edges are not dialed",
        "Only {{ $value | humanizePercentage }} of what the prober on node {{ $labels.node }} "
        "should dial has a fresh dial.",
    ),
)

ALERTS = (*_VERDICTS, *_SHARED, *_DIALS, *_PROBER)

_OF_NODE = ("EdgeprobeProxyStale", "EdgeprobeProbeFault", "EdgeprobeRemovalLagHigh")
_OF_PROBER = ("EdgeprobeProberStale", "EdgeprobeProberMissing", "EdgeprobeLowCoverage")
_WHOLE = (*(alert.name for alert in _VERDICTS[:4]), "EdgeprobeInvalidTarget")
"""Of a Service port of which nothing answers."""

INHIBITIONS = (
    Inhibition(("EdgeprobeNodePath",), (*_OF_NODE, *_OF_PROBER), ("node",)),
    Inhibition(
        ("EdgeprobeProbeFault", "EdgeprobeProberStale", "EdgeprobeProberMissing"),
        ("EdgeprobeLowCoverage",),
        ("node",),
    ),
    Inhibition(
        _WHOLE,
        ("EdgeprobeEndpointDown", "EdgeprobeRefusedSteady"),
        OF_PORT,
    ),
    # A node that has not dialed the declared ports yet.
    Inhibition(("EdgeprobePortMismatch",), ("EdgeprobeNotListening",), OF_PORT),
    Inhibition(("EdgeprobeEndpointDown",), ("EdgeprobeRefusedSteady",), OF_PORT),
    Inhibition(("EdgeprobeProberAbsent",), ("EdgeprobeProberMissing",)),
)
"""What need not be told while something else explains it."""
