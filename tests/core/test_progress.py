"""How far a rollout is, and how it goes about it, from the objects as the API server has them."""

from typing import Any

import pytest

from probe.core import wire
from probe.core.progress import Strategy, progress

POD = wire.PodSpec(containers=[wire.Container("main", "app:1")])


def told(
    kind: str = "Deployment",
    *,
    replicas: int | None = 4,
    strategy: wire.UpdateStrategy | None = None,
    **status: Any,
) -> Any:
    spec = wire.WorkloadSpec(
        replicas=replicas,
        template=wire.Template(spec=POD),
        strategy=strategy if kind == "Deployment" else None,
        updateStrategy=None if kind == "Deployment" else strategy,
    )
    meta = wire.Meta(name="web", namespace="shop", generation=2)
    status = {"observedGeneration": 2, **status}
    return progress(kind, wire.Workload(meta, spec, wire.WorkloadStatus(**status)))


@pytest.mark.parametrize(
    ("counts", "text", "share"),
    [
        ((4, 0, 4), "0 of 4 updated, 4 available, 4 old", 0.0),
        ((5, 2, 4), "2 of 4 updated, 4 available, 3 old", 0.25),
        ((5, 4, 5), "4 of 4 updated, 5 available, 1 old", 1.0),
        ((4, 4, 4), "4 of 4 updated, 4 available", 1.0),
        ((4, 4, 0), "4 of 4 updated, 0 available", 0.0),
    ],
)
def test_pods_are_counted_as_kubectl_does(
    counts: tuple[int, int, int], text: str, share: float
) -> None:
    there, updated, available = counts
    meta = wire.Meta(name="web", namespace="shop", generation=2)
    spec = wire.WorkloadSpec(replicas=4, template=wire.Template(spec=POD))
    status = wire.WorkloadStatus(
        observedGeneration=2,
        replicas=there,
        updatedReplicas=updated,
        availableReplicas=available,
    )
    found = progress("Deployment", wire.Workload(meta, spec, status))

    assert (found.text(), found.share) == (text, share)
    assert (found.namespace, found.name) == ("shop", "web")


def test_until_the_controller_has_looked_nothing_is_updated() -> None:
    found = told(observedGeneration=1, updatedReplicas=4, availableReplicas=4)

    assert (found.updated, found.wanted) == (0, 4)


def test_a_daemon_set_counts_nodes() -> None:
    found = told(
        "DaemonSet",
        replicas=None,
        desiredNumberScheduled=3,
        updatedNumberScheduled=1,
        numberAvailable=2,
    )

    assert found.text() == "1 of 3 updated, 2 available, 2 old"


def test_a_workload_that_wants_no_pod_is_done() -> None:
    assert told("DaemonSet", replicas=None).share == 1.0


def test_without_a_status_nothing_is_there_yet() -> None:
    meta = wire.Meta(name="web", namespace="shop")
    spec = wire.WorkloadSpec(replicas=2, template=wire.Template(spec=POD))

    assert progress("Deployment", wire.Workload(meta, spec)).text() == (
        "0 of 2 updated, 0 available"
    )


def rolling(
    unavailable: int | str | None = None, surge: int | str | None = None, type_: str = ""
) -> wire.UpdateStrategy:
    update = wire.RollingUpdate(maxSurge=surge, maxUnavailable=unavailable)
    return wire.UpdateStrategy(type_ or "RollingUpdate", update)


@pytest.mark.parametrize(
    ("kind", "strategy", "unavailable", "surge"),
    [
        ("Deployment", None, 1, 1),
        ("Deployment", wire.UpdateStrategy(), 1, 1),
        ("Deployment", rolling("50%", 0), 2, 0),
        ("Deployment", rolling(0, "30%"), 0, 2),
        ("Deployment", rolling(0, 0), 1, 0),
        ("Deployment", rolling("nonsense", 1), 0, 1),
        ("StatefulSet", None, 1, 0),
        ("StatefulSet", rolling("10%"), 1, 0),
        ("StatefulSet", rolling("90%"), 3, 0),
    ],
)
def test_shares_are_rounded_as_the_controllers_do(
    kind: str, strategy: wire.UpdateStrategy | None, unavailable: int, surge: int
) -> None:
    found = told(kind, strategy=strategy).strategy

    assert found == Strategy("RollingUpdate", unavailable, surge)


def test_a_daemon_set_rounds_up() -> None:
    found = told(
        "DaemonSet", replicas=None, strategy=rolling("10%", "10%"), desiredNumberScheduled=5
    )

    assert found.strategy == Strategy("RollingUpdate", 1, 1)


def test_recreate_leaves_none() -> None:
    found = told(strategy=wire.UpdateStrategy("Recreate"))

    assert found.strategy == Strategy("Recreate", 4, 0)
