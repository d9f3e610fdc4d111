"""Rollouts as they run: their phase, the failures inside them, and the removal lag.

DNAT hides which backend a ClusterIP dial met, so removal lag is what can be known: a failed
ClusterIP dial, while no endpoint in use fails by itself, met an endpoint that had been removed,
and the latest removal before the dial is the one that asks for the least. The lag of a removal
is its last such failure minus our receipt of its terminating (or gone). No failure, no sample:
never 0. With k endpoints and r dials/s a removed one is met every k/r seconds on average, so the
true lag may be 3k/r longer (the chance to miss it three times that long is e^-3, 5 %).
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from math import ceil, inf

from probe.core.edges import PortKey
from probe.core.results import FAILURES, Result
from probe.core.words import Word
from probe.core.workloads import Workload

REMOVAL_WINDOW = 60.0
"""Seconds after a removal in which a ClusterIP failure may still be laid to it: four times the
10-15 s of the incident that this measures."""

SERVICE_EDIT_SECONDS = 60.0
"""How long after a Service's edit dials are marked with it: twice kube-proxy's syncPeriod, in which
all its rules follow (docs/edge-cases.md, 39)."""

RATE_DIALS = 32
"""The last dials that their rate is taken from: two seconds of close watching by one daemon. More
would hide for longer that we were kept from dialing. Chosen."""

RATE_DIALS_MIN = 8
"""Dials without which a rate tells nothing. Chosen."""

OUT_OF_ORDER_SECONDS = 1.0
"""A removal may be told so much before the rollout that it is of: their watches are two. Chosen."""

RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
"""What Kubernetes makes the ends of names of (apimachinery/pkg/util/rand)."""

POD_ENDS = {
    "Deployment": re.compile(f"-{RANDOM}+-{RANDOM}{{5}}"),
    "StatefulSet": re.compile("-[0-9]+"),
    "DaemonSet": re.compile(f"-{RANDOM}{{5}}"),
}
"""What a workload's pods are called behind its own name."""

NOBODY: Mapping[str, float] = {}

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
    """One endpoint that began to terminate, or went without that, at `at` (our receipt); `rollouts`
    are those that it is of, its `pod` that of one. `since` is our first sight of it, or -inf, and
    `gone_at` when it was in no slice any more, inf until then."""

    address: str
    at: float
    pod: str = ""
    rollouts: "tuple[Rollout, ...]" = ()
    last_failure: float | None = None
    since: float = -inf
    gone_at: float = inf

    @property
    def lag(self) -> float | None:
        """Seconds during which dials still failed on it; None when none did."""
        return None if self.last_failure is None else self.last_failure - self.at

    def belong(self, running: "Sequence[Rollout]") -> None:
        """Notes once whose it is: of these, the rollouts that ran as it happened and that its pod
        is named after; all of them, if it is named after none."""
        if not self.rollouts:
            ran = [r for r in running if r.started <= self.at + OUT_OF_ORDER_SECONDS]
            self.rollouts = tuple([r for r in ran if owns(r.workload, self.pod)] or ran)


@dataclass(frozen=True, slots=True)
class Laid:
    """A failed ClusterIP dial begun at `at` that a `removal` explains, unless an endpoint in use
    turns out to fail. `led` counts the endpoints in use then, `rate` is of our dials a second,
    `waited` for how many seconds the dial kept us from making another. What was gone by `cleared`
    is not to blame. Until it is settled it is one of the unconfirmed ones of these `rollouts`."""

    at: float
    led: int
    rate: float
    waited: float
    removal: Removal
    rollouts: "tuple[Rollout, ...]"
    cleared: float = -inf

    def settle(self) -> None:
        for rollout in self.rollouts:
            rollout.unconfirmed -= 1

    def confirm(self, removals: Sequence[Removal], found: Removal) -> None:
        """No endpoint in use explains it: it is the removal's that was `found`."""
        found.last_failure = max(self.at, found.last_failure or self.at)
        error = error_bar(self.led + removed_with(removals, found), self.rate) + self.waited
        for rollout in found.rollouts:
            rollout.saw_lag(self.at - found.at, error, self.at)
            if self.at + error >= found.at + REMOVAL_WINDOW:
                rollout.censored = True

    def lose(self) -> None:
        """Nobody can tell any more whose it was: the lags that were seen may have been longer."""
        for rollout in self.rollouts:
            rollout.censored |= rollout.lag is not None


