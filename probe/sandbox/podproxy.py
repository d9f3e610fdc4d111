"""The API server's pod proxy: what is asked under /proxy/ of a pod goes on to the pod itself."""

import asyncio
import re

import aiohttp
from aiohttp import web

from probe.sandbox.statuses import Refusal
from probe.sandbox.store import Store

_PATH = re.compile(
    r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods/(?:http:)?(?P<pod>[^/:]+):(?P<port>\d+)/proxy"
    r"(?P<rest>/.*)?"
)

_OURS = {"host", "authorization", "connection", "content-length", "transfer-encoding"}
"""Headers that end here; the real server takes the credentials out, too."""

SECONDS = 60.0
"""For a pod to answer; arbitrary, the real server waits for ever."""


class Unreachable(Refusal):
    code, reason = 503, "ServiceUnavailable"


def asked(path: str) -> re.Match[str] | None:
    """What of which pod is asked for by this path; None if it is no such request."""
    return _PATH.fullmatch(path)


async def forward(request: web.Request, found: re.Match[str], store: Store) -> web.Response:
    """The pod's own answer. Raises NotFound, and Unreachable if it gives none."""
    pod = store.get("pods", found["namespace"], found["pod"])
    host = pod.get("status", {}).get("podIP", "")
    url = f"http://{f'[{host}]' if ':' in host else host}:{found['port']}{found['rest'] or '/'}"
    try:
        async with (
            asyncio.timeout(SECONDS),
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                url,
                params=request.query,
                headers={k: v for k, v in request.headers.items() if k.lower() not in _OURS},
                data=await request.read(),
                allow_redirects=False,
            ) as answer,
        ):
            headers = {k: v for k, v in answer.headers.items() if k.lower() not in _OURS}
            return web.Response(body=await answer.read(), status=answer.status, headers=headers)
    except (aiohttp.ClientError, OSError) as failed:
        raise Unreachable(f"error trying to reach service: {failed}") from failed
