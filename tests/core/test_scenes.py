"""What a World remembers of how something began to fail."""

from probe.core import kube, scenes
from probe.core.changes import Change
from probe.core.edges import Author, Kind, PortKey
from probe.core.nodes import Node
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from probe.core.verdicts import Judgement, Verdict
from tests.core.facts import (
    CONNECTED,
    KEY,
    NODE,
    REFUSED,
    TIMEOUT,
    Story,
    answers,
    endpoint,
    leaving,
    port,
    service,
    slice_of,
    standing,
    workload,
)

PODS = ("10.0.0.1", "10.0.0.2")
OTHER = PortKey("demo-app", "other", 80)


def began(story: Story) -> float:
    return scenes.began(story.world, [KEY], story.turns[-1].at)


def explained(story: Story, at: float | None = None) -> Change | None:
    """What explains the verdict that holds."""
    moment = began(story) if at is None else at
    return scenes.explanation(story.world, [KEY], story.judged(), moment)


def test_it_began_with_the_first_dial_that_failed() -> None:
    story = standing(slice_of(*PODS)).run(60)
    story.answer = answers(at_10_0_0_1=REFUSED, at_10_0_0_2=REFUSED)
    since = story.now
    story.run(30)
    first = next(dial.at for dial in story.dials if dial.at >= since)

    assert story.verdict() == "not_listening"
    assert began(story) == first < story.turns[-1].at


def test_a_failure_that_went_over_was_not_the_beginning() -> None:
    story = standing(slice_of(*PODS)).run(60)
    story.answer = answers(at_10_0_0_1=REFUSED)
    while began_not_yet(story):
        story.run(0.1)
    story.answer = answers()
    story.run(60)
    assert story.verdicts() == ["healthy"]
    story.answer = answers(at_10_0_0_1=REFUSED, at_10_0_0_2=REFUSED)
    since = story.now
    story.run(30)

    assert began(story) >= since


def test_an_endpoint_that_is_down_for_long_was_not_how_all_of_them_began_to_fail() -> None:
    story = standing(slice_of(*PODS, "10.0.0.3")).run(60)
    story.answer = answers(at_10_0_0_1=REFUSED)
    story.run(scenes.JUDGED_WITHIN + 60)
    refused = dict.fromkeys(("at_10_0_0_1", "at_10_0_0_2", "at_10_0_0_3"), REFUSED)
    story.answer = answers(**refused)
    story.run(30)

    assert story.verdicts() == ["healthy", "endpoint_down", "not_listening"]
    assert began(story) == story.turns[-1].at


def test_a_terminating_endpoint_that_refuses_is_no_beginning() -> None:
    story = standing(slice_of(*PODS)).run(60)
    story.answer = answers(at_10_0_0_1=REFUSED)
    story.store(slice_of(leaving("10.0.0.1", serving=False), "10.0.0.2"))
    story.run(30)

    (book,) = [book for _, book in story.world.books()]
    assert any(t.outcome == REFUSED for t in book.tracks.values())
    assert book.failing_since == float("inf")


def test_without_an_endpoint_it_began_when_the_last_one_went() -> None:
    story = standing(slice_of("10.0.0.1")).run(60)
    went = story.now
    story.store(slice_of())
    story.run(20)

    assert story.verdict() == "no_endpoints"
    assert began(story) == went


def test_what_is_gone_and_what_nothing_tells_of_began_when_it_was_judged() -> None:
    story = standing(slice_of("10.0.0.1")).run(20)

    assert scenes.began(story.world, [OTHER], 77.0) == 77.0
    assert scenes.began(story.world, [KEY], 77.0) == 77.0


def test_an_edit_of_the_service_is_blamed_for_what_it_broke_and_names_who_did_it() -> None:
    story = standing(slice_of(*PODS)).run(60)
    edited = story.now
    story.answer = answers(at_10_0_0_1=REFUSED, at_10_0_0_2=REFUSED)
    argo = Author("argocd-controller", "2026-11-20T10:16:40Z")
    story.store(service(port(target=8081), author=argo), slice_of(*PODS, number=8081))
    story.run(20)
    found = explained(story)

    assert found is not None
    assert (found.at, found.by) == (edited, "argocd-controller")
    assert found.detail == "port 8080: targetPort 8080 -> 8081"


