"""The alerts in Prometheus' own hands: each fires, says what it should, and is silent otherwise."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.alerts.__main__ import RUNBOOKS, files
from deploy.alerts.alerts import ALERTS, CRITICAL, INHIBITIONS, INTERVAL
from probe.core.verdicts import Verdict
from tests.deploy.cases import CASES, PRESENT, Case, Series

FOLDER = Path(__file__).parents[2] / "deploy" / "alerts"
RULES = FOLDER / "rules.yaml"
PROMTOOL = shutil.which("promtool")
BY_NAME = {alert.name: alert for alert in ALERTS}

promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not in $PATH")


def asked(*arguments: str | Path) -> None:
    """promtool's word on it."""
    assert PROMTOOL is not None
    found = subprocess.run(
        [PROMTOOL, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def expecting(at: str, *fired: Case) -> list[dict[str, Any]]:
    """These alerts at that moment, and no others."""
    cases = {case.alert: case for case in fired}
    return [
        {
            "eval_time": at,
            "alertname": name,
            "exp_alerts": [_said(cases[name])] if name in cases else [],
        }
        for name in BY_NAME
    ]


def _said(case: Case) -> dict[str, Any]:
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


def test_the_files_are_those_that_the_generator_writes() -> None:
    for name, text in files().items():
        assert (FOLDER / name).read_text() == text


def test_a_runbooks_address_of_ones_own_is_written() -> None:
    text = files("https://wiki.example/probe/runbooks/")["rules.yaml"]

    assert "runbook_url: https://wiki.example/probe/runbooks/port_mismatch.md" in text
    assert RUNBOOKS not in text


def test_the_resource_holds_the_same_rules() -> None:
    resource = yaml.safe_load((FOLDER / "prometheusrule.yaml").read_text())

    assert resource["spec"] == yaml.safe_load(RULES.read_text())
    assert resource["kind"] == "PrometheusRule"


@promtool
def test_promtool_takes_the_rules() -> None:
    asked("check", "rules", RULES)


def test_every_alert_is_tested() -> None:
    assert [case.alert for case in CASES] == sorted(BY_NAME, key=[*BY_NAME].index)


@pytest.mark.slow
@promtool
def test_each_fires_in_time_and_says_whom_it_concerns_and_no_other_does(tmp_path: Path) -> None:
    judged(
        tmp_path,
        *(
            (
                {**(PRESENT if case.present else {}), **case.series},
                [*expecting(case.before), *expecting(case.at, case)],
            )
            for case in CASES
        ),
    )


@pytest.mark.slow
@promtool
def test_each_is_silent_otherwise(tmp_path: Path) -> None:
    judged(
        tmp_path,
        *(
            (
                {**PRESENT, **series},
                [
                    each
                    for at in case.quiet_at
                    for each in expecting(at)
                    if each["alertname"] == case.alert
                ],
            )
            for case in CASES
            for series in case.quiet
        ),
    )


def test_what_pages_holds_half_a_minute_at_most() -> None:
    """12 s to the verdict and 15 s to the scrape leave 33 s of a minute: an evaluation, the time
    for which it must hold, and one evaluation more."""
    for alert in ALERTS:
        if alert.severity == CRITICAL and alert.runbook in [*Verdict]:
            assert int(alert.hold.removesuffix("s")) + int(INTERVAL.removesuffix("s")) <= 33


def test_what_inhibits_and_what_is_inhibited_are_alerts_that_share_their_labels() -> None:
    labels = {case.alert: case.labels for case in CASES}
    for rule in INHIBITIONS:
        for name in (*rule.sources, *rule.targets):
            assert set(rule.equal) <= set(labels[name]), name
        assert not set(rule.sources) & set(rule.targets)
