"""Scaling and replacing pods as a healthy cluster does all day: nobody is to be alarmed by it."""

import pytest

from probe.core.edges import Kind
from probe.core.ledger import PROXY_SYNC
from probe.core.results import Outcome
from probe.core.rounds import Dial
from probe.core.verdicts import FAILING, PROXY_PATIENCE
from tests.core.facts import (
    CONNECTED,
    REFUSED,
    Story,
    endpoint,
    everything_connects,
    leaving,
    service,
    slice_of,
    workload,
)

PODS = ("10.0.0.1", "10.0.0.2")
SETTLE = 30.0


def alarms(story: Story, since: float) -> list[str]:
    """Verdicts since then that would page somebody."""
    return [
        str(turn.new.verdict)
        for turn in story.turns
        if turn.at >= since and turn.new.verdict in FAILING and not turn.new.on_purpose
    ]


def vip_refuses(dial: Dial, now: float) -> Outcome:
    return REFUSED if dial.edge.kind is Kind.SERVICE else CONNECTED


def standing(replicas: int, *pods: str) -> Story:
    story = Story().listed([service()], [slice_of(*pods)], [workload(replicas=replicas)])
    return story.run(15)


def test_a_workload_that_is_scaled_up_from_zero_gets_time_to_start() -> None:
    story = standing(0)
    at = story.now
    story.store(workload(replicas=1))
    story.run(10)
    assert alarms(story, at) == []
    assert story.summary() == "no endpoints yet: its workload has just been scaled up from zero"

    story.store(slice_of(PODS[0]))
    story.run(10)
    assert story.verdict() == "healthy"
    assert alarms(story, at) == []


def test_a_workload_that_does_not_start_is_no_information_for_ever() -> None:
    story = standing(0)
    at = story.now
    story.store(workload(replicas=1))
    story.run(SETTLE + 2)

    assert alarms(story, at) == ["no_endpoints"]


def test_a_workload_that_is_made_for_an_old_service_gets_the_same_time() -> None:
    story = Story().listed([service()], [], []).run(40)
    at = story.now
    story.store(workload(replicas=1))
    story.run(10)

    assert alarms(story, at) == []


def test_what_was_wanted_before_us_gets_none() -> None:
    assert standing(2).run(SETTLE).verdict() == "no_endpoints"
    assert not standing(2).judged().on_purpose


def test_the_last_pods_may_stop_while_the_slice_still_names_them() -> None:
    story = standing(2, *PODS)
    at = story.now
    story.store(workload(replicas=0), slice_of(*map(leaving, PODS)))
    story.run(2)
    story.answer = vip_refuses
    story.run(2)
    story.store(slice_of())
    story.run(40)

    assert alarms(story, at) == []
    assert story.judged().on_purpose


def test_a_cluster_ip_is_not_held_to_what_was_behind_it_before() -> None:
    """Pods that refuse are replaced one by one by pods that answer."""
    bad, good = PODS, ("10.0.1.1", "10.0.1.2")

    def answer(dial: Dial, now: float) -> Outcome:
        if dial.edge.kind is Kind.SERVICE:
            return REFUSED if now < replaced + 1 else CONNECTED  # kube-proxy's minSyncPeriod
        return REFUSED if dial.edge.address in bad else CONNECTED

    replaced = float("inf")
    story = Story(answer=answer).listed([service()], [slice_of(*bad)]).run(45)
    assert story.verdict() == "not_listening"
    story.store(slice_of(endpoint(bad[0]), leaving(bad[1], serving=False), good[0]))
    story.run(1)
    replaced = at = story.now
    story.store(slice_of(*(leaving(pod, serving=False) for pod in bad), *good))
    story.run(20)

    assert alarms(story, at) == []
    assert story.verdict() == "healthy"


@pytest.mark.parametrize("every", [1.0, PROXY_SYNC - 1])
def test_a_proxy_is_stale_even_where_endpoints_never_come_to_rest(every: float) -> None:
    story = standing(3, *PODS)
    story.answer = vip_refuses
    for number in range(int((PROXY_PATIENCE + 30) / every)):
        story.store(slice_of(*PODS, f"10.0.2.{number % 2 + 1}"))
        story.run(every)

    assert "proxy_stale" in story.verdicts()


def test_a_proxy_that_follows_within_its_time_is_not_stale() -> None:
    story = standing(2, *PODS)
    at = story.now
    story.store(slice_of(*PODS, "10.0.0.3"))
    story.answer = vip_refuses
    story.run(2)
    story.answer = everything_connects
    story.run(20)

    assert alarms(story, at) == []
