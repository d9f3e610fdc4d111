"""Alerts for the probers themselves."""

from deploy.alerts.alert import CRITICAL, NODE, WARNING, Alert

_ITS_NODES = "max_over_time(group by (cluster, node) (edgeprobe_build_info)[1d:1h])"
_BEFORE = "edgeprobe_build_info offset 25h"
_ABSENT = f"""absent(edgeprobe_build_info)
or group by (cluster) (max_over_time(group by (cluster) (edgeprobe_build_info)[1d:1h]))
  unless on (cluster) edgeprobe_build_info
  unless on (cluster) (
    {_ITS_NODES}
      and on (node) (edgeprobe_build_info unless on (cluster) {_BEFORE})
    or ({_ITS_NODES} unless on (cluster) {_BEFORE})
      and on (node) edgeprobe_build_info
  )"""
"""Nowhere, or not in a cluster where there was one within a day: other clusters are not known, and
one that was taken down is to be forgotten. A cluster that got another name is not gone: a node of
it is found in one that was not known the day before, or it was not known then itself and the node
is back in that of old. Of two that were both known, nodes may be named alike. By the hour, since a
day is read three times at each evaluation."""

_OF_CLUSTER = "{{ with $labels.cluster }} of cluster {{ . }}{{ end }}"

PROBERS = (
    Alert(
        "EdgeprobeProbeFault",
        WARNING,
        "1m",
        "probe_fault",
        f'count by ({NODE}) (edgeprobe_verdict_info{{verdict="probe_fault"}}) '
        f"or sum by ({NODE}) "
        '(increase(edgeprobe_node_dials_total{result="local_fault"}[5m])) > 10',
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
        f"time() - min by ({NODE}) (edgeprobe_discovery_last_contact_timestamp_seconds"
        '{resource=~"services|endpointslices"}) > 180 '
        f"or max by ({NODE}) (edgeprobe_dial_lag_seconds) > 30",
        "Node {{ $labels.node }}: the prober is behind",
        "The prober on node {{ $labels.node }} has heard nothing of the API server, or has dials "
        "waiting, for {{ $value | humanizeDuration }}: failures accuse nobody while it lasts.",
    ),
    Alert(
        "EdgeprobeProberMissing",
        WARNING,
        "10m",
        "prober_missing",
        "label_replace(max by (cluster, missing_node) (edgeprobe_prober_missing), "
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
        _ABSENT,
        "No prober" + _OF_CLUSTER + " is scraped",
        "Prometheus gets no metrics of any edgeprobe daemon"
        + _OF_CLUSTER
        + ": nothing is watched, "
        "whatever no alert says. kubectl get daemonsets -A -l app.kubernetes.io/name=edgeprobe",
    ),
    Alert(
        "EdgeprobeSeriesCapped",
        WARNING,
        "10m",
        "series_capped",
        'max by (cluster) (edgeprobe_series{state="dropped"}) > 0',
        "Not all Service ports are on /metrics",
        "{{ $value }} series did not fit under max_series on node "
        '{{ with printf `topk(1, edgeprobe_series{cluster=%q,state="dropped"})` $labels.cluster '
        "| query }}"
        "{{ . | first | label `node` }}{{ end }}: failing Service ports come first, others are "
        "left out. Raise max_series, or leave namespaces out.",
    ),
    Alert(
        "EdgeprobeLowCoverage",
        WARNING,
        "10m",
        "low_coverage",
        f"min by ({NODE}) (edgeprobe_coverage_ratio) < 0.9",
        "Node {{ $labels.node }}: many edges are not dialed",
        "Only {{ $value | humanizePercentage }} of what the prober on node {{ $labels.node }} "
        "should dial has a fresh dial.",
    ),
)
