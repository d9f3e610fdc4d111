"""What is held back until dials under way have decided it, and for how long."""

from dataclasses import replace

import pytest

from probe.core.backing import Backing
from probe.core.evidence import Evidence
from probe.core.judging import CONFIRM_DIALS, calm, judge
from probe.core.ledger import PortBook
from probe.core.results import Result
from probe.core.verdicts import Judgement, Verdict
from tests.core.books import NOW, PODS, VIEW, book
from tests.core.facts import workload

CONFIRM_AFTER = 0.5
LIMIT = VIEW.interval + CONFIRM_DIALS * (VIEW.timeout + CONFIRM_AFTER)
JUST = 0.01

HEALTHY = Judgement(Verdict.HEALTHY, "all is well")
REFUSED = Evidence(usable=2, expected=2, dialed=2, down=(Result.REFUSED,) * len(PODS))
SILENT = replace(REFUSED, down=(Result.TIMEOUT,) * len(PODS))
UNDECIDED = replace(REFUSED, undecided=1)


def judged(old: Judgement = HEALTHY) -> PortBook:
    """A Service port of which this is what we think."""
    _, found = book()
    found.judgement = old
    return found


def turned(
    found: PortBook, evidence: Evidence, after: float, stale: float | None = None
) -> Verdict | None:
    """What the port turned to, so many seconds after the first look at it."""
    view = replace(VIEW, now=NOW + after, stale_seconds=stale)
    turn = judge(found, evidence, view, CONFIRM_AFTER)
    assert turn is None or turn.new is found.judgement
    return turn.new.verdict if turn else None


def test_what_is_decided_turns_at_once() -> None:
    assert turned(judged(), REFUSED, 0.0) is Verdict.NOT_LISTENING


@pytest.mark.parametrize(
    "pending",
    [UNDECIDED, replace(REFUSED, candidates_pending=True)],
    ids=["endpoints", "candidates"],
)
def test_dials_under_way_hold_a_failure_back_for_a_bounded_time(pending: Evidence) -> None:
    found = judged()
    for after in (0.0, LIMIT / 2, LIMIT - JUST):
        assert turned(found, pending, after) is None
        assert found.judgement is HEALTHY

    assert turned(found, pending, LIMIT + JUST) is Verdict.NOT_LISTENING


def test_what_is_decided_in_between_starts_the_time_anew() -> None:
    found = judged()
    healthy = replace(REFUSED, down=(), up=2)
    assert turned(found, UNDECIDED, 0.0) is None
    assert turned(found, healthy, LIMIT / 2) is None

    assert turned(found, UNDECIDED, LIMIT) is None
    assert turned(found, UNDECIDED, 2 * LIMIT - JUST) is None
    assert turned(found, UNDECIDED, 2 * LIMIT + JUST) is Verdict.NOT_LISTENING


def test_a_rollout_leads_from_one_failure_to_another_only_after_that_time() -> None:
    rolling = replace(SILENT, backing=Backing(rolling=True))
    found = judged(Judgement(Verdict.NOT_LISTENING, "refused"))
    for after in (0.0, LIMIT - JUST):
        assert turned(found, rolling, after) is None
        assert found.judgement.verdict is Verdict.NOT_LISTENING

    assert turned(found, rolling, LIMIT + JUST) is Verdict.BLACKHOLED


@pytest.mark.parametrize("old", [Verdict.HEALTHY, Verdict.DRAIN_RACE])
def test_a_rollout_hides_no_failure_where_none_stood(old: Verdict) -> None:
    """A drain race ends by itself, so what follows it is news."""
    found = judged(Judgement(old, "of before"))

    assert turned(found, replace(SILENT, backing=Backing(rolling=True)), 0.0) is Verdict.BLACKHOLED


def test_while_the_api_server_is_away_the_time_does_not_run() -> None:
    found = judged()
    assert turned(found, UNDECIDED, 0.0) is None
    for after in (LIMIT - JUST, LIMIT + JUST, 3 * LIMIT):
        assert turned(found, UNDECIDED, after, stale=1.0 + after) is None
    heard = 3 * LIMIT

    assert turned(found, UNDECIDED, heard + LIMIT - JUST) is None
    assert turned(found, UNDECIDED, heard + LIMIT + JUST) is Verdict.NOT_LISTENING


@pytest.mark.parametrize(
    ("kind", "backing", "rests"),
    [
        ("Deployment", {"scaled_to_zero": True}, True),
        ("ReplicaSet", {"scaled_to_zero": True}, False),
        ("Deployment", {"starting": True}, False),
        ("Deployment", {}, False),
    ],
    ids=["at zero", "at zero, listed now and then", "starting", "empty"],
)
def test_what_is_at_zero_is_looked_at_again_when_something_is_told_of_it(
    kind: str, backing: dict[str, bool], rests: bool
) -> None:
    """A cluster that is scaled down at night has thousands, each second anew otherwise."""
    held = Backing((workload(kind=kind, replicas=0),), **backing)
    found = judged()
    empty = Evidence(backing=held)

    assert turned(found, empty, 0.0) is Verdict.NO_ENDPOINTS
    assert calm(found, empty) is rests
    assert not calm(found, replace(empty, emptying=True))