def test_an_edit_that_is_heard_after_the_first_failed_dial_is_still_blamed() -> None:
    story = standing(slice_of(*PODS)).run(60)
    story.answer = answers(at_10_0_0_1=REFUSED, at_10_0_0_2=REFUSED)
    while began_not_yet(story):
        story.run(0.1)
    story.run(1)
    story.store(service(port(target=8081)), slice_of(*PODS, number=8081))
    story.run(20)
    found = explained(story)

    assert found is not None
    assert 0 < found.at - began(story) < 2


def began_not_yet(story: Story) -> bool:
    (book,) = [book for _, book in story.world.books()]
    return book.failing_since == float("inf")


def test_what_somebody_does_about_a_failure_is_not_blamed_for_it() -> None:
    story = standing(slice_of(*PODS)).run(60)
    story.answer = answers(at_10_0_0_1=REFUSED, at_10_0_0_2=REFUSED)
    story.run(30)
    story.store(workload(image="app:1"))
    story.store(workload(image="app:2"))
    story.store(service(port(target=8082)))
    story.store(service(port(target=8080)))

    assert explained(story) is None


def test_a_pod_that_dies_with_no_change_is_blamed_on_nothing() -> None:
    story = standing(slice_of(*PODS)).run(60)
    story.answer = answers(at_10_0_0_1=REFUSED)
    story.run(20)
    story.store(slice_of(endpoint("10.0.0.1", ready=False), "10.0.0.2"))
    story.store(slice_of("10.0.0.2"))

    assert story.verdict() == "endpoint_down"
    assert explained(story) is None


def test_a_rollout_of_one_service_is_not_blamed_for_anothers_failure() -> None:
    other = service(port(80, 80), name="other", ips=("10.96.0.11",), selector=(("app", "other"),))
    both = [slice_of(*PODS), slice_of("10.0.1.1", service="other", number=80)]
    made = workload(name="other", labels=(("app", "other"),))
    story = Story().listed([service(), other], both, [made, workload()]).run(60)
    story.store(workload(name="other", labels=(("app", "other"),), image="app:2", complete=False))
    story.answer = answers(at_10_0_0_1=REFUSED, at_10_0_0_2=REFUSED)
    story.run(20)
    assert story.verdict() == "not_listening"
    assert explained(story) is None

    (failing,) = {turn.key for turn in story.turns[-1:]}
    judgement = Judgement(Verdict.NOT_LISTENING, "")
    found = scenes.explanation(story.world, [OTHER], judgement, story.now)
    assert failing == KEY
    assert found is not None
    assert found.object == "Deployment demo-app/other"


def test_a_rollout_that_was_under_way_before_us_is_blamed_while_it_runs() -> None:
    rolling = workload(complete=False, rolling=True)
    story = Story().listed([service()], [slice_of(*PODS)], [rolling])
    begun = story.now
    story.run(60)
    drain = Judgement(Verdict.DRAIN_RACE, "")
    found = scenes.explanation(story.world, [KEY], drain, story.now)

    assert found is not None
    assert (found.at, found.object) == (begun, "Deployment demo-app/backend-v1")
    assert found.detail == "already in progress"


def test_a_rollout_that_runs_for_long_is_still_the_one() -> None:
    story = Story().listed([service()], [slice_of(*PODS)], [workload(deadline=7200)]).run(1)
    begun = story.now
    story.store(workload(image="app:2", complete=False, rolling=True, deadline=7200))
    drain = Judgement(Verdict.DRAIN_RACE, "")
    found = scenes.explanation(story.world, [KEY], drain, story.now + 1500)

    assert found is not None
    assert (found.at, found.detail) == (begun, "image app:1 -> app:2")


