"""The life of a pod on the kubelet stand-in, from its binding to the deletion of its object."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster import podstatus, volumes
from tests.cluster.api import STRATEGIC, UNAVAILABLE, Api, ApiError
from tests.cluster.containers import Container, Surroundings, base_variables, expanded
from tests.cluster.podnet import PodNetwork
from tests.cluster.settings import Settings

log = logging.getLogger("pods")

AGAIN = 0.3
"""Seconds after which a failed request is made again; arbitrary."""

Manifest = dict[str, Any]
T = TypeVar("T")


class _ToldToEnd(Exception):
    """Before the containers stood."""


class Pod:
    """One pod. `start` it once, then tell it what the API server says."""

    def __init__(
        self, manifest: Manifest, settings: Settings, api: Api, network: PodNetwork
    ) -> None:
        self.manifest = manifest
        self.uid: str = manifest["metadata"]["uid"]
        self.addresses: tuple[str, ...] = ()
        self.containers: list[Container] = []
        self._settings = settings
        self._api = api
        self._network = network
        self._folder = Path(settings.folder) / self.uid
        self._told = asyncio.Event()
        self._changed = asyncio.Event()
        self._stale = asyncio.Event()
        self._gone = False
        self._reported: Manifest = {}

    @property
    def address(self) -> str:
        """The first, "" as long as it has none."""
        return self.addresses[0] if self.addresses else ""

    @property
    def path(self) -> str:
        meta = self.manifest["metadata"]
        return f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"

    def start(self) -> None:
        self._task = asyncio.create_task(self._live())

    def update(self, manifest: Manifest) -> None:
        self.manifest = manifest
        if "deletionTimestamp" in manifest["metadata"]:
            self._told.set()
        told = manifest.get("status", {})
        if self._reported and podstatus.is_ready(told) != podstatus.is_ready(self._reported):
            # The node controller calls the pods of a silent node not ready: we know better.
            self._reported = {}
            self._changed.set()

    def renew_tokens(self) -> None:
        self._stale.set()

    def vanish(self) -> None:
        """Its object is gone: deleted by force, unless we did it."""
        self._gone = True
        self._told.set()

    async def _live(self) -> None:
        try:
            if self.manifest.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
                await self._run()
        except Exception:  # a test that waits for the pod fails; others go on
            log.exception("%s: this kubelet cannot run it", self.path)
        await self._told.wait()
        await self._forget()

    async def _run(self) -> None:
        on_host = self.manifest["spec"].get("hostNetwork", False)
        host = self._settings.address, self._settings.address6
        self.addresses = host if on_host else await self._network.add(self.uid)
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with contextlib.suppress(_ToldToEnd):
                await self._play(None if on_host else self._network.namespace(self.uid))
        finally:
            if not on_host:
                await self._network.remove(self.uid, self.address)
        await self._report(last=True)

    async def _play(self, namespace: str | None) -> None:
        """The containers, until all have ended."""
        spec = self.manifest["spec"]
        ready = await self._prepared()
        for each in spec["containers"]:
            around = Surroundings(
                namespace,
                self.address,
                ready.folders,
                await self._variables(each),
                spec.get("securityContext", {}),
                spec.get("restartPolicy", "Always"),
                self._folder.with_name(f"{self.manifest['metadata']['name']}-{each['name']}.log"),
            )
            self.containers.append(Container(each, around, self._changed.set))
        beside = [
            asyncio.create_task(self._report()),
            asyncio.create_task(self._renew(ready.renew)),
            asyncio.create_task(self._end_when_told()),
        ]
        try:
            await asyncio.gather(*(container.run() for container in self.containers))
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _end_when_told(self) -> None:
        await self._told.wait()
        meta = self.manifest["metadata"]
        grace = 0 if self._gone else meta.get("deletionGracePeriodSeconds", 30)
        await asyncio.gather(*(container.end(grace) for container in self.containers))

    async def _renew(self, seconds: float | None) -> None:
        """Makes tokens anew in time or when told to, until cancelled."""
        while seconds is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stale.wait(), seconds)
            self._stale.clear()
            seconds = (await self._prepared()).renew

    async def _prepared(self) -> volumes.Volumes:
        return await self._asked(
            lambda: volumes.prepare(self.manifest, self._folder, self._api, self._field)
        )

    async def _variables(self, spec: Manifest) -> dict[str, str]:
        name = self.manifest["metadata"]["name"]
        found = base_variables(name, self._settings.service)
        for source in spec.get("envFrom", ()):
            found |= await self._config_map(source["configMapRef"]["name"])
        for variable in spec.get("env", ()):
            found[variable["name"]] = await self._value(variable, found)
        return found

    async def _value(self, variable: Manifest, above: Mapping[str, str]) -> str:
        source = variable.get("valueFrom", {})
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        if "configMapKeyRef" in source:
            key = source["configMapKeyRef"]
            return (await self._config_map(key["name"]))[key["key"]]
        if "secretKeyRef" in source:
            key = source["secretKeyRef"]
            return await self._asked(lambda: volumes.secret_key(self.manifest, key, self._api))
        return expanded(variable.get("value", ""), above)

    async def _config_map(self, name: str) -> dict[str, str]:
        return await self._asked(lambda: volumes.config_map(self.manifest, name, self._api))

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks until there is an answer: a pod waits for its volumes. Raises _ToldToEnd."""
        while True:
            if self._told.is_set():
                raise _ToldToEnd
            try:
                return await ask()
            except UNAVAILABLE as failed:
                log.warning("%s waits: %r", self.path, failed)
                await asyncio.sleep(AGAIN)

    def _field(self, path: str) -> str:
        """The downward API."""
        meta, spec = self.manifest["metadata"], self.manifest["spec"]
        if found := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
            return str(meta.get(found[1], {}).get(found[2], ""))
        known = {
            "metadata.name": meta["name"],
            "metadata.namespace": meta["namespace"],
            "metadata.uid": meta["uid"],
            "spec.nodeName": self._settings.node,
            "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
            "status.hostIP": self._settings.address,
            "status.podIP": self.address,
            "status.podIPs": ",".join(self.addresses),
        }
        return str(known[path])

    async def _report(self, *, last: bool = False) -> None:
        """Keeps the status subresource true, until cancelled; or once, if that is the `last`."""
        while not self._gone:
            self._changed.clear()
            status = podstatus.status(
                self.manifest, self.containers, self._settings, self.addresses
            )
            try:
                if status != self._reported:
                    patch = {"metadata": {"uid": self.uid}, "status": status}
                    await self._api.request("PATCH", f"{self.path}/status", patch, STRATEGIC)
                    self._reported = status
            except UNAVAILABLE as failed:
                if isinstance(failed, ApiError) and failed.status in (404, 409):
                    return
                log.warning("%s: no status: %r", self.path, failed)
                await asyncio.sleep(AGAIN)
                continue
            if last:
                return
            await self._changed.wait()

    async def _forget(self) -> None:
        """The object may go, now that nothing of the pod is left."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        while not self._gone:
            with contextlib.suppress(*UNAVAILABLE):
                await self._api.request("DELETE", self.path, body)
                return
            await asyncio.sleep(AGAIN)
