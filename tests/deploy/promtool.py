"""promtool's word on what the alerts make of series."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.alerts.__main__ import RUNBOOKS
from deploy.alerts.alert import INTERVAL
from deploy.alerts.alerts import ALERTS
from tests.deploy.series import Case, Series

FOLDER = Path(__file__).parents[2] / "deploy" / "alerts"
RULES = FOLDER / "rules.yaml"
PROMTOOL = shutil.which("promtool")
BY_NAME = {alert.name: alert for alert in ALERTS}

promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not in $PATH")


def asked(*arguments: str | Path) -> None:
    """promtool's word on it."""
    assert PROMTOOL is not None
    found = subprocess.run(
        [PROMTOOL, *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def expecting(at: str, *fired: Case) -> list[dict[str, Any]]:
    """These alerts at that moment, and no others."""
    cases = {case.alert: case for case in fired}
    return [
        {
            "eval_time": at,
            "alertname": name,
            "exp_alerts": [said(cases[name])] if name in cases else [],
        }
        for name in BY_NAME
    ]


def said(case: Case) -> dict[str, Any]:
    alert = BY_NAME[case.alert]
    return {
        "exp_labels": {"severity": alert.severity, **case.labels},
        "exp_annotations": {
            "summary": case.summary,
            "description": case.description,
            "runbook_url": f"{RUNBOOKS}/{alert.runbook}.md",
        },
    }


def judged(folder: Path, *tests: tuple[Series, list[dict[str, Any]]]) -> None:
    """promtool's word on what is expected of these series."""
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "10s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "alert_rule_test": expected,
            }
            for series, expected in tests
        ],
    }
    path = folder / "tests.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    asked("test", "rules", path)


def in_cluster(name: str, series: Series) -> Series:
    """The same, of one of several clusters."""
    return {key.replace("{", f'{{cluster="{name}",', 1): values for key, values in series.items()}


def counted(
    folder: Path, series: Series, alert: str, told: dict[str, int], *, every: str = INTERVAL
) -> None:
    """promtool's word on how many alerts of this name fire at these moments."""
    name = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": every,
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"count({name}) or vector(0)",
                        "eval_time": at,
                        "exp_samples": [{"labels": "{}", "value": count}],
                    }
                    for at, count in told.items()
                ],
            }
        ],
    }
    path = folder / "tests.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    asked("test", "rules", path)
