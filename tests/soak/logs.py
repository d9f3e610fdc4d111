"""The daemons' logs: each record that tells a verdict is a turn, and no line may be a complaint."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from probe.core.verdicts import Verdict
from tests.soak.turns import ALARMING, Opened, Port, Turn

Record = dict[str, Any]


class Logs:
    """`told` gets each turn, `opened` each incident, `began` the node of each daemon that begins.
    `complaints` are tracebacks, errors, and lines that are no records."""

    def __init__(
        self,
        began_at: datetime,
        *,
        told: Callable[[Turn], None],
        opened: Callable[[Opened], None],
        began: Callable[[str], None],
    ) -> None:
        self._began_at = began_at
        self._told, self._opened, self._began = told, opened, began
        self.complaints: list[str] = []

    def hear(self, node: str, line: str) -> None:
        try:
            record = json.loads(line)
        except ValueError:
            self.complaints.append(f"{node}: {line}")
            return
        if record["message"].startswith("dialing as node"):
            self._began(node)
        if "error" in record or record["level"] == "error":
            self.complaints.append(f"{node}: {line}")
        if "was" in record:
            self._told(self._turn(node, record))
        if record.get("incident", {}).get("state") == "open" and " opened: " in record["message"]:
            cause, verdict = record["incident"]["cause"], record["incident"]["verdict"]
            name = f"{cause['kind']} {cause['name']}"
            self._opened(Opened(self._at(record), node, name, verdict))

    def _at(self, record: Record) -> float:
        return (datetime.fromisoformat(record["time"]) - self._began_at).total_seconds()

    def _turn(self, node: str, record: Record) -> Turn:
        port = Port(node, record["namespace"], record["service"], record["service_port"])
        verdict = Verdict(record["verdict"])
        loud = not record["on_purpose"]
        sentence = record["message"].partition(f" {verdict}: ")[2]
        return Turn(
            self._at(record),
            port,
            str(verdict),
            record["was"],
            sentence,
            verdict in ALARMING and loud,
        )
