"""A node's records of a rollout, for those who tell and merge them."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from probe.core.results import Result
from probe.core.rollout_reports import record
from probe.core.rollouts import Rollout, begin
from tests.core.facts import workload

Json = dict[str, Any]

WEB = "Deployment demo-app/backend-v1"


def clock(at: float) -> datetime:
    return datetime(2026, 11, 21, 10, 0, tzinfo=UTC) + timedelta(seconds=at)


def rollout(lag: float | None = None, error: float = 0.5, **refused: int) -> Rollout:
    """One that took 12 s of 300 dials, with as many `refused` of them, and of new endpoints as
    `refused_new`."""
    made = begin(workload(), ("backend-v1",), "image app:1 -> app:2", 100.0)
    made.ended, made.outcome, made.dials, made.window = 112.0, "complete", 300, 0.9
    made.by = "kubectl-set"
    made.lag, made.error = lag, error
    if count := refused.get("refused"):
        made.failed = Counter({Result.REFUSED: count})
        made.first_failure, made.last_failure, made.longest_gap = 102.0, 111.0, 1.25
    if count := refused.get("refused_new"):
        made.failed_new = Counter({Result.REFUSED: count})
    return made


def told(
    known: Rollout | None = None,
    *,
    node: str = "a",
    had: int | None = None,
    grace: int = 30,
    readiness: bool = False,
    containers: tuple[str, ...] = ("app",),
    ports: tuple[int, ...] = (8080,),
) -> Json:
    """A node's record of a rollout whose pods have these hooks and probes now."""
    held = replace(
        workload(), pre_stop=had, grace_seconds=grace, readiness=readiness, containers=containers
    )
    return record(known or rollout(), node, clock, workload=held, ports=ports)
