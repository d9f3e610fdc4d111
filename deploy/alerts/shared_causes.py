"""Alerts for what many Services fail by, one for each cause."""

from deploy.alerts.alert import CRITICAL, NODE, PORT, WARNING, Alert, first


def _example(verdict: str, label: str, value: str) -> str:
    """One Service port with this verdict, where the label is that value, for a sentence."""
    selector = f'edgeprobe_verdict_info{{verdict="{verdict}",cluster=%q,{label}=%q}}'
    found = first(selector, f"$labels.cluster {value}", by="service")
    return (
        f"{{{{ with {found} }}}}{{{{ .Labels.namespace }}}}/{{{{ .Labels.service }}}}{{{{ end }}}}"
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
        f'count by ({NODE}) (edgeprobe_verdict_info{{verdict="proxy_stale"}})',
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
