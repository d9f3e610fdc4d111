"""The alerts in Prometheus' own hands: each fires, says what it should, and is silent otherwise."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.alerts.__main__ import RUNBOOKS, files
from deploy.alerts.alert import CLUSTER, CRITICAL, INTERVAL
from deploy.alerts.alerts import ALERTS
from deploy.alerts.inhibitions import INHIBITIONS
from probe.core.verdicts import Verdict
from tests.deploy.cases import CASES
from tests.deploy.series import (
    HEALTHY,
    PRESENT,
    SUCCEEDED,
    SUCCEEDED_HERE,
    Case,
    Series,
    info,
)

FOLDER = Path(__file__).parents[2] / "deploy" / "alerts"
RULES = FOLDER / "rules.yaml"
PROMTOOL = shutil.which("promtool")
CONTACT = 'edgeprobe_discovery_last_contact_timestamp_seconds{node="node-1",resource="services"}'
ABSENT = "EdgeprobeProberAbsent"
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


def in_cluster(name: str, series: Series) -> Series:
    """The same, of one of several clusters."""
    return {key.replace("{", f'{{cluster="{name}",', 1): values for key, values in series.items()}


@pytest.mark.slow
@promtool
def test_of_two_clusters_each_is_told_by_itself(tmp_path: Path) -> None:
    tests = []
    for case in (each for each in CASES if each.present):
        series = {**PRESENT, **case.series}
        both = [replace(case, labels={**case.labels, "cluster": name}) for name in ("eu", "us")]
        expected = {
            "eval_time": case.at,
            "alertname": case.alert,
            "exp_alerts": [_said(each) for each in both],
        }
        tests.append((in_cluster("eu", series) | in_cluster("us", series), [expected]))
    judged(tmp_path, *tests)


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


@pytest.mark.slow
@promtool
def test_one_cluster_that_answers_says_nothing_of_another(tmp_path: Path) -> None:
    silent = in_cluster("us", {info("no_endpoints"): "1x120"})
    answers = in_cluster("eu", {SUCCEEDED: "30x120"})

    counted(tmp_path, silent | answers, "EdgeprobeNoEndpoints", {"5m": 0})
    counted(tmp_path, silent | answers, "EdgeprobeNoEndpointsYet", {"16m": 1})


@pytest.mark.slow
@promtool
def test_a_cluster_without_probers_is_told_for_a_day_beside_one_that_has_some(
    tmp_path: Path,
) -> None:
    there = in_cluster("us", dict.fromkeys(PRESENT, "1x6000"))
    gone = in_cluster("eu", dict.fromkeys(PRESENT, "1x60 stale"))
    told = {"15m": 0, "25m": 1, "24h": 1, "24h30m": 0}

    counted(tmp_path, there | gone, ABSENT, told, every="5m")


@promtool
def test_a_scrape_that_fails_or_a_prober_that_restarts_resolves_nothing_and_the_end_does(
    tmp_path: Path,
) -> None:
    stale = info("proxy_stale", cause="proxy/node-1")
    told = {"2m": 1, "2m30s": 1, "3m": 1, "3m20s": 1, "3m50s": 1, "5m": 1, "6m": 1, "7m30s": 0}

    counted(tmp_path, {stale: "1x7 stale 1 stale _x3 1x5 stale"}, "EdgeprobeProxyStale", told)


@pytest.mark.slow
@promtool
def test_probers_that_begin_anew_do_not_resolve_an_outage_and_its_end_does(tmp_path: Path) -> None:
    """A rolling update in the outage: they forget what has answered before."""
    answered, told = "30x12 stale", {"3m": 1, "5m": 1, "20m": 1, "28m": 0}
    silent = "_x5 1x6 stale _x3 1x84 stale"

    nothing = {info("no_endpoints"): silent, SUCCEEDED: answered}
    counted(tmp_path, nothing, "EdgeprobeNoEndpoints", told)
    counted(tmp_path, nothing, "EdgeprobeNoEndpointsYet", {"24m": 0})
    dropped = {info("blackholed"): silent, SUCCEEDED_HERE: answered}
    counted(tmp_path, dropped, "EdgeprobeBlackholed", told)
    counted(tmp_path, dropped, "EdgeprobeNoAnswerYet", {"24m": 0})


@promtool
def test_an_api_server_that_is_away_freezes_what_fires_unless_it_is_over(tmp_path: Path) -> None:
    """From 5 to 20 minutes, for all probers of one cluster: what fails is unknown to them."""
    away = in_cluster("eu", {CONTACT: "0+15x20 300x59 1215+15x40"})
    there = in_cluster("us", {CONTACT: "0+15x120"})
    broken = {info("not_listening"): "_x3 1x24 stale _x51 1x8 stale"}
    mended = {info("not_listening"): "_x3 1x24 stale"}
    unknown, well = (
        (HEALTHY.replace("healthy", "unknown"), "_x28 1x52 stale"),
        (HEALTHY, "_x48 1x40"),
    )
    unsure = (unknown[0], "_x28 1x20 stale")
    stands = in_cluster("eu", broken | dict([unknown])) | away | there
    ends = in_cluster("eu", mended | dict([unsure, well])) | away | there
    other = in_cluster("us", mended | dict([unknown])) | away | there

    name = "EdgeprobeNotListening"
    counted(tmp_path, stands, name, {"6m": 1, "12m": 1, "20m": 1, "22m": 1, "26m": 0})
    counted(tmp_path, ends, name, {"6m": 1, "11m": 1, "15m": 0})
    counted(tmp_path, other, name, {"6m": 1, "10m": 0})


@promtool
def test_what_a_policy_leaves_out_does_not_keep_an_outage_that_is_over(tmp_path: Path) -> None:
    series = {
        info("blackholed"): "_x5 1x20 stale",
        HEALTHY: "1x5 stale _x20 1x80",
        SUCCEEDED_HERE: "30x120",
        info("blackholed", node="node-2"): "1x120",
    }

    counted(tmp_path, series, "EdgeprobeBlackholed", {"5m": 1, "7m": 1, "10m": 0})


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
            assert CLUSTER in rule.equal
            assert {*rule.equal} - {CLUSTER} <= set(labels[name]), name
        assert not set(rule.sources) & set(rule.targets)