WorkloadKey = tuple[str, str, str]

COMPLETE = "complete"
"""The outcome of a rollout that came to its end."""


@dataclass(slots=True)
class Rollout:
    """One rollout from the change of generation to its end, with what its Services' dials met.

    `dials` and `failed` count ClusterIP dials only: a terminating endpoint that refuses directly
    is expected. `failed_new` counts the dials of endpoints that became ready during it and had not
    answered yet: they ask for a readinessProbe. `longest_gap` is for how many seconds at most a
    Service port's ClusterIP did not connect at all, around a failure. `lag` is the worst removal
    lag in seconds, `error` its error bar, from the dials really made; `window` the shortest time in
    seconds for which a removed endpoint that is still sent to would have been seen with 95 %, at
    the rollout's worst moment, 0 while unknown. `broken` are the Service ports that failed already
    before it, and have not connected since. `by` wrote the change that began it, `managed` is what
    keeps the object (Argo CD, Flux, Helm). `pre_stop` is as of Workload, of the new pods;
    `scaling` is whether nothing but the number of pods was changed.
    `patience` is the progress deadline: for so many seconds at most it lasts without any progress.
    `unconfirmed` counts the failures laid to its removals that are not settled yet: until each
    endpoint in use has been dialed again they are not in `lag`. `censored` is whether there is a
    lag, and removed endpoints were still sent to when we could no longer see it: no drain of so
    many seconds can be told, and kube-proxy is to be looked at.
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
    by: str | None = None
    managed: str = ""
    pre_stop: int | None = None
    scaling: bool = False
    failed_new: Counter[Result] = field(default_factory=Counter)
    longest_gap: float = 0.0
    window: float = 0.0
    unconfirmed: int = 0
    censored: bool = False
    patience: float = 600.0
    broken: set[PortKey] = field(default_factory=set)
    _met_until: float = -inf
    _cut: float = inf
    _silent: dict[PortKey, float] = field(default_factory=dict)
    _failing: set[PortKey] = field(default_factory=set)

    def covers(self, now: float, linger: float) -> bool:
        """Whether a dial at `now` is still inside it, or in the `linger` seconds after."""
        return self.ended is None or now < self.ended + linger

    def progressed(self, now: float) -> None:
        """A pod came or goes: the deadline is Kubernetes', which begins anew with each progress
        (spec.progressDeadlineSeconds). A large workload takes longer than that in all."""
        self.deadline = now + self.patience

    def count(self, port: PortKey, result: Result, at: float) -> None:
        """Takes in a dial of that Service port's ClusterIP that began at `at`."""
        self.dials += 1
        failed = result in FAILURES
        if failed or port in self._failing:
            gap = at - self._silent.get(port, self.started)
            self.longest_gap = max(self.longest_gap, gap)
        if result is Result.CONNECTED:
            self._silent[port] = at
            self._failing.discard(port)
        if failed:
            self._failing.add(port)
            self.failed[result] += 1
            self.first_failure = min(at, self.first_failure or at)
            self.last_failure = max(at, self.last_failure or at)

    def saw_lag(self, lag: float, error: float, at: float = -inf) -> None:
        """Takes in a failure at `at` on one of its removed endpoints, `lag` seconds late."""
        if self.lag is None or lag > self.lag:
            self.lag, self.error = lag, error
        self._met_until = max(self._met_until, at + error)
        self.censored |= self._met_until >= self._cut

    def cut(self, now: float) -> None:
        """From now on we see less: what failed within its error bar before may fail for longer."""
        self._cut = min(now, self._cut)
        self.censored |= self._met_until >= self._cut

    def text(self) -> str:
        """What it cost as one phrase: failed dials, lag, and the drain that would have helped."""
        failed = ", ".join(f"{n} {result}" for result, n in sorted(self.failed.items()))
        parts = [f"{failed or 'none'} of {self.dials} ClusterIP dials failed"]
        if self.failed_new:
            new = self.failed_new.total()
            parts.append(f"{new} dials of new endpoints failed that a readinessProbe holds back")
        least = "at least " if self.unconfirmed else ""
        drain = self.recommended_drain
        if drain is not None:
            parts.append(f"removal lag {least}{self.lag:.1f} s (up to {self.error:.1f} s more)")
            parts.append(f"preStop.sleep of {least}{drain} s would have avoided it")
        elif self.lag is not None:
            parts.append(f"removed endpoints still sent to after {self.lag:.1f} s")
            parts.append("look at kube-proxy on this node")
        return ", ".join(parts)

    @property
    def recommended_drain(self) -> int | None:
        """The preStop sleep (seconds) that would have avoided the failures; None without any, and
        where no end of them was seen."""
        if self.lag is None or self.censored:
            return None
        return ceil(self.lag + self.error + DRAIN_MARGIN)


