"""The real cluster does what tests rest on: it runs pods as a kubelet would, breaks where it is
told to, and leaves nothing behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import UNAVAILABLE, Api
from tests.cluster.cluster import Cluster, RunningPod
from tests.cluster.network import existing, inside_of, own_folder, reap
from tests.cluster.processes import ROOT
from tests.real.manifests import LISTENER, READY, Manifest, deployment, service
from tests.running import until

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)]

one_mode = pytest.mark.parametrize("cluster", ["iptables"], indirect=True)

nightly = pytest.mark.nightly
"""What no daily test rests on, or what a daemon's test beside it would miss as well."""


async def items(cluster: Cluster, path: str) -> list[dict[str, Any]]:
    async with Api(cluster.kubeconfig) as api:
        found: list[dict[str, Any]] = (await api.request("GET", path))["items"]
    return found


async def conditions(cluster: Cluster, space: str) -> set[tuple[bool, bool, bool]]:
    """ready, serving and terminating of every endpoint there."""
    slices = await items(cluster, f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices")
    return {
        (said["ready"], said["serving"], said["terminating"])
        for each in slices
        for said in (endpoint["conditions"] for endpoint in each.get("endpoints") or ())
    }


async def only_pod(cluster: Cluster, space: str, app: str = "web") -> RunningPod:
    (pod,) = await cluster.pods(f"app={app}", space)
    return pod


async def connects(cluster: Cluster, address: str, port: int, node: int = 0) -> bool:
    return await cluster.nodes[node].inside.connects(address, port)


async def test_a_deployment_rolls_to_new_pods(cluster: Cluster, space: str) -> None:
    web = deployment("web", 3, readinessProbe=READY)
    await cluster.apply(web, service("web", "web"), space=space)
    await cluster.rolled_out("deployment/web", space)
    before = await cluster.has_endpoints("web", 3, space)
    assert {pod.address for pod in await cluster.pods("app=web", space)} == before
    assert {pod.node for pod in await cluster.pods("app=web", space)} == {"node1", "node2"}

    await cluster.kubectl("set", "env", "deployment/web", "-n", space, "LISTEN_ADDR=0.0.0.0")
    await cluster.rolled_out("deployment/web", space)
    after = await until(lambda: _others(cluster, space, before))
    assert len(after) == 3
    address = await cluster.cluster_ip("web", space)
    await until(lambda: connects(cluster, address, 80))


async def _others(cluster: Cluster, space: str, before: set[str]) -> set[str] | None:
    found = await cluster.ready_addresses("web", space)
    return found if found.isdisjoint(before) else None


@one_mode
async def test_a_deleted_pod_serves_until_its_hook_is_done(cluster: Cluster, space: str) -> None:
    sign = cluster.folder / f"may-end-{space}"
    waiting = ["sh", "-c", f"until test -e {sign}; do sleep 0.1; done"]
    lifecycle = {"preStop": {"exec": {"command": waiting}}}
    web = deployment("web", grace=150, readinessProbe=READY, lifecycle=lifecycle)
    await cluster.apply(web, service("web", "web"), space=space)
    await cluster.has_endpoints("web", 1, space)
    old = await only_pod(cluster, space)
    await cluster.kubectl("delete", "pod", old.name, "-n", space, "--wait=false")

    await until(lambda: _has(cluster, space, (False, True, True)))
    assert await connects(cluster, old.address, 8080)
    sign.touch()
    await until(lambda: _not(cluster, space, (False, True, True)))
    await until(lambda: _replaced(cluster, space, old.name))
    assert not await connects(cluster, old.address, 8080)


async def _has(cluster: Cluster, space: str, wanted: tuple[bool, bool, bool]) -> bool:
    return wanted in await conditions(cluster, space)


async def _not(cluster: Cluster, space: str, unwanted: tuple[bool, bool, bool]) -> bool:
    return unwanted not in await conditions(cluster, space)


async def _replaced(cluster: Cluster, space: str, old: str) -> bool:
    return old not in await cluster.kubectl("get", "pods", "-n", space, "-o", "name")


@one_mode
async def test_readiness_follows_its_probe(cluster: Cluster, space: str) -> None:
    sign = cluster.folder / f"ready-{space}"
    probe = {
        "exec": {"command": ["test", "-e", str(sign)]},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }
    await cluster.apply(deployment("web", readinessProbe=probe), service("web", "web"), space=space)
    await until(lambda: _has(cluster, space, (False, False, False)))
    sign.touch()
    await cluster.has_endpoints("web", 1, space)
    sign.unlink()
    await cluster.has_endpoints("web", 0, space)


@one_mode
async def test_a_container_that_ends_is_started_again(cluster: Cluster, space: str) -> None:
    await cluster.apply(deployment("web", command=["sh", "-c", "exit 3"]), space=space)

    async def status() -> dict[str, Any] | None:
        for pod in await items(cluster, f"/api/v1/namespaces/{space}/pods"):
            for found in pod["status"].get("containerStatuses", ()):
                return dict(found) if found["restartCount"] > 0 else None
        return None

    (last,) = (await until(status))["lastState"].values()
    assert last["exitCode"] == 3


@one_mode
async def test_hooks_and_probes_run_in_containers_that_share_a_folder(
    cluster: Cluster, space: str
) -> None:
    """One container's liveness probe misses a file that another one removes; its preStop hook
    writes the file that the other one waits for before it ends."""
    there = "/run/shared"
    sick: Manifest = {
        "command": ["sh", "-c", f"touch {there}/alive; exec sleep 1000"],
        "livenessProbe": {
            "exec": {"command": ["test", "-e", f"{there}/alive"]},
            "initialDelaySeconds": 1,
            "periodSeconds": 1,
            "failureThreshold": 1,
        },
    }
    polite = {
        "command": ["sleep", "1000"],
        "lifecycle": {"preStop": {"exec": {"command": ["touch", f"{there}/asked"]}}},
    }
    script = f"""
        trap '' TERM
        until [ -e {there}/alive ]; do sleep 0.1; done
        rm {there}/alive
        until [ -e {there}/asked ]; do sleep 0.1; done
        echo RESULT asked
    """
    made = deployment("web", grace=60, **sick)
    spec = made["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "shared", "emptyDir": {}}]
    spec["containers"] += [
        {"name": "polite", "image": LISTENER, **polite},
        {"name": "waiting", "image": LISTENER, "command": ["sh", "-c", script]},
    ]
    for each in spec["containers"]:
        each["volumeMounts"] = [{"name": "shared", "mountPath": there}]
    await cluster.apply(made, space=space)

    async def restarted() -> dict[str, Any] | None:
        for pod in await items(cluster, f"/api/v1/namespaces/{space}/pods"):
            for found in pod["status"].get("containerStatuses", ()):
                if found["name"] == "main" and found["restartCount"] > 0:
                    return dict(found["lastState"]["terminated"])
        return None

    assert (await until(restarted))["exitCode"] == 128 + signal.SIGTERM
    pod = await only_pod(cluster, space)
    assert "RESULT" not in pod.log("waiting").read_text()
    await cluster.kubectl("scale", "deployment/web", "-n", space, "--replicas=0")
    await until(lambda: "RESULT asked" in pod.log("waiting").read_text())


@one_mode
async def test_a_pod_has_its_own_credentials_and_knows_where_it_is(
    cluster: Cluster, space: str
) -> None:
    """By an API request from inside, through the ClusterIP, as its own service account."""
    program = """
import json, os, ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
token, space = open(folder + "token").read(), open(folder + "namespace").read()
host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
request = urllib.request.Request(
    f"https://{host}:{port}/apis/authentication.k8s.io/v1/selfsubjectreviews",
    json.dumps({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}).encode(),
    {"Authorization": "Bearer " + token, "Content-Type": "application/json"},
)
tls = ssl.create_default_context(cafile=folder + "ca.crt")
tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
answer = urllib.request.urlopen(request, context=tls)
user = json.load(answer)["status"]["userInfo"]["username"]
caps = [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")]
print("RESULT", user, space, os.environ["NODE"], os.environ["GREETING"], *caps, flush=True)
"""
    await cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c"},
            "data": {"GREETING": "hello"},
        },
        deployment(
            "web",
            command=["python", "-c", program],
            envFrom=[{"configMapRef": {"name": "c"}}],
            env=[{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            securityContext={"runAsUser": 65534},
        ),
        space=space,
    )

    (said,) = await until(lambda: printed(cluster, space))
    pod = await only_pod(cluster, space)
    account = f"system:serviceaccount:{space}:default"
    assert said.split() == ["RESULT", account, space, pod.node, "hello", "0" * 16]


async def printed(cluster: Cluster, space: str) -> list[str]:
    """What the pod said after RESULT, once it did; each line once."""
    pods = await cluster.pods("app=web", space)
    text = pods[0].log("main").read_text() if pods else ""
    return list(dict.fromkeys(line for line in text.splitlines() if line.startswith("RESULT")))


@one_mode
async def test_tokens_may_be_renewed_under_a_running_pod(cluster: Cluster, space: str) -> None:
    path = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    script = f"while sleep 0.1; do echo RESULT $(tail -c 20 {path}); done"
    await cluster.apply(deployment("web", command=["sh", "-c", script], node="node1"), space=space)
    await until(lambda: printed(cluster, space))
    cluster.nodes[0].renew_tokens()

    async def another() -> bool:
        return len(await printed(cluster, space)) == 2

    await until(another)


@nightly
@one_mode
async def test_a_stopped_kube_proxy_leaves_stale_rules(cluster: Cluster, space: str) -> None:
    await cluster.apply(deployment("web"), service("web", "web"), space=space)
    await cluster.has_endpoints("web", 1, space)
    address = await cluster.cluster_ip("web", space)
    for node in (0, 1):
        await until(lambda node=node: connects(cluster, address, 80, node))  # type: ignore[misc]
    proxy = cluster.nodes[0].proxy
    await proxy.stop()
    try:
        old = await only_pod(cluster, space)
        await cluster.kubectl("delete", "pod", old.name, "-n", space)
        await cluster.has_endpoints("web", 1, space)
        await until(lambda: connects(cluster, address, 80, node=1))
        assert not await connects(cluster, address, 80)
    finally:
        proxy.start()
    await until(lambda: connects(cluster, address, 80))


@nightly
@one_mode
async def test_a_node_that_is_cut_off_comes_back(cluster: Cluster, space: str) -> None:
    await cluster.apply(deployment("web", node="node2"), space=space)
    await cluster.rolled_out("deployment/web", space)
    pod = await only_pod(cluster, space)
    await until(lambda: connects(cluster, pod.address, 8080))
    cluster.nodes[1].cut_off()
    try:
        assert not await connects(cluster, pod.address, 8080)
        assert await connects(cluster, pod.address, 8080, node=1)
    finally:
        cluster.nodes[1].rejoin()
    await until(lambda: connects(cluster, pod.address, 8080))
    await cluster.usable()


@nightly
@one_mode
async def test_a_node_that_lost_power_runs_its_pods_again(cluster: Cluster, space: str) -> None:
    await cluster.apply(deployment("web", node="node2"), service("web", "web"), space=space)
    (before,) = await cluster.has_endpoints("web", 1, space)
    cluster.nodes[1].kill()
    try:
        assert not await connects(cluster, before, 8080)
    finally:
        cluster.nodes[1].revive()
    address = await cluster.cluster_ip("web", space)
    await until(lambda: connects(cluster, address, 80))
    await cluster.usable()


@nightly
@one_mode
async def test_what_is_dialed_outlives_the_api_server(cluster: Cluster, space: str) -> None:
    await cluster.apply(deployment("web"), service("web", "web"), space=space)
    await cluster.has_endpoints("web", 1, space)
    address = await cluster.cluster_ip("web", space)
    await until(lambda: connects(cluster, address, 80))
    plane = cluster.control_plane
    await plane.kill_api_server()
    try:
        with pytest.raises(UNAVAILABLE):
            await plane.request("GET", "/readyz")
        assert await connects(cluster, address, 80)
    finally:
        await plane.start_api_server()
    await cluster.kubectl("scale", "deployment/web", "-n", space, "--replicas=2")
    await cluster.has_endpoints("web", 2, space)


CRASHING = """
import asyncio, sys
from tests.cluster.cluster import booted
async def main():
    async with booted("iptables", nodes=1) as cluster:
        print(cluster.folder, flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""


@nightly
@one_mode
async def test_a_crash_leaves_nothing_that_the_next_start_does_not_remove(
    cluster: Cluster,
) -> None:
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CRASHING),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert owner.stdout is not None
        folder = Path((await owner.stdout.readline()).decode().strip())
        mine = [name for name in existing() if f"-{owner.pid}-" in name]
        assert len(mine) == 2
        processes = [pid for name in mine for pid in inside_of(name)]
        assert len(processes) >= 7  # etcd, three of the control plane, relay, kubelet, kube-proxy
    finally:
        owner.send_signal(signal.SIGKILL)
        await owner.wait()

    await until(lambda: not any(inside_of(name) for name in mine))
    reap()
    with own_folder():
        await until(lambda: not exists(folder))  # another start may be removing it
    assert not set(mine) & set(existing())
    assert cluster.network.namespaces()


def exists(path: Path) -> bool:
    return path.exists()
