"""What Grafana makes of the dashboards: the questions that it puts to Prometheus."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "deploy" / "dashboards"
NAMES = ("overview", "nodes", "service", "rollouts", "prober")
LEGEND = re.compile(r"\{\{([a-z_]+)\}\}")
VALUES = re.compile(r"label_values\((.*), ([a-z_]+)\)")
NOTHING = " or vector(0)"
"""What a number is where there is nothing to count: no answer of Prometheus' own."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One query of a panel, or of the marks on all panels; `labels` are those that it shows."""

    dashboard: str
    panel: str
    expr: str
    instant: bool
    labels: frozenset[str]

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel}: {self.expr}"

    def asked(self, seconds: int, step: int, **chosen: str) -> str:
        """With the variables filled in; what is not chosen is All."""
        window = {"__range": f"{seconds}s", "__rate_interval": f"{4 * step}s"}
        return filled(self.expr.removesuffix(NOTHING), {**window, **chosen})


def filled(text: str, values: dict[str, str]) -> str:
    """With what stands for each variable; what has no value is All."""
    return re.sub(r"\$([a-z_]{2,})", lambda found: values.get(found[1], ".*"), text)


def dashboard(name: str) -> Json:
    found: Json = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def questions(name: str) -> Iterator[Question]:
    """Each, as the panels stand."""
    document = dashboard(name)
    for panel in document["panels"]:
        columns = shown(panel)
        for target in panel["targets"]:
            labels = LEGEND.findall(target.get("legendFormat", ""))
            yield Question(
                name,
                panel["title"],
                target["expr"],
                target["instant"],
                frozenset(labels or columns),
            )
    for mark in document.get("annotations", {}).get("list", []):
        labels = LEGEND.findall(mark["titleFormat"])
        yield Question(name, mark["name"], mark["target"]["expr"], False, frozenset(labels))


def shown(panel: Json) -> list[str]:
    """The labels that a table has columns for, if its one query gives them all."""
    if len(panel["targets"]) > 1:
        return []
    for step in panel.get("transformations", []):
        if step["id"] == "filterFieldsByName":
            return [n for n in step["options"]["include"]["names"] if n != "Value"]
        if step["id"] == "groupingToMatrix":
            fields = [step["options"][f"{part}Field"] for part in ("row", "column", "value")]
            return [name for name in fields if name != "Value"]
    return []


def choices(name: str) -> Iterator[tuple[str, str, str]]:
    """Each variable that asks Prometheus: its name, of which series, and which label."""
    for variable in dashboard(name)["templating"]["list"]:
        if variable["type"] == "query":
            found = VALUES.fullmatch(variable["query"]["query"])
            assert found is not None
            yield variable["name"], found[1], found[2]
