"""What rollouts have cost, and the preStop sleep that would have spared it."""

from grafana_foundation_sdk.models import dashboard

from deploy.dashboards import variables
from deploy.dashboards.colours import BAD, RESULTS, WARNING
from deploy.dashboards.page import Rollouts, page
from deploy.dashboards.panels import Panel, lines, number, spans
from deploy.dashboards.queries import WORKLOAD, failed_in_rollouts, or_none
from deploy.dashboards.tables import Column, rows
from deploy.dashboards.variables import NODE, WORKLOADS

_NAME = "{{workload_kind}} {{namespace}}/{{workload}}"
_RUNNING = f"max by ({WORKLOAD}) (edgeprobe_rollout_in_progress{{{WORKLOADS}}})"
_DRAIN = f"max by ({WORKLOAD}) (edgeprobe_recommended_drain_seconds{{{WORKLOADS}}})"
_LAG = "edgeprobe_endpoint_removal_lag_seconds"


def rollouts(runbooks: str) -> dashboard.Dashboard:
    return page(
        "rollouts",
        "rollouts",
        "What rollouts have cost their callers: dials that failed while pods were replaced, for "
        "how long traffic still went to removed ones, and the preStop sleep that avoids it.",
        (variables.cluster(), variables.namespace(), variables.node()),
        (*_numbers(), _workloads(runbooks), *_history(), *_lag()),
        (Rollouts(WORKLOADS),),
        since="now-6h",
    )


def _numbers() -> tuple[Panel, ...]:
    return (
        number(
            "Rollouts going on",
            "Workloads that are being rolled out now.",
            or_none(f"count({_RUNNING} == 1)"),
            (1, "blue"),
            width=6,
        ),
        number(
            "Dials failed during rollouts",
            "ClusterIP dials, within the dashboard's time. 0 is what a drained rollout costs.",
            or_none(failed_in_rollouts("", WORKLOADS)),
            (1, WARNING),
            width=6,
        ),
        number(
            "Workloads that need a preStop sleep",
            "Those of which a rollout has failed dials, since the probers began.",
            or_none(f"count({_DRAIN})"),
            (1, WARNING),
            width=6,
        ),
        number(
            "Longest recommended drain",
            "The preStop sleep that would have been enough for every workload seen here.",
            or_none(f"max({_DRAIN})"),
            (1, WARNING),
            (30, BAD),
            unit="s",
            width=6,
        ),
    )


def _workloads(runbooks: str) -> Panel:
    return rows(
        "Workloads, by what their rollouts have cost",
        "Put lifecycle.preStop.sleep.seconds: SECONDS into the pod template, and leave room for it "
        "in terminationGracePeriodSeconds. The workload's cell leads to the runbook.",
        [f"{failed_in_rollouts(WORKLOAD, WORKLOADS)}\nor 0 * {_RUNNING}", _DRAIN, _RUNNING],
        (
            Column("cluster", "Cluster", width=140),
            Column("namespace", "Namespace"),
            Column("workload_kind", "Kind", width=140),
            Column("workload", "Workload", link=("The runbook", f"{runbooks}/drain_race.md")),
            Column("Value #A", "Failed dials", steps=((0, "green"), (1, WARNING)), width=140),
            Column("Value #B", "Recommended preStop sleep", unit="s", width=220),
            Column("Value #C", "Rolling out now", unit="bool_yes_no", width=140),
        ),
        nothing="No rollout since the probers began.",
        sort="Failed dials",
    )


def _history() -> tuple[Panel, ...]:
    failed = f"edgeprobe_rollout_failed_dials_total{{{WORKLOADS}}}"
    return (
        spans(
            "Rollouts",
            "When which workload was rolled out.",
            {_NAME: f"{_RUNNING} == 1"},
            (1, "blue"),
            unit="bool_yes_no",
        ),
        lines(
            "Failed dials, by workload",
            "ClusterIP dials that have failed during rollouts, since the probers began.",
            {_NAME: f"sum by ({WORKLOAD}) ({failed})"},
        ),
        lines(
            "Failed dials, by result",
            "refused: the pod had stopped listening. timeout: it was gone.",
            {"{{result}}": f"sum by (result) ({failed})"},
            colours={str(result): colour for result, colour in RESULTS.items()},
            stacked=True,
        ),
    )


def _lag() -> tuple[Panel, ...]:
    def grown(part: str, by: str) -> str:
        return f"sum by ({by}) (increase({_LAG}_{part}{{{NODE}}}[$__range]))"

    by_node, by_bucket = "cluster, node", "cluster, node, le"
    average = f"{grown('sum', by_node)}\n/ ({grown('count', by_node)} > 0)"
    worst = f"histogram_quantile(0.95, {grown('bucket', by_bucket)})"
    return (
        rows(
            "Removal lag, by node",
            "For how long ClusterIPs still led to removed endpoints, where dials failed on them, "
            "within the dashboard's time: how far kube-proxy is behind.",
            [average, worst, grown("count", by_node)],
            (
                Column("cluster", "Cluster"),
                Column("node", "Node"),
                Column("Value #A", "Average", "s", steps=((0, "green"), (10, BAD))),
                Column("Value #B", "95th percentile", "s"),
                Column("Value #C", "Times", "short"),
            ),
            nothing="No traffic went to removed endpoints.",
            sort="Average",
            width=12,
            height=8,
        ),
        lines(
            "Traffic that went to removed endpoints",
            "How often a ClusterIP dial has failed on one, by node, since the prober there began.",
            {"{{cluster}} {{node}}": f"sum by (cluster, node) ({_LAG}_count{{{NODE}}})"},
        ),
    )
