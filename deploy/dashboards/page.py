"""A whole dashboard: its panels in order, what can be chosen, the way to the others."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from deploy.dashboards import variables
from deploy.dashboards.panels import Panel
from deploy.dashboards.variables import SOURCE

TAG = "edgeprobe"
REFRESH = "30s"
"""Twice a usual scrape interval of 15 s."""


class Rollouts(Builder[dashboard.AnnotationQuery]):
    """Marks on every panel the time in which workloads of this selector rolled out."""

    def __init__(self, selector: str) -> None:
        by = "namespace, workload_kind, workload"
        self._expr = f"max by ({by}) (edgeprobe_rollout_in_progress{{{selector}}}) == 1"

    def build(self) -> dashboard.AnnotationQuery:
        return _Asked(self._expr)


class _Asked(dashboard.AnnotationQuery):
    """With what the SDK does not know of: Grafana's Prometheus data source asks `target`, joins
    moments that are a step apart to one mark, and titles it from the labels."""

    def __init__(self, expr: str) -> None:
        super().__init__(name="Rollouts", datasource=SOURCE, enable=True, icon_color="blue")
        self._expr = expr

    def to_json(self) -> dict[str, object]:
        return {
            **super().to_json(),
            "target": {"expr": self._expr, "refId": "Anno", "range": True},
            "titleFormat": "Rollout of {{workload_kind}} {{namespace}}/{{workload}}",
        }


def page(
    uid: str,
    title: str,
    description: str,
    chosen: Sequence[Builder[dashboard.VariableModel]],
    panels: Sequence[Panel],
    marks: Sequence[Rollouts] = (),
    since: str = "now-1h",
) -> dashboard.Dashboard:
    """The dashboard `uid` ("edgeprobe-" is put before it), over the time since then."""
    found = (
        builders.Dashboard(f"edgeprobe / {title}")
        .uid(f"edgeprobe-{uid}")
        .description(description)
        .tags([TAG])
        .editable()
        .time(since, "now")
        .refresh(REFRESH)
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .variables([variables.datasource(), *chosen])
        .link(
            builders.DashboardLink("edgeprobe")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for panel in panels:
        found.with_panel(panel)
    for mark in marks:
        found.annotation(mark)
    document = found.build()
    for number, built in enumerate(document.panels or (), start=1):
        built.id_val = number
    return document
