"""A client that outlives the API server: what it asks is asked again until there is an answer."""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import quote

from tests.cluster.api import MERGE, UNAVAILABLE, ApiError
from tests.running import until

PATIENCE = 120.0
"""Seconds until a wait is given up: several rollouts of pods that take 12 s to end."""

AGAIN = 0.3
"""Seconds between two attempts, or two looks; arbitrary."""

FINAL = frozenset({400, 403, 404, 409, 422})
"""Refusals that asking again does not change; others pass, with what caused them."""

Object = dict[str, Any]

PATHS = {
    "Service": "/api/v1/namespaces/{}/services",
    "Pod": "/api/v1/namespaces/{}/pods",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
}


class Trouble(Exception):
    """The cluster did not do what it was told, within PATIENCE: no fault of the daemons'."""


class Asks(Protocol):
    """An API server, as tests.cluster.api asks it."""

    async def request(
        self, method: str, path: str, body: object = None, patch: str = ""
    ) -> Any: ...


class Client:
    """Objects of one namespace."""

    def __init__(self, api: Asks, space: str) -> None:
        self._api = api
        self.space = space

    async def request(self, method: str, path: str, body: object = None, patch: str = "") -> Any:
        """The answer, sooner or later. Raises ApiError for what is refused for good."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        return await self._api.request(method, path, body, patch)
                    except UNAVAILABLE as failed:
                        if isinstance(failed, ApiError) and failed.status in FINAL:
                            raise
                        await asyncio.sleep(AGAIN)
        except TimeoutError:
            raise Trouble(f"no answer to {method} {path}") from None

    def path(self, kind: str, name: str = "") -> str:
        folder = PATHS[kind].format(self.space)
        return f"{folder}/{name}" if name else folder

    async def create(self, manifest: Object) -> None:
        await self.request("POST", self.path(manifest["kind"]), manifest)

    async def get(self, kind: str, name: str) -> Object:
        found: Object = await self.request("GET", self.path(kind, name))
        return found

    async def patch(self, kind: str, name: str, body: Object) -> None:
        """A JSON merge patch."""
        await self.request("PATCH", self.path(kind, name), body, MERGE)

    async def pods(self, selector: str) -> list[Object]:
        """Those that it matches and that are not being deleted, by name."""
        found = await self.request("GET", f"{self.path('Pod')}?labelSelector={quote(selector)}")
        return sorted(_living(found["items"]), key=lambda pod: str(pod["metadata"]["name"]))

    async def served(self, service: str) -> bool:
        """Whether the Service's slices have an endpoint that takes traffic."""
        label = quote(f"kubernetes.io/service-name={service}")
        path = f"{self.path('EndpointSlice')}?labelSelector={label}"
        slices = (await self.request("GET", path))["items"]
        held = [e["conditions"] for s in slices for e in s.get("endpoints") or ()]
        return any(told.get("ready") or told.get("serving") for told in held)

    async def delete_pod(self, name: str) -> None:
        """With the grace that it has; it may be gone already."""
        try:
            await self.request("DELETE", self.path("Pod", name))
        except ApiError as failed:
            if failed.status != 404:
                raise

    async def rolled_out(self, kind: str, name: str) -> None:
        """Waits until all pods are of the newest template and available. Raises Trouble."""

        async def complete() -> bool:
            return _complete(await self.get(kind, name))

        try:
            await until(complete, PATIENCE, every=AGAIN)
        except TimeoutError:
            raise Trouble(f"{kind} {name} is not rolled out") from None


def _living(pods: Iterable[Object]) -> list[Object]:
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _complete(workload: Object) -> bool:
    """As `kubectl rollout status` asks."""
    status = workload.get("status", {})
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return False
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        names = ["updatedNumberScheduled", "numberAvailable"]
    else:
        wanted = workload["spec"]["replicas"]
        names = ["replicas", "updatedReplicas", "availableReplicas"]
    return all(status.get(name, 0) == wanted for name in names)
