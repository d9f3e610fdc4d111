"""What the alerts name is what the daemon exports: every metric, and every label of it."""

import re

import pytest

from deploy.alerts.alert import CLUSTER, Alert
from deploy.alerts.alerts import ALERTS
from tests.deploy.promql import MATCHER, METRIC, grouped

TEMPLATED = re.compile(r"\$labels\.([a-z_]+)|\.Labels\.([a-z_]+)|label `([a-z_]+)`")
MADE = re.compile(r'label_replace\(.*"([a-z_]+)", "\$1"', re.DOTALL)


def texts(alert: Alert) -> str:
    return f"{alert.expr} {alert.summary} {alert.description}"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_names_only_what_is_exported(alert: Alert, exported: dict[str, set[str]]) -> None:
    text = texts(alert)
    used = {CLUSTER}  # whoever scrapes adds it
    for name, matchers in METRIC.findall(text):
        assert name in exported
        used |= exported[name]
        assert {*MATCHER.findall(matchers)} <= exported[name] | {CLUSTER}, name
    templated = {each for found in TEMPLATED.findall(text) for each in found if each}

    assert grouped(text) | templated <= used | set(MADE.findall(alert.expr))


def test_the_pattern_finds_the_labels_that_alerts_use() -> None:
    """Lest the test above pass for want of finding anything."""
    found = [name for alert in ALERTS for name, _ in METRIC.findall(alert.expr)]
    matched = {
        m for a in ALERTS for _, inside in METRIC.findall(a.expr) for m in MATCHER.findall(inside)
    }

    assert {"edgeprobe_verdict_info", "edgeprobe_dials_total"} <= set(found)
    assert {"verdict", "result", "phase", "kind", "state"} <= matched
