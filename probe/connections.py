"""Who may stay when more connect than a server has room for.

Any pod may connect to the daemon, and one that hoards connections must not keep the kubelet, or
Prometheus, from it: not they are turned away, but the hoarder's oldest is closed.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


def make_room(held: Iterable[asyncio.Transport], most: int, share: int) -> None:
    """Aborts connections until fewer than `most` are open and no client has more than its `share`:
    each time the oldest of the client that has most of them, of equals that whose oldest is oldest.
    `held` has the oldest first."""
    clients: dict[str, deque[asyncio.Transport]] = {}
    for each in held:
        if not each.is_closing():
            client = (each.get_extra_info("peername") or ("",))[0]
            clients.setdefault(client, deque()).append(each)
    total = sum(map(len, clients.values()))
    while clients and (len(greedy := max(clients.values(), key=len)) > share or total >= most):
        greedy.popleft().abort()
        total -= 1


class Room:
    """For so many at once; who comes when it is full takes the place of another (make_room)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: list[asyncio.Transport] = []

    @contextmanager
    def taken(self, transport: asyncio.Transport) -> Iterator[None]:
        """Holds a place for what is answered on this connection."""
        make_room(self._held, self._most, share=self._most)
        self._held.append(transport)
        try:
            yield
        finally:
            self._held.remove(transport)
