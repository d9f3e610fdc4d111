"""Rollouts as they run: their phase, the failures inside them, and the removal lag.

DNAT hides which backend a ClusterIP dial met, so removal lag is what can be known: a failed
ClusterIP dial, while no endpoint in use fails by itself, met an endpoint that had been removed,
and the latest removal before the dial is the one that asks for the least. The lag of a removal
is its last such failure minus our receipt of its terminating (or gone). No failure, no sample:
never 0. With k endpoints and r dials/s a removed one is met every k/r seconds on average, so the
true lag may be 3k/r longer (the chance to miss it three times that long is e^-3, 5 %).
"""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil

from probe.core.results import Result
from probe.core.words import Word
from probe.core.workloads import Workload

REMOVAL_WINDOW = 60.0
"""Seconds after a removal in which a ClusterIP failure may still be laid to it: four times the
10-15 s of the incident that this measures."""

SERVICE_EDIT_SECONDS = 60.0
"""Design: how long after a Service's edit dials are marked with it."""

DRAIN_MARGIN = 1.0
"""Seconds on top of lag and error bar: kube-proxy's minSyncPeriod."""


class Phase(Word):
    """What was going on when a dial was made; the first that applies, in this order."""

    TERMINATING = "terminating"
    ROLLOUT = "rollout"
    SERVICE_EDIT = "service_edit"
    SETTLING = "settling"
    STEADY = "steady"


@dataclass(slots=True)
class Removal:
    """One endpoint that began to terminate, or went without that, at `at` (our receipt)."""

    address: str
    at: float
    last_failure: float | None = None

    @property
    def lag(self) -> float | None:
        """Seconds during which dials still failed on it; None when none did."""
        return None if self.last_failure is None else self.last_failure - self.at


@dataclass(frozen=True, slots=True)
class Laid:
    """A failed ClusterIP dial begun at `at` that `removal` explains, unless an endpoint in use
    turns out to fail. `error` is the lag's error bar in seconds, `rollouts` those that ran then."""

    at: float
    removal: Removal
    error: float
    rollouts: "tuple[Rollout, ...]"

    def confirm(self) -> None:
        """No endpoint in use explains it: it is the removal's."""
        self.removal.last_failure = max(self.at, self.removal.last_failure or self.at)
        for rollout in self.rollouts:
            rollout.saw_lag(self.at - self.removal.at, self.error)


WorkloadKey = tuple[str, str, str]


@dataclass(slots=True)
class Rollout:
    """One rollout from the change of generation to its end, with what its Services' dials met.

    `dials` and `failed` count ClusterIP dials only: a terminating endpoint that refuses directly
    is expected. `error` is the error bar of the lag in seconds, from the dial rate in force.
    """

    workload: WorkloadKey
    services: tuple[str, ...]
    started: float
    deadline: float
    detail: str = ""
    grace_seconds: int = 30
    ended: float | None = None
    outcome: str = ""
    dials: int = 0
    failed: Counter[Result] = field(default_factory=Counter)
    first_failure: float | None = None
    last_failure: float | None = None
    lag: float | None = None
    error: float = 0.0

    def covers(self, now: float, linger: float) -> bool:
        """Whether a dial at `now` is still inside it, or in the `linger` seconds after."""
        return self.ended is None or now < self.ended + linger

    def count(self, result: Result, at: float, failed: bool) -> None:
        self.dials += 1
        if failed:
            self.failed[result] += 1
            self.first_failure = at if self.first_failure is None else self.first_failure
            self.last_failure = at

    def saw_lag(self, lag: float, error: float) -> None:
        if self.lag is None or lag > self.lag:
            self.lag, self.error = lag, error

    def text(self) -> str:
        """What it cost as one phrase: failed dials, lag, and the drain that would have helped."""
        failed = ", ".join(f"{n} {result}" for result, n in sorted(self.failed.items()))
        parts = [f"{failed or 'none'} of {self.dials} ClusterIP dials failed"]
        if self.lag is not None:
            parts.append(f"removal lag {self.lag:.1f} s (up to {self.error:.1f} s more)")
            parts.append(f"preStop.sleep of {self.recommended_drain} s would have avoided it")
        return ", ".join(parts)

    @property
    def recommended_drain(self) -> int | None:
        """The preStop sleep (seconds) that would have avoided the failures; None without any."""
        return None if self.lag is None else ceil(self.lag + self.error + DRAIN_MARGIN)


def begin(workload: Workload, services: tuple[str, ...], detail: str, now: float) -> Rollout:
    """A rollout that starts now and lasts at most the workload's progress deadline."""
    deadline = now + workload.progress_deadline_seconds
    return Rollout(key_of(workload), services, now, deadline, detail, workload.grace_seconds)


def key_of(workload: Workload) -> WorkloadKey:
    return workload.kind, workload.namespace, workload.name


def ending(rollout: Rollout, workload: Workload | None, terminating: bool, now: float) -> str:
    """Why this rollout has ended, as one word for people; empty while it runs.

    Complete alone is not the end: status says so while old pods still terminate.
    """
    if workload is None:
        return "deleted"
    if workload.stuck:
        return "stuck"
    if now >= rollout.deadline:
        return "overdue"
    if workload.complete and not terminating:
        return "complete"
    return ""


def attribute(removals: list[Removal], started: float) -> Removal | None:
    """The removal that a ClusterIP dial begun at `started` may have met: the latest before it."""
    recent = [r for r in removals if r.at <= started < r.at + REMOVAL_WINDOW]
    return max(recent, key=lambda r: r.at, default=None)


def error_bar(endpoints: int, dials_per_second: float) -> float:
    """How much longer (seconds) than its last failure a removal's lag may be: 3k/r."""
    return 3 * endpoints / dials_per_second if dials_per_second > 0 else 0.0
