"""One question to the other daemons, directly: pods reach pods, and no API server is bothered.

A daemon that does not answer costs nothing but its word. What one answers is read as told.py reads
it: any pod of their namespace may carry their label.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import aiohttp
from yarl import URL

from probe.told import KEY_HEADER, Unreadable

Take = Callable[[str, bytes], Awaitable[None]]
"""Gets an answer and the node that it comes from; raises Unreadable for what is none of ours."""

AT_ONCE = 16
"""Daemons asked at a time: the answers of 500 take no more memory and time at once. Arbitrary."""

ANSWER_SECONDS = 5.0
"""For one answer; three SYNs (at 0, 1 and 3 s) fit in."""

BUSY_SECONDS = 30.0
"""For so long those who are busy are asked again: when much rolls out, all ask each other."""

AGAIN_SECONDS = 1.0
"""Seconds until then, as the server's Retry-After says."""

ANSWER_MAX = 16 * 2**20
"""Bytes of one answer; 1 KB for each rollout (measured), of which a daemon keeps a thousand."""


async def ask(
    daemons: Mapping[str, tuple[str, int]],
    path: str,
    query: Mapping[str, str],
    *,
    key: str,
    take: Take,
) -> list[str]:
    """Has each daemon's answer taken as it comes, with its node; returns the nodes of those that
    gave none."""
    silent: list[str] = []
    until = asyncio.get_running_loop().time() + BUSY_SECONDS
    turn = asyncio.Semaphore(AT_ONCE)
    limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    headers = {"Accept-Encoding": "identity", **({KEY_HEADER: key} if key else {})}

    async def one(session: aiohttp.ClientSession, node: str, address: str, port: int) -> None:
        url = URL.build(scheme="http", host=address, port=port, path=path, query=query)
        async with turn:
            try:
                await take(node, await _body(session, url, until))
            except (aiohttp.ClientError, OSError, Unreadable):  # a timeout is an OSError
                silent.append(node)

    async with (
        # When much rolls out, all ask each other: nobody may stay connected once he is answered.
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            headers=headers,
            timeout=limit,
            auto_decompress=False,
        ) as session,
        asyncio.TaskGroup() as group,
    ):
        for node, place in daemons.items():
            group.create_task(one(session, node, *place))
    return sorted(silent)


async def _body(session: aiohttp.ClientSession, url: URL, until: float) -> bytes:
    """Raises ClientError, OSError and Unreadable."""
    while True:
        async with session.get(url, allow_redirects=False) as response:
            if response.status == HTTPStatus.OK:
                return await _read(response)
            late = asyncio.get_running_loop().time() >= until
            if response.status != HTTPStatus.TOO_MANY_REQUESTS or late:
                raise Unreadable(f"it answers {response.status}")
        await asyncio.sleep(AGAIN_SECONDS)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > ANSWER_MAX:
            raise Unreadable("its answer is too long")
    return bytes(body)
