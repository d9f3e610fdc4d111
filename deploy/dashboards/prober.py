"""The probers themselves: whether what they say of the Services can be believed."""

from grafana_foundation_sdk.models import dashboard

from deploy.dashboards import variables
from deploy.dashboards.colours import BAD, OWN, WARNING
from deploy.dashboards.page import page
from deploy.dashboards.panels import Panel, lines, number
from deploy.dashboards.queries import NODE_DIALS, or_none
from deploy.dashboards.tables import Column, rows
from deploy.dashboards.variables import CLUSTER, NODE

_BY = "cluster, node"
_NODE = "{{cluster}} {{node}}"
_CONTACT = f"edgeprobe_discovery_last_contact_timestamp_seconds{{{NODE}}}"


def prober(runbooks: str) -> dashboard.Dashboard:
    return page(
        "prober",
        "the probers' own health",
        "Whether the probers hear the API server, keep up with their dials, cover all edges and "
        "tell all that they know. Purple is what they could not do themselves.",
        (variables.cluster(), variables.node()),
        (*_numbers(), _daemons(), *_missing(runbooks), *_discovery(), *_dialing()),
    )


def _numbers() -> tuple[Panel, ...]:
    left_out = f'edgeprobe_series{{{NODE}, state="dropped"}}'
    return (
        number(
            "Probers",
            "Nodes with a daemon that Prometheus scrapes.",
            f"count(count by ({_BY}) (edgeprobe_build_info{{{NODE}}}))",
            (1, "green"),
        ),
        number(
            "Nodes without one",
            "Ready nodes on which no daemon is.",
            or_none(
                f"count(count by (cluster, missing_node) (edgeprobe_prober_missing{{{CLUSTER}}}))"
            ),
            (1, WARNING),
        ),
        number(
            "Least coverage",
            "The share of its edges that the prober has dialed lately, which covers least.",
            f"100 * min(edgeprobe_coverage_ratio{{{NODE}}})",
            (0, BAD),
            (90, "green"),
            unit="percent",
        ),
        number(
            "Greatest dial lag",
            "By how much the most overdue dial is late. Over 30 s nobody is accused.",
            f"max(edgeprobe_dial_lag_seconds{{{NODE}}})",
            (5, WARNING),
            (30, BAD),
            unit="s",
        ),
        number(
            "Dials that failed by the prober's own fault",
            "Within the dashboard's time: no descriptors, source ports or memory, or a policy.",
            f'sum(increase({NODE_DIALS}{{{NODE}, result="local_fault"}}[$__range]))',
            (1, OWN),
        ),
        number(
            "Series left out",
            "What did not fit under max_series, from the prober that leaves out most.",
            f"max({left_out})",
            (1, WARNING),
        ),
    )


def _daemons() -> Panel:
    silent = f"time() - {_CONTACT}"
    return rows(
        "Each prober",
        "One row for each daemon. Discovery: the longest silence of the API server about Services "
        "and EndpointSlices. Close mode rst: by RST, where FIN would leave too much behind.",
        [
            f"max by ({_BY}, version, vantage) (edgeprobe_build_info{{{NODE}}})",
            f"max by ({_BY}, mode) (edgeprobe_close_mode{{{NODE}}})",
            f"min by ({_BY}) (edgeprobe_coverage_ratio{{{NODE}}})",
            f"max by ({_BY}) (edgeprobe_dial_lag_seconds{{{NODE}}})",
            f"max by ({_BY}) ({silent} and on ({_BY}, resource) "
            f'edgeprobe_discovery_synced{{{NODE}, resource=~"services|endpointslices"}})',
            f'max by ({_BY}) (edgeprobe_series{{{NODE}, state="exported"}})',
            f'max by ({_BY}) (edgeprobe_series{{{NODE}, state="dropped"}})',
        ],
        (
            Column("cluster", "Cluster", width=120),
            Column("node", "Node"),
            Column("version", "Version", width=90),
            Column("vantage", "Vantage", width=90),
            Column("mode", "Close mode", width=100),
            Column(
                "Value #C", "Coverage", "percentunit", steps=((0, BAD), (0.9, "green")), width=110
            ),
            Column(
                "Value #D",
                "Dial lag",
                "s",
                steps=((0, "green"), (5, WARNING), (30, BAD)),
                width=110,
            ),
            Column("Value #E", "Discovery", "s", steps=((0, "green"), (180, BAD)), width=110),
            Column("Value #F", "Series", "short", width=100),
            Column("Value #G", "Left out", "short", steps=((0, "green"), (1, WARNING)), width=100),
        ),
        nothing="No prober is scraped.",
        sort="Dial lag",
    )


