"""More incidents than there is room for, than are told at once, and than are kept."""

import pytest

from probe.core import incidents as module
from probe.core.edges import PortKey
from probe.core.incident import SERVICES_KEPT
from probe.core.incidents import CLOSED_KEPT, DENIED_MAX, LOOKED_AT, OPEN_MAX, TELL_AFTER
from tests.core.turning import API, CUT_OFF, DENIED, HEALTHY, MISMATCH, QUIET, REFUSED, WEB, Desk


def many(count: int) -> list[PortKey]:
    return [PortKey("shop", f"svc-{number:04}", 80) for number in range(count)]


def test_what_there_is_no_room_for_is_counted_and_taken_in_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "OPEN_MAX", 3)
    desk, keys = Desk(), many(6)
    for key in keys:
        desk.turn(key, REFUSED)
    desk.run(5)
    assert len(desk.shown) == 3
    assert desk.incidents.untracked == {*keys[3:]}

    desk.turn(keys[3], HEALTHY)
    del desk.judgements[keys[4]]
    desk.run(2)
    assert desk.incidents.untracked == {keys[5]}

    desk.turn(keys[0], HEALTHY).run(QUIET + 5)
    assert desk.incidents.untracked == set()
    assert {i.lead for i in desk.shown if i.closed is None} == {keys[1], keys[2], keys[5]}


def test_one_that_has_no_room_and_goes_at_that_moment_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "OPEN_MAX", 1)
    desk = Desk().turn(WEB, REFUSED).turn(API, REFUSED).run(5)
    desk.incidents._to_look_at = [WEB]
    del desk.judgements[WEB], desk.judgements[API]
    desk.run(1)

    assert desk.incidents.untracked == set()
    assert desk.only.lead == WEB


def test_a_cause_without_room_leaves_the_incident_that_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "OPEN_MAX", 1)
    desk = Desk().turn(WEB, REFUSED).run(5).turn(WEB, CUT_OFF).run(5)

    assert desk.incidents.untracked == {WEB}
    assert desk.only.ending == CUT_OFF.summary


def test_no_number_of_denied_ports_takes_the_place_of_an_outage() -> None:
    desk, keys = Desk(), many(OPEN_MAX + DENIED_MAX)
    for key in keys:
        desk.turn(key, DENIED)
    desk.run(5).turn(WEB, REFUSED).run(5)

    assert desk.incidents.untracked == set()
    assert sum(i.judgement == DENIED for i in desk.shown) == DENIED_MAX
    assert [i.lead for i in desk.shown if i.judgement == REFUSED] == [WEB]


def test_outages_that_turn_out_to_be_denied_give_their_places_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "OPEN_MAX", 2)
    desk, keys = Desk(), many(4)
    for key in keys[:3]:
        desk.turn(key, REFUSED)
    desk.run(5)
    assert desk.incidents.untracked == {keys[2]}

    desk.turn(keys[0], DENIED).run(5).turn(keys[1], DENIED).run(5)
    desk.turn(keys[3], REFUSED).run(5)
    assert desk.incidents.untracked == set()
    assert {i.lead for i in desk.shown if i.judgement == REFUSED} == {keys[2], keys[3]}


def test_what_is_beyond_and_turns_out_to_be_denied_is_not_counted_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "OPEN_MAX", 1)
    monkeypatch.setattr(module, "DENIED_MAX", 0)
    desk = Desk().turn(WEB, REFUSED).turn(API, REFUSED).run(5)
    assert desk.incidents.untracked == {API}

    desk.turn(API, DENIED).run(5)
    assert desk.incidents.untracked == set()
    assert desk.only.lead == WEB


def test_thousands_are_told_and_looked_at_in_parts() -> None:
    desk, keys = Desk(), many(LOOKED_AT + 500)
    for key in keys[:350]:
        desk.turn(key, REFUSED)
    desk.run(TELL_AFTER)
    assert [len(desk.told), len(desk.run(1).told), len(desk.run(1).told)] == [100, 200, 300]

    for key in keys:
        desk.turn(key, CUT_OFF)
    desk.run(2)
    desk.judgements.clear()
    desk.run(1)
    assert len(desk.incidents._of) >= len(keys) - LOOKED_AT
    desk.run(3)
    assert desk.incidents._of == {}
    assert len(desk.shown) <= CLOSED_KEPT


def test_of_many_that_are_over_the_last_are_kept_each_with_a_few_names() -> None:
    desk, keys = Desk(quiet=0.0), many(SERVICES_KEPT + 10)
    for key in keys:
        desk.turn(key, CUT_OFF)
    desk.run(5)
    for key in keys:
        desk.turn(key, HEALTHY)
    desk.run(1)
    assert len(desk.only.ports) == SERVICES_KEPT
    assert (desk.only.services, desk.only.most) == (len(keys), len(keys))

    for _ in range(CLOSED_KEPT):
        desk.turn(WEB, MISMATCH).run(4).turn(WEB, HEALTHY).run(1)
    assert len(desk.shown) == CLOSED_KEPT
    assert all(i.lead == WEB for i in desk.shown)
    assert len({i.id for i in desk.shown}) == CLOSED_KEPT
