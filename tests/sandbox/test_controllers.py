"""The control plane: what changes, in which order, and what it looks like."""

import asyncio
from typing import Any

import pytest

from probe.sandbox.cluster import Cluster
from probe.sandbox.store import Event
from tests.running import until
from tests.sandbox.manifests import (
    NAMESPACE,
    Obj,
    addresses,
    deployment,
    endpoints,
    pods,
    progressing,
    sandbox,
    service,
    slices,
)

pytestmark = pytest.mark.slow

REVISION = "deployment.kubernetes.io/revision"
READY = {"ready": True, "serving": True, "terminating": False}
UNREADY = {"ready": False, "serving": False, "terminating": False}
ENDING = {"ready": False, "serving": True, "terminating": True}


def restarted(manifest: Obj, value: str = "again") -> Obj:
    template = manifest["spec"]["template"]
    meta = template["metadata"] | {"annotations": {"kubectl.kubernetes.io/restartedAt": value}}
    return manifest | {"spec": manifest["spec"] | {"template": template | {"metadata": meta}}}


def scaled(manifest: Obj, replicas: int) -> Obj:
    return manifest | {"spec": manifest["spec"] | {"replicas": replicas}}


def with_spec(manifest: Obj, **spec: Any) -> Obj:
    return manifest | {"spec": manifest["spec"] | spec}


def record(cluster: Cluster) -> list[Event]:
    events: list[Event] = []
    cluster.store.subscribe(events.append)
    return events


def status(cluster: Cluster, name: str = "web") -> Obj:
    held: Obj = cluster.store.get("deployments", NAMESPACE, name)["status"]
    return held


def replica_sets(cluster: Cluster) -> dict[str, int]:
    """Replicas by revision."""
    return {
        rs["metadata"]["annotations"][REVISION]: rs["spec"]["replicas"]
        for rs in cluster.store.list("replicasets", NAMESPACE)
    }


async def test_a_new_deployment_becomes_pods_and_endpoints() -> None:
    async with sandbox(deployment(), service()) as cluster:
        assert status(cluster)["availableReplicas"] == 2
        assert progressing(cluster)["reason"] == "NewReplicaSetAvailable"
        assert [e["conditions"] for e in endpoints(cluster)] == [READY, READY]
        assert sorted(e["addresses"][0] for e in endpoints(cluster)) == sorted(addresses(cluster))
        assert {pod["spec"]["nodeName"] for pod in pods(cluster)} == {"node-1", "node-2"}


async def test_a_deployment_tells_of_its_creation_in_the_order_of_a_real_one() -> None:
    async with sandbox() as cluster:
        events = record(cluster)
        cluster.apply(deployment(replicas=1))
        await cluster.settled()
        reasons = [
            next(
                c["reason"] for c in e.object["status"]["conditions"] if c["type"] == "Progressing"
            )
            for e in events
            if e.resource == "deployments" and "conditions" in e.object.get("status", {})
        ]
        assert list(dict.fromkeys(reasons)) == [
            "NewReplicaSetCreated",
            "ReplicaSetUpdated",
            "NewReplicaSetAvailable",
        ]
        told = [f"{e.resource} {e.type}" for e in events[:5]]
        assert told == [
            "deployments ADDED",
            "replicasets ADDED",
            "deployments MODIFIED",
            "deployments MODIFIED",
            "pods ADDED",
        ]