def _missing(runbooks: str) -> tuple[Panel, ...]:
    link = ("The runbook", f"{runbooks}/prober_missing.md")
    invalid = ("The runbook", f"{runbooks}/invalid_target.md")
    return (
        rows(
            "Nodes without a prober",
            "Ready nodes on which no daemon is ready, by name.",
            [f"count by (cluster, missing_node) (edgeprobe_prober_missing{{{CLUSTER}}})"],
            (
                Column("cluster", "Cluster"),
                Column("missing_node", "Node", link=link),
                Column("Value", "Said by probers"),
            ),
            nothing="Every ready node has one.",
            width=8,
            height=7,
        ),
        rows(
            "What is left out",
            "Service ports and endpoints that were found and are not dialed, by reason, since the "
            "prober began that has left out most.",
            [f"max by (cluster, reason) (edgeprobe_dials_skipped_total{{{NODE}}})"],
            (
                Column("cluster", "Cluster"),
                Column("reason", "Reason"),
                Column("Value", "How many"),
            ),
            nothing="Nothing is left out.",
            sort="How many",
            width=8,
            height=7,
        ),
        rows(
            "Addresses that nobody may dial",
            "Configured addresses such as 0:80, by namespace and where they stand.",
            [f"max by (cluster, namespace, source) (edgeprobe_invalid_targets{{{NODE}}})"],
            (
                Column("cluster", "Cluster"),
                Column("namespace", "Namespace", link=invalid),
                Column("source", "Where"),
                Column("Value", "How many"),
            ),
            nothing="There are none.",
            sort="How many",
            width=8,
            height=7,
        ),
    )


def _discovery() -> tuple[Panel, ...]:
    skipped = f"edgeprobe_discovery_skipped_total{{{NODE}}}"
    return (
        lines(
            "Silence of the API server",
            "Since it last said anything about a resource, from the node for which it is longest. "
            "Over 120 s for Services and EndpointSlices failures accuse nobody; over 180 s "
            "EdgeprobeProberStale tells of it.",
            {"{{resource}}": f"max by (resource) (time() - ({_CONTACT} > 0))"},
            (180, BAD),
            unit="s",
            width=8,
        ),
        lines(
            "Resources that are not being watched",
            "How many probers have not listed it yet, or may not: what changed is then not told.",
            {"{{resource}}": f"sum by (resource) (1 - edgeprobe_discovery_synced{{{NODE}}})"},
            width=8,
        ),
        lines(
            "Objects that could not be read",
            "Skipped by discovery, by reason; their last readable form stands.",
            {"{{resource}} {{reason}}": f"sum by (resource, reason) ({skipped})"},
            width=8,
        ),
    )


def _dialing() -> tuple[Panel, ...]:
    return (
        lines(
            "Coverage",
            "The share of its edges that the prober has dialed lately.",
            {_NODE: f"min by ({_BY}) (edgeprobe_coverage_ratio{{{NODE}}})"},
            unit="percentunit",
            most=1,
        ),
        lines(
            "Dial lag",
            "By how much the most overdue dial is late. Over 30 s nobody is accused.",
            {_NODE: f"max by ({_BY}) (edgeprobe_dial_lag_seconds{{{NODE}}})"},
            (30, BAD),
            unit="s",
        ),
        lines(
            "Dials",
            "All that the prober makes, candidates included.",
            {_NODE: f"sum by ({_BY}) (rate({NODE_DIALS}{{{NODE}}}[$__rate_interval]))"},
            unit="suffix:dials/s",
        ),
        lines(
            "Series on the page",
            "Of Service ports and endpoints: exported, and dropped over max_series.",
            {_NODE + " {{state}}": f"max by ({_BY}, state) (edgeprobe_series{{{NODE}}})"},
        ),
    )
