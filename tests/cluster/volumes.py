"""The volumes of a pod of the kubelet stand-in: projected (service account token, ConfigMap,
downward API), configMap and emptyDir. Each is a folder on the host."""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.cluster.api import Api, ApiError

Manifest = dict[str, Any]

RENEWED_AT = 0.8
"""Of a token's life: kubelet's token manager."""
LONGEST = 24 * 3600.0
"""Seconds until a token is renewed in any case: kubelet's token manager."""


@dataclass(frozen=True)
class Volumes:
    """The folders by volume name, and in how many seconds to make them anew; None: never."""

    folders: dict[str, Path]
    renew: float | None


async def prepare(pod: Manifest, folder: Path, api: Api, field: Callable[[str], str]) -> Volumes:
    """Makes them, or renews their files in place. Raises what a request does."""
    folders: dict[str, Path] = {}
    lives: list[float | None] = []
    for volume in pod["spec"].get("volumes", ()):
        there = folders[volume["name"]] = folder / volume["name"]
        there.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume:
            there.chmod(0o1777)
        elif "configMap" in volume:
            await _config_map(pod, volume["configMap"], there, api)
        elif "projected" in volume:
            sources = volume["projected"]["sources"]
            lives += [await _source(pod, each, there, api, field) for each in sources]
        else:
            raise ValueError(f"this kubelet has no such volume: {volume}")
    renewals = [min(RENEWED_AT * life, LONGEST) for life in lives if life]
    return Volumes(folders, min(renewals, default=None))


async def _source(
    pod: Manifest, source: Manifest, there: Path, api: Api, field: Callable[[str], str]
) -> float | None:
    """The seconds that what it made is good for; None: for ever."""
    if "serviceAccountToken" in source:
        asked = source["serviceAccountToken"]
        seconds: int = asked.get("expirationSeconds", 3600)
        audience = asked.get("audience")
        _write(there / asked["path"], await _token(pod, seconds, audience, api))
        return float(seconds)
    if "configMap" in source:
        await _config_map(pod, source["configMap"], there, api)
    elif "downwardAPI" in source:
        for item in source["downwardAPI"]["items"]:
            _write(there / item["path"], field(item["fieldRef"]["fieldPath"]))
    else:
        raise ValueError(f"this kubelet projects no such thing: {source}")
    return None


async def _token(pod: Manifest, seconds: int, audience: str | None, api: Api) -> str:
    """A token bound to the pod, by the TokenRequest API."""
    space, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "expirationSeconds": seconds,
            "audiences": [audience] if audience else [],
            "boundObjectRef": bound,
        },
    }
    account = pod["spec"]["serviceAccountName"]
    path = f"/api/v1/namespaces/{space}/serviceaccounts/{account}/token"
    token: str = (await api.request("POST", path, request))["status"]["token"]
    return token


async def _config_map(pod: Manifest, source: Manifest, there: Path, api: Api) -> None:
    found = await config_map(pod, source["name"], api)
    items = source.get("items") or [{"key": key, "path": key} for key in found]
    for item in items:
        _write(there / item["path"], found[item["key"]])


async def config_map(pod: Manifest, name: str, api: Api) -> dict[str, str]:
    """Its data. Raises what a request does."""
    space = pod["metadata"]["namespace"]
    found = await api.request("GET", f"/api/v1/namespaces/{space}/configmaps/{name}")
    data: dict[str, str] = found.get("data", {})
    return data


async def secret_key(pod: Manifest, source: Manifest, api: Api) -> str:
    """The value of a secretKeyRef; "" if it is optional and there is none. Raises what a request
    does."""
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{source['name']}"
    try:
        found = await api.request("GET", path)
    except ApiError as failed:
        if failed.status == HTTPStatus.NOT_FOUND and source.get("optional"):
            return ""
        raise
    return base64.b64decode(found["data"][source["key"]]).decode()


def _write(path: Path, text: str) -> None:
    """At once: a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    os.replace(fresh, path)