async def test_a_rollout_adds_before_it_removes_and_ends_when_the_last_old_pod_is_marked() -> None:
    manifest = deployment(terminationGracePeriodSeconds=5, container=_sleepy(0.3))
    async with sandbox(manifest, service()) as cluster:
        old = {pod["metadata"]["name"] for pod in pods(cluster)}
        events = record(cluster)
        cluster.apply(restarted(manifest))
        while progressing(cluster)["reason"] != "NewReplicaSetAvailable" or len(events) < 3:
            assert status(cluster)["availableReplicas"] >= 2
            await asyncio.sleep(0.005)
        left = [pod for pod in pods(cluster) if pod["metadata"]["name"] in old]
        assert left
        assert all("deletionTimestamp" in pod["metadata"] for pod in left)
        assert status(cluster)["terminatingReplicas"] == len(left)
        await cluster.settled()
        assert not old & {pod["metadata"]["name"] for pod in pods(cluster)}
        conditions = [
            endpoint["conditions"]
            for event in events
            if event.resource == "endpointslices"
            for endpoint in event.object["endpoints"] or ()
        ]
        assert ENDING in conditions
        assert replica_sets(cluster) == {"1": 0, "2": 2}


def _sleepy(seconds: float) -> Obj:
    return {"lifecycle": {"preStop": {"exec": {"command": ["sleep", str(seconds)]}}}}


async def test_undo_takes_the_old_replicaset_again_under_a_new_revision() -> None:
    manifest = deployment()
    async with sandbox(manifest) as cluster:
        before = {rs["metadata"]["name"] for rs in cluster.store.list("replicasets")}
        cluster.apply(restarted(manifest))
        await cluster.settled()
        cluster.apply(manifest)
        await cluster.settled()
        held = {rs["metadata"]["name"]: rs for rs in cluster.store.list("replicasets")}
        assert len(held) == 2
        assert replica_sets(cluster) == {"3": 2, "2": 0}
        annotations = held[before.pop()]["metadata"]["annotations"]
        assert annotations["deployment.kubernetes.io/revision-history"] == "1"
        deployed = cluster.store.get("deployments", NAMESPACE, "web")
        assert deployed["metadata"]["annotations"][REVISION] == "3"


async def test_a_rollout_that_is_stuck_says_so_after_its_deadline_and_keeps_the_old_pods() -> None:
    manifest = with_spec(deployment(replicas=3), progressDeadlineSeconds=1)
    async with sandbox(manifest, service()) as cluster:
        told: list[str] = []
        cluster.store.subscribe(lambda _: told.append(progressing(cluster)["reason"]))
        stuck = deployment(replicas=3, container={"readinessProbe": {"tcpSocket": {"port": 1}}})
        cluster.apply(with_spec(stuck, progressDeadlineSeconds=1))
        await until(lambda: progressing(cluster)["reason"] == "ProgressDeadlineExceeded")
        await cluster.settled()
        assert list(dict.fromkeys(told))[-2:] == ["ReplicaSetUpdated", "ProgressDeadlineExceeded"]
        assert progressing(cluster)["status"] == "False"
        assert replica_sets(cluster) == {"1": 3, "2": 1}
        assert [e["conditions"] for e in endpoints(cluster)].count(UNREADY) == 1
        cluster.apply(manifest)
        await cluster.settled()
        assert progressing(cluster)["reason"] == "NewReplicaSetAvailable"
        assert replica_sets(cluster) == {"3": 3, "2": 0}


async def test_scaling_to_zero_and_back_is_not_a_rollout() -> None:
    manifest = deployment()
    async with sandbox(manifest, service()) as cluster:
        cluster.apply(scaled(manifest, 0))
        await cluster.settled()
        assert pods(cluster) == []
        assert [(s["endpoints"], s["ports"]) for s in slices(cluster)] == [(None, None)]
        assert "replicas" not in status(cluster)
        cluster.apply(scaled(manifest, 3))
        await cluster.settled()
        assert len(endpoints(cluster)) == 3
        assert replica_sets(cluster) == {"1": 3}
        assert progressing(cluster)["reason"] == "NewReplicaSetAvailable"


async def test_recreate_ends_all_old_pods_before_it_makes_a_new_one() -> None:
    manifest = with_spec(deployment(), strategy={"type": "Recreate"})
    async with sandbox(manifest) as cluster:
        old = {pod["metadata"]["uid"] for pod in pods(cluster)}
        events = record(cluster)
        cluster.apply(restarted(manifest))
        await cluster.settled()
        told = [e for e in events if e.resource == "pods" and e.type in ("ADDED", "DELETED")]
        assert [e.type for e in told] == ["DELETED", "DELETED", "ADDED", "ADDED"]
        assert not old & {pod["metadata"]["uid"] for pod in pods(cluster)}


