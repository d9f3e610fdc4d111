"""A whole cluster in one process: API server, controllers, pods and proxy, all on loopback.

It needs no root, no binaries and no network, and any number of them run on one machine at once. For
want of root there is no Service `default/kubernetes`, whose port is 443; and an address that is no
pod's any more refuses, where a real network answers late or not at all.
"""

import asyncio
import copy
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from probe.sandbox import defaults
from probe.sandbox.addresses import AddressPool
from probe.sandbox.controllers import Controllers
from probe.sandbox.index import Index
from probe.sandbox.listeners import Wire
from probe.sandbox.nodes import node
from probe.sandbox.peers import Peers
from probe.sandbox.pods import START_DELAY, Kubelet
from probe.sandbox.proxy import Proxy
from probe.sandbox.resources import RESOURCES
from probe.sandbox.store import Event, NotFound, Obj, Store

if TYPE_CHECKING:
    from probe.sandbox.apiserver import ApiServer

POLL = 0.01
"""Seconds between two looks of `settled`. Arbitrary: far below the delays it waits for."""

EXTENSION = "edgeprobe.dev/sandbox"
"""In our kubeconfigs: names what of loopback may be dialed, and tells them from other people's."""

_RESOURCES = {(r.api_version, r.kind): r for r in RESOURCES}


