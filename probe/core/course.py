"""The course of one rollout for somebody who watches it: how far it is, how the dials went in each
second, and when nothing more is to be expected.

Failures come after the end as well: a proxy may still send to a pod that is gone. Whoever watches
waits, then, but not for the 30 s for which a daemon lays failures to a rollout: a proxy that still
sends to a removed pod meets it with every k-th dial, so that a few clean seconds at the pace of
close watching tell that it does not.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from probe.core.progress import Progress
from probe.core.words import Word

Json = dict[str, Any]

QUIET_SECONDS = 5.0
"""Seconds without a failed dial after the end, at least: kube-proxy's minSyncPeriod of 1 s, and the
time that a large set of rules takes it (ledger.PROXY_SYNC)."""

QUIET_WINDOWS = 2.0
"""The same in windows in which a removed pod that is still sent to is seen with 95 %: twice that
leaves a chance of e^-6 to miss it."""

LONGEST_QUIET = 30.0
"""For so many seconds after its end a dial may be laid to a rollout (settings.linger): twice what
kube-proxy took in incident 3 of docs/edge-cases.md. Nothing is waited for longer."""

SAMPLES = 120
"""Seconds of dials that are kept for showing: more than a terminal is wide. Chosen."""


SILENT_SECONDS = 3.0
"""After which a second without a dial is shown as one: longer than it takes to ask all daemons
again. Chosen."""


class Stage(Word):
    """Where the course of a rollout is."""

    WAITING = "waiting"
    ROLLING = "rolling"
    LINGERING = "lingering"
    OVER = "over"


class Sample(NamedTuple):
    """The ClusterIP dials of about a second, and how many of them failed."""

    dials: int
    failed: int


NOTHING = Sample(0, 0)


@dataclass(slots=True)
class Course:
    """What is known of the rollout; `record` is core/rollout_reports', None before it began.

    `after_failures` are the seconds without a failure for which to wait once there was one: as
    long as it takes whoever dials to lay it to its cause. Those that are not laid yet are waited
    for as well.
    """

    after_failures: float = QUIET_SECONDS
    record: Json | None = None
    progress: Progress | None = None
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    began: float | None = None
    ended: float | None = None
    failed_at: float | None = None
    _counted: Sample = NOTHING
    _sampled_at: float | None = None

    def see(self, record: Json | None, now: float) -> None:
        """Takes in the record as it is now."""
        if record is None:
            return
        before, self.record = self.record, record
        if before is None:
            self.began, self.progress = now, None  # which is of before
        if record["ended"] != (before["ended"] if before else None):
            # It may be put off: slices tell of the last old pods late, and one node after another.
            self.ended = None if record["ended"] is None else now
        if failures(record) > (failures(before) if before else 0):
            self.failed_at = now
        self._sample(record, now)

    def _sample(self, record: Json, now: float) -> None:
        """A sample a second, if there is news: those who are asked are not asked that often."""
        total = Sample(record["dials"], failures(record))
        before, apart = self._counted, 1.0 if total != self._counted else SILENT_SECONDS
        if self._sampled_at is None:
            self._sampled_at = now
        elif now - self._sampled_at >= apart:
            self._counted, self._sampled_at = total, now
            self.samples.append(
                Sample(max(0, total.dials - before.dials), max(0, total.failed - before.failed))
            )

    def stage(self, now: float) -> Stage:
        if self.record is None:
            return Stage.WAITING
        if self.ended is None:
            return Stage.ROLLING
        over = now >= (self.latest if self.unconfirmed else self.over_at)
        return Stage.OVER if over else Stage.LINGERING

    @property
    def unconfirmed(self) -> int:
        """How many failures are not laid to their causes: until they are, the removal lag may turn
        out to be longer."""
        return int((self.record or {}).get("unconfirmed") or 0)

    @property
    def over_at(self) -> float:
        """When nothing more is to be expected, if nothing fails until then and every failure is
        laid to its cause."""
        assert self.record is not None
        window = self.record["shortest_window_seconds"] or 0.0
        quiet = QUIET_SECONDS if self.failed_at is None else self.after_failures
        since = max(self._end, self.failed_at or self._end)
        return min(self.latest, since + max(quiet, QUIET_WINDOWS * window))

    @property
    def latest(self) -> float:
        """When it is over whatever is still missing."""
        return self._end + LONGEST_QUIET

    @property
    def _end(self) -> float:
        assert self.ended is not None
        return self.ended


def failures(record: Json) -> int:
    """How many ClusterIP dials failed: what a caller would have met."""
    return sum(record["failed"].values())
