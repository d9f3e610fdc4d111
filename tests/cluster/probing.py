"""Readiness and liveness probes, asked from the node as a kubelet does."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp

Execute = Callable[[Sequence[str]], Awaitable[int]]
"""Runs a command in the container; its exit code."""

DEFAULTS = {
    "initialDelaySeconds": 0,
    "periodSeconds": 10,
    "timeoutSeconds": 1,
    "successThreshold": 1,
    "failureThreshold": 3,
}
"""Kubernetes' own."""


async def follow(
    probe: dict[str, Any],
    address: str,
    ports: Sequence[dict[str, Any]],
    execute: Execute,
    tell: Callable[[bool], None],
) -> None:
    """Asks until cancelled, and tells every time that enough answers in a row say the same."""
    asked = {**DEFAULTS, **probe}
    await asyncio.sleep(asked["initialDelaySeconds"])
    last, count = False, 0
    while True:
        passed = await _passes(asked, address, ports, execute)
        count = count + 1 if passed == last else 1
        last = passed
        if count >= asked["successThreshold" if passed else "failureThreshold"]:
            tell(passed)
        await asyncio.sleep(asked["periodSeconds"])


async def _passes(
    probe: dict[str, Any], address: str, ports: Sequence[dict[str, Any]], execute: Execute
) -> bool:
    with contextlib.suppress(OSError, TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(probe["timeoutSeconds"]):
            if "httpGet" in probe:
                asked = probe["httpGet"]
                host = asked.get("host", address)
                return await _get(host, _number(asked["port"], ports), asked.get("path", "/"))
            if "tcpSocket" in probe:
                asked = probe["tcpSocket"]
                host = asked.get("host", address)
                _, writer = await asyncio.open_connection(host, _number(asked["port"], ports))
                writer.close()
                return True
            return await execute(probe["exec"]["command"]) == 0
    return False


async def _get(host: str, port: int, path: str) -> bool:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{host}:{port}{path}", allow_redirects=False) as answer,
    ):
        return 200 <= answer.status < 400


def _number(port: int | str, ports: Sequence[dict[str, Any]]) -> int:
    if isinstance(port, int):
        return port
    found: int = next(each["containerPort"] for each in ports if each.get("name") == port)
    return found
