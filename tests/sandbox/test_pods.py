"""Pods: where they listen, how they misbehave, and how they end."""

import asyncio
from typing import Any

import pytest

from probe.sandbox.cluster import Cluster
from probe.sandbox.containers import listen_ports, pre_stop_seconds
from probe.sandbox.store import Event
from tests.running import until
from tests.sandbox.manifests import (
    NAMESPACE,
    Obj,
    addresses,
    ask,
    deployment,
    dial,
    endpoints,
    pods,
    sandbox,
    service,
)

pytestmark = pytest.mark.slow

BEHAVIOUR = "sandbox.edgeprobe.dev/behaviour"


def env(**values: str) -> Obj:
    return {"env": [{"name": name, "value": value} for name, value in values.items()]}


@pytest.mark.parametrize(
    ("container", "ports"),
    [
        (env(LISTEN_ADDR="0.0.0.0:8080"), [8080]),
        (env(LISTEN_ADDR=":8080"), [8080]),
        (env(LISTEN_ADDR="127.0.0.1:8080"), []),
        (env(LISTEN_ADDR="localhost:8080"), []),
        (env(LISTEN_ADDR="0.0.0.0:8080", PORT="9090"), [8080]),
        (env(PORT="9090"), [9090]),
        (env(PORTS="8080/TCP,9090, 53/UDP"), [8080, 9090]),
        ({"args": ["--port=7070"]}, [7070]),
        ({"args": ["-listen", ":7070"]}, [7070]),
        ({"args": ["--listen=127.0.0.1:7070"]}, []),
        ({"ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]}, [80]),
        (env(PORT="9090") | {"ports": [{"containerPort": 80}]}, [9090]),
        ({}, []),
    ],
)
def test_a_container_listens_where_it_is_configured_to(container: Obj, ports: list[int]) -> None:
    assert listen_ports({"containers": [container]}) == ports


def test_a_sidecar_listens_too() -> None:
    sidecar = env(PORT="15001") | {"restartPolicy": "Always"}
    spec = {"containers": [env(PORT="1")], "initContainers": [sidecar, env(PORT="2")]}
    assert listen_ports(spec) == [1, 15001]


@pytest.mark.parametrize(
    ("hook", "seconds"),
    [
        ({"sleep": {"seconds": 5}}, 5.0),
        ({"exec": {"command": ["sleep", "5"]}}, 5.0),
        ({"exec": {"command": ["/bin/sh", "-c", "/bin/sleep 5"]}}, 5.0),
        ({"httpGet": {"port": 80}}, 0.0),
    ],
)
def test_pre_stop_hooks_that_sleep_take_their_time(hook: Obj, seconds: float) -> None:
    assert pre_stop_seconds({"containers": [{"lifecycle": {"preStop": hook}}]}) == seconds


async def test_a_pod_answers_with_its_name_on_its_own_address() -> None:
    async with sandbox(deployment()) as cluster:
        for pod in pods(cluster):
            answer = await ask(pod["status"]["podIP"], 8080)
            assert answer.startswith("HTTP/1.0 200 OK\r\n")
            assert answer.endswith(f"\r\n\r\n{pod['metadata']['name']}\n")
        assert len(set(addresses(cluster))) == 2


async def test_a_pod_accepts_only_where_its_container_listens() -> None:
    declared = deployment(container=env(LISTEN_ADDR="0.0.0.0:8081") | {"ports": [_port(8080)]})
    async with sandbox(declared, service(target=8080)) as cluster:
        address = addresses(cluster)[0]
        assert await dial(address, 8080) == "refused"
        assert await dial(address, 8081) == "connected"


def _port(number: int) -> Obj:
    return {"containerPort": number}


@pytest.mark.parametrize(
    ("behaviour", "met"),
    [
        ("serve", "connected"),
        ("hang", "connected"),
        ("blackhole", "timeout"),
        ("crash", "refused"),
    ],
)
async def test_a_pod_misbehaves_as_told(behaviour: str, met: str) -> None:
    from_start = deployment("told", 1, annotations={BEHAVIOUR: behaviour})
    async with sandbox(from_start, deployment("web", 1)) as cluster:
        first, second = pods(cluster)
        assert await dial(first["status"]["podIP"], 8080) == met
        cluster.set_behaviour(NAMESPACE, second["metadata"]["name"], behaviour)
        assert await dial(second["status"]["podIP"], 8080) == met
        cluster.set_behaviour(NAMESPACE, second["metadata"]["name"], "serve")
        assert "200 OK" in await ask(second["status"]["podIP"], 8080)


async def test_a_pod_on_the_hosts_network_has_its_nodes_address() -> None:
    async with sandbox(deployment(hostNetwork=True)) as cluster:
        nodes = {n["metadata"]["name"]: n for n in cluster.store.list("nodes")}
        for pod in pods(cluster):
            host = nodes[pod["spec"]["nodeName"]]["status"]["addresses"][0]["address"]
            assert pod["status"]["podIP"] == pod["status"]["hostIP"] == host
            assert await dial(host, 8080) == "connected"


async def test_an_unknown_behaviour_is_refused() -> None:
    async with sandbox(deployment(replicas=1)) as cluster:
        name = pods(cluster)[0]["metadata"]["name"]
        with pytest.raises(ValueError, match="'dance' is none of"):
            cluster.set_behaviour(NAMESPACE, name, "dance")


async def test_a_hung_pod_never_answers() -> None:
    async with sandbox(deployment(replicas=1, annotations={BEHAVIOUR: "hang"})) as cluster:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ask(addresses(cluster)[0], 8080)


def ready(cluster: Cluster) -> list[str]:
    return [
        condition["status"]
        for pod in pods(cluster)
        for condition in pod["status"]["conditions"]
        if condition["type"] == "Ready"
    ]


@pytest.mark.parametrize(
    ("probe", "status"),
    [
        ({"tcpSocket": {"port": 8080}}, "True"),
        ({"tcpSocket": {"port": 8081}}, "False"),
        ({"httpGet": {"port": "http"}}, "True"),
        ({"httpGet": {"port": "other"}}, "False"),
        ({"exec": {"command": ["true"]}}, "True"),
    ],
)
async def test_a_readiness_probe_checks_what_the_pod_listens_on(probe: Obj, status: str) -> None:
    ports = [{"name": "http", "containerPort": 8080}]
    probed = deployment(replicas=1, container={"ports": ports, "readinessProbe": probe})
    async with sandbox(probed) as cluster:
        assert ready(cluster) == [status]


async def test_a_pod_gets_unready_after_its_failure_threshold_and_ready_again() -> None:
    probe = {"httpGet": {"port": 8080}, "periodSeconds": 0.1, "failureThreshold": 3}
    probed = deployment(replicas=1, container=_probed(probe))
    async with sandbox(probed, service()) as cluster:
        name = pods(cluster)[0]["metadata"]["name"]
        cluster.set_behaviour(NAMESPACE, name, "hang")
        began = asyncio.get_running_loop().time()
        await until(lambda: ready(cluster) == ["False"])
        # The third failure comes two periods after the first.
        assert asyncio.get_running_loop().time() - began > 0.19
        await cluster.settled()
        assert endpoints(cluster)[0]["conditions"]["ready"] is False
        cluster.set_behaviour(NAMESPACE, name, "serve")
        await until(lambda: ready(cluster) == ["True"])


def _probed(probe: Obj) -> Obj:
    return {"readinessProbe": probe}


async def end(cluster: Cluster, **pod: Any) -> Obj:
    """Applies a Deployment of one such pod, scales it to zero, and returns the pod."""
    manifest = deployment(replicas=1, **pod)
    cluster.apply(manifest)
    await cluster.settled()
    running = pods(cluster)[0]
    cluster.apply(manifest | {"spec": manifest["spec"] | {"replicas": 0}})
    return running


ENDING = {"ready": False, "serving": True, "terminating": True}


async def test_a_pod_without_pre_stop_stops_listening_before_its_end_is_told() -> None:
    """A kubelet notices it later: until then it is an endpoint that terminates and serves."""
    async with sandbox(service()) as cluster:
        cluster.kubelet.end_delay = 1.0
        pod = await end(cluster)
        await until(lambda: [e["conditions"] for e in endpoints(cluster)] == [ENDING])
        assert await dial(pod["status"]["podIP"], 8080) == "refused"
        assert [e["conditions"] for e in endpoints(cluster)] == [ENDING]
        await cluster.settled()
        assert (pods(cluster), endpoints(cluster)) == ([], [])


async def test_a_pod_goes_on_serving_while_its_pre_stop_hook_sleeps() -> None:
    hook = {"lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}}}
    async with sandbox(service()) as cluster:
        pod = await end(cluster, container=hook)
        await until(lambda: [e["conditions"] for e in endpoints(cluster)] == [ENDING])
        assert await dial(pod["status"]["podIP"], 8080) == "connected"
        await cluster.settled()
        assert await dial(pod["status"]["podIP"], 8080) == "refused"
        assert pods(cluster) == []


async def test_the_grace_period_bounds_the_pre_stop_hook() -> None:
    hook = {"lifecycle": {"preStop": {"sleep": {"seconds": 60}}}}
    async with sandbox() as cluster:
        await end(cluster, container=hook, terminationGracePeriodSeconds=1)
        await cluster.settled(20)
        assert pods(cluster) == []


async def test_a_pod_that_is_deleted_by_force_refuses_at_once() -> None:
    async with sandbox(deployment(replicas=1)) as cluster:
        pod = pods(cluster)[0]
        cluster.store.delete("pods", NAMESPACE, pod["metadata"]["name"])

        async def refuses() -> bool:
            return await dial(pod["status"]["podIP"], 8080) == "refused"

        await until(refuses, 5)
        await cluster.settled()
        assert len(pods(cluster)) == 1


async def test_a_pod_shows_its_life_in_its_status() -> None:
    async with sandbox() as cluster:
        told: list[tuple[str, bool]] = []

        def note(event: Event) -> None:
            if event.resource == "pods":
                status = event.object["status"]
                told.append((status["phase"], "podIP" in status))

        cluster.store.subscribe(note)
        await end(cluster)
        await cluster.settled()
        life = [("Pending", False), ("Running", True), ("Failed", True)]
        assert list(dict.fromkeys(told)) == life
