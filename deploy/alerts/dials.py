"""Alerts for dials that fail though no verdict stands: in calm, in rollouts, after removals."""

from deploy.alerts.alert import CLUSTER, NODE, OF_THE_PORT, PORT, SERVICE, THE_PORT, WARNING, Alert


def _refused(selector: str = "") -> str:
    """How many dials were refused within two minutes, each counter by itself.

    No timeouts: a ClusterIP that leads nowhere here (internalTrafficPolicy: Local) is dialed as
    well, and drops. Those that nothing explains make the verdict lossy. A prober that knows too
    little, as each does when it begins, leaves out its own dials alone.
    """
    steady = f'kind!="candidate",result="refused",phase="steady"{selector}'
    unknown = 'max_over_time(edgeprobe_verdict{verdict="unknown"}[5m])'
    return f"increase(edgeprobe_dials_total{{{steady}}}[2m]) unless on (node, {PORT}) {unknown}"


_STEADY = f"""sum by ({PORT}) ({_refused()}) >= 3
unless on ({PORT})
  max_over_time(edgeprobe_verdict{{verdict!~"healthy|unknown"}}[5m])"""

_REFUSED_FROM = (
    f"printf `sort_desc(sum by (node) ({_refused(f',{OF_THE_PORT}')}))` {THE_PORT} | query"
)

_OF_WORKLOAD = (CLUSTER, "namespace", "workload_kind", "workload")
_BY_WORKLOAD = ", ".join(_OF_WORKLOAD)
_THIS_WORKLOAD = ",".join(f"{label}=%[{n}]q" for n, label in enumerate(_OF_WORKLOAD, 1))
_ITS_LABELS = " ".join(f"$labels.{label}" for label in _OF_WORKLOAD)


def _failed_lately(selector: str = "") -> str:
    """How often dials failed within ten minutes, each counter by itself.

    One begins with its first failure, which increase() would not see: where the node's page was
    scraped without it meanwhile, it was 0 before. Else, to a Prometheus that has just begun, only
    what it has seen counts. After a gap in the scrapes the count before it stands, and one that is
    lower now has begun anew.
    """
    name = f"edgeprobe_rollout_failed_dials_total{selector}"
    pages = f"max by ({NODE}) (count_over_time(edgeprobe_build_info[10m]))"
    new = f"{name} * 0 and count_over_time({name}[10m]) < on ({NODE}) group_left {pages}"
    before = f"last_over_time({name}[15m] offset 10m) or {new} or min_over_time({name}[10m])"
    return f"{name} - ({before}) >= 0 or {name}"


_FAILED_LATELY = f"""sum by ({_BY_WORKLOAD}) ({_failed_lately()}) > 0
and on ({_BY_WORKLOAD}) max_over_time(edgeprobe_rollout_in_progress[10m])"""
"""Only where something rolled meanwhile."""

_WORKLOAD = "{{ $labels.workload_kind }} {{ $labels.namespace }}/{{ $labels.workload }}"
_DRAIN = (
    f"printf `max(edgeprobe_recommended_drain_seconds{{{_THIS_WORKLOAD}}})` {_ITS_LABELS} | query"
)
_FAILED_ON = (
    "printf `sort_desc(sum by (node, service) "
    f"({_failed_lately(f'{{{_THIS_WORKLOAD}}}')}))` {_ITS_LABELS} | query"
)

DIALS = (
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
        _FAILED_LATELY,
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
        f"sum by ({NODE}) (increase(edgeprobe_endpoint_removal_lag_seconds_sum[30m])) "
        f"/ sum by ({NODE}) (increase(edgeprobe_endpoint_removal_lag_seconds_count[30m])) > 10",
        "Node {{ $labels.node }}: removed endpoints get traffic for "
        "{{ $value | humanizeDuration }}",
        "ClusterIPs dialed from node {{ $labels.node }} led to removed endpoints for "
        "{{ $value | humanizeDuration }} on average, over the last half hour (drain_race): "
        "kube-proxy there is slow to follow. Pods need as long a preStop sleep.",
    ),
)
