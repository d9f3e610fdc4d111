"""`probe run` beside a real API server: a client token, kubectl, and nothing dialed but loopback.

Nobody plays kube-proxy or the controllers there, so Services are headless and slices are written
by hand; the Service `kubernetes`, which has a ClusterIP, is in a namespace that is left out. A real
API server takes no slice that lists 127.x: the endpoint is this machine's own address, which the
kernel reaches over loopback all the same.
"""

import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.apiserver import Cluster, real_cluster
from tests.running import KUBECTL, Daemon, daemon, kubectl, probe, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.apiserver,
    pytest.mark.skipif(KUBECTL is None, reason="no kubectl in KUBEBUILDER_ASSETS"),
]

FLAGS = ("--namespaces", "demo-app", "--settle", "0")
QUICK = ("--interval", "0.5", "--timeout", "1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    async with real_cluster() as cluster:
        yield cluster


@pytest.fixture
def listening() -> Iterator[tuple[str, int]]:
    """An address and port of this machine, off 127.x, where somebody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # sends nothing: it only chooses the own address
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = asking.getsockname()[0]
    with socket.create_server((address, 0)) as server:
        yield address, server.getsockname()[1]


def manifests(address: str, port: int) -> dict[str, Any]:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "demo-app"},
        "spec": {
            "clusterIP": "None",
            "selector": {"app": "web"},
            "ports": [{"port": port, "targetPort": port}],
        },
    }
    endpoint = {
        "addresses": [address],
        "conditions": {"ready": True},
        "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "demo-app"},
    }
    listing = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "web-1",
            "namespace": "demo-app",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "port": port}],
        "endpoints": [endpoint],
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo-app"}}
    return {"apiVersion": "v1", "kind": "List", "items": [namespace, service, listing]}


async def is_so(watching: Daemon, verdict: str) -> bool:
    return await watching.verdict("demo-app", "web") == verdict


async def test_a_service_on_a_real_api_server_is_found_dialed_and_followed(
    cluster: Cluster, listening: tuple[str, int], tmp_path: Path
) -> None:
    (tmp_path / "all.json").write_text(json.dumps(manifests(*listening)))
    async with daemon(cluster.kubeconfig, *FLAGS, *QUICK) as watching:
        config = cluster.kubeconfig
        await kubectl(config, "apply", "-f", str(tmp_path / "all.json"))
        await until(lambda: is_so(watching, "healthy"))
        (found,) = (await watching.json("/api/v1/services"))["services"]
        (edge,) = found["ports"][0]["edges"]
        assert (edge["address"], edge["port"], edge["pod"]) == (*listening, "web-1")
        assert (await watching.get("/readyz"))[0] == 200

        patch = '[{"op":"replace","path":"/ports/0/port","value":1}]'
        where = ("-n", "demo-app", "patch", "endpointslice", "web-1")
        await kubectl(config, *where, "--type=json", "-p", patch)
        await until(lambda: is_so(watching, "not_listening"))

        flags = ("-n", "demo-app", "--from", "here", "--kubeconfig", str(config), "-o", "json")
        checked = await probe("check", "svc", "web", *flags)
        assert (checked.code, checked.document["verdict"]) == (1, "not_listening")

        await cluster.kill_api_server()
        before = await watching.value("edgeprobe_dials_total")
        await until(lambda: _above(watching, before + 3))
        await cluster.start_api_server()
        await kubectl(config, "-n", "demo-app", "delete", "service", "web")
        await until(lambda: _gone(watching))


async def _above(watching: Daemon, before: float) -> bool:
    return await watching.value("edgeprobe_dials_total") > before


async def _gone(watching: Daemon) -> bool:
    return (await watching.get("/api/v1/services/demo-app/web"))[0] == 404


async def test_without_the_right_to_list_the_daemon_names_verb_and_resource(
    cluster: Cluster,
) -> None:
    async with daemon(cluster.write_kubeconfig("nobody"), *FLAGS, *QUICK) as watching:

        async def told() -> str | None:
            status, text = await watching.get("/readyz")
            return text if status == 503 and text.count("forbids") == 2 else None

        reasons = (await until(told)).splitlines()
        assert (await watching.get("/livez"))[0] == 200
        assert [reason.partition(" are not listed yet: ")[0] for reason in reasons] == [
            "services",
            "endpointslices",
        ]
        assert "grant list and watch on endpointslices in discovery.k8s.io" in reasons[1]
