"""Incidents as turns and time make them, against an inquiry of the test's own."""

import pytest

from probe.core.incident import CHANGED_SECONDS, Standing, standing
from probe.core.suspects import LATEST
from probe.core.verdicts import Judgement, Verdict
from tests.core.turning import (
    API,
    CUT_OFF,
    DB,
    DEAD,
    DENIED,
    EDIT,
    GONE,
    HEALTHY,
    MASKED,
    MISMATCH,
    ODD,
    QUIET,
    REFUSED,
    STALE,
    UNKNOWN,
    WEB,
    ZERO,
    Desk,
)


@pytest.mark.parametrize(
    ("judgement", "stands"),
    [
        (HEALTHY, Standing.QUIET),
        (MASKED, Standing.QUIET),
        (ZERO, Standing.QUIET),
        (UNKNOWN, Standing.UNKNOWN),
        (MISMATCH, Standing.FAILING),
        (DENIED, Standing.FAILING),
    ],
)
def test_what_fails_is_what_is_wrong_and_not_on_purpose(
    judgement: Judgement, stands: Standing
) -> None:
    assert standing(judgement) is stands


def test_a_failing_verdict_opens_an_incident_that_is_told_once() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(1)
    assert desk.shown == []
    desk.run(10)

    assert desk.told == [("web opened", "port_mismatch")]
    found = desk.only
    assert (found.opened, found.closed, found.lead, found.flaps) == (100.0, None, WEB, 0)
    assert (found.services, found.most, found.change) == (1, 1, EDIT)
    assert found.advice == ("look at web: port_mismatch",)
    assert found.alone


@pytest.mark.parametrize("judgement", [HEALTHY, MASKED, ZERO, UNKNOWN])
def test_what_does_not_fail_opens_none(judgement: Judgement) -> None:
    assert Desk().turn(WEB, judgement).run(10).told == []


def test_it_closes_once_it_has_been_quiet_and_dates_back_to_when_it_became_so() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(10).turn(WEB, HEALTHY).run(QUIET - 1)
    assert [str(step) for step, _ in desk.told] == ["web opened"]
    assert desk.only.quiet_since == 110.0
    desk.run(2)

    assert desk.told[1:] == [("web closed", "port_mismatch")]
    found = desk.only
    assert (found.closed, found.ending, found.recovered) == (110.0, HEALTHY.summary, True)


def test_what_explains_it_is_looked_for_from_its_first_failed_dial_on() -> None:
    desk = Desk(known=None, sure_after=20.0).turn(WEB, MISMATCH).run(10)
    assert (desk.only.began, desk.only.change, desk.only.seconds_before) == (80.0, None, None)

    desk = Desk().turn(WEB, MISMATCH).run(10)
    assert (desk.only.began, desk.only.seconds_before) == (94.0, 4.0)


def test_a_change_that_is_heard_late_is_told_once_and_then_no_more_is_looked_for() -> None:
    desk = Desk(known=None).turn(WEB, MISMATCH).run(10)
    desk.known = EDIT
    desk.run(LATEST - 17)
    assert (desk.only.change, len(desk.asked)) == (None, 1)
    desk.run(200)

    assert desk.told == [("web opened", "port_mismatch"), ("web changed", "port_mismatch")]
    assert (desk.only.change, len(desk.asked)) == (EDIT, 2)


def test_where_no_change_comes_nothing_more_is_told() -> None:
    desk = Desk(known=None).turn(WEB, MISMATCH).run(300)
    assert (desk.told, len(desk.asked)) == ([("web opened", "port_mismatch")], 2)


def test_a_verdict_that_soon_becomes_another_one_is_explained_anew() -> None:
    desk = Desk(known=None).turn(WEB, REFUSED).run(10)
    desk.known = EDIT
    desk.turn(WEB, MISMATCH).run(2)
    assert desk.only.change == EDIT
    desk.known = None
    desk.turn(WEB, REFUSED).run(2)

    assert desk.only.change == EDIT
    assert desk.told[1:] == [("web changed", "port_mismatch"), ("web changed", "not_listening")]


def test_what_happens_to_a_verdict_long_after_is_not_how_it_began() -> None:
    desk = Desk(known=None).turn(WEB, REFUSED).run(100)
    desk.known = EDIT
    desk.turn(WEB, MISMATCH).run(2)

    assert desk.only.change is None


