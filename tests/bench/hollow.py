"""An API server of thousands of Services with nothing behind it but one acceptor.

The sandbox would have to open a listener for each pod. Here the objects are the sandbox's own,
taken once as its controllers wrote them and multiplied, and served over TLS by pages and by live
watches, with bookmarks and now and then a pod replaced.
"""

import asyncio
import json
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from aiohttp import web

from probe.apiserver.kubeconfig import SANDBOX_EXTENSION
from probe.demo.manifests import deployment, service
from probe.sandbox.cluster import Cluster
from tests.bench.report import Missing

NAMESPACE, PATTERN = "pattern-namespace", "pattern-of-them-all"

PER_NAMESPACE = 100
"""Services in one namespace; arbitrary."""

ENDPOINTS = range(4, 10)
"""How many endpoints the Services have, in turn: with the ClusterIP 7.5 edges on average."""

NODES = 3
"""Nodes under the pods; arbitrary."""

LIVING = IPv4Address("127.64.0.0")
DEAD = IPv4Address("127.192.0.0")
"""Where addresses begin. What is under DEAD_NETWORK may be black-holed by the firewall."""
DEAD_NETWORK = "127.192.0.0/10"

BOOKMARK_SECONDS = 60.0
"""About what kube-apiserver's watch cache does (cacher.go, bookmarkFrequency 1 min)."""

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """A Service and its addresses: of the ClusterIP, and of the pods behind it."""

    namespace: str
    name: str
    vip: str
    pods: tuple[str, ...]


def plan(edges: int, *, dead_every: int = 0) -> list[Planned]:
    """Services with so many edges in all; every so-manieth edge is in DEAD_NETWORK."""
    services: list[Planned] = []
    used = 0
    while used < edges:
        count = min(1 + ENDPOINTS[len(services) % len(ENDPOINTS)], edges - used)
        vip, *pods = (_address(n, dead_every) for n in range(used, used + count))
        number = len(services)
        namespace = f"bench-{number // PER_NAMESPACE}"
        services.append(Planned(namespace, f"service-{number}", vip, tuple(pods)))
        used += count
    return services


