"""Tables: one row for each series as of now, or one for each Service and a column for each node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.dashboards.colours import VERDICTS, Step, thresholds
from deploy.dashboards.panels import asked
from deploy.dashboards.variables import SOURCE

BACKGROUND = options.TableColoredBackgroundCellOptions(
    mode=options.TableCellBackgroundDisplayMode.BASIC
)

CARRIED = "${datasource:queryparam}&${cluster:queryparam}&${__url_time_range}"
"""What a link to another dashboard takes along."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a column shows: a label, or the value of a query (`Value`, of several `Value #A`).

    `link` is where a cell leads, as the link's title and its address. `verdicts` colours by
    verdict, `steps` by limits: the first is for all below the second.
    """

    field: str
    title: str
    unit: str = ""
    link: tuple[str, str] | None = None
    verdicts: bool = False
    steps: Sequence[Step] = ()
    width: int = 0

    @property
    def properties(self) -> list[dashboard.DynamicConfigValue]:
        found: dict[str, object] = {}
        if self.unit:
            found["unit"] = self.unit
        if self.width:
            found["custom.width"] = self.width
        if self.link is not None:
            title, url = self.link
            found["links"] = [{"title": title, "url": url}]
        if self.verdicts:
            found["mappings"] = [verdict_mapping()]
        if self.steps:
            found["thresholds"] = thresholds(*self.steps[1:], base=self.steps[0][1]).build()
        if self.verdicts or self.steps:
            found["custom.cellOptions"] = BACKGROUND
        return _properties(found)


def rows(
    title: str,
    description: str,
    queries: Sequence[str],
    columns: Sequence[Column],
    *,
    nothing: str,
    sort: str = "",
    width: int = 24,
    height: int = 9,
) -> tables.Panel:
    """A row for each series of the queries, those with the same labels in one; what is no column
    is not shown. `nothing` stands there while there is none; `sort` names a column, its greatest
    value first."""
    panel = _begun(title, description, queries, nothing, width, height)
    if len(queries) > 1:
        panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    names = [column.field for column in columns]
    panel.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="filterFieldsByName", options={"include": {"names": names}}
        )
    ).with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "indexByName": {name: index for index, name in enumerate(names)},
                "renameByName": {column.field: column.title for column in columns},
                "excludeByName": {},
            },
        )
    )
    for column in columns:
        if column.properties:
            panel.override_by_name(column.title, column.properties)
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])
    return panel


def matrix(
    title: str,
    description: str,
    query: str,
    *,
    row: Column,
    column: str,
    cell: Column,
    nothing: str,
    height: int = 10,
) -> tables.Panel:
    """A row for each value of the label `row`, a column for each of the label `column`."""
    corner = f"{row.field}\\{column}"
    panel = _begun(title, description, [query], nothing, 24, height)
    shape = {"rowField": row.field, "columnField": column, "valueField": cell.field}
    panel.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="groupingToMatrix", options={**shape, "emptyValue": "empty"}
        )
    ).with_transformation(
        dashboard.DataTransformerConfig(
            id_val="sortBy", options={"fields": {}, "sort": [{"field": corner}]}
        )
    ).with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize", options={"renameByName": {corner: row.title}, "excludeByName": {}}
        )
    )
    # The cells have the names of the nodes: what is theirs is the default, the row's an exception.
    if cell.verdicts:
        panel.mappings([verdict_mapping()]).thresholds(thresholds(base="transparent"))
    else:
        panel.thresholds(thresholds(*cell.steps[1:], base=cell.steps[0][1])).unit(cell.unit)
    panel.cell_options(BACKGROUND).align(options.FieldTextAlignment.CENTER)
    plain = {"custom.cellOptions": {"type": "auto"}, "custom.align": "left", "custom.width": 320}
    return panel.override_by_name(row.title, _properties(plain))


def verdict_mapping() -> dashboard.ValueMap:
    """Colours the cells in which a verdict stands."""
    return dashboard.ValueMap(
        options={
            str(verdict): dashboard.ValueMappingResult(color=color, index=index)
            for index, (verdict, color) in enumerate(VERDICTS.items())
        }
    )


def _begun(
    title: str, description: str, queries: Sequence[str], nothing: str, width: int, height: int
) -> tables.Panel:
    panel = tables.Panel().title(title).description(description).datasource(SOURCE)
    for index, query in enumerate(queries):
        target = asked(query, instant=True, ref=chr(ord("A") + index))
        panel.with_target(target.format(PromQueryFormat.TABLE))
    return panel.span(width).height(height).no_value(nothing).filterable(True)


def _properties(found: Mapping[str, object]) -> list[dashboard.DynamicConfigValue]:
    return [dashboard.DynamicConfigValue(id_val=k, value=v) for k, v in found.items()]