def test_a_shared_cause_loses_the_change_that_does_not_concern_all_that_it_takes_along() -> None:
    desk = Desk().turn(WEB, CUT_OFF).run(5)
    assert desk.only.change == EDIT
    desk.turn(API, CUT_OFF).run(CHANGED_SECONDS)

    assert desk.only.change is None


def test_what_somebody_wants_ends_it_without_health() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(10).turn(WEB, ZERO).run(QUIET)

    assert (desk.only.closed, desk.only.ending) == (110.0, "scaled to zero")
    assert not desk.only.recovered


def test_a_flap_is_the_same_incident_and_counted() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(10)
    for _ in range(3):
        desk.turn(WEB, HEALTHY).run(20).turn(WEB, MISMATCH).run(10)

    assert desk.only.flaps == 3
    assert desk.only.updated == desk.now - 10
    assert desk.told[1:] == [("web repeated", "port_mismatch")] * 3


def test_after_its_end_the_same_verdict_is_another_one() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(10).turn(WEB, HEALTHY).run(QUIET)
    desk.turn(WEB, MISMATCH).run(10)

    first, second = desk.shown[1], desk.shown[0]
    assert (first.closed, second.closed) == (110.0, None)
    assert first.id != second.id
    assert (first.flaps, second.flaps) == (0, 0)


def test_another_verdict_is_told_as_a_change_with_its_own_advice() -> None:
    desk = Desk().turn(WEB, REFUSED).run(10).turn(WEB, MISMATCH).run(2).turn(WEB, REFUSED).run(2)

    assert desk.told == [
        ("web opened", "not_listening"),
        ("web changed", "port_mismatch"),
        ("web changed", "not_listening"),
    ]
    found = desk.only
    assert (found.first, found.worst) == (Verdict.NOT_LISTENING, Verdict.PORT_MISMATCH)
    assert found.advice == ("look at web: not_listening",)


def test_a_sentence_that_changes_is_taken_over_and_not_told() -> None:
    desk = Desk().turn(WEB, REFUSED).run(10)
    desk.judgements[WEB] = Judgement(REFUSED.verdict, "refused on 3 of 3 endpoints")
    desk.run(2)

    assert desk.only.judgement.summary == "refused on 3 of 3 endpoints"
    assert desk.only.updated == 111.0
    assert len(desk.told) == 1


def test_while_the_evidence_is_away_nothing_opens_and_nothing_ends() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(10).turn(WEB, UNKNOWN).run(3 * QUIET)

    found = desk.only
    assert (found.closed, found.away_since, found.quiet_since) == (None, 110.0, None)
    assert found.judgement == MISMATCH

    desk.turn(WEB, MISMATCH).run(1)
    assert (found.away_since, found.flaps) == (None, 0)


def test_evidence_that_goes_while_it_is_quiet_starts_the_wait_anew() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(10).turn(WEB, HEALTHY).run(QUIET - 10)
    desk.turn(WEB, UNKNOWN).run(20).turn(WEB, HEALTHY).run(QUIET - 10)
    assert desk.only.closed is None
    desk.run(20)

    assert desk.only.closed == 100 + 10 + (QUIET - 10) + 20


def test_a_flap_over_missing_evidence_counts() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(5).turn(WEB, HEALTHY).run(5)
    desk.turn(WEB, UNKNOWN).run(5).turn(WEB, MISMATCH).run(5)

    assert desk.only.flaps == 1


def test_a_service_that_goes_ends_its_incident() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(10)
    del desk.judgements[WEB]
    desk.run(1)

    assert desk.told[1:] == [("web closed", "port_mismatch")]
    assert (desk.only.ending, desk.only.closed, desk.only.recovered) == (GONE, 111.0, False)


def test_a_service_that_goes_before_its_incident_is_told_leaves_nothing() -> None:
    desk = Desk().turn(WEB, MISMATCH)
    del desk.judgements[WEB]
    desk.run(10)

    assert desk.told == []
    assert desk.shown == []


def test_services_of_one_cause_are_one_incident() -> None:
    desk = Desk().turn(WEB, CUT_OFF).turn(API, CUT_OFF).run(10)

    assert desk.told == [(f"{DEAD} opened", "node_path")]
    found = desk.only
    assert found.taken() == {("shop", "api"): [80], ("shop", "web"): [80]}
    assert (found.services, found.most, found.change, found.alone) == (2, 2, None, False)


