"""Node by Service: a row that is red throughout is a Service's fault, a column a node's."""

from grafana_foundation_sdk.models import dashboard

from deploy.dashboards import variables
from deploy.dashboards.colours import BAD, WARNING
from deploy.dashboards.page import Rollouts, page
from deploy.dashboards.panels import Panel, lines, spans
from deploy.dashboards.queries import DIALS, PORT, failed_share, failed_share_of_all
from deploy.dashboards.tables import Column, matrix
from deploy.dashboards.variables import NODE, SERVICES, WORKLOADS

_FAILED: tuple[tuple[float, str], ...] = (
    (0, "semi-dark-green"),
    (0.0001, "yellow"),
    (0.01, WARNING),
    (0.5, BAD),
)


def nodes() -> dashboard.Dashboard:
    chosen = (
        variables.cluster(),
        variables.namespace(),
        variables.service(),
        variables.node(),
    )
    return page(
        "nodes",
        "nodes and Services",
        "What each node sees of each Service. A red row is a Service's fault, a red column a "
        "node's: its kube-proxy, its network, or the prober there.",
        chosen,
        (_failing(), _shares(), *_by_node()),
        (Rollouts(WORKLOADS),),
    )


def _named(query: str, *labels: str) -> str:
    """With the label `named`: NAMESPACE/SERVICE, and :PORT where `labels` holds it."""
    named = f'label_join({query}, "named", "/", "namespace", "service")'
    return f'label_join({named}, "named", ":", "named", "port")' if "port" in labels else named


def _failing() -> Panel:
    verdicts = (
        f"max by ({PORT}, node, verdict) (edgeprobe_verdict{{{SERVICES}}})\n"
        f"and on ({PORT}) edgeprobe_verdict_info{{{SERVICES}}}"
    )
    return matrix(
        "Verdicts on what fails now, by node",
        "The Service ports that fail from any node, and what each node finds.",
        _named(verdicts, "port"),
        row=Column("named", "Service port"),
        column="node",
        cell=Column("verdict", "Verdict", verdicts=True),
        nothing="Nothing fails.",
    )


def _shares() -> Panel:
    return matrix(
        "Dials that failed, by node",
        "The share of each node's dials to each Service, its ClusterIPs and its endpoints, that "
        "failed within the dashboard's time. In a large cluster a node that dials no endpoint of "
        "a Service tells of it only while it fails there.",
        _named(failed_share("cluster, namespace, service, node", SERVICES, "$__range")),
        row=Column("named", "Service"),
        column="node",
        cell=Column("Value", "Failed", unit="percentunit", steps=_FAILED),
        nothing="No dials within this time.",
        height=12,
    )


def _by_node() -> tuple[Panel, ...]:
    ports = "sum by (cluster, node) (edgeprobe_node_service_ports{%s})"
    failing = ports % f'{NODE}, failing="true"'
    handshakes = f"edgeprobe_connect_seconds_bucket{{{NODE}, {DIALS}}}"
    return (
        spans(
            "Service ports that fail, by the node that sees it",
            "The share of all Service ports, whichever are chosen above. One red row: look at that "
            "node. All red at once: look at what they have in common, or at the Services.",
            {"{{cluster}} {{node}}": f"{failing}\n/ ({ports % NODE} > 0)"},
            *_FAILED[1:],
            unit="percentunit",
            base=_FAILED[0][1],
        ),
        lines(
            "Dials that fail, by node",
            "The share of the node's dials to the ClusterIPs and endpoints of all Services, "
            "whichever are chosen above.",
            {"{{cluster}} {{node}}": failed_share_of_all("cluster, node", NODE)},
            unit="percentunit",
        ),
        lines(
            "TCP handshakes, by node",
            "The 99th percentile of successful ones, from the kernel. 1 s and more are SYNs that "
            "were lost and sent again.",
            {
                "{{cluster}} {{node}}": "histogram_quantile(0.99, sum by (cluster, node, le) "
                f"(rate({handshakes}[$__rate_interval])))"
            },
            (1, BAD),
            unit="s",
        ),
    )