def test_a_rollout_whose_new_labels_leave_the_service_is_blamed_for_what_it_empties() -> None:
    first, second = (("version", "1"),), (("version", "2"),)
    facts = [service(selector=first)], [slice_of(*PODS)], [workload(labels=first)]
    story = Story().listed(*facts).run(40)
    story.store(workload(image="app:2", labels=second, complete=False, rolling=True))
    begun = story.now
    story.run(5)
    assert {str(dial.phase) for dial in story.dials_since(begun, Kind.SERVICE)} == {"rollout"}
    story.store(slice_of(*(leaving(pod) for pod in PODS)))
    story.run(5)
    story.store(slice_of())
    story.store(workload(image="app:2", labels=second))
    story.run(40)
    found = explained(story)

    assert story.verdict() == "no_endpoints"
    assert found is not None
    assert (found.at, str(found.kind), found.services) == (begun, "rollout", ("backend-v1",))


def test_a_rollout_that_is_over_for_longer_than_a_change_explains_is_none() -> None:
    story = Story().listed([service()], [slice_of(*PODS)], [workload(deadline=7200)]).run(1)
    story.store(workload(image="app:2", complete=False, rolling=True, deadline=7200))
    story.run(2)
    story.store(workload(image="app:2", deadline=7200))
    story.run(40)
    (over,) = story.world.mirror.finished
    assert over.ended is not None
    drain = Judgement(Verdict.DRAIN_RACE, "")
    seconds = 600.0
    found = scenes.explanation(story.world, [KEY], drain, over.ended + seconds)
    assert found is not None

    assert scenes.explanation(story.world, [KEY], drain, over.ended + seconds + 1) is None


def nodes(story: Story, *ready: bool) -> None:
    """node-b and node-c, so."""
    for name, state in zip(("node-b", "node-c"), ready, strict=True):
        story.world.apply(kube.Stored("nodes", Node(name, ready=state)), story.now)


def silent(address: str, *, silent_from: float) -> Story:
    """Endpoints on node-b and node-c, one of which no longer answers."""
    there = [endpoint("10.0.0.1", node="node-b"), endpoint("10.0.0.2", node="node-c")]

    def answer(dial: Dial, now: float) -> Outcome:
        return TIMEOUT if dial.edge.address == address and now >= silent_from else CONNECTED

    story = Story(Config(NODE), answer=answer).listed([service()], [slice_of(*there)])
    story.world.apply(kube.Listed("nodes", (Node("node-b"), Node("node-c"))), story.now)
    return story.run(60)


def test_the_node_of_the_endpoint_that_fails_is_blamed_and_no_other() -> None:
    story = silent("10.0.0.2", silent_from=1060.0)
    nodes(story, True, False)
    story.run(5)
    at, down = story.now, Judgement(Verdict.ENDPOINT_DOWN, "")
    found = scenes.explanation(story.world, [KEY], down, at)
    assert found is not None
    assert found.node == "node-c"

    another = silent("10.0.0.1", silent_from=1060.0)
    nodes(another, True, False)
    another.run(5)
    assert scenes.explanation(another.world, [KEY], down, at) is None


def test_the_node_of_an_endpoint_that_is_gone_by_now_is_remembered() -> None:
    story = silent("", silent_from=0.0)
    nodes(story, True, False)
    story.store(slice_of(endpoint("10.0.0.1", node="node-b")))
    story.store(slice_of())
    empty = Judgement(Verdict.NO_ENDPOINTS, "")
    found = scenes.explanation(story.world, [KEY], empty, story.now)

    assert found is not None
    assert found.node == "node-c"
    assert scenes.explanation(story.world, [OTHER], empty, story.now) is None


def test_a_shared_cause_names_its_node_itself() -> None:
    story = silent("", silent_from=0.0)
    nodes(story, False, True)
    lost = Judgement(Verdict.NODE_PATH, "", cause="node/node-b")
    found = scenes.explanation(story.world, [KEY, OTHER], lost, story.now)

    assert found is not None
    assert found.object == "Node node-b"
    kept = Judgement(Verdict.NODE_PATH, "", cause="node/node-c")
    assert scenes.explanation(story.world, [KEY, OTHER], kept, story.now) is None
