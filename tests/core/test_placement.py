"""Where a DaemonSet's pods belong, as the API server sends its template."""

import json
from typing import Any

import msgspec
import pytest

from probe.core import kube, wire
from probe.core.labels import pairs
from probe.core.placement import ANYWHERE, Placement, placement

LINUX = {"kubernetes.io/os": "linux"}
FARGATE = {**LINUX, "eks.amazonaws.com/compute-type": "fargate"}
NO_FARGATE = [{"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]}]


def told(**pod: Any) -> Placement:
    return placement(msgspec.json.decode(json.dumps(pod).encode(), type=wire.PodSpec))


def required(*terms: Any) -> Any:
    needed = {"nodeSelectorTerms": list(terms)}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": needed}}


def test_without_a_word_it_is_every_node() -> None:
    assert told() == told(affinity={}) == told(affinity={"nodeAffinity": {}}) == ANYWHERE
    assert ANYWHERE.admits("a", ())


def test_every_label_of_the_node_selector_is_asked_for() -> None:
    found = told(nodeSelector={**LINUX, "pool": "web"})

    assert found.admits("a", pairs({**LINUX, "pool": "web", "zone": "a"}))
    assert not found.admits("a", pairs({"kubernetes.io/os": "windows", "pool": "web"}))
    assert not found.admits("a", pairs(LINUX))


def test_one_term_of_the_affinity_suffices_beside_the_node_selector() -> None:
    other = {"matchExpressions": [{"key": "own", "operator": "Exists"}]}
    found = told(nodeSelector=LINUX, affinity=required({"matchExpressions": NO_FARGATE}, other))

    assert found.admits("a", pairs(LINUX))
    assert not found.admits("a", pairs(FARGATE))
    assert found.admits("a", pairs({**FARGATE, "own": ""}))
    assert not found.admits("a", pairs({"own": ""}))


def test_a_term_may_name_the_node_and_all_of_a_term_must_hold() -> None:
    named = [{"key": "metadata.name", "operator": "In", "values": ["a"]}]
    found = told(affinity=required({"matchFields": named, "matchExpressions": NO_FARGATE}))

    assert found.admits("a", ())
    assert not found.admits("b", ())
    assert not found.admits("a", pairs(FARGATE))


@pytest.mark.parametrize("terms", [[], [{}], [{"matchExpressions": []}]])
def test_an_empty_term_matches_no_node(terms: list[Any]) -> None:
    assert told(affinity=required(*terms)).admits("a", pairs(LINUX)) is False


def test_an_operator_that_is_not_known_tells_nothing() -> None:
    more = {"matchExpressions": [{"key": "cpus", "operator": "Gt", "values": ["4"]}]}

    assert told(affinity=required(more)).admits("a", pairs({"cpus": "8"})) is None


def test_it_is_kept_of_daemon_sets_only() -> None:
    template = wire.Template(spec=wire.PodSpec(nodeSelector=LINUX))
    obj = wire.Workload(
        wire.Meta(name="probe", namespace="edgeprobe"), wire.WorkloadSpec(template=template)
    )

    assert kube.daemon_set(obj).placement.admits("a", ()) is False
    assert kube.deployment(obj).placement is ANYWHERE
