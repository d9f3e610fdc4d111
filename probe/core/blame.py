"""What explains a dial: the phase that it was made in, and the removal that it may have met."""

from collections import deque
from collections.abc import Sequence
from math import inf

from probe.core import rollouts
from probe.core.edges import Kind
from probe.core.health import Level
from probe.core.ledger import PortBook, ServiceRecord, Track
from probe.core.results import FAILURES, Result
from probe.core.rollouts import REMOVAL_WINDOW, SERVICE_EDIT_SECONDS, Laid, Phase, Removal, Rollout
from probe.core.schedule import CLOSE_RATE
from probe.core.verdicts import FAILING, Verdict

DRAIN_FAILURES_KEPT = 100

LAID_KEPT = round(REMOVAL_WINDOW * CLOSE_RATE)
"""So many ClusterIP dials are made at most while they may be laid to one removal."""

ASK_AFTER = 1.0
"""Seconds after the last of a burst of failures, and between two rounds, to ask the endpoints in
use again. Chosen: while dials go on failing they are asked for each turn as it is."""

AFTERMATH_SECONDS = 10.0
"""For so long after a port has failed otherwise its ClusterIP may still do so for the same reason:
kube-proxy has yet to follow, and dials to a lost node are under way. Chosen: twice PROXY_SYNC."""

UNREPLIED_SECONDS = 120.0
"""For so long conntrack keeps a SYN that nobody answered, with the backend that it was sent to
(net.netfilter.nf_conntrack_tcp_timeout_syn_sent). A later dial that gets the same source port is
sent after it and times out as well, although kube-proxy is right (seen: a pod that had dropped
packets, and was replaced since)."""

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


def broken_before(book: PortBook, rollout: Rollout, result: Result) -> bool:
    """Whether this Service port failed steadily already when the rollout began, and did so until
    this dial's `result`. What it is judged to be meanwhile tells less: its new endpoints are given
    time to settle."""
    port = book.implied.key
    if _failed_already(book) and book.judged_since < rollout.started:
        rollout.broken.add(port)
    broken = port in rollout.broken
    if result is Result.CONNECTED:
        rollout.broken.discard(port)
    return broken


def _failed_already(book: PortBook) -> bool:
    verdict = book.judgement.verdict
    return verdict in FAILING and verdict is not Verdict.DRAIN_RACE


def cluster_ip(
    record: ServiceRecord,
    book: PortBook,
    result: Result,
    at: float,
    period: float,
    running: Sequence[Rollout],
    *,
    waited: float = 0.0,
) -> bool:
    """Lays a ClusterIP dial begun at `at`, if it failed, to the endpoint that was being removed;
    whether it did so. It counts once `confirm` finds every endpoint in use answering after it.

    Not while an endpoint in use fails by itself or the port has failed already, and not where only
    removed ones are left: no proxy could have sent it elsewhere. Nor to one since whose end so many
    dials connected that a proxy which still sent to it would have shown: they would all have missed
    it with a chance of 5 % (rollouts.error_bar). We dial this ClusterIP every
    `period` seconds until more is counted, and our dials meet this node's proxy: those of other
    nodes tell nothing of it. While this dial `waited` for its answer we made no other, so that much
    more may have gone unseen.
    """
    alone = all(before <= at for before in book.sampled or ())
    lost = max(0.0, waited - period) if alone and result in FAILURES else 0.0
    led, counted = len(book.hinted) or book.leading, _dial_rate(record, book, at, running, lost)
    latest = rollouts.attribute(record.removals, at)
    if latest:
        latest.belong(running)
    backends = led + (rollouts.removed_with(record.removals, latest) if latest else 1)
    for rollout in running if latest and counted else ():
        rollout.window = max(rollout.window, rollouts.error_bar(backends, counted or 0.0))
    cleared = _cleared(record, book, result, at, 3 * backends)
    latest = rollouts.attribute(_open(record, cleared), at)
    if latest is None or not _may_be_removals(book, latest, result, at):
        book.stray_timeout_at = at if result is Result.TIMEOUT else book.stray_timeout_at
        return False
    pace = counted or 1 / period
    if not running:  # what was counted may have been at the pace of close watching
        pace = min(pace, 1 / period)
    _lay(book, Laid(at, led, pace, lost, latest, latest.rollouts, cleared))
    return True


def _lay(book: PortBook, laid: Laid) -> None:
    for rollout in laid.rollouts:
        rollout.unconfirmed += 1
    if len(book.laid) == LAID_KEPT:
        book.laid[0].settle()
    book.laid = (*book.laid[1 - LAID_KEPT :], laid)


def newly_ready(book: PortBook, result: Result, running: Sequence[Rollout]) -> None:
    """Files a dial of an endpoint that became ready during these rollouts, and that has not
    answered yet."""
    for rollout in running:
        if result in FAILURES and not broken_before(book, rollout, result):
            rollout.failed_new[result] += 1


