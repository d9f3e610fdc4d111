"""What a workload's template tells beside its rollout, which test_kube.py has."""

import json
from typing import Any

import msgspec
import pytest

from probe.core import kube
from probe.core.meshes import Wish
from probe.core.workloads import Owned, Workload

LISTENER = {"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 8080}]}]}


def fact(resource: kube.Resource, pod: Any, owners: Any = None, **spec: Any) -> Workload | Owned:
    """The fact of a workload as the API server sends it."""
    obj = {
        "metadata": {"name": "web", "namespace": "shop", "ownerReferences": owners},
        "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": pod}, **spec},
        "status": {"replicas": 2, "observedGeneration": 1},
    }
    found = resource.fact(msgspec.json.decode(json.dumps(obj).encode(), type=resource.wire))
    assert isinstance(found, Workload | Owned)
    return found


def deployment(pod: Any) -> Workload:
    found = fact(kube.DEPLOYMENTS, pod)
    assert isinstance(found, Workload)
    return found


def test_a_workload_keeps_what_its_template_wishes_of_meshes() -> None:
    injected = {**LISTENER, "initContainers": [{"name": "istio-init"}]}

    assert deployment(LISTENER).mesh == ()
    assert deployment(injected).mesh == (("istio", Wish.INJECTED),)
    assert not deployment(injected).host_network
    assert deployment({**injected, "hostNetwork": True}).host_network


def test_a_workload_keeps_the_ports_that_have_names_once_for_all_who_have_the_same() -> None:
    named, more = deployment(LISTENER), {"containerPort": 8081}
    found = deployment({"containers": [*LISTENER["containers"], {"ports": [more]}]})

    assert found.named_ports == (("http", 8080),)
    assert found.named_ports is named.named_ports


@pytest.mark.parametrize(
    "owners", [None, [], [{"kind": "Rollout", "controller": True}], [{"kind": "Deployment"}]]
)
def test_a_replica_set_that_is_not_a_deployments_is_a_workload_that_never_rolls(
    owners: Any,
) -> None:
    found = fact(kube.REPLICA_SETS, LISTENER, owners, replicas=2)

    assert isinstance(found, Workload)
    assert (found.kind, found.namespace, found.name) == ("ReplicaSet", "shop", "web")
    assert (found.complete, found.rolling, found.stuck) == (True, False, False)
    assert [d.port for d in found.declared] == [8080]


def test_a_replica_set_of_a_deployment_tells_nothing() -> None:
    owner = [{"kind": "Deployment", "controller": True}]

    assert fact(kube.REPLICA_SETS, LISTENER, owner) == Owned("shop", "web")
    assert fact(kube.REPLICA_SETS, LISTENER, owner, replicas=0) == Owned("shop", "web")


def test_a_replica_set_without_pods_tells_that_alone() -> None:
    env = [{"name": "BACKEND_URL", "value": "http://0:80"}]
    pod = {"containers": [{"name": "app", "ports": [{"containerPort": 8080}], "env": env}]}
    rollout = [{"kind": "Rollout", "controller": True}]
    found, idle = (fact(kube.REPLICA_SETS, pod, rollout, replicas=n) for n in (1, 0))

    assert isinstance(found, Workload)
    assert isinstance(idle, Workload)
    assert (found.idle, bool(found.declared), bool(found.invalid)) == (False, True, True)
    assert (idle.idle, idle.declared, idle.invalid) == (True, (), ())


@pytest.mark.parametrize(
    ("containers", "application"),
    [
        ([], ""),
        (["app", "redis"], "app"),
        (["istio-proxy", "config-reloader", "app"], "app"),
        (["node-exporter"], "node-exporter"),
    ],
)
def test_the_application_is_the_first_container_that_is_no_well_known_sidecar(
    containers: list[str], application: str
) -> None:
    pod = {"containers": [{"name": name} for name in containers]}

    assert deployment(pod).application == application
