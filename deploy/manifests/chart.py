"""The chart in deploy/chart as Helm would render it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.manifests.templates import Templates

CHART = Path(__file__).parents[1] / "chart"
NAMESPACE = "edgeprobe"


class Files:
    """The chart's own files, as templates get at them."""

    def __init__(self, chart: Path) -> None:
        self._chart = chart

    def get(self, name: str) -> str:
        return (self._chart / name).read_text()

    def glob(self, pattern: str) -> dict[str, str]:
        return {
            str(path.relative_to(self._chart)): path.read_text()
            for path in self._chart.glob(pattern)
        }


def render(
    values: Mapping[str, Any] | None = None, namespace: str = NAMESPACE, chart: Path = CHART
) -> dict[str, str]:
    """Each template's text by its name, without those that come out empty. Raises TemplateError."""
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    root = {
        "Values": read(merged(yaml.safe_load((chart / "values.yaml").read_text()), values or {})),
        "Release": {"Namespace": namespace},
        "Chart": {"AppVersion": about["appVersion"]},
        "Files": Files(chart),
    }
    texts = {path.name: path.read_text() for path in sorted((chart / "templates").iterdir())}
    templates = Templates(texts)
    found = {name: templates.render(name, root) for name in texts if not name.startswith("_")}
    return {name: text for name, text in found.items() if text.strip()}


def documents(
    values: Mapping[str, Any] | None = None, namespace: str = NAMESPACE
) -> list[dict[str, Any]]:
    """The Kubernetes objects of that."""
    texts = render(values, namespace)
    found = (each for name in texts if name != NOTES for each in yaml.safe_load_all(texts[name]))
    return [each for each in found if each]


def read(value: Any) -> Any:
    """With each number a float, as Helm has what it reads from a file by way of JSON."""
    if isinstance(value, Mapping):
        return {key: read(each) for key, each in value.items()}
    if isinstance(value, list):
        return [read(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


NOTES = "NOTES.txt"
"""The only template that is for people."""


def merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` beats `values`; mappings are merged, everything else is replaced, as Helm does."""
    result = dict(values)
    for key, value in over.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result
