"""What a workload's object says of its rollout."""

from typing import Any

import pytest

from tests.core.decoded import META, fact, workload


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        (None, False),
        (
            {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
            False,
        ),
        (
            {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
            True,
        ),
        (
            {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2},
            False,
        ),
        (
            {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
            False,
        ),
        (
            {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1},
            False,
        ),
    ],
)
def test_a_deployment_is_complete_when_kubectl_says_so(status: Any, complete: bool) -> None:
    assert workload(replicas=2, status=status).complete == complete


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        ({"readyReplicas": 2, "currentRevision": "a", "updateRevision": "a"}, True),
        ({"readyReplicas": 2, "currentRevision": "a", "updateRevision": "b"}, False),
        ({"readyReplicas": 1}, False),
        ({"readyReplicas": 2}, True),
    ],
)
def test_a_stateful_set_is_complete_at_one_revision(status: Any, complete: bool) -> None:
    status = {"observedGeneration": 2, **status}

    assert workload("statefulsets", replicas=2, status=status).complete == complete


@pytest.mark.parametrize(
    ("updated", "available", "complete", "rolling"),
    [(3, 3, True, False), (2, 3, False, True), (3, 2, False, False)],
)
def test_a_daemon_set_is_complete_on_all_of_its_nodes(
    updated: int, available: int, complete: bool, rolling: bool
) -> None:
    status = {
        "observedGeneration": 2,
        "desiredNumberScheduled": 3,
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
    }
    found = workload("daemonsets", status=status)

    assert (found.complete, found.rolling) == (complete, rolling)


def test_rolling_and_stuck_are_read_off_the_status() -> None:
    late = {
        "observedGeneration": 2,
        "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}],
    }

    assert workload(status={"replicas": 3, "updatedReplicas": 1}).rolling
    assert not workload(status={"replicas": 2, "updatedReplicas": 2}).rolling
    assert not workload().rolling
    assert workload(status=late).stuck
    assert not workload(status={**late, "observedGeneration": 1}).stuck  # of an earlier spec
    assert not workload(status={}).stuck


@pytest.mark.parametrize(
    ("status", "idle", "available"),
    [
        (None, False, False),
        ({"desiredNumberScheduled": 0}, False, False),  # nobody has looked yet
        ({"observedGeneration": 1, "desiredNumberScheduled": 0}, False, False),
        ({"observedGeneration": 2, "desiredNumberScheduled": 0}, True, False),
        ({"observedGeneration": 2, "desiredNumberScheduled": 3}, False, False),
        (
            {"observedGeneration": 2, "desiredNumberScheduled": 3, "numberAvailable": 1},
            False,
            True,
        ),
    ],
)
def test_a_daemon_set_that_fits_no_node_is_to_have_no_pods(
    status: Any, idle: bool, available: bool
) -> None:
    found = workload("daemonsets", status=status)

    assert (found.idle, found.available) == (idle, available)


def test_whether_a_pod_is_available_and_wanted_is_read_off_replicas() -> None:
    assert workload(replicas=0).idle
    assert not workload(status={"desiredNumberScheduled": None}).idle
    assert workload(status={"availableReplicas": 1}).available
    assert not workload("statefulsets", status={"replicas": 1, "availableReplicas": 0}).available


@pytest.mark.parametrize(
    ("revision", "status", "reason", "fresh"),
    [
        ("1", "True", "NewReplicaSetCreated", True),
        ("1", "True", "ReplicaSetUpdated", True),
        ("1", "True", "NewReplicaSetAvailable", False),
        ("1", "False", "ProgressDeadlineExceeded", False),
        ("2", "True", "ReplicaSetUpdated", False),
    ],
)
def test_the_first_rollout_of_a_deployment_is_read_off_its_progress(
    revision: str, status: str, reason: str, fresh: bool
) -> None:
    meta = {**META, "annotations": {"deployment.kubernetes.io/revision": revision}}
    conditions = [
        {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"},
        {"type": "Progressing", "status": status, "reason": reason},
    ]
    obj = {"metadata": meta, "spec": {"template": {"spec": {}}}}

    assert fact("deployments", {**obj, "status": {"conditions": conditions}}).fresh == fresh
    assert not fact("deployments", obj).fresh
