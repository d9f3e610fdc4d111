"""That no prober is scraped: in each cluster by itself, and not where one was only renamed."""

from pathlib import Path

import pytest

from tests.deploy.promtool import counted, expecting, in_cluster, judged, promtool
from tests.deploy.series import PRESENT, Case, build

ABSENT = "EdgeprobeProberAbsent"


@pytest.mark.slow
@promtool
def test_a_cluster_without_probers_is_told_for_a_day_beside_one_that_has_some(
    tmp_path: Path,
) -> None:
    there = in_cluster("us", {build("us-1"): "1x6400"})
    gone = in_cluster("eu", {build("eu-1"): "1x300 stale"})
    told = {"1h15m": 0, "1h25m": 1, "24h30m": 1, "25h30m": 0}

    counted(tmp_path, there | gone, ABSENT, told, every="5m")


@pytest.mark.slow
@promtool
def test_a_cluster_without_probers_is_told_by_its_name(tmp_path: Path) -> None:
    there = in_cluster("us", {build("us-1"): "1x120"})
    gone = in_cluster("eu", {build("eu-1"): "1x60 stale"})
    case = Case(
        ABSENT,
        there | gone,
        {"cluster": "eu"},
        "No prober of cluster eu is scraped",
        "Prometheus gets no metrics of any edgeprobe daemon of cluster eu: nothing is watched, "
        "whatever no alert says. kubectl get daemonsets -A -l app.kubernetes.io/name=edgeprobe",
        (),
    )

    judged(tmp_path, (case.series, expecting("25m", case)))


@pytest.mark.slow
@promtool
@pytest.mark.parametrize("ends", ["stale", "_"], ids=["marked", "unmarked"])
def test_a_cluster_that_is_given_a_name_or_gives_it_back_is_not_absent(
    ends: str, tmp_path: Path
) -> None:
    """Nor for a node that it had that day, which does not come back under the new name; whether or
    not Prometheus has marked the end of the series."""
    once = {build("node-1"): f"1x100 {ends}"}
    before = {build("node-9"): f"1x240 {ends}"}
    named = in_cluster("prod", {build("node-9"): "_x241 1x6800"})
    told = dict.fromkeys(("1h", "1h10m", "6h", "23h", "24h30m", "25h10m", "28h"), 0)
    counted(tmp_path, once | before | named, ABSENT, told, every="5m")

    tried = in_cluster("prod", {build("node-9"): f"_x7201 1x2399 {ends}"})
    back = {build("node-9"): f"1x7200 {ends} _x2400 1x6400"}
    told = dict.fromkeys(("30h10m", "40h10m", "45h", "55h10m", "60h", "64h10m", "66h"), 0)
    counted(tmp_path, once | tried | back, ABSENT, told, every="5m")


@pytest.mark.slow
@promtool
def test_a_cluster_that_names_its_nodes_as_another_does_is_told_as_well(tmp_path: Path) -> None:
    """Where both are known for a day; before, the one might be the other's new name."""
    there = in_cluster("us", dict.fromkeys(PRESENT, "1x9000"))
    gone = in_cluster("eu", dict.fromkeys(PRESENT, "1x7200 stale"))

    counted(tmp_path, there | gone, ABSENT, {"30h": 0, "30h20m": 1, "36h": 1}, every="5m")
