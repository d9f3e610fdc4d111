"""Loopback addresses that no other sandbox on this machine hands out at the same time."""

import contextlib
import random
import socket
from collections import deque


class AddressPool:
    """Addresses of one /16 of 127.0.0.0/8, claimed in blocks of 254 as they are needed.

    A block is claimed by an abstract Unix socket: such names are as wide as loopback is (one
    network namespace), known to every process, and gone with their owner. A freed address is
    handed out again only when the claimed blocks have no fresh one, the longest freed first: a
    watcher that lags does not meet a stranger under an address it knew.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._blocks = random.sample(range(256), 256)
        self._claims: list[socket.socket] = []
        self._free: deque[str] = deque()
        self._taken: set[str] = set()

    def take(self) -> str:
        """An address in use by nobody. Raises OSError when all 65,024 are."""
        if not self._free:
            self._claim()
        address = self._free.popleft()
        self._taken.add(address)
        return address

    def give_back(self, address: str) -> None:
        """Frees an address; one that is not from here, or not taken, is left alone."""
        if address in self._taken:
            self._taken.remove(address)
            self._free.append(address)

    def close(self) -> None:
        """Gives up the claims; the addresses may go to others."""
        for claim in self._claims:
            claim.close()
        self._claims.clear()

    def _claim(self) -> None:
        while self._blocks:
            block = f"{self._prefix}.{self._blocks.pop()}"
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            with contextlib.suppress(OSError):
                claim.bind(f"\0edgeprobe-sandbox/{block}")
                self._claims.append(claim)
                self._free.extend(f"{block}.{host}" for host in range(1, 255))
                return
            claim.close()
        raise OSError(f"no free address in {self._prefix}.0.0/16")
