"""Alerts for what many Services fail by, one for each cause."""

from deploy.alerts.alert import CLUSTER, CRITICAL, NODE, PORT, WARNING, Alert, frozen, queried


def _held_for(what: str, verdict: str, label: str, value: str) -> str:
    """How many of `what` have this verdict where the label is that value, and one of them, for a
    sentence; that some had it, while the API server is away."""
    selector = f'edgeprobe_verdict_info{{verdict="{verdict}",cluster=%q,{label}=%q}}'
    found = queried(selector, f"$labels.cluster {value}")
    return (
        f"{{{{ with {found} }}}}holds for {{{{ $value }}}} {what}, such as "
        "{{ with . | sortByLabel `service` | first }}"
        "{{ .Labels.namespace }}/{{ .Labels.service }}{{ end }}"
        f"{{{{ else }}}}held for {what} when the API server went away{{{{ end }}}}"
    )


def _most_lossy(by: str) -> str:
    """A template's expression: the three that have the most of them."""
    count = f'count by ({by}) (edgeprobe_verdict_info{{verdict="lossy",cluster=%q}})'
    order = by.split(", ")[-1]
    return f"printf `topk(3, {count})` $labels.cluster | query | sortByLabel `{order}`"


_LOSSY = f"""count by (cluster) (
  edgeprobe_verdict_info{{verdict="lossy"}}
  unless on ({PORT}) edgeprobe_verdict_info{{verdict="endpoint_down"}}
)"""
"""Not where a ClusterIP fails now and then by an endpoint that only other nodes dial."""

SHARED_CAUSES = (
    Alert(
        "EdgeprobeNodePath",
        CRITICAL,
        "10s",
        "node_path",
        "label_replace(count by (cluster, cause) (count by (cluster, cause, namespace, service) "
        '(edgeprobe_verdict_info{verdict="node_path"})), "node", "$1", "cause", "node/(.*)")'
        + frozen("EdgeprobeNodePath", f"{NODE}, cause", of=CLUSTER),
        "Node {{ $labels.node }}: everything towards it, or from it, fails",
        "The verdict node_path "
        + _held_for("Services", "node_path", "cause", "$labels.cause")
        + ": nothing on node {{ $labels.node }} answers, or it reaches no other. "
        "Look at the node: kubectl describe node {{ $labels.node }}",
    ),
    Alert(
        "EdgeprobeProxyStale",
        CRITICAL,
        "10s",
        "proxy_stale",
        # A node whose ClusterIPs lead nowhere may lose the API server for that very reason.
        f'count by ({NODE}) (edgeprobe_verdict_info{{verdict="proxy_stale"}})'
        + frozen("EdgeprobeProxyStale", NODE, of=NODE, within=NODE),
        "Node {{ $labels.node }}: kube-proxy's rules are behind or missing",
        "On node {{ $labels.node }} the verdict proxy_stale "
        + _held_for("Service ports", "proxy_stale", "node", "$labels.node")
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
        f"{{{{ range {_most_lossy('node')} }}}}, node {{{{ .Labels.node }}}} ({{{{ .Value }}}})"
        f"{{{{ end }}}}{{{{ range {_most_lossy('namespace, service')} }}}}, "
        "Service {{ .Labels.namespace }}/{{ .Labels.service }} ({{ .Value }}){{ end }}. "
        "Callers meet failures, or seconds of delay. Look for drops on those nodes' interfaces and "
        "for a full conntrack table; for kube-proxy's rules where only ClusterIPs fail.",
    ),
    Alert(
        "EdgeprobeInvalidAddress",
        WARNING,
        "10s",
        "invalid_target",
        "max by (cluster, namespace, source) "
        '(edgeprobe_invalid_targets{source!~"endpointslice|service"}) > 0',
        "Namespace {{ $labels.namespace }}: a workload is told an address that nobody may dial",
        "{{ $value }} addresses such as 0:80 stand in the {{ $labels.source }} of workloads in "
        "namespace {{ $labels.namespace }} (invalid_target): a dial would reach the caller itself. "
        "The prober's log and /api/v1/changes name them.",
    ),
)
