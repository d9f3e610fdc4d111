"""Manifests and dials that the sandbox's tests share."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from probe.sandbox.cluster import Cluster

Obj = dict[str, Any]

NAMESPACE = "demo-app"


def deployment(name: str = "web", replicas: int = 2, **pod: Any) -> Obj:
    """A Deployment whose container listens on 8080; `pod` goes into the pod's spec."""
    container = {"name": "app", "image": "app:1"} | pod.pop("container", {})
    if not container.keys() & {"env", "args", "ports"}:
        container["env"] = [{"name": "LISTEN_ADDR", "value": "0.0.0.0:8080"}]
    annotations = pod.pop("annotations", None)
    meta = {"labels": {"app": name}} | ({"annotations": annotations} if annotations else {})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": meta, "spec": {"containers": [container]} | pod},
        },
    }


def service(name: str = "web", port: int = 8080, target: int | str = 8080, **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}]} | spec,
    }


@asynccontextmanager
async def sandbox(*manifests: Obj, **options: Any) -> AsyncIterator[Cluster]:
    """A settled cluster without an API server, where pods start at once."""
    async with Cluster(**{"start_delay": 0.02, "serve_api": False} | options) as cluster:
        for manifest in manifests:
            cluster.apply(manifest)
        await cluster.settled(within=60)
        yield cluster


async def dial(address: str, port: int, within: float = 0.4) -> str:
    """What one dial meets: connected, refused, timeout, or the error's name."""
    loop = asyncio.get_running_loop()
    with socket.socket() as dialing:
        dialing.setblocking(False)
        try:
            async with asyncio.timeout(within):
                await loop.sock_connect(dialing, (address, port))
        except TimeoutError:
            return "timeout"
        except ConnectionRefusedError:
            return "refused"
        except OSError as error:
            return type(error).__name__
        return "connected"


async def dials(address: str, port: int, count: int, every: float = 0.005) -> Counter[str]:
    """What dials in a row meet."""
    met: Counter[str] = Counter()
    for _ in range(count):
        met[await dial(address, port)] += 1
        await asyncio.sleep(every)
    return met


async def ask(address: str, port: int) -> str:
    """The answer to an HTTP request."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        return (await reader.read()).decode()
    finally:
        writer.close()
        await writer.wait_closed()


def cluster_ip(cluster: Cluster, name: str = "web") -> str:
    return str(cluster.store.get("services", NAMESPACE, name)["spec"]["clusterIP"])


def pods(cluster: Cluster) -> list[Obj]:
    return cluster.store.list("pods", NAMESPACE)


def addresses(cluster: Cluster) -> list[str]:
    return [pod["status"]["podIP"] for pod in pods(cluster)]


def slices(cluster: Cluster) -> list[Obj]:
    return cluster.store.list("endpointslices", NAMESPACE)


def endpoints(cluster: Cluster) -> list[Obj]:
    return [e for held in slices(cluster) for e in held["endpoints"] or ()]


def progressing(cluster: Cluster, name: str = "web") -> Obj:
    conditions = cluster.store.get("deployments", NAMESPACE, name)["status"]["conditions"]
    return next(c for c in conditions if c["type"] == "Progressing")
