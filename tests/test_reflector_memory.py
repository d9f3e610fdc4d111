"""An object of 100 MB costs neither memory nor the other objects, in a list and in a watch."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile import Answer, Server, event, huge, page, service, serving, stream
from tests.running import PATIENCE

pytestmark = pytest.mark.slow

HUGE = 100 * 2**20

CLIENT = """
import asyncio, resource, sys
from pathlib import Path
from tests.hostile import mirroring, until
from probe.reflector import Limits

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

async def main():
    before = peak()
    async with mirroring(sys.argv[1], Path(sys.argv[2]), limits=Limits()) as (picture, reflector):
        await until(lambda: picture.names == {"a", "b"}, float(sys.argv[3]))
        print(peak() - before, dict(reflector.status.skipped))

asyncio.run(main())
"""


def in_a_list() -> Server:
    one = b'{"metadata":{"name":"%s","namespace":"demo"},"spec":{}}'
    head = (
        b'{"kind":"ServiceList","metadata":{"resourceVersion":"5"},"items":[%b,'
        b'{"metadata":{"name":"huge","namespace":"demo","annotations":{"x":"' % (one % b"a")
    )
    return Server([answer(head, b'"}}},%b]}' % (one % b"b"))], [stream()])


def in_a_watch() -> Server:
    head = b'{"type":"ADDED","object":{"metadata":{"name":"huge","annotations":{"x":"'
    tail = b'"}}}}\n' + event("ADDED", service("b", 3))
    return Server([page([service("a")])], [answer(head, tail), stream()])


def answer(head: bytes, tail: bytes) -> Answer:
    return huge(head, tail, HUGE)


@pytest.mark.parametrize("place", [in_a_list, in_a_watch])
async def test_an_object_of_100_mb_costs_little_memory(
    tmp_path: Path, place: Callable[[], Server]
) -> None:
    async with serving(place()) as server:
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, server.url, str(tmp_path), str(PATIENCE)),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        out, _ = await asyncio.wait_for(client.communicate(), 2 * PATIENCE)
    grown, _, skipped = out.decode().partition(" ")

    assert skipped.strip() == "{'oversized': 1}"
    assert int(grown) < 40 * 1024  # KiB: 8 MiB kept, twice while they move, and the connection
