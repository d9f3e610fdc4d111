"""The cluster at a glance: what fails now, why, and since when."""

from grafana_foundation_sdk.models import dashboard

from deploy.dashboards import variables
from deploy.dashboards.colours import BAD, RESULTS, VERDICTS, WARNING
from deploy.dashboards.failing import failing
from deploy.dashboards.page import Rollouts, page
from deploy.dashboards.panels import Panel, bars, lines, number
from deploy.dashboards.queries import FAILED, PORT, WORKLOAD, failed_share_of_all, or_none
from deploy.dashboards.variables import CLUSTER, NODE, SERVICES, WORKLOADS


def overview(runbooks: str) -> dashboard.Dashboard:
    chosen = (
        variables.cluster(),
        variables.namespace(),
        variables.service(),
        variables.node(),
    )
    return page(
        "overview",
        "overview",
        "What fails now, why, and since when. Without any failure the first number is green.",
        chosen,
        (*_numbers(), failing("Failing now, and why", SERVICES, runbooks, 9), *_history()),
        (Rollouts(WORKLOADS),),
    )


def _numbers() -> tuple[Panel, ...]:
    down = f'edgeprobe_edges{{{SERVICES}, kind="endpoint", state="down"}}'
    running = f"max by ({WORKLOAD}) (edgeprobe_rollout_in_progress{{{WORKLOADS}}}) == 1"
    return (
        number(
            "Service ports failing",
            "Those in the table below, whatever the number of nodes that see them fail.",
            or_none(f"count(count by ({PORT}) (edgeprobe_verdict_info{{{SERVICES}}}))"),
            (1, BAD),
        ),
        number(
            "Service ports watched",
            "All that some node dials, or would dial if they had endpoints.",
            f"count(count by ({PORT}) (edgeprobe_verdict{{{SERVICES}}}))",
        ),
        number(
            "Dials failing",
            "The share of dials to the ClusterIPs and endpoints of all Services, whichever are "
            "chosen above, that fails, over the last minutes.",
            failed_share_of_all("", NODE, "5m"),
            (0.001, WARNING),
            (0.01, BAD),
            unit="percentunit",
        ),
        number(
            "Endpoints down",
            "Of each Service port as many as the node sees that sees most.",
            f"sum(max by ({PORT}) ({down}))",
            (1, WARNING),
        ),
        number(
            "Rollouts going on",
            "Workloads that are being rolled out now: failures may be theirs.",
            or_none(f"count({running})"),
            (1, "blue"),
        ),
        number(
            "Nodes without a prober",
            "Ready nodes on which no daemon is: nobody watches their kube-proxy.",
            or_none(
                f"count(count by (cluster, missing_node) (edgeprobe_prober_missing{{{CLUSTER}}}))"
            ),
            (1, WARNING),
        ),
    )


def _history() -> tuple[Panel, ...]:
    counted = f"count by ({PORT}, verdict) (edgeprobe_verdict{{{SERVICES}}})"
    failing = f"count by ({PORT}, verdict) (edgeprobe_verdict_info{{{SERVICES}}})"
    return (
        bars(
            "Service ports by verdict",
            "Each is counted once for each verdict that some node has of it. unknown, denied and "
            "masked accuse nobody: nothing can be told from here.",
            {"{{verdict}}": f"sort_desc(count by (verdict) ({counted}))"},
            {str(verdict): colour for verdict, colour in VERDICTS.items()},
        ),
        lines(
            "Failing Service ports, by verdict",
            "Since when. Rollouts are marked in blue.",
            {"{{verdict}}": f"count by (verdict) ({failing})"},
            colours={str(verdict): colour for verdict, colour in VERDICTS.items()},
            stacked=True,
            width=8,
        ),
        lines(
            "Failed dials, by result",
            "refused: nothing listens there. timeout: nothing answers. rejected: a firewall "
            "says no. unreachable: no way there.",
            {
                "{{result}}": "sum by (result) "
                f"(rate(edgeprobe_dials_total{{{SERVICES}, {FAILED}}}[$__rate_interval]))"
            },
            unit="suffix:dials/s",
            colours={str(result): colour for result, colour in RESULTS.items()},
            stacked=True,
            width=8,
        ),
    )
