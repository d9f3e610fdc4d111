"""What a soak stands on: a cluster with a daemon on each node, and the switches that break it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Protocol

from tests.soak.client import Client


class Strike(StrEnum):
    """What a pod does to the daemons' dials while everybody else is served."""

    DROP = "drop"
    RESET = "reset"
    REJECT = "reject"


class Ground(Protocol):
    """`lacks` names operations and faults that it cannot play."""

    @property
    def client(self) -> Client: ...

    @property
    def lacks(self) -> frozenset[str]: ...

    @property
    def name(self) -> str:
        """For the report."""

    @property
    def nodes(self) -> list[str]: ...

    @property
    def dials(self) -> int:
        """All that the daemons made, but for the last seconds of those that have ended."""

    async def set_up(self) -> None:
        """Makes the shop and starts the daemons."""

    def look(self) -> None:
        """Takes in what the daemons have said since the last look."""

    async def count(self) -> None:
        """Takes in how many dials they have made."""

    async def document(self, node: str, namespace: str, service: str) -> Any:
        """What the daemon there tells of a Service; None if it does not answer."""

    async def close(self) -> None: ...

    async def restart_daemons(self) -> None: ...

    async def stop_api(self) -> None: ...

    async def start_api(self) -> None: ...

    async def stop_proxy(self, node: str) -> None: ...

    async def start_proxy(self, node: str) -> None: ...

    async def proxies_follow(self) -> dict[str, float]:
        """Changes something, and gives by node how many seconds its proxy took to have it, as its
        rules in the kernel tell."""

    async def evict(self, pod: str) -> None:
        """As `kubectl drain` does; it may be gone already."""

    async def strike(self, pods: Iterable[str], strike: Strike) -> None:
        """Only new connections of the daemons are met."""

    async def heal(self, pods: Iterable[str]) -> None:
        """Ends every strike."""

    def cut_off(self, node: str) -> None:
        """Pulls the node's cable."""

    def rejoin(self, node: str) -> None: ...
