"""What another pod answers when it is asked what it saw of a rollout, and what is believed."""

import asyncio
import json
import logging
from pathlib import Path

import pytest

from tests.front import says
from tests.telling import Json, daemon_of, named, reporting_with, rollout


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": None},
        {"removal_lag_error_seconds": None},
        {"first_failure": None},
        {"nodes": [{}]},
    ],
    ids=str,
)
async def test_one_whose_records_make_no_sense_is_silent_and_ends_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Json
) -> None:
    name = named("a", "b", "c", first="a")
    now = asyncio.get_running_loop().time()
    bad = daemon_of("b", rollout(name, now, refused=2))
    bad["rollouts"][0] |= wrong
    good = daemon_of("c", rollout(name, now, refused=1))
    async with reporting_with(tmp_path, monkeypatch, {"b": says(bad), "c": says(good)}) as desk:
        desk.ends(name)
        (report,) = await desk.reports()

    assert (report["silent"], report["failed"]) == (["b"], {"refused": 1})
    assert [share["node"] for share in report["nodes"]] == ["a", "c"]


async def test_what_changed_and_how_it_ended_is_told_as_we_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    name = named("a", "b", first="a")
    now = asyncio.get_running_loop().time()
    liar = daemon_of("b", rollout(name, now, refused=2))
    liar["rollouts"][0] |= {
        "detail": "x" * 10_000_000,
        "outcome": "exploded",
        "started": "1971-01-01T00:00:00Z",
        "recommended_drain_seconds": 2**53,
    }
    async with reporting_with(tmp_path, monkeypatch, {"b": says(liar)}) as desk:
        own = desk.ends(name)
        (report,) = await desk.reports()

    assert (report["detail"], report["outcome"]) == (own.detail, own.outcome)
    assert report["started"].startswith("2026-")
    assert report["recommended_drain_seconds"] == 3600
    (line,) = [r for r in caplog.records if r.name == "probe.rollouts"]
    assert len(line.getMessage()) + len(json.dumps(line.__dict__["rollout"])) < 5000
