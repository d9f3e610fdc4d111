"""The alerts in Prometheus' own hands: each fires, says what it should, and is silent otherwise."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from deploy.alerts.__main__ import RUNBOOKS, files
from deploy.alerts.alert import CLUSTER, CRITICAL, INTERVAL
from deploy.alerts.alerts import ALERTS
from deploy.alerts.inhibitions import INHIBITIONS
from probe.core.verdicts import Verdict
from tests.deploy.cases import CASES
from tests.deploy.promtool import (
    BY_NAME,
    FOLDER,
    RULES,
    asked,
    counted,
    expecting,
    in_cluster,
    judged,
    promtool,
    said,
)
from tests.deploy.series import (
    HEALTHY,
    PRESENT,
    ROLLS,
    SUCCEEDED,
    SUCCEEDED_HERE,
    UNKNOWN,
    build,
    dials,
    failed,
    info,
)


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
            "exp_alerts": [said(each) for each in both],
        }
        tests.append((in_cluster("eu", series) | in_cluster("us", series), [expected]))
    judged(tmp_path, *tests)


@pytest.mark.slow
@promtool
def test_one_cluster_that_answers_says_nothing_of_another(tmp_path: Path) -> None:
    silent = in_cluster("us", {info("no_endpoints"): "1x120"})
    answers = in_cluster("eu", {SUCCEEDED: "30x120"})

    counted(tmp_path, silent | answers, "EdgeprobeNoEndpoints", {"5m": 0})
    counted(tmp_path, silent | answers, "EdgeprobeNoEndpointsYet", {"16m": 1})


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
def test_a_prober_that_begins_silences_refusals_of_no_other(tmp_path: Path) -> None:
    """Each knows too little at first: one that does every four minutes, as in an update."""
    begins = " ".join(["1 stale _x14"] * 5)
    series = {dials("refused"): "0+1x80", HEALTHY: "1x80"}
    told = {"5m": 1, "10m": 1, "15m": 1}

    unknown = {UNKNOWN.replace("node-1", "node-2"): begins}
    counted(tmp_path, series | unknown, "EdgeprobeRefusedSteady", told)


@promtool
def test_a_prometheus_that_has_just_begun_counts_the_failures_that_it_sees(tmp_path: Path) -> None:
    """From 2 minutes on: 200 of old are none of this rollout, what is added to them is."""
    name, page = "EdgeprobeRolloutFailedDials", {build("node-1"): "_x8 1x100"}
    rolls = page | {ROLLS: "_x8 1x8 stale"}
    old, first = ({failed("node-1"): values} for values in ("_x8 200x100", "_x12 200x100"))
    more = {failed("node-1"): "_x8 200x5 203x95"}

    counted(tmp_path, rolls | old, name, {"2m10s": 0, "3m": 0, "5m": 0, "9m": 0})
    counted(tmp_path, rolls | first, name, {"2m50s": 0, "3m10s": 1, "9m": 1})
    counted(tmp_path, rolls | more, name, {"3m": 0, "4m": 1})


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