class Cluster:
    """A cluster that stands as long as the context lasts.

    `proxy_lag`: seconds from a change of endpoints to its effect on ClusterIPs. `start_delay`:
    seconds from a pod's being bound to its running. `serve_api` False: no API server, `api` stays
    None, and the cluster is reached through its store alone.
    """

    def __init__(
        self,
        nodes: Sequence[str] = ("node-1", "node-2", "node-3"),
        *,
        proxy_lag: float = 0.0,
        start_delay: float = START_DELAY,
        serve_api: bool = True,
    ) -> None:
        self.store = Store()
        self.api: ApiServer | None = None
        self._nodes = list(nodes)
        self._lag = proxy_lag
        self._start_delay = start_delay
        self._serve_api = serve_api
        self._node_addresses = AddressPool("127.243")
        self._service_addresses = AddressPool("127.96")
        self._reserve = defaults.ServiceAddresses(self.store)
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as closing:
            closing.callback(self._node_addresses.close)
            closing.callback(self._service_addresses.close)
            self._set_up()
            wire = Wire()
            index = Index(self.store)
            closing.callback(index.close)
            self.kubelet = Kubelet(self.store, index, wire, start_delay=self._start_delay)
            closing.push_async_callback(self.kubelet.close)
            self.proxy = Proxy(self.store, wire, lag=self._lag)
            closing.push_async_callback(self.proxy.close)
            self._controllers = Controllers(self.store, index)
            closing.callback(self._controllers.close)
            index.follow(self._on_event)
            if self._serve_api:
                self.api = await self._start_api()
                closing.push_async_callback(self.api.stop)
            self._closing = closing.pop_all()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._closing.aclose()

    def set_proxy_lag(self, seconds: float) -> None:
        """Lets the rules of ClusterIPs follow so late from now on."""
        self.proxy.set_lag(seconds)

    def set_behaviour(self, namespace: str, name: str, behaviour: str) -> None:
        """Makes one pod serve, hang, blackhole or crash; see pods.Kubelet.set_behaviour."""
        self.kubelet.set_behaviour(namespace, name, behaviour)

    def allocate_cluster_ip(self) -> str:
        """A ClusterIP that no sandbox on this machine has. Raises OSError if there is none."""
        return self._service_addresses.take()

    def apply(self, manifest: Obj, *, manager: str = "sandbox") -> Obj:
        """Creates the object, or replaces all of it but its status, and returns it as stored.

        Defaults are filled in as the API server would; the namespace is `default` if not named.
        Raises KeyError for a kind that is not served.
        """
        resource = _RESOURCES[manifest["apiVersion"], manifest["kind"]]
        obj = copy.deepcopy(manifest)
        meta = obj["metadata"]
        if resource.namespaced:
            meta.setdefault("namespace", "default")
        defaults.fill(resource.plural, obj)
        try:
            old = self.store.get(resource.plural, meta.get("namespace", ""), meta["name"])
        except NotFound:
            self._complete(resource.plural, obj)
            return self.store.create(resource.plural, obj, manager=manager)
        _keep(obj, old)
        self._complete(resource.plural, obj)
        return self.store.update(resource.plural, obj, manager=manager)

    async def settled(self, within: float = 60.0) -> None:
        """Waits until everything that was asked for has happened, or is stuck.

        No pod is starting or ending, no controller has work, the proxy's rules are up to date.
        A pod that fails its readiness probe does not count. Raises TimeoutError after `within`
        seconds.
        """
        async with asyncio.timeout(within):
            # Polled: an event for "nothing is left to do" would have to be known to all of them.
            while not (self._controllers.idle and self.kubelet.idle and self.proxy.idle):  # noqa: ASYNC110
                await asyncio.sleep(POLL)

    def write_kubeconfig(self, path: str | Path) -> None:
        """Writes how to reach the API server; the file is complete whenever it can be seen.

        Raises RuntimeError when the API server does not run.
        """
        if self.api is None:
            raise RuntimeError("this sandbox serves no API")
        target = Path(path)
        text = json.dumps(_kubeconfig(self.api.url), indent=2)
        # mkstemp makes the file with mode 0600.
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(text)
            Path(temporary).rename(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _set_up(self) -> None:
        for name in ("default", "kube-system"):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self.apply(namespace, manager="kube-apiserver")
        for name in self._nodes:
            self.store.create("nodes", node(name, self._node_addresses.take()), manager="kubelet")

    async def _start_api(self) -> "ApiServer":
        # Not needed by those who only want pods, and aiohttp takes 0.4 s to import.
        from probe.sandbox.apiserver import ApiServer

        api = ApiServer(self.store, allocate_cluster_ip=self.allocate_cluster_ip)
        peers = Peers(self.store)
        api.on_watch_open = peers.connected
        api.on_watch_close = peers.disconnected
        await api.start("127.0.0.1", 0)
        return api

    def _complete(self, resource: str, obj: Obj) -> None:
        if resource == "services":
            node_port = self._reserve.node_port
            defaults.give_addresses(obj, self.allocate_cluster_ip, node_port)
        if status := defaults.INITIAL_STATUS.get(resource):
            obj.setdefault("status", copy.deepcopy(status))

    def _on_event(self, event: Event) -> None:
        if event.resource == "services" and event.type == "DELETED":
            for address in event.object["spec"].get("clusterIPs") or ():
                self._service_addresses.give_back(address)


def _keep(obj: Obj, old: Obj) -> None:
    """What an applied object does not say but has: its status, addresses, and the revision."""
    obj.setdefault("status", old.get("status", {}))
    for field in ("clusterIP", "clusterIPs", "nodeName"):
        if field in old.get("spec", {}) and field not in obj["spec"]:
            obj["spec"][field] = old["spec"][field]
    meta, old_meta = obj["metadata"], old["metadata"]
    for field in ("annotations", "ownerReferences", "labels"):
        if field in old_meta:
            meta.setdefault(field, old_meta[field])
    revision = "deployment.kubernetes.io/revision"
    if revision in old_meta.get("annotations", {}):
        meta["annotations"].setdefault(revision, old_meta["annotations"][revision])


def _kubeconfig(url: str) -> Obj:
    extension = {
        "name": EXTENSION,
        "extension": {"allow_targets": ["127.0.0.0/8"]},
    }
    context = {"cluster": "sandbox", "user": "sandbox", "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": {"server": url, "extensions": [extension]}}],
        "users": [{"name": "sandbox", "user": {}}],
        "contexts": [{"name": "sandbox", "context": context}],
        "current-context": "sandbox",
    }
