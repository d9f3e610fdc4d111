"""`python -m deploy.alerts [RUNBOOKS]` writes the files beside this one.

RUNBOOKS is the address at which your people can read the pages of deploy/runbooks.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from deploy.alerts.alert import INTERVAL, KEPT, Alert
from deploy.alerts.alerts import ALERTS
from deploy.alerts.inhibitions import INHIBITIONS, Inhibition

RUNBOOKS = "https://url-to-be-set.invalid/runbooks"
"""Until somebody says where they can be read; RFC 2606 keeps .invalid from being anybody's."""

HEAD = "# Written by `python -m deploy.alerts` from the modules beside it: change it there.\n"


def files(runbooks: str = RUNBOOKS) -> dict[str, str]:
    """Each file's text by its name."""
    rules = {"groups": [_group(runbooks)]}
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "edgeprobe",
            "namespace": "edgeprobe",
            "labels": {"app.kubernetes.io/name": "edgeprobe"},
        },
        "spec": rules,
    }
    inhibitions = {"inhibit_rules": [_inhibition(each) for each in INHIBITIONS]}
    documents: dict[str, dict[str, Any]] = {
        "rules.yaml": rules,
        "prometheusrule.yaml": resource,
        "inhibit.yaml": inhibitions,
    }
    return {name: HEAD + _text(document) for name, document in documents.items()}


def _group(runbooks: str) -> dict[str, Any]:
    rules = [_rule(alert, runbooks.rstrip("/")) for alert in ALERTS]
    return {"name": "edgeprobe", "interval": INTERVAL, "rules": rules}


def _rule(alert: Alert, runbooks: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.hold,
        "keep_firing_for": KEPT,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{runbooks}/{alert.runbook}.md",
        },
    }


def _inhibition(rule: Inhibition) -> dict[str, Any]:
    return {
        "source_matchers": [f'alertname =~ "{"|".join(rule.sources)}"'],
        "target_matchers": [f'alertname =~ "{"|".join(rule.targets)}"'],
        "equal": list(rule.equal),
    }


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as it stands."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def _text(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def write(folder: Path, runbooks: str = RUNBOOKS) -> None:
    """Writes all of them there."""
    for name, text in files(runbooks).items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(__file__).parent, *sys.argv[1:2])
