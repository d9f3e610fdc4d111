"""Nodes as the API server sends them, and when failures of what runs there mean something."""

import json
from typing import Any

import msgspec
import pytest

from probe.core import kube, wire
from probe.core.meta import BadObject
from probe.core.nodes import Node, doubtful

READY = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]


def node(*, meta: Any = None, spec: Any = None, conditions: Any = READY) -> Node:
    """The fact of a Node object as the API server sends it."""
    obj = {
        "metadata": {"name": "node-a", **(meta or {})},
        "spec": spec or {},
        "status": {"conditions": conditions, "images": [{"names": ["app:1"]}]},
    }
    return kube.node(msgspec.json.decode(json.dumps(obj).encode(), type=wire.Node))


def tainted(key: str) -> Node:
    return node(spec={"taints": [{"key": "dedicated"}, {"key": key, "effect": "NoSchedule"}]})


def test_a_node_has_a_zone_and_is_ready_and_stays() -> None:
    labels = {"topology.kubernetes.io/zone": "zone-a", "kubernetes.io/hostname": "node-a"}
    found = node(meta={"labels": labels})

    assert found == Node("node-a", "zone-a", labels=tuple(sorted(labels.items())))
    assert found.namespace == ""
    assert doubtful(found) == ""


def test_nodes_of_the_same_kind_share_their_labels() -> None:
    large, other = (
        node(meta={"name": name, "labels": {"node.kubernetes.io/instance-type": "large"}})
        for name in ("a", "b")
    )

    assert large.labels[0] is other.labels[0]


def test_what_is_not_kept_of_a_node_does_not_make_it_another_one() -> None:
    later = [{**condition, "lastHeartbeatTime": "later"} for condition in READY]

    assert node() == node(meta={"resourceVersion": "2"}, conditions=later)


@pytest.mark.parametrize("status", ["False", "Unknown", None])
def test_36_what_fails_on_a_node_that_is_not_ready_accuses_nobody(status: str | None) -> None:
    conditions = [{"type": "Ready", "status": status}] if status else None

    assert doubtful(node(conditions=conditions)) == "node node-a is not ready"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("ToBeDeletedByClusterAutoscaler", "the cluster autoscaler removes it"),
        ("karpenter.sh/disrupted", "Karpenter removes it"),
        ("aws-node-termination-handler/spot-itn", "AWS takes the spot instance back"),
        ("cloud.google.com/impending-node-termination", "Google Cloud ends it"),
        ("node.cloudprovider.kubernetes.io/shutdown", "its machine is shut down"),
    ],
)
def test_36_what_fails_on_an_autoscaled_or_preempted_node_accuses_nobody(
    key: str, why: str
) -> None:
    assert doubtful(tainted(key)) == f"node node-a is being removed: {why}"


def test_36_what_fails_on_a_node_that_is_deleted_accuses_nobody() -> None:
    found = node(meta={"deletionTimestamp": "2026-11-21T10:00:00Z"})

    assert doubtful(found) == "node node-a is being removed: its object is being deleted"


def test_36_a_cordoned_node_and_a_candidate_for_removal_are_believed() -> None:
    cordoned = node(spec={"unschedulable": True})

    assert not cordoned.schedulable
    assert doubtful(cordoned) == ""
    assert doubtful(tainted("DeletionCandidateOfClusterAutoscaler")) == ""


def test_a_node_without_spec_and_status_is_one_that_is_not_ready() -> None:
    bare = kube.node(wire.Node(wire.Meta(name="node-a")))

    assert bare == Node("node-a", ready=False)


def test_a_node_without_a_name_is_a_bad_object() -> None:
    with pytest.raises(BadObject):
        kube.node(wire.Node(wire.Meta()))
