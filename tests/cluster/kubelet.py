"""A stand-in for the kubelet: `python -m tests.cluster.kubelet SETTINGS`, one per node, run inside
the node's network namespace. It ends by being killed, and its pods end with it.

It registers the Node, renews its Lease, and runs each pod bound to it as processes in a network
namespace of their own: see pods.py for a pod's life and containers.py for what an image is. A real
kubelet differs in what this leaves out: init containers, startup probes, resources, cgroups, logs,
exec, image pulls, other volumes than projected, configMap and emptyDir ones, and its pods outlive
it.
"""

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster.api import MERGE, UNAVAILABLE, Api, ApiError
from tests.cluster.podnet import PodNetwork
from tests.cluster.pods import Pod
from tests.cluster.settings import Settings
from tests.cluster.timestamps import micro, now

log = logging.getLogger("kubelet")

HEARTBEAT = 3.0
"""Seconds between renewals: a quarter of LEASE_SECONDS, as kubelet's nodeLeaseDurationSeconds."""
LEASE_SECONDS = 12
"""Kubelet's default is 40: this way a test may see a node given up soon."""

AGAIN = 0.3
"""Seconds after which a failed request is made again; arbitrary."""

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class Kubelet:
    """One node's. Runs until cancelled."""

    def __init__(self, settings: Settings, api: Api) -> None:
        self.settings = settings
        self.api = api
        self.pods: dict[str, Pod] = {}
        self._network = PodNetwork(settings)

    def renew_tokens(self) -> None:
        """Those of all pods, at once: on SIGHUP."""
        for pod in self.pods.values():
            pod.renew_tokens()

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.renew_tokens)
        await self._network.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._heartbeats())
            tasks.create_task(self._follow())

    async def _heartbeats(self) -> None:
        registered = False
        while True:
            try:
                if not registered:
                    await self._register()
                    registered = True
                await self._say_ready()
                await self._renew()
            except UNAVAILABLE as failed:
                log.warning("no heartbeat: %r", failed)
                await asyncio.sleep(AGAIN)
            else:
                await asyncio.sleep(HEARTBEAT)

    async def _register(self) -> None:
        name = self.settings.node
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "podCIDR": self.settings.pods,
                "podCIDRs": [self.settings.pods, self.settings.pods6],
            },
        }
        with _unless(409):
            await self.api.request("POST", "/api/v1/nodes", node)

    async def _say_ready(self) -> None:
        room = {"cpu": "8", "memory": "16Gi", "pods": "200", "ephemeral-storage": "10Gi"}
        path = f"/api/v1/nodes/{self.settings.node}"
        found = await self.api.request("GET", path)
        held = {c["type"]: c for c in found.get("status", {}).get("conditions", [])}
        was = held.get("Ready", {})
        since = was["lastTransitionTime"] if was.get("status") == "True" else now()
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "the stand-in is up",
            "lastHeartbeatTime": now(),
            "lastTransitionTime": since,
        }
        status = {
            "addresses": [
                {"type": "InternalIP", "address": self.settings.address},
                {"type": "InternalIP", "address": self.settings.address6},
                {"type": "Hostname", "address": self.settings.node},
            ],
            "capacity": room,
            "allocatable": room,
            "conditions": [ready],
            "nodeInfo": _node_info(),
        }
        await self.api.request("PATCH", f"{path}/status", {"status": status}, MERGE)

    async def _renew(self) -> None:
        name = self.settings.node
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": micro(),
        }
        try:
            await self.api.request("PATCH", f"{LEASES}/{name}", {"spec": spec}, MERGE)
        except ApiError as failed:
            if failed.status != 404:
                raise
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name},
                "spec": spec,
            }
            await self.api.request("POST", LEASES, lease)

    async def _follow(self) -> None:
        mine = {"fieldSelector": f"spec.nodeName={self.settings.node}"}
        while True:
            try:
                listed = await self.api.request("GET", "/api/v1/pods", **mine)
                found = {item["metadata"]["uid"]: item for item in listed["items"]}
                for uid in self.pods.keys() - found.keys():
                    self._vanished(uid)
                for item in found.values():
                    self._seen(item)
                version = listed["metadata"]["resourceVersion"]
                async for kind, item in self.api.watch("/api/v1/pods", version, mine):
                    if kind == "DELETED":
                        self._vanished(item["metadata"]["uid"])
                    elif kind in ("ADDED", "MODIFIED"):
                        self._seen(item)
                    else:
                        break
            except UNAVAILABLE as failed:
                log.warning("pods are not followed: %r", failed)
                await asyncio.sleep(AGAIN)

    def _seen(self, manifest: dict[str, Any]) -> None:
        uid = manifest["metadata"]["uid"]
        if (pod := self.pods.get(uid)) is None:
            pod = self.pods[uid] = Pod(manifest, self.settings, self.api, self._network)
            pod.start()
        pod.update(manifest)

    def _vanished(self, uid: str) -> None:
        if (pod := self.pods.pop(uid, None)) is not None:
            pod.vanish()


def _node_info() -> dict[str, str]:
    names = ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "architecture")
    said = dict.fromkeys((*names, "containerRuntimeVersion", "kubeletVersion"), "stand-in")
    return {**said, "operatingSystem": "linux", "kubeProxyVersion": ""}


@contextlib.contextmanager
def _unless(status: int) -> Iterator[None]:
    """Lets that refusal pass."""
    try:
        yield
    except ApiError as failed:
        if failed.status != status:
            raise


async def _main(settings: Settings) -> None:
    async with Api(Path(settings.kubeconfig)) as api:
        await Kubelet(settings, api).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(_main(Settings(**json.loads(Path(sys.argv[1]).read_text()))))
