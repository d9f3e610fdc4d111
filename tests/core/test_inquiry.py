"""What an incident asks of a World."""

from probe.core.changes import Change, ChangeKind
from probe.core.edges import PortKey
from probe.core.inquiry import PRECEDING_SECONDS, WorldInquiry, preceding
from tests.core.facts import KEY, REFUSED, answers, port, service, slice_of, standing

OTHER = PortKey("demo-app", "other", 80)


def change(at: float, kind: ChangeKind = ChangeKind.ROLLOUT, *, of: str = "backend-v1") -> Change:
    return Change(at, kind, "demo-app", f"Deployment demo-app/{of}", "", services=(of,))


def test_it_answers_of_what_is_dialed() -> None:
    story = standing(slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=REFUSED)).run(20)
    asked = WorldInquiry(story.world)

    assert asked.judgement(KEY) == story.judged()
    assert asked.advice(KEY)[0].startswith("see what the containers listen on")
    assert asked.uid("demo-app", "backend-v1") == "uid-1"
    assert asked.change(KEY, story.now) is None
    assert asked.judgement(OTHER) is None
    assert asked.judgement(KEY._replace(port=9)) is None
    assert asked.advice(OTHER) == ()
    assert asked.uid("demo-app", "other") == ""


def test_a_port_that_goes_and_a_service_that_goes_are_told_apart() -> None:
    story = standing(slice_of("10.0.0.1")).run(20)
    asked = WorldInquiry(story.world)
    story.store(service(port(9090)))
    assert asked.gone(KEY) == "port 8080 of the Service is no longer dialed"

    story.remove(service())
    assert asked.gone(KEY) == "the Service was deleted"
    assert asked.advice(KEY) == ()
    assert asked.uid("demo-app", "backend-v1") == ""
    assert asked.gone(OTHER) == "the Service was deleted"


def test_an_edit_of_the_service_is_the_change_before_its_incident() -> None:
    story = standing(slice_of("10.0.0.1")).run(20)
    story.store(service(port(target=8081)))
    found = WorldInquiry(story.world).change(KEY, story.now + 5)

    assert found is not None
    assert found.detail == "port 8080: targetPort 8080 -> 8081"


def test_the_last_change_before_is_meant() -> None:
    newest_first = [change(at) for at in (130.0, 120.0, 110.0)]
    assert preceding(newest_first, KEY, 125.0) == change(120.0)


def test_changes_of_others_and_those_that_only_follow_are_passed_over() -> None:
    passed = [
        change(120.0, of="other"),
        change(120.0, ChangeKind.ENDPOINT),
        change(120.0, ChangeKind.ROLLOUT_END),
        Change(120.0, ChangeKind.ROLLOUT, "other", "", "", services=("backend-v1",)),
    ]
    assert preceding(passed, KEY, 125.0) is None
    assert preceding([*passed, change(100.0)], KEY, 125.0) == change(100.0)


def test_what_was_long_before_explains_nothing() -> None:
    at = 100.0 + PRECEDING_SECONDS
    assert preceding([change(100.0)], KEY, at) == change(100.0)
    assert preceding([change(100.0)], KEY, at + 1) is None
