"""What a daemon tells of one Service, now and before."""

from typing import Any

from tests.running import Daemon, total, until

QUICK = ("--settle", "0", "--interval", "0.5", "--timeout", "1")
"""Verdicts in seconds, where a test does not rest on the daemon's own pace."""

EVERY = 0.2
"""Seconds between two questions: the API takes ten a second."""


class Told:
    """One Service as one daemon sees it."""

    def __init__(self, daemon: Daemon, space: str, name: str) -> None:
        self.daemon = daemon
        self._space = space
        self._name = name

    async def now(self) -> Any:
        """Its document of /api/v1/services; without a verdict where there is none."""
        return await self.daemon.json(f"/api/v1/services/{self._space}/{self._name}")

    async def verdict(self) -> str | None:
        return await self.daemon.verdict(self._space, self._name)

    async def becomes(self, verdict: str) -> Any:
        """Waits for that verdict; the document with it."""

        async def asked() -> Any:
            found = await self.now()
            return found if found.get("verdict") == verdict else None

        return await until(asked, 90, every=EVERY)

    async def edges(self, kind: str) -> list[Any]:
        """Those of its first port: `service` for the ClusterIP, `endpoint`."""
        found = await self.now()
        return [edge for edge in found["ports"][0]["edges"] if edge["kind"] == kind]

    async def dials(self, **labels: str) -> float:
        """How many there were so far, by labels of edgeprobe_dials_total."""
        names = {"namespace": self._space, "service": self._name}
        return await self.daemon.value("edgeprobe_dials_total", **names, **labels)

    async def edges_up(self, **labels: str) -> bool:
        """What edgeprobe_edge_up says of its edges with these labels."""
        names = {"namespace": self._space, "service": self._name}
        return bool(await self.daemon.value("edgeprobe_edge_up", **names, **labels))

    async def failures(self) -> float:
        """How many of its dials did not connect so far."""
        _, page = await self.daemon.get("/metrics")
        labels = {"namespace": self._space, "service": self._name}
        connected = total(page, "edgeprobe_dials_total", {**labels, "result": "connected"})
        return total(page, "edgeprobe_dials_total", labels) - connected

    def turns(self) -> list[Any]:
        """The log's records of its verdict's turns so far."""
        names = {"namespace": self._space, "service": self._name}.items()
        records = self.daemon.command.records
        return [each for each in records if "verdict" in each and names <= each.items()]
