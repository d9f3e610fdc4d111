"""A single run: what failed is dialed again, after the slices were read again, before anybody is
accused of it."""

from collections.abc import Iterable

import pytest

from probe.core import kube
from probe.core.edges import EndpointSlice, Kind
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    LOCAL_FAULT,
    NODE,
    REFUSED,
    TIMEOUT,
    VIP,
    Answer,
    Story,
    answers,
    leaving,
    port,
    service,
    slice_of,
    workload,
)

PAUSE = 0.5


def single(*slices: EndpointSlice, answer: Answer) -> Story:
    return Story(Config(NODE, once=True), answer=answer).listed([service()], slices)


def reread(story: Story, *slices: EndpointSlice) -> Story:
    """The slices as they are by now."""
    story.world.apply(kube.Listed("endpointslices", slices), story.now)
    return story


def look(story: Story) -> Story:
    """Dials what is due, until all of it has answered; then time passes."""
    story.run(PAUSE)
    story.world.tick(story.now)
    story.turns += story.world.judge(story.now)
    return story


def looks(story: Story, *slices: EndpointSlice) -> int:
    """Goes on as a check does, the slices staying as they are; how often it looked."""
    for count in range(1, 100):
        look(story)
        if not story.world.undecided():
            return count
        reread(story, *slices).world.confirm(story.now)
    raise AssertionError("it never ends")


def dialed(dials: Iterable[Dial], address: str) -> int:
    return sum(dial.edge.address == address for dial in dials)


def test_a_healthy_service_is_dialed_once() -> None:
    story = single(slice_of("10.0.0.1", "10.0.0.2"), answer=answers())

    assert looks(story) == 1
    assert (story.verdict(), len(story.dials)) == ("healthy", 3)


def test_one_failure_accuses_nobody_and_is_dialed_again() -> None:
    held = slice_of("10.0.0.1", "10.0.0.2")
    story = single(held, answer=answers(at_10_0_0_1=REFUSED))
    look(story)
    assert story.verdict() == "unknown"
    assert story.world.undecided()

    assert looks(story, held) == 2
    assert story.verdict() == "endpoint_down"
    assert [dialed(story.dials, a) for a in ("10.0.0.1", "10.0.0.2", VIP)] == [2, 1, 1]


def test_a_pod_that_went_between_list_and_dial_is_no_failure() -> None:
    story = single(slice_of("10.0.0.1", "10.0.0.2"), answer=answers(at_10_0_0_1=TIMEOUT))
    look(story)
    reread(story, slice_of("10.0.0.2")).world.confirm(story.now)

    assert looks(story, slice_of("10.0.0.2")) == 1
    assert story.verdict() == "healthy"


def test_a_cluster_ip_that_met_a_removed_pod_once_is_no_stale_proxy() -> None:
    held = slice_of("10.0.0.1", "10.0.0.2")
    story = single(held, answer=answers(at_10_96_0_10=REFUSED))
    look(story)
    story.answer = answers()
    reread(story, held).world.confirm(story.now)

    assert looks(story, held) == 1
    assert story.verdict() == "healthy"


def test_a_cluster_ip_that_no_dial_reaches_is_a_stale_proxy() -> None:
    """Not before kube-proxy has surely followed: the first list may tell what was just changed."""
    held = slice_of("10.0.0.1", "10.0.0.2")
    story = single(held, answer=answers(at_10_96_0_10=TIMEOUT))

    looks(story, held)
    assert story.verdict() == "proxy_stale"
    assert 5 <= story.now - 1000 < 7
    assert [dialed(story.dials, a) for a in ("10.0.0.1", "10.0.0.2")] == [1, 1]