async def test_a_paused_deployment_waits_with_its_rollout() -> None:
    manifest = deployment()
    async with sandbox(manifest) as cluster:
        cluster.apply(with_spec(restarted(manifest), paused=True))
        await cluster.settled()
        assert progressing(cluster)["reason"] == "DeploymentPaused"
        assert replica_sets(cluster) == {"1": 2}
        cluster.apply(restarted(manifest))
        await cluster.settled()
        assert replica_sets(cluster) == {"1": 0, "2": 2}


async def test_pods_count_as_available_only_after_min_ready_seconds() -> None:
    """Told by the order of what is told: a busy machine may take seconds for either."""
    async with sandbox() as cluster:
        events = record(cluster)
        cluster.apply(with_spec(deployment(), minReadySeconds=1))
        await cluster.settled()
        await until(lambda: status(cluster).get("availableReplicas") == 2)
    deployed = (event.object for event in events if event.resource == "deployments")
    told = [each.get("status", {}) for each in deployed]
    assert any(each.get("readyReplicas", 0) > each.get("availableReplicas", 0) for each in told)


async def test_named_ports_are_resolved_pod_by_pod() -> None:
    def named(name: str, number: int) -> Obj:
        ports = [{"name": "http", "containerPort": number}]
        made = deployment(name, 1, container={"ports": ports})
        made["spec"]["template"]["metadata"]["labels"]["tier"] = "front"
        return made

    front = service("front", 80, "http", selector={"tier": "front"})
    front["spec"]["ports"] = [{"port": 8080, "targetPort": "http", "name": "web"}]
    async with sandbox(named("a", 8001), named("b", 8002), front) as cluster:
        found = sorted((s["ports"][0]["port"], len(s["endpoints"])) for s in slices(cluster))
        assert found == [(8001, 1), (8002, 1)]
        assert {s["ports"][0]["name"] for s in slices(cluster)} == {"web"}


async def test_unready_pods_are_published_as_ready_where_the_service_asks_for_it() -> None:
    unready = deployment(container={"readinessProbe": {"tcpSocket": {"port": 1}}})
    async with sandbox(unready, service(publishNotReadyAddresses=True)) as cluster:
        assert endpoints(cluster)[0]["conditions"] == UNREADY | {"ready": True}


async def test_a_changed_target_port_changes_the_slice_in_place() -> None:
    async with sandbox(deployment(), service()) as cluster:
        before = slices(cluster)[0]
        cluster.apply(service(target=8081))
        await cluster.settled()
        after = slices(cluster)
        assert [s["metadata"]["name"] for s in after] == [before["metadata"]["name"]]
        assert after[0]["ports"] == [{"name": "", "protocol": "TCP", "port": 8081}]
        assert _targets(after[0]) == _targets(before)


def _targets(held: Obj) -> set[str]:
    return {endpoint["targetRef"]["uid"] for endpoint in held["endpoints"]}


async def test_a_slice_holds_a_hundred_endpoints_and_no_more() -> None:
    async with sandbox(deployment(replicas=130), service()) as cluster:
        assert sorted(len(s["endpoints"]) for s in slices(cluster)) == [30, 100]
        assert len({e["targetRef"]["uid"] for e in endpoints(cluster)}) == 130


async def test_a_changed_selector_leads_elsewhere_and_none_leaves_hand_made_slices_alone() -> None:
    manual = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "manual-1",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.1"]}],
        "ports": [{"port": 5432}],
    }
    async with sandbox(deployment(), service(), manual) as cluster:
        cluster.apply(service(selector={"app": "other"}))
        await cluster.settled()
        assert [e["addresses"] for e in endpoints(cluster)] == [["192.0.2.1"]]
        cluster.apply(service(selector=None))
        await cluster.settled()
        assert [s["metadata"]["name"] for s in slices(cluster)] == ["manual-1"]


