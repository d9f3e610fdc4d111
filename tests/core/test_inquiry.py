"""What an incident asks of a World."""

from dataclasses import replace

from probe.core import kube
from probe.core.edges import Author, PortKey
from probe.core.incident import Incident
from probe.core.incidents import Incidents
from probe.core.inquiry import WorldInquiry
from probe.core.nodes import Node
from tests.core.facts import (
    KEY,
    NODE,
    REFUSED,
    TIMEOUT,
    Story,
    answers,
    endpoint,
    port,
    service,
    slice_of,
    standing,
)

OTHER = PortKey("demo-app", "other", 80)


def opened(story: Story) -> Incident:
    """The incident that begins with the verdict that holds."""
    judgement = story.judged()
    return Incident(
        "5e0f",
        judgement.cause,
        story.now,
        KEY,
        judgement,
        judgement.verdict,
        judgement.verdict,
        story.now,
    )


def test_it_answers_of_what_is_dialed() -> None:
    story = standing(slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=REFUSED)).run(20)
    asked = WorldInquiry(story.world)

    assert asked.judgement(KEY) == story.judged()
    assert asked.advice(KEY)[0].startswith("see what the containers listen on")
    assert asked.uid("demo-app", "backend-v1") == "uid-1"
    assert asked.judgement(OTHER) is None
    assert asked.judgement(KEY._replace(port=9)) is None
    assert asked.advice(OTHER) == ()
    assert asked.uid("demo-app", "other") == ""


def test_it_knows_since_when_we_watch_and_who_wrote_the_service_that_fails() -> None:
    ada = Author("ada", "2026-11-20T10:00:00Z")
    story = Story(answer=answers(at_10_0_0_1=REFUSED))
    story.listed([service(author=ada)], [slice_of("10.0.0.1")]).run(20)
    asked, found = WorldInquiry(story.world), opened(story)
    found.began = story.world.started + 7.0

    assert (asked.watched(found), asked.author(found)) == (7.0, ada)
    assert asked.author(replace(found, cause="node/b")) is None
    assert asked.author(replace(found, lead=OTHER)) is None


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


def test_an_incident_is_explained_by_what_went_before_its_first_failed_dial() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2")).run(20)
    asked, edited = WorldInquiry(story.world), story.now
    story.answer = answers(at_10_0_0_1=REFUSED, at_10_0_0_2=REFUSED)
    story.store(service(port(target=8081)), slice_of("10.0.0.1", "10.0.0.2", number=8081))
    story.run(20)
    incident = opened(story)
    incident.fails(KEY, story.judged(), story.now)
    incident.began = asked.began(incident)
    found = asked.change(incident)

    assert story.verdict() == "not_listening"
    assert edited <= incident.began < edited + 2
    assert found is not None
    assert found.detail == "port 8080: targetPort 8080 -> 8081"


def test_a_lost_node_is_blamed_once_kubernetes_says_that_it_is_lost() -> None:
    other = service(port(80, 80), name="other", ips=("10.96.0.11",), selector=(("app", "other"),))
    slices = [
        slice_of(endpoint("10.0.0.1", node="node-b")),
        slice_of(endpoint("10.0.0.2", node="node-b"), service="other", number=80),
        slice_of(endpoint("10.0.0.3", node="node-c"), service="third", number=80),
    ]
    third = service(port(80, 80), name="third", ips=("10.96.0.12",), selector=(("app", "third"),))
    story = Story().listed([service(), other, third], slices)
    story.world.apply(kube.Listed("nodes", (Node("node-b"), Node("node-c"))), story.now)
    incidents = Incidents(NODE, WorldInquiry(story.world), quiet_seconds=60.0)
    steps = followed(story, incidents, 60)
    lost = dict.fromkeys(("at_10_0_0_1", "at_10_0_0_2"), TIMEOUT)
    story.answer = answers(**lost, at_10_96_0_10=TIMEOUT, at_10_96_0_11=TIMEOUT)
    steps += followed(story, incidents, 45)
    (incident,) = incidents.told()
    assert (incident.cause, incident.change) == ("node/node-b", None)
    assert steps == ["opened"]

    story.world.apply(kube.Stored("nodes", Node("node-b", ready=False)), story.now)
    steps += followed(story, incidents, 60)
    assert incident.change is not None
    assert incident.change.object == "Node node-b"
    assert incident.seconds_before is not None
    assert -50 < incident.seconds_before < -30
    assert steps == ["opened", "changed"]


def followed(story: Story, incidents: Incidents, seconds: int) -> list[str]:
    """The steps that so many seconds of the story make."""
    steps: list[str] = []
    for _ in range(seconds):
        before = len(story.turns)
        story.run(1)
        for turn in story.turns[before:]:
            incidents.take(turn)
        steps += [str(told.step) for told in incidents.tick(story.now)]
    return steps