def _address(number: int, dead_every: int) -> str:
    dead = dead_every and number % dead_every == 0
    # Never the first or last address of a /24: 127.64.0.1 and on, 254 in each.
    return str((DEAD if dead else LIVING) + number // 254 * 256 + number % 254 + 1)


class Hollow:
    """The objects by resource and name, and who watches. `version` is the newest."""

    def __init__(self, patterns: dict[str, str], services: list[Planned], port: int) -> None:
        self.version = 1000
        self._patterns, self._services, self._port = patterns, services, port
        self._objects: dict[str, list[bytes]] = {
            "services": [self._service(one) for one in services],
            "endpointslices": [self._slice(one) for one in services],
            "deployments": [self._deployment(one) for one in services],
            "statefulsets": [],
            "daemonsets": [],
            "nodes": [self._node(number) for number in range(NODES)],
            "namespaces": [],
            "networkpolicies": [],
        }
        self._watches: dict[str, set[asyncio.Queue[bytes]]] = {
            name: set() for name in self._objects
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        resource = request.path.rpartition("/")[2]
        if resource not in self._objects:
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        if "watch" in request.query:
            return await self._watch(request, resource)
        return self._page(request, resource)

    async def live(self) -> None:
        """For ever: a pod replaced each second, and bookmarks."""
        seconds = 0
        while True:
            await asyncio.sleep(1)
            seconds += 1
            self._replace_pod(seconds)
            if seconds % BOOKMARK_SECONDS == 0:
                for resource in self._watches:
                    meta = {"resourceVersion": str(self.version)}
                    self._send(resource, "BOOKMARK", json.dumps({"metadata": meta}).encode())

    def _page(self, request: web.Request, resource: str) -> web.Response:
        objects = self._objects[resource]
        start = int(request.query.get("continue") or 0)
        end = start + int(request.query.get("limit") or len(objects) or 1)
        meta: Obj = {"resourceVersion": str(self.version)}
        if end < len(objects):
            meta["continue"] = str(end)
        head = json.dumps({"kind": "List", "metadata": meta})[:-1].encode()
        items = b",".join(objects[start:end])
        return web.Response(
            body=head + b',"items":[' + items + b"]}", content_type="application/json"
        )

    async def _watch(self, request: web.Request, resource: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._watches[resource].add(lines)
        try:
            async with asyncio.timeout(float(request.query.get("timeoutSeconds") or 300)):
                while True:
                    await response.write(await lines.get())
        except (TimeoutError, ConnectionError):
            return response
        finally:
            self._watches[resource].discard(lines)

    def _send(self, resource: str, kind: str, obj: bytes) -> None:
        line = b'{"type":"%s","object":%s}\n' % (kind.encode(), obj)
        for lines in self._watches[resource]:
            lines.put_nowait(line)

    def _replace_pod(self, number: int) -> None:
        """The last pod of one Service gives way to a new one with an address of its own."""
        at = number * 7919 % len(self._services)  # a prime: spread over all of them
        old = self._services[at]
        new = replace(old, pods=(*old.pods[:-1], str(LIVING + 2**21 + number * 256 + 1)))
        self._services[at] = new
        self.version += 1
        changed = self._objects["endpointslices"][at] = self._slice(new)
        self._send("endpointslices", "MODIFIED", changed)

    def _service(self, one: Planned) -> bytes:
        obj = self._made("services", one)
        obj["spec"].update(clusterIP=one.vip, clusterIPs=[one.vip])
        obj["spec"]["ports"][0].update(port=self._port, targetPort=self._port)
        return json.dumps(obj).encode()

    def _slice(self, one: Planned) -> bytes:
        obj = self._made("endpointslices", one)
        endpoint = json.dumps(obj["endpoints"][0])
        obj["endpoints"] = [json.loads(endpoint) for _ in one.pods]
        for number, (found, address) in enumerate(zip(obj["endpoints"], one.pods, strict=True)):
            found["addresses"] = [address]
            found["targetRef"]["name"] = f"{one.name}-{address}"
            found["nodeName"] = f"node-{number % NODES}"
        obj["ports"][0]["port"] = self._port
        return json.dumps(obj).encode()

    def _node(self, number: int) -> bytes:
        meta = {"name": f"node-{number}", "labels": {"topology.kubernetes.io/zone": "a"}}
        ready = {"type": "Ready", "status": "True"}
        return json.dumps(
            {"metadata": meta, "spec": {}, "status": {"conditions": [ready]}}
        ).encode()

    def _deployment(self, one: Planned) -> bytes:
        obj = self._made("deployments", one)
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        obj["spec"]["replicas"] = len(one.pods)
        obj["status"].update(dict.fromkeys(counts, len(one.pods)))
        listen = {"name": "LISTEN_ADDR", "value": f"0.0.0.0:{self._port}"}
        obj["spec"]["template"]["spec"]["containers"][0]["env"] = [listen]
        return json.dumps(obj).encode()

    def _made(self, resource: str, one: Planned) -> Obj:
        text = self._patterns[resource].replace(PATTERN, one.name)
        obj: Obj = json.loads(text.replace(NAMESPACE, one.namespace))
        obj["metadata"].update(uid=f"{resource}-{one.name}", resourceVersion=str(self.version))
        return obj


async def _patterns() -> dict[str, str]:
    """One Service with a pod, its slice and its Deployment, as JSON."""
    async with Cluster(serve_api=False) as cluster:
        cluster.apply(deployment(PATTERN, namespace=NAMESPACE, replicas=1))
        cluster.apply(service(PATTERN, namespace=NAMESPACE))
        await cluster.settled()
        return {
            resource: json.dumps(cluster.store.list(resource, NAMESPACE)[0])
            for resource in ("services", "endpointslices", "deployments")
        }


@asynccontextmanager
async def hollow(services: list[Planned], port: int) -> AsyncIterator[Path]:
    """The kubeconfig of a server of these Services, all of which listen on that port.

    Raises Missing without openssl.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tls = _certificate(folder)
        server = Hollow(await _patterns(), list(services), port)
        app = web.Application()
        app.router.add_get("/{path:.*}", server.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        living = asyncio.create_task(server.live())
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            yield _kubeconfig(folder, f"https://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            await runner.cleanup()


def _certificate(folder: Path) -> ssl.SSLContext:
    if shutil.which("openssl") is None:
        raise Missing("not on this machine: no openssl on PATH, which makes the certificate")
    key, certificate = str(folder / "server.key"), str(folder / "server.crt")
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _kubeconfig(folder: Path, url: str) -> Path:
    extension = {"name": SANDBOX_EXTENSION, "extension": {"allow_targets": ["127.0.0.0/8"]}}
    cluster = {
        "server": url,
        "certificate-authority": str(folder / "server.crt"),
        "extensions": [extension],
    }
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "current-context": "hollow",
                "contexts": [
                    {"name": "hollow", "context": {"cluster": "hollow", "user": "nobody"}}
                ],
                "clusters": [{"name": "hollow", "cluster": cluster}],
                "users": [{"name": "nobody", "user": {}}],
            }
        )
    )
    return path
