"""What silences what, in a real Alertmanager, and in no other cluster."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.deploy.stack import ALERTMANAGER, HERE, alerting
from tests.ports import reserved
from tests.running import until

Labels = dict[str, str]
Key = tuple[tuple[str, str], ...]

PORT = {"namespace": "shop", "service": "web", "port": "80"}
OTHER = {**PORT, "service": "cart"}
NODE = {"node": "worker-1"}
SILENCED = [
    ("EdgeprobePortMismatch", "EdgeprobeNotListening", PORT, OTHER),
    ("EdgeprobeNoEndpoints", "EdgeprobeRefusedSteady", PORT, OTHER),
    ("EdgeprobeEndpointDown", "EdgeprobeRefusedSteady", PORT, OTHER),
    ("EdgeprobeNodePath", "EdgeprobeProxyStale", NODE, {"node": "worker-2"}),
    ("EdgeprobeProberStale", "EdgeprobeLowCoverage", NODE, {"node": "worker-2"}),
    ("EdgeprobeProberAbsent", "EdgeprobeProberMissing", {}, {}),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(ALERTMANAGER is None, reason="Alertmanager is not in $PATH"),
]


def key(labels: Labels) -> Key:
    return tuple(sorted(labels.items()))


async def inhibited(folder: Path, *alerts: Labels) -> list[bool]:
    """Which of these alerts, firing together, Alertmanager does not send; some there must be."""
    ends = datetime.now(UTC) + timedelta(minutes=5)
    told = [{"labels": labels, "endsAt": ends.isoformat()} for labels in alerts]
    with reserved() as port:
        async with alerting(port, 9, folder), aiohttp.ClientSession() as session:
            return await _told(session, f"http://{HERE}:{port}/api/v2/alerts", told)


async def _told(session: aiohttp.ClientSession, url: str, told: list[Any]) -> list[bool]:
    """Tells it of these; which of them it holds back, once it knows all: its inhibitor learns of
    them a moment later."""
    async with session.post(url, json=told) as response:
        assert response.ok, await response.text()
    found: dict[Key, bool] = {}

    async def known() -> bool:
        async with session.get(url) as response:
            for each in await response.json():
                found[key(each["labels"])] = bool(each["status"]["inhibitedBy"])
        return len(found) == len(told) and any(found.values())

    await until(known, every=0.1)
    return [found[key(each["labels"])] for each in told]


async def test_an_alert_silences_another_of_its_own_cluster_only(tmp_path: Path) -> None:
    for number, (source, target, labels, others) in enumerate(SILENCED):
        firing = {"alertname": source, **labels, "cluster": "staging"}
        same = {"alertname": target, **labels, "cluster": "staging"}
        elsewhere = [{**same, "cluster": "prod"}, {"alertname": target, **labels}]
        if others:
            elsewhere.append({**same, **others})
        folder = tmp_path / str(number)
        folder.mkdir()

        found = await inhibited(folder, firing, same, *elsewhere)
        assert found == [False, True, *[False] * len(elsewhere)], target


async def test_in_a_cluster_without_a_name_it_does_so_as_well(tmp_path: Path) -> None:
    mismatch = {"alertname": "EdgeprobePortMismatch", **PORT}
    refused = {"alertname": "EdgeprobeNotListening", **PORT}

    found = await inhibited(tmp_path, mismatch, refused, {**refused, **OTHER})
    assert found == [False, True, False]
