"""The dashboards as files: current, whole, and of nothing that the daemon does not export."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.alerts.__main__ import RUNBOOKS as UNSET
from deploy.dashboards import colours
from deploy.dashboards.__main__ import files
from deploy.dashboards.failing import sentences
from probe.core.health import State
from probe.core.results import Result
from probe.core.rollouts import Phase
from probe.core.verdicts import FAILING, Verdict
from tests.deploy.grafana import FOLDER, NAMES, VALUES, Json, choices, dashboard, questions
from tests.deploy.promql import MATCHER, METRIC, grouped

RUNBOOKS = Path(__file__).parents[2] / "deploy" / "runbooks"
MADE = re.compile(r'label_(?:join|replace)\(.*?"([a-z_]+)", "', re.DOTALL)
ADDED = {"cluster"}
"""Labels that Prometheus' owner may add."""
FIELD = re.compile(r"__data\.fields\.(\w+)")
VARIABLE = re.compile(r"\$\{?([a-z_]+)")
GIVEN = {"__all", "__rate_interval", "__range", "__data", "__value", "__url_time_range"}
"""Variables of Grafana's own."""

of_dashboards = pytest.mark.parametrize("name", NAMES)


def panels(name: str) -> list[Json]:
    found: list[Json] = dashboard(name)["panels"]
    return found


def links(name: str) -> list[str]:
    """Where cells lead."""
    return [
        link["url"]
        for panel in panels(name)
        for override in panel["fieldConfig"].get("overrides", [])
        for each in override["properties"]
        if each["id"] == "links"
        for link in each["value"]
    ]


def test_the_files_are_those_that_the_generator_writes() -> None:
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == files()


def test_a_runbooks_address_of_ones_own_is_written() -> None:
    text = files("https://wiki.example/probe/runbooks/")["overview.json"]

    assert "https://wiki.example/probe/runbooks/${__value.raw}.md" in text
    assert UNSET not in text


@of_dashboards
def test_grafanas_own_model_reads_it_and_gives_back_the_same(name: str) -> None:
    """All but what the SDK does not know of an annotation, which data sources add to."""
    register_default_plugins()
    document = dashboard(name)
    for mark in document.get("annotations", {}).get("list", []):
        del mark["target"], mark["titleFormat"]
    again = json.dumps(Dashboard.from_json(document), cls=JSONEncoder)

    assert json.loads(again) == document


@of_dashboards
def test_each_panel_says_what_it_shows_in_which_unit(name: str) -> None:
    found = panels(name)

    assert len({panel["title"] for panel in found}) == len(found)
    assert [panel["id"] for panel in found] == [*range(1, len(found) + 1)]
    for panel in found:
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        defaults = panel["fieldConfig"]["defaults"]
        assert "noValue" in defaults if panel["type"] == "table" else "unit" in defaults


@of_dashboards
def test_panels_fill_the_grid_and_do_not_lie_upon_each_other(name: str) -> None:
    places = [panel["gridPos"] for panel in panels(name)]

    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above


@of_dashboards
def test_it_can_be_found_and_asks_for_what_it_needs(name: str) -> None:
    document = dashboard(name)
    defined = [variable["name"] for variable in document["templating"]["list"]]
    used = set(VARIABLE.findall(json.dumps(document)))

    assert document["uid"] == f"edgeprobe-{name}"
    assert document["tags"] == ["edgeprobe"]
    assert defined[:2] == ["datasource", "cluster"]
    assert used - GIVEN == set(defined)


@of_dashboards
def test_its_queries_name_only_what_is_exported(name: str, exported: dict[str, set[str]]) -> None:
    texts = [question.expr for question in questions(name)]
    texts += [f"count by ({label}) ({series})" for _, series, label in choices(name)]
    for text in texts:
        used = set(ADDED)
        for metric, matchers in METRIC.findall(text):
            assert metric in exported
            used |= exported[metric]
            assert set(MATCHER.findall(matchers)) <= exported[metric] | ADDED, text
        assert METRIC.search(text)
        assert grouped(text) <= used | set(MADE.findall(text)), text


@of_dashboards
def test_the_columns_of_its_tables_are_what_the_queries_give(name: str) -> None:
    for panel in panels(name):
        given = {f"Value #{target['refId']}" for target in panel["targets"]} | {"Value"}
        for target in panel["targets"]:
            given |= grouped(target["expr"]) | set(MADE.findall(target["expr"]))
        for step in panel.get("transformations", []):
            if step["id"] == "filterFieldsByName":
                columns = step["options"]["include"]["names"]
                assert set(columns) <= given
                assert set(FIELD.findall(json.dumps(panel))) <= set(columns)
            elif step["id"] == "groupingToMatrix":
                assert {step["options"][f"{p}Field"] for p in ("row", "column", "value")} <= given


@of_dashboards
def test_its_cells_lead_to_dashboards_and_runbooks_that_are_there(name: str) -> None:
    for link in links(name):
        if link.startswith("/d/"):
            uid = link.removeprefix("/d/edgeprobe-").split("?")[0]
            given = set(re.findall(r"[?&]var-([a-z_]+)=", link))
            assert given <= {variable for variable, _, _ in choices(uid)}
        else:
            page = link.rpartition("/")[2]
            pages = [f"{v}.md" for v in Verdict] if "${__value.raw}" in page else [page]
            assert all((RUNBOOKS / page).exists() for page in pages)


def test_the_overview_leads_to_the_drill_down_and_to_the_runbooks() -> None:
    found = links("overview")

    assert any(link.startswith("/d/edgeprobe-service?var-namespace=") for link in found)
    assert any(link.endswith("/runbooks/${__value.raw}.md") for link in found)


def test_whatever_can_be_shown_has_a_colour_and_what_fails_a_sentence() -> None:
    assert [*colours.VERDICTS] == [*Verdict]
    assert [*colours.RESULTS] == [*Result]
    assert [*colours.STATES] == [*State]
    assert [*colours.PHASES] == [*Phase]
    assert {v for v in Verdict if f'"{v};' in sentences("")} == FAILING


def test_the_variables_are_asked_in_a_way_that_grafana_knows() -> None:
    assert VALUES.fullmatch('label_values(edgeprobe_verdict{cluster=~"$cluster"}, service)')
    assert [name for name, _, _ in choices("overview")] == [
        "cluster",
        "namespace",
        "service",
        "node",
    ]
