"""A client of a Kubernetes API server for tests and the kubelet stand-in: nothing of probe's."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import yaml

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

REQUEST_SECONDS = 10.0
"""For one answer; arbitrary."""

WATCH_SECONDS = 15
"""Until the API server ends a watch: short, so that a node which was cut off soon asks anew."""


class ApiError(Exception):
    """The API server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status


class Api:
    """A session with the API server of a kubeconfig; an async context manager."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.url: str = cluster["server"]
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        # OpenSSL leaves out the key identifiers that Python 3.13 asks for.
        self._tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}

    async def __aenter__(self) -> "Api":
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS), headers=self._headers
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        patch: str = "",
        **parameters: str,
    ) -> Any:
        """One request; its JSON, or its text if that is none. Raises ApiError and aiohttp's own.

        `patch` is MERGE or STRATEGIC.
        """
        async with self._session.request(
            method,
            self.url + path,
            params=parameters,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": patch or "application/json"},
            ssl=self._tls,
        ) as answer:
            text = await answer.text()
            if not answer.ok:
                raise ApiError(answer.status, f"{method} {path}: {text}")
            return json.loads(text) if text.startswith("{") else text

    async def watch(
        self, path: str, version: str, parameters: Mapping[str, str]
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Type and object of each event until the API server ends the watch."""
        asked = {
            **parameters,
            "watch": "1",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        silence = aiohttp.ClientTimeout(total=None, sock_read=WATCH_SECONDS + REQUEST_SECONDS)
        async with self._session.get(
            self.url + path, params=asked, ssl=self._tls, timeout=silence
        ) as answer:
            if not answer.ok:
                raise ApiError(answer.status, await answer.text())
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    yield event["type"], event["object"]


UNAVAILABLE = (ApiError, aiohttp.ClientError, OSError, asyncio.TimeoutError)
"""What a request or watch raises while there is no API server, or one that is not ready."""