def _dial_rate(
    record: ServiceRecord, book: PortBook, at: float, running: Sequence[Rollout], lost: float
) -> float | None:
    """How many of our dials a second the port's ClusterIP really gets, counted while one may meet a
    removed endpoint, without the seconds that are `lost` since a failed one waits for its answer.
    None until there are enough to tell."""
    if not running and not record.removals:
        book.sampled = None
        return None
    if book.sampled is None or lost:
        before = (each + lost for each in book.sampled or ())
        book.sampled = deque(before, rollouts.RATE_DIALS)
    book.sampled.append(at + lost)
    return rollouts.dial_rate(book.sampled)


def _cleared(
    record: ServiceRecord, book: PortBook, result: Result, at: float, enough: int
) -> float:
    """When the last but so many of the dials began that connected in a row before this one, which
    failed; -inf if there are not as many."""
    if result is Result.CONNECTED and record.removals:
        if book.clean is None:
            book.clean = deque(maxlen=LAID_KEPT)
        book.clean.append(at)
        return -inf
    clean, book.clean = book.clean or (), None
    before = [began for began in clean if began <= at]
    return before[-enough] if len(before) >= enough else -inf


def _open(record: ServiceRecord, cleared: float) -> list[Removal]:
    """The removals that may be to blame yet."""
    return [removal for removal in record.removals if removal.gone_at > cleared]


def _may_be_removals(book: PortBook, latest: Removal, result: Result, at: float) -> bool:
    """Whether the latest removal may explain this failed dial, and nothing else does."""
    muted = result is Result.TIMEOUT and at - book.stray_timeout_at < UNREPLIED_SECONDS
    aftermath = at < book.accused_at + AFTERMATH_SECONDS
    if result not in REMOVED or book.fallback or muted or aftermath:
        return False
    if latest.at < book.since:
        return False
    return not _fails_by_itself(book) and not _failed_already(book)


def confirm(record: ServiceRecord, book: PortBook, now: float) -> None:
    """Looks anew at the failures laid to removals: an endpoint in use that fails explains them as
    well, and so does what the port is judged to be already; if all have answered since, they are
    the removals' of endpoints that had not. Those that a whole window did not settle are lost."""
    if _failed_already(book):
        _give_up(record, book, now)
    if not book.laid:
        return
    if _failed_already(book) or _fails_by_itself(book):
        book.stray_timeout_at = max(book.stray_timeout_at, book.laid[-1].at)
        book.settle()
        return
    used = [t.dialed_at for t in book.tracks.values() if book.leads_to(t.edge)]
    since = min(used, default=now)
    answered, open_ = _answered(book), []
    for laid in book.laid:
        if since <= laid.at and now - laid.at < REMOVAL_WINDOW:
            open_.append(laid)
            continue
        laid.settle()
        found = rollouts.attribute(_open(record, laid.cleared), laid.at, answered)
        if laid.at < since and found is not None and found.at >= book.since:
            laid.confirm(record.removals, found)
            book.drain_failures = [*book.drain_failures[1 - DRAIN_FAILURES_KEPT :], laid.at]
        elif now >= laid.removal.at + REMOVAL_WINDOW:
            laid.lose()
    book.laid = tuple(open_)


def _give_up(record: ServiceRecord, book: PortBook, now: float) -> None:
    """Lays nothing to a removal where the port is judged to fail otherwise. A proxy that is stale
    by now was late before: for how long it sends to what was removed is not told any more."""
    verdict = book.judgement.verdict
    if verdict is Verdict.PROXY_STALE and (book.laid or book.drain_failures):
        for laid in book.laid:
            laid.lose()
        for removal in record.removals:
            for rollout in removal.rollouts:
                rollout.cut(now)
    book.drain_failures.clear()
    if verdict is not Verdict.NO_ENDPOINTS:  # a late proxy would reject
        book.accused_at = now


def unsettled(book: PortBook, now: float) -> bool:
    """Whether to ask the endpoints in use once more: the last of the failures that are not settled
    was a moment ago, and the next round may be an interval away, when nobody waits for it."""
    return bool(book.laid) and now - max(book.laid[-1].at, book.asked_at) >= ASK_AFTER


def _answered(book: PortBook) -> dict[str, float]:
    """Of the endpoints that are not in use but answer still: when the last dial of them began."""
    return {
        t.edge.address: t.dialed_at
        for t in book.of_kind(Kind.ENDPOINT)
        if not book.leads_to(t.edge) and t.outcome and t.outcome.result is Result.CONNECTED
    }


def _fails_by_itself(book: PortBook) -> bool:
    suspect = (Level.SUSPECT, Level.CONFIRMED, Level.DOWN)
    return any(book.leads_to(t.edge) and t.level in suspect for t in book.tracks.values())
