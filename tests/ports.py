"""Ports that stay ours while nobody listens on them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved(port: int = 0) -> Iterator[int]:
    """A free port of 127.0.0.1, or the one on which somebody has just stopped to listen.

    It is bound and does not listen: dials of it are refused, the kernel gives it to nobody else,
    and who sets SO_REUSEADDR, as asyncio and Go do, may listen on it all the same.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        yield held.getsockname()[1]
