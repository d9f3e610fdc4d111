"""The verdict of a Service port as time passes: what is held back, what has turned."""

from dataclasses import replace
from math import inf
from typing import NamedTuple

from probe.core import verdicts
from probe.core.edges import PortKey
from probe.core.evidence import Evidence
from probe.core.ledger import PortBook, View
from probe.core.verdicts import FAILING, Judgement, Verdict

CONFIRM_DIALS = 3
"""Dials, each up to its deadline, until a failure is confirmed. So long, and an interval for the
edges to come round, dials under way put off a verdict: endpoints fail one after the other, and
half of a blackhole looks like a single bad pod. No longer, lest a flapping one hold everything."""


class Turn(NamedTuple):
    """A Service port's verdict has changed."""

    key: PortKey
    at: float
    old: Judgement
    new: Judgement


def judge(book: PortBook, found: Evidence, view: View, confirm_after: float) -> Turn | None:
    """Judges the port anew, and tells if that changed its verdict, or whether it is on purpose.

    `confirm_after` is in how many seconds a failure is dialed again.
    """
    old = book.judgement
    new = verdicts.judge(found)
    book.answered = book.answered or found.up > found.near
    if new.verdict is Verdict.DENIED and not book.answered:
        new = replace(new, from_start=True)
    if _waits(found, old, new, view, confirm_after, book):
        new = old
    if view.stale_seconds is not None and new.verdict in FAILING and new is not old:
        away = f"the API server is away for {view.stale_seconds:.0f} s: endpoints may have moved"
        new = replace(new, summary=f"{new.summary}; {away}")
    book.judgement, book.judged_at = new, view.now
    if _rests(found):
        book.failing_since = inf
    if (new.verdict, new.on_purpose) == (old.verdict, old.on_purpose):
        return None
    book.judged_since = view.now
    return Turn(book.implied.key, view.now, old, new)


def _rests(found: Evidence) -> bool:
    """Whether nothing of the port fails, nor is under way to be known."""
    failing = (
        found.down or found.unsteady or found.vip_down or found.failing_new or found.drain_failures
    )
    return found.usable > 0 and not failing and not found.pending


def calm(book: PortBook, found: Evidence) -> bool:
    """Whether only a dial or an event can change the verdict while its dials are fresh."""
    fine = book.judgement.verdict in (Verdict.HEALTHY, Verdict.MASKED)
    backing, wanted = found.backing, book.judgement.on_purpose
    fine = fine or (wanted and backing.scaled_to_zero and backing.watched)
    return fine and not (found.settling or found.pending or found.emptying)


def overtaken(book: PortBook, found: Evidence) -> bool:
    """Whether nothing but edges that others have outrun keeps a new verdict back: all fail at once,
    and the last of them was met after the first was confirmed already."""
    if book.held_since is None or not found.outrun or found.undecided or found.candidates_pending:
        return False
    return verdicts.judge(found).verdict is not book.judgement.verdict


def _waits(
    found: Evidence,
    old: Judgement,
    new: Judgement,
    view: View,
    confirm_after: float,
    book: PortBook,
) -> bool:
    """Whether the old judgement stands, for a bounded time, while dials under way decide the new
    one, or a rollout takes one failure through others on its way to the end of it."""
    if not found.pending and not (found.backing.rolling and _only_changes(old, new)):
        book.held_since = None
        return False
    if book.held_since is None or view.stale_seconds is not None:
        book.held_since = view.now  # nothing is confirmed before the API server is heard again
    limit = view.interval + CONFIRM_DIALS * (view.timeout + confirm_after)
    return view.now - book.held_since <= limit


def _only_changes(old: Judgement, new: Judgement) -> bool:
    """Whether one failure becomes another one; a drain race is none that could end otherwise."""
    steady = FAILING - {Verdict.DRAIN_RACE}
    return old.verdict is not new.verdict and old.verdict in steady and new.verdict in FAILING