async def test_deleting_the_owner_deletes_what_it_owned() -> None:
    async with sandbox(deployment(), service()) as cluster:
        cluster.store.delete("deployments", NAMESPACE, "web")
        cluster.store.delete("services", NAMESPACE, "web")
        await cluster.settled()
        for resource in ("replicasets", "pods", "endpointslices"):
            assert cluster.store.list(resource) == []


async def test_a_stateful_set_makes_its_pods_in_order_and_replaces_the_last_one_first() -> None:
    manifest = deployment("db", 3) | {"kind": "StatefulSet"}
    async with sandbox() as cluster:
        events = record(cluster)
        cluster.apply(manifest)
        await cluster.settled()
        made = [e.object["metadata"]["name"] for e in events if e.type == "ADDED"][1:]
        assert made == ["db-0", "db-1", "db-2"]
        events.clear()
        cluster.apply(restarted(manifest))
        await cluster.settled()
        gone = [e.object["metadata"]["name"] for e in events if e.type == "DELETED"]
        assert gone == ["db-2", "db-1", "db-0"]
        found = cluster.store.get("statefulsets", NAMESPACE, "db")["status"]
        assert found["currentRevision"] == found["updateRevision"]
        assert found["updatedReplicas"] == 3


async def test_a_daemon_set_has_a_pod_on_every_node() -> None:
    manifest = deployment("agent") | {"kind": "DaemonSet"}
    async with sandbox(manifest) as cluster:
        cluster.apply(restarted(manifest))
        await cluster.settled()
        assert sorted(p["spec"]["nodeName"] for p in pods(cluster)) == [
            "node-1",
            "node-2",
            "node-3",
        ]
        found = cluster.store.get("daemonsets", NAMESPACE, "agent")["status"]
        assert (found["numberReady"], found["updatedNumberScheduled"]) == (3, 3)


@pytest.mark.parametrize(
    ("surge", "unavailable", "most", "fewest"),
    [(1, 0, 4, 3), (0, 1, 3, 2), ("50%", "50%", 5, 2), (0, 0, 3, 2), ("100%", "0%", 6, 3)],
)
async def test_a_rollout_stays_within_its_bounds(
    surge: int | str, unavailable: int | str, most: int, fewest: int
) -> None:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    manifest = with_spec(deployment(replicas=3), strategy=strategy)
    async with sandbox(manifest) as cluster:
        events = record(cluster)
        cluster.apply(restarted(manifest))
        await cluster.settled()
        told = [e.object["status"] for e in events if e.resource == "deployments"]
        sizes: dict[str, int] = {"old": 3}
        totals = []
        for rs in (e.object for e in events if e.resource == "replicasets"):
            age = "old" if rs["metadata"]["annotations"][REVISION] == "1" else "new"
            sizes[age] = rs["spec"]["replicas"]
            totals.append(sum(sizes.values()))
        assert max(totals) == most
        assert min(s.get("availableReplicas", 0) for s in told) == fewest


async def test_controllers_sign_for_the_status_so_that_people_stay_the_authors() -> None:
    """As a real API server tells who wrote what of a Deployment, its ReplicaSet and its pods."""
    async with sandbox(deployment(replicas=1), service()) as cluster:
        signed = {
            plural: {
                (entry["manager"], entry.get("subresource", ""))
                for held in cluster.store.list(plural, NAMESPACE)
                for entry in held["metadata"]["managedFields"]
            }
            for plural in ("deployments", "replicasets", "pods", "endpointslices")
        }

    controllers = "kube-controller-manager"
    assert signed == {
        "deployments": {("sandbox", ""), (controllers, "status")},
        "replicasets": {(controllers, ""), (controllers, "status")},
        "pods": {(controllers, ""), ("kubelet", "status")},
        "endpointslices": {(controllers, "")},
    }
