"""The drain that a rollout's report recommends, against the lag that there really was.

The embedded cluster rolls a Deployment out while its ClusterIP follows late by a known time. Pods
stop listening at once when they are ended, or after a preStop sleep: one that is longer than the
lag must leave nothing to fail, and nothing to recommend.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from tests.bench.options import Options
from tests.bench.report import Missing, Table
from tests.running import ROOT, environment

RUNS = ((0, 0), (2, 0), (5, 0), (10, 0), (15, 0), (5, 8), (10, 15))
"""Seconds by which the ClusterIP follows late, and of preStop sleep. `make bench ARGS=drains` takes
five minutes for them."""


async def bench(options: Options) -> AsyncIterator[Table]:
    """One run each: what varies is small beside the second to which the drain is rounded."""
    table = Table(
        "a rolling update on the embedded cluster, seconds",
        {
            "lag": "true lag",
            "drain": "drain",
            "dials": "dials",
            "failed": "failed",
            "seen": "lag seen",
            "error": "error bar",
            "window": "window",
            "recommended": "recommended",
            "steady": "filed as steady",
        },
    )
    for lag, drain in RUNS:
        score = await _played(lag, drain)
        report = score["rollouts"][0]
        table.add(
            "drain race" if score["found"] else "clean",
            lag=lag,
            drain=drain,
            dials=report["dials"],
            failed=sum(report["failed"].values()),
            seen=report["removal_lag_seconds"],
            error=report["removal_lag_error_seconds"],
            window=report["shortest_window_seconds"],
            recommended=report["recommended_drain_seconds"],
            steady=score["refused"].get("steady", 0),
        )
    yield table


async def _played(lag: int, drain: int) -> dict[str, Any]:
    """Raises Missing if the demo could not be played."""
    flags = ("--proxy-lag", str(lag), "--drain", str(drain), "-o", "json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "probe", "demo", "rolling-update", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    )
    out, err = await process.communicate()
    if not out:
        raise Missing(f"drains: the demo failed: {err.decode()[-300:]}")
    (score,) = json.loads(out)["scenarios"]
    found: dict[str, Any] = score
    return found
