"""What explains a dial: the phase that it was made in, and the removal that it may have met."""

from collections.abc import Sequence

from probe.core import rollouts
from probe.core.health import Level
from probe.core.ledger import PortBook, ServiceRecord, Track
from probe.core.results import FAILURES, Result
from probe.core.rollouts import SERVICE_EDIT_SECONDS, Phase, Rollout
from probe.core.verdicts import FAILING, Verdict

DRAIN_FAILURES_KEPT = 100

REMOVED = FAILURES - {Result.REJECTED}
"""What a removed pod's address answers. A reject rule is no pod: with no endpoint left, or the
first one not yet programmed, kube-proxy itself answers so."""


def phase(
    record: ServiceRecord,
    track: Track,
    running: Sequence[Rollout],
    now: float,
    *,
    started: float,
    settle: float,
) -> Phase:
    """What goes on around this edge now; `running` are the rollouts behind its Service."""
    if track.endpoint is not None and track.endpoint.terminating:
        return Phase.TERMINATING
    if running:
        return Phase.ROLLOUT
    if now - record.edited_at < SERVICE_EDIT_SECONDS:
        return Phase.SERVICE_EDIT
    if now - max(record.since, track.since, started) < settle:
        return Phase.SETTLING
    return Phase.STEADY


def broken_before(book: PortBook, rollout: Rollout) -> bool:
    """Whether this Service port failed steadily already when the rollout began."""
    return _failed_already(book) and book.judged_since < rollout.started


def _failed_already(book: PortBook) -> bool:
    verdict = book.judgement.verdict
    return verdict in FAILING and verdict is not Verdict.DRAIN_RACE


def removal(
    record: ServiceRecord,
    book: PortBook,
    result: Result,
    at: float,
    period: float,
    running: Sequence[Rollout],
    *,
    waited: float = 0.0,
) -> None:
    """Lays a ClusterIP dial begun at `at` to the endpoint that was being removed, if it failed.

    Not while an endpoint in use fails by itself or the port has failed already, and not where only
    removed ones are left: no proxy could have sent it elsewhere. We dial this ClusterIP every
    `period` seconds, and our dials meet this node's proxy: those of other nodes tell nothing of
    it. While this dial `waited` for its answer we made no other, so that much more may have gone
    unseen.
    """
    if result not in REMOVED or not record.removals or book.fallback:
        return
    found = rollouts.attribute([r for r in record.removals if r.at >= book.since], at)
    if found is None or _fails_by_itself(book) or _failed_already(book):
        return
    found.last_failure = at
    book.drain_failures = [*book.drain_failures[1 - DRAIN_FAILURES_KEPT :], at]
    error = rollouts.error_bar(book.leading + 1, 1 / period) + waited
    for rollout in running:
        rollout.saw_lag(at - found.at, error)


def _fails_by_itself(book: PortBook) -> bool:
    suspect = (Level.SUSPECT, Level.CONFIRMED, Level.DOWN)
    return any(book.leads_to(t.edge) and t.level in suspect for t in book.tracks.values())