def begin(workload: Workload, services: tuple[str, ...], detail: str, now: float) -> Rollout:
    """A rollout that starts now; once nothing moves it lasts at most the progress deadline."""
    patience = workload.progress_deadline_seconds
    begun = Rollout(key_of(workload), services, now, now + patience, detail, workload.grace_seconds)
    begun.pre_stop, begun.patience = workload.pre_stop, patience
    return begun


def key_of(workload: Workload) -> WorkloadKey:
    return workload.kind, workload.namespace, workload.name


def owns(workload: WorkloadKey, pod: str) -> bool:
    """Whether the pod is named as those of this workload."""
    kind, _, name = workload
    return pod.startswith(name) and POD_ENDS[kind].fullmatch(pod, len(name)) is not None


def ending(rollout: Rollout, workload: Workload | None, terminating: bool, now: float) -> str:
    """Why this rollout has ended, as one word for people; empty while it runs.

    Complete alone is not the end: status says so while old pods still terminate, for as long as
    the deadline lets them.
    """
    if workload is None:
        return "deleted"
    if workload.stuck:
        return "stuck"
    overdue = now >= rollout.deadline
    if workload.complete and (overdue or not terminating):
        return COMPLETE
    if workload.paused and workload.rolling and not terminating:
        return "paused"
    return "overdue" if overdue else ""


def attribute(
    removals: Sequence[Removal], started: float, answered: Mapping[str, float] = NOBODY
) -> Removal | None:
    """The removal that a ClusterIP dial begun at `started` may have met: the latest before it.

    `removals` are in the order of their times. `answered` tells of addresses when a dial began that
    connected to them: what answered later was not met.
    """
    for removal in reversed(removals):
        if removal.at <= started and answered.get(removal.address, -inf) < started:
            return removal if started < removal.at + REMOVAL_WINDOW else None
    return None


def removed_with(removals: Sequence[Removal], found: Removal) -> int:
    """How many were removed together with this one or after it: a proxy that still sends to it has
    not heard of these either."""
    return sum(1 for _ in takewhile(lambda r: r.at >= found.at, reversed(removals)))


def dial_rate(times: Collection[float]) -> float | None:
    """Dials per second from when they began; None until there are enough to tell."""
    if len(times) < RATE_DIALS_MIN:
        return None
    seconds = max(times) - min(times)
    return (len(times) - 1) / seconds if seconds > 0 else None


def error_bar(endpoints: int, dials_per_second: float) -> float:
    """How much longer (seconds) than its last failure a removal's lag may be: 3k/r."""
    return 3 * endpoints / dials_per_second if dials_per_second > 0 else 0.0
