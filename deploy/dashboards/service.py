"""One Service: what each of its ports means to its callers, dial by dial, with the rollouts."""

from grafana_foundation_sdk.models import dashboard

from deploy.dashboards import variables
from deploy.dashboards.colours import PHASES, RESULTS, STATES, VERDICTS
from deploy.dashboards.failing import failing
from deploy.dashboards.page import Rollouts, page
from deploy.dashboards.panels import Panel, bars, lines, spans
from deploy.dashboards.queries import DIALS, FAILED, failed_in_rollouts
from deploy.dashboards.tables import Column, rows
from deploy.dashboards.variables import CLUSTER, ONE_SERVICE

_RESULTS = {str(result): colour for result, colour in RESULTS.items()}


def service(runbooks: str) -> dashboard.Dashboard:
    chosen = (
        variables.cluster(),
        variables.one_namespace(),
        variables.one_service(),
        variables.node(),
    )
    return page(
        "service",
        "Service",
        "One Service: its verdicts, its dials by result and by what the cluster was doing, its "
        "endpoints. Rollouts in its namespace are marked in blue.",
        chosen,
        (
            failing("What is wrong with it now", ONE_SERVICE, runbooks, 6),
            _verdicts(),
            *_dials(),
            *_endpoints(),
            _rollouts(),
        ),
        (Rollouts(f'{CLUSTER}, namespace="$namespace"'),),
    )


def _verdicts() -> Panel:
    verdicts = f"count by (port, verdict) (edgeprobe_verdict{{{ONE_SERVICE}}})"
    return spans(
        "Verdicts",
        "When which verdict held for which port; the number is that of the nodes that say so.",
        {"{{port}} {{verdict}}": verdicts},
        colours={str(verdict): colour for verdict, colour in VERDICTS.items()},
        height=7,
    )


def _dials() -> tuple[Panel, ...]:
    def rate(by: str, selector: str) -> str:
        return (
            f"sum by ({by}) "
            f"(rate(edgeprobe_dials_total{{{ONE_SERVICE}, {selector}}}[$__rate_interval]))"
        )

    unit = "suffix:dials/s"
    return (
        lines(
            "ClusterIP dials, by result",
            "As callers dial. Failures here while endpoints answer are kube-proxy's. In a large "
            "cluster a node that dials no endpoint of it tells of it only while it fails there.",
            {"{{result}}": rate("result", 'kind="service"')},
            unit=unit,
            colours=_RESULTS,
            stacked=True,
        ),
        lines(
            "Endpoint dials, by result",
            "Each pod's address, past kube-proxy. Failures here are the pods', or the way to them.",
            {"{{result}}": rate("result", 'kind="endpoint"')},
            unit=unit,
            colours=_RESULTS,
            stacked=True,
        ),
        lines(
            "Failed dials, by what the cluster was doing",
            "terminating: the pod was on its way out. rollout: its workload was being rolled out. "
            "service_edit: the Service had just been edited. settling: the endpoint was new. "
            "steady: none of these, nothing excuses it.",
            {"{{phase}}": rate("phase", FAILED)},
            unit=unit,
            colours={str(phase): colour for phase, colour in PHASES.items()},
            stacked=True,
        ),
        bars(
            "Dials, by result and phase",
            "All of them within the dashboard's time, to ClusterIPs and endpoints.",
            {
                "{{result}}, {{phase}}": "sort_desc(sum by (result, phase) "
                f"(increase(edgeprobe_dials_total{{{ONE_SERVICE}, {DIALS}}}[$__range])))"
            },
            _RESULTS,
            width=12,
        ),
    )


def _endpoints() -> tuple[Panel, ...]:
    succeeded = f"edgeprobe_edge_last_success_timestamp_seconds{{{ONE_SERVICE}}}"
    down = f"edgeprobe_endpoint_up{{{ONE_SERVICE}}} == 0"
    resent = f"edgeprobe_syn_retransmits_total{{{ONE_SERVICE}}}"
    return (
        lines(
            "Endpoints, by state",
            "As the node sees it that sees most in that state. excluded: on their way out.",
            {
                "{{port}} {{state}}": "max by (port, state) "
                f'(edgeprobe_edges{{{ONE_SERVICE}, kind="endpoint"}})'
            },
            colours={str(state): colour for state, colour in STATES.items()},
            width=8,
        ),
        lines(
            "Since the last success",
            "Seconds since a dial last succeeded, from the node for which it is longest.",
            {"{{port}} {{kind}}": f"max by (port, kind) (time() - {succeeded})"},
            unit="s",
            width=8,
        ),
        lines(
            "SYNs sent again",
            "By the kernel, since no answer came: packets get lost on the way.",
            {"{{port}} {{kind}}": f"sum by (port, kind) (rate({resent}[$__rate_interval]))"},
            unit="suffix:SYNs/s",
            width=8,
        ),
        rows(
            "Endpoints that are down",
            "Those that fail, by pod, and how many nodes see it.",
            [f"count by (cluster, port, pod, address) ({down})"],
            (
                Column("cluster", "Cluster"),
                Column("pod", "Pod"),
                Column("address", "Address"),
                Column("port", "Service port"),
                Column("Value", "Seen from nodes"),
            ),
            nothing="None is down.",
            sort="Seen from nodes",
            width=12,
        ),
    )


def _rollouts() -> Panel:
    return rows(
        "Dials that failed during rollouts",
        "ClusterIP dials within the dashboard's time, by the workload that was rolled out.",
        [failed_in_rollouts("cluster, workload_kind, workload, result", ONE_SERVICE)],
        (
            Column("cluster", "Cluster"),
            Column("workload_kind", "Kind"),
            Column("workload", "Workload"),
            Column("result", "Result"),
            Column("Value", "Failed dials", steps=((0, "green"), (1, "orange"))),
        ),
        nothing="None failed.",
        sort="Failed dials",
        width=12,
    )
