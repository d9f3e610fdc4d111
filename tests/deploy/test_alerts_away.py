"""What pages while the API server is away, so that whatever fails is unknown to the probers."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.alerts.alert import CRITICAL
from tests.deploy.cases import CASES
from tests.deploy.promtool import BY_NAME, counted, expecting, in_cluster, judged, promtool
from tests.deploy.series import (
    FROM_45S,
    HEALTHY,
    PRESENT,
    UNKNOWN,
    UNKNOWN_HERE,
    Case,
    Series,
    contact,
    info,
)

AWAY = {contact(): "0+15x20 300x59 1215+15x40"}
"""An API server that no prober hears of from 5 to 20 minutes: what fails is unknown to them."""

PAGES = [each for each in CASES if BY_NAME[each.alert].severity == CRITICAL and each.present]


SHARED = ("EdgeprobeNodePath", "EdgeprobeProxyStale")
"""Those of a node, where the ports that are unknown may be told by other nodes alone."""


def unsure(alert: str, values: str) -> Series:
    """What the prober does not know of what that alert is about."""
    return {UNKNOWN_HERE if alert in SHARED else UNKNOWN: values}


def lasting(case: Case, values: str) -> Series:
    """What makes the alert fire, with its verdicts at other times."""
    return {key: values if old == FROM_45S else old for key, old in case.series.items()}


@pytest.mark.slow
@promtool
@pytest.mark.parametrize("case", PAGES, ids=lambda case: case.alert)
def test_an_api_server_that_is_away_freezes_what_pages_unless_it_is_over(
    case: Case, tmp_path: Path
) -> None:
    away = in_cluster("eu", AWAY)
    there = in_cluster("us", {contact(): "0+15x120"})
    broken = lasting(case, "_x3 1x24 stale _x51 1x8 stale")
    mended = lasting(case, "_x3 1x24 stale")
    unknown, soon_over = (
        unsure(case.alert, "_x28 1x52 stale"),
        unsure(case.alert, "_x28 1x20 stale"),
    )
    stands = in_cluster("eu", broken | unknown) | away | there
    ends = in_cluster("eu", mended | soon_over | {HEALTHY: "_x48 1x40"}) | away | there
    other = in_cluster("us", mended | unknown) | away | there

    told = {"6m": 1, "12m": 1, "20m": 1, "22m": 1, "26m": 0}
    counted(tmp_path, stands, case.alert, told)
    counted(tmp_path, ends, case.alert, {"6m": 1, "11m": 1, "15m": 0})
    counted(tmp_path, other, case.alert, {"6m": 1, "10m": 0})


@promtool
def test_what_is_frozen_says_so_instead_of_naming_a_service(tmp_path: Path) -> None:
    said = {
        "EdgeprobeNodePath": "The verdict node_path held for Services when the API server went "
        "away: nothing on node node-3 answers, or it reaches no other. Look at the node: kubectl "
        "describe node node-3",
        "EdgeprobeProxyStale": "On node node-1 the verdict proxy_stale held for Service ports when "
        "the API server went away: their endpoints answer, the ClusterIPs do not. kubectl get pods "
        "-n kube-system -l k8s-app=kube-proxy -o wide --field-selector spec.nodeName=node-1",
    }
    for case in (each for each in PAGES if each.alert in said):
        series = lasting(case, "_x3 1x24 stale") | AWAY | unsure(case.alert, "_x28 1x52 stale")
        frozen = replace(case, description=said[case.alert])
        told = [each for each in expecting("12m", frozen) if each["alertname"] == case.alert]
        judged(tmp_path, ({**PRESENT, **series}, told))


@promtool
def test_a_node_that_alone_loses_the_api_server_keeps_its_stale_proxy_and_no_other_alert(
    tmp_path: Path,
) -> None:
    """Its prober reaches it by a ClusterIP."""
    alone = AWAY | {
        contact().replace("node-1", "node-2"): "0+15x120",
        UNKNOWN_HERE: "_x28 1x52 stale",
    }
    stale = {info("proxy_stale", cause="proxy/node-1"): "_x3 1x24 stale"}
    path = {info("node_path", cause="node/node-3"): "_x3 1x24 stale"}

    counted(tmp_path, stale | alone, "EdgeprobeProxyStale", {"6m": 1, "12m": 1, "20m": 1, "26m": 0})
    counted(tmp_path, path | alone, "EdgeprobeNodePath", {"6m": 1, "10m": 0})
