"""The few kinds of panels that the dashboards are made of, alike everywhere.

Each says in its description what it shows and what to make of it. `width` is in the grid's 24
columns, `height` in its rows of 30 px.
"""

from collections.abc import Mapping
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders.dashboard import FieldColor
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard

from deploy.dashboards.colours import Step, thresholds
from deploy.dashboards.variables import SOURCE

Panel = Builder[dashboard.Panel]
Queries = str | Mapping[str, str]
"""One query, or each by its legend."""

Kind = TypeVar(
    "Kind", stat.Panel, bargauge.Panel, timeseries.Panel, statetimeline.Panel, tables.Panel
)


def number(
    title: str, description: str, query: str, *steps: Step, unit: str = "short", width: int = 4
) -> stat.Panel:
    """One number as of now, coloured by where it stands."""
    panel = _begun(stat.Panel(), title, description, width, 4)
    return (
        _coloured(panel.with_target(asked(query, instant=True)), steps)
        .unit(unit)
        .no_value("0")
        .color_mode(options.BigValueColorMode.BACKGROUND)
        .graph_mode(options.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def bars(
    title: str, description: str, queries: Queries, colours: Mapping[str, str], width: int = 8
) -> bargauge.Panel:
    """A bar for each series as of now, in the colour of its name."""
    panel = _begun(bargauge.Panel(), title, description, width, 8).unit("short").min(0)
    for target in _targets(queries, instant=True):
        panel.with_target(target)
    return (
        _named(panel, colours)
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def lines(
    title: str,
    description: str,
    queries: Queries,
    *steps: Step,
    unit: str = "short",
    colours: Mapping[str, str] | None = None,
    stacked: bool = False,
    most: float | None = None,
    width: int = 12,
    height: int = 8,
) -> timeseries.Panel:
    """A line for each series over time, or areas upon each other; `steps` draw the limits.

    A series' colour is that of the first of `colours` whose name stands in its own.
    """
    panel = _begun(timeseries.Panel(), title, description, width, height).unit(unit).min(0)
    for target in _targets(queries):
        panel.with_target(target)
    if most is not None:
        panel.max(most)
    if steps:
        _coloured(panel, steps).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED)
        )
        panel.color_scheme(FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
    if stacked:
        panel.fill_opacity(40).stacking(
            common.StackingConfig().mode(options.StackingMode.NORMAL).group("A")
        )
    return (
        _named(panel, colours or {})
        .show_points(options.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.DESCENDING)
        )
    )


def spans(
    title: str,
    description: str,
    queries: Queries,
    *steps: Step,
    unit: str = "short",
    colours: Mapping[str, str] | None = None,
    base: str = "transparent",
    width: int = 24,
    height: int = 8,
) -> statetimeline.Panel:
    """A row for each series, coloured while it has a value: by `steps`, or by its name."""
    panel = _begun(statetimeline.Panel(), title, description, width, height).unit(unit)
    for target in _targets(queries):
        panel.with_target(target)
    return (
        _named(_coloured(panel, steps, base), colours or {})
        .no_value("none")
        .fill_opacity(80)
        .merge_values(True)
        .show_value(options.VisibilityMode.AUTO)
        .legend(common.VizLegendOptions().show_legend(False))
    )


def asked(
    query: str, legend: str = "", *, instant: bool = False, ref: str = "A"
) -> prometheus.Dataquery:
    """A query as of now, or over the dashboard's time."""
    found = prometheus.Dataquery().expr(query).ref_id(ref).datasource(SOURCE)
    if legend:
        found.legend_format(legend)
    return found.instant() if instant else found.range()


def _targets(queries: Queries, *, instant: bool = False) -> list[prometheus.Dataquery]:
    by_legend = {"": queries} if isinstance(queries, str) else queries
    return [
        asked(query, legend, instant=instant, ref=chr(ord("A") + index))
        for index, (legend, query) in enumerate(by_legend.items())
    ]


def _begun(panel: Kind, title: str, description: str, width: int, height: int) -> Kind:
    return panel.title(title).description(description).datasource(SOURCE).span(width).height(height)


def _coloured(panel: Kind, steps: tuple[Step, ...], base: str = "green") -> Kind:
    return panel.thresholds(thresholds(*steps, base=base)).color_scheme(
        FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)
    )


def _named(panel: Kind, colours: Mapping[str, str]) -> Kind:
    """Fixed colours for the series in whose names these words stand."""
    for name, colour in colours.items():
        fixed = {"mode": "fixed", "fixedColor": colour}
        panel.override_by_regexp(
            f"/\\b{name}\\b/", [dashboard.DynamicConfigValue(id_val="color", value=fixed)]
        )
    return panel