def test_a_cluster_ip_that_follows_late_is_healthy() -> None:
    held = slice_of("10.0.0.1", "10.0.0.2")

    def answer(dial: Dial, now: float) -> Outcome:
        return REFUSED if dial.edge.kind is Kind.SERVICE and now < 1003 else CONNECTED

    story = single(held, answer=answer)

    looks(story, held)
    assert story.verdict() == "healthy"


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(3.0, "healthy"), (100.0, "proxy_stale")],
    ids=["it follows", "it never follows"],
)
def test_kube_proxy_is_given_time_to_follow_what_changed_under_us(
    seconds: float, verdict: str
) -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        behind = dial.edge.kind is Kind.SERVICE and now < 1000.0 + seconds
        return REFUSED if behind or dial.edge.address == "10.0.0.1" else CONNECTED

    story = single(slice_of("10.0.0.1", "10.0.0.2"), answer=answer)
    look(story)
    held = slice_of(leaving("10.0.0.1"), "10.0.0.2")
    reread(story, held).world.confirm(story.now)

    looks(story, held)
    assert story.verdict() == verdict
    assert story.now - 1000 < 10


def test_what_lost_its_endpoints_meanwhile_says_so() -> None:
    story = single(slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=REFUSED))
    look(story)
    reread(story, slice_of()).world.confirm(story.now)

    looks(story, slice_of())
    assert story.verdict() == "no_endpoints"


def test_a_pod_that_came_meanwhile_is_given_time_to_start() -> None:
    story = single(slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=TIMEOUT, at_10_0_0_2=REFUSED))
    look(story)
    reread(story, slice_of("10.0.0.2")).world.confirm(story.now)

    looks(story, slice_of("10.0.0.2"))
    assert story.verdict() == "unknown"
    assert story.summary() == "1 of 1 endpoints are new and not judged yet"


def test_what_takes_no_traffic_is_not_dialed_again() -> None:
    held = slice_of(leaving("10.0.0.1"), "10.0.0.2")
    story = single(held, answer=answers(at_10_0_0_1=REFUSED))

    assert looks(story, held) == 1
    assert story.verdict() == "healthy"


def test_an_edge_that_turns_has_the_others_of_its_port_dialed_again() -> None:
    """The ClusterIP answered, the slices change, and now it does not: so may the endpoints."""
    story = single(slice_of("10.0.0.1", "10.0.0.2"), answer=answers(at_10_0_0_1=REFUSED))
    look(story)
    story.answer = lambda dial, now: REFUSED
    held = slice_of("10.0.0.2")
    reread(story, held).world.confirm(story.now)

    looks(story, held)
    assert story.verdict() == "not_listening"


def test_a_silent_pod_among_others_on_its_node_has_them_dialed_again() -> None:
    """They answered before it fell silent: whether the node does by now is what they tell."""
    other = service(name="other", ips=())
    story = single(slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=TIMEOUT))
    story.world.apply(kube.Stored("services", other), story.now)
    held = slice_of("10.0.0.1"), slice_of("10.0.0.9", service="other")
    reread(story, *held)

    looks(story, *held)
    assert story.verdict() == "blackholed"
    assert dialed(story.dials, "10.0.0.9") == 2


def test_candidates_follow_what_was_confirmed() -> None:
    story = Story(
        Config(NODE, once=True),
        answer=lambda dial, now: REFUSED if dial.edge.kind is not Kind.CANDIDATE else CONNECTED,
    )
    held = slice_of("10.0.0.1", number=8081)
    story.listed([service(port(8080, 8081))], [held], [workload(DECLARED_8080)])
    look(story)
    assert not [d for d in story.dials if d.edge.kind is Kind.CANDIDATE]

    looks(story, held)
    assert story.verdict() == "port_mismatch"


def test_a_cluster_ip_that_a_laptop_does_not_reach_is_no_node_s_proxy() -> None:
    story = Story(
        Config("laptop", once=True, on_node=False), answer=answers(at_10_96_0_10=TIMEOUT)
    ).listed([service()], [slice_of("10.0.0.1")])
    looks(story, slice_of("10.0.0.1"))

    assert story.verdict() == "proxy_stale"
    assert "on this node" not in story.summary()
    assert "laptop" not in story.judged().cause


def test_a_candidate_that_met_our_own_fault_is_dialed_again() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        if dial.edge.kind is not Kind.CANDIDATE:
            return REFUSED
        return LOCAL_FAULT if now < 1000 + 3 * PAUSE else CONNECTED

    story = Story(Config(NODE, once=True), answer=answer)
    held = slice_of("10.0.0.1", number=8081)
    story.listed([service(port(8080, 8081))], [held], [workload(DECLARED_8080)])

    looks(story, held)
    assert story.verdict() == "port_mismatch"