def test_several_ports_of_a_service_are_one_service() -> None:
    other = WEB._replace(port=443)
    desk = Desk().turn(WEB, CUT_OFF).turn(other, CUT_OFF).turn(API, CUT_OFF).run(10)

    assert desk.only.services == 2
    assert desk.only.taken()["shop", "web"] == [80, 443]


def test_more_services_are_told_now_and_then() -> None:
    desk = Desk().turn(WEB, CUT_OFF).run(5).turn(API, CUT_OFF).turn(DB, CUT_OFF).run(1)
    assert (desk.only.services, desk.only.updated) == (3, 106.0)
    assert len(desk.told) == 1
    desk.run(CHANGED_SECONDS)

    assert desk.told[1:] == [(f"{DEAD} changed", "node_path")]


def test_fewer_services_are_told_and_the_most_are_remembered() -> None:
    desk = Desk().turn(WEB, CUT_OFF).turn(API, CUT_OFF).run(20).turn(WEB, HEALTHY).run(1)

    assert desk.told[1:] == [(f"{DEAD} changed", "node_path")]
    assert (desk.only.services, desk.only.most) == (1, 2)
    assert list(desk.only.taken()) == [("shop", "api"), ("shop", "web")]  # the failing one first
    desk.turn(API, HEALTHY).run(QUIET + 1)
    assert desk.only.services == 2


def test_what_a_cause_takes_along_at_once_was_never_an_incident_of_its_own() -> None:
    desk = Desk().turn(WEB, REFUSED).run(1).turn(WEB, CUT_OFF).run(10)

    assert desk.told == [(f"{DEAD} opened", "node_path")]
    assert desk.only.opened == 100.0


def test_what_it_takes_along_later_ends_as_a_part_of_it() -> None:
    desk = Desk().turn(WEB, REFUSED).run(10).turn(WEB, CUT_OFF).run(QUIET)

    taken, own = desk.shown
    assert (taken.cause, own.cause) == (DEAD, "")
    assert own.ending == f"it is part of incident {taken.id} now"
    assert own.closed == 110.0
    assert not own.recovered


def test_a_port_that_outlives_its_cause_has_an_incident_of_its_own() -> None:
    desk = Desk().turn(WEB, CUT_OFF).turn(API, CUT_OFF).run(10)
    desk.turn(WEB, REFUSED).turn(API, HEALTHY).run(QUIET + 5)

    own, shared = desk.shown
    assert (own.lead, own.closed, own.opened) == (WEB, None, 110.0)
    assert (shared.cause, shared.closed) == (DEAD, 110.0)


def test_the_port_that_stands_for_a_cause_is_one_that_fails() -> None:
    other = Judgement(Verdict.NODE_PATH, "nothing on node-2 answers any more", cause=DEAD)
    desk = Desk().turn(WEB, CUT_OFF).turn(API, other).run(10)
    assert (desk.only.lead, desk.only.judgement) == (WEB, CUT_OFF)
    desk.turn(WEB, HEALTHY).run(2)

    assert (desk.only.lead, desk.only.judgement) == (API, other)


def test_a_service_of_several_that_goes_leaves_the_others() -> None:
    desk = Desk().turn(WEB, CUT_OFF).turn(API, CUT_OFF).turn(DB, CUT_OFF).run(10)
    del desk.judgements[WEB]
    desk.run(2)
    assert set(desk.only.taken()) == {("shop", "api"), ("shop", "db")}
    desk.turn(API, HEALTHY)
    del desk.judgements[DB]
    desk.run(QUIET + 2)

    assert desk.only.ending == HEALTHY.summary


def test_two_causes_are_two_incidents_of_a_port_that_had_both() -> None:
    desk = Desk().turn(WEB, CUT_OFF).run(10).turn(WEB, STALE).run(10)

    assert [i.cause for i in desk.shown] == [ODD, DEAD]
    assert [i.quiet_since for i in desk.shown] == [None, 110.0]


def test_open_ones_come_first_and_the_newest_of_each_first() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(5).turn(WEB, HEALTHY).turn(API, REFUSED).run(QUIET + 5)
    desk.turn(DB, DENIED).run(5)

    assert [i.lead for i in desk.shown] == [DB, API, WEB]
