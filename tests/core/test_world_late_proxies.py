"""A kube-proxy that follows its Services late, as all do; only one that never follows is stale."""

from collections.abc import Callable

import pytest

from probe.core.edges import Kind
from probe.core.ledger import PROXY_SYNC
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from probe.core.verdicts import FAILING, PROXY_PATIENCE
from tests.core.facts import (
    CONNECTED,
    NODE,
    REFUSED,
    REJECTED,
    TIMEOUT,
    Story,
    endpoint,
    everything_connects,
    leaving,
    port,
    service,
    slice_of,
    workload,
)
from tests.core.scaling import PODS, alarms, standing, vip_refuses


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


def test_a_proxy_that_is_late_with_the_first_endpoint_races_with_no_removal() -> None:
    """To zero and back: a SYN before the rule is not translated, and times out (edge case 32)."""
    story = standing(1, PODS[0])
    story.store(workload(replicas=0), slice_of(leaving(PODS[0])))
    story.run(1)
    story.store(slice_of())
    story.run(10)
    at = story.now
    story.store(workload(replicas=1), slice_of("10.0.1.1"))
    story.answer = lambda dial, now: TIMEOUT if dial.edge.kind is Kind.SERVICE else CONNECTED
    story.run(1.5)
    story.answer = everything_connects
    story.run(20)

    assert alarms(story, at) == []
    assert story.verdict() == "healthy"


def test_a_proxy_that_is_late_while_the_only_pod_is_replaced_races_with_no_removal() -> None:
    """One pod, evicted: the last one ends, and the first one comes as it is gone."""
    story = standing(1, PODS[0])
    story.store(slice_of(leaving(PODS[0])))
    story.run(3)
    at = story.now
    story.store(slice_of("10.0.1.1"))
    story.answer = lambda dial, now: TIMEOUT if dial.edge.kind is Kind.SERVICE else CONNECTED
    story.run(1.5)
    story.answer = everything_connects
    story.run(20)

    assert alarms(story, at) == []
    assert story.verdict() == "healthy"


def test_a_proxy_that_is_late_with_a_removal_is_not_stale_because_the_port_failed_before() -> None:
    """A wrong targetPort is mended, and a pod goes at that moment: its failures are laid to no
    removal, since they may be what is left of the first fault."""
    wrong = 8081
    story = standing(3, *PODS, "10.0.0.3")
    story.store(service(port(target=wrong)), slice_of(*PODS, "10.0.0.3", number=wrong))
    story.answer = refuses_but(8080)
    story.run(20)
    assert story.verdict() in FAILING
    story.store(service(), slice_of(*PODS, "10.0.0.3"))
    story.answer = everything_connects
    story.run(2)
    assert story.verdict() == "healthy"
    story.store(slice_of(*PODS, leaving("10.0.0.3")))
    story.run(PROXY_SYNC + 0.5)
    late = story.now
    story.answer = vip_refuses
    story.run(12)
    story.answer = everything_connects
    story.run(20)

    assert alarms(story, late) == []
    assert story.verdict() == "healthy"


def refuses_but(number: int) -> Callable[[Dial, float], Outcome]:
    return lambda dial, now: (
        CONNECTED
        if dial.edge.kind is not Kind.SERVICE and dial.edge.dial_port == number
        else REFUSED
    )


def test_a_proxy_that_follows_is_not_stale_however_often_it_goes_to_zero_and_back() -> None:
    story = standing(1, PODS[0])
    for number in range(4):
        story.answer = everything_connects
        story.store(slice_of())
        story.run(9)
        at = story.now
        story.store(slice_of(f"10.0.1.{number + 1}"))
        story.answer = lambda dial, now: REJECTED if dial.edge.kind is Kind.SERVICE else CONNECTED
        story.run(3)

        assert "proxy_stale" not in alarms(story, at)


LATE = [6.0, 12.0, 28.0]
"""Seconds by which a kube-proxy is late that follows nevertheless."""


def behind(lag: float, outcome: Outcome, story: Story) -> None:
    """From now on kube-proxy is late by so much; what is removed refuses."""
    until = story.now + lag

    def answer(dial: Dial, now: float) -> Outcome:
        if dial.edge.kind is Kind.SERVICE:
            return outcome if dial.at < until else CONNECTED
        return REFUSED if dial.edge.address in PODS else CONNECTED

    story.answer = answer


def among(nodes: int, *pods: str) -> Story:
    """The same Service where so many daemons share the dials of its ClusterIP."""
    peers = service(name="probe", ips=())
    daemons = [endpoint(f"10.9.0.{i}", node=NODE if i == 0 else f"n{i}") for i in range(nodes)]
    story = Story(Config(NODE, peers=("demo-app", "probe")))
    slices = [slice_of(*pods), slice_of(*daemons, service="probe")]
    return story.listed([service(), peers], slices, [workload()])


@pytest.mark.parametrize("nodes", [1, 30])
@pytest.mark.parametrize("lag", LATE)
def test_39_a_proxy_that_is_late_with_the_first_endpoints_is_not_stale(
    lag: float, nodes: int
) -> None:
    story = among(nodes)
    story.store(workload(replicas=0))
    story.run(60, step=0.1)
    at = story.now
    behind(lag, REJECTED, story)
    story.store(slice_of("10.0.1.1", "10.0.1.2"), workload())
    story.run(90, step=0.1)

    assert alarms(story, at) == []
    assert story.verdict() == "healthy"


@pytest.mark.parametrize("lag", LATE)
def test_39_a_proxy_that_is_late_after_all_pods_were_deleted_is_not_stale(lag: float) -> None:
    story = standing(2, *PODS).run(60, step=0.1)
    at = story.now
    behind(4 + lag, REFUSED, story)
    story.store(slice_of(*(leaving(pod, serving=False) for pod in PODS)))
    story.run(2, step=0.1)
    story.store(slice_of())
    story.run(2, step=0.1)
    story.store(slice_of("10.0.1.1", "10.0.1.2"))
    story.run(90, step=0.1)

    assert set(alarms(story, at)) <= {"drain_race", "no_endpoints"}
    assert story.verdict() == "healthy"


@pytest.mark.parametrize(("nodes", "lag"), [(3, 13.0), (30, 8.0), (50, 8.0), (50, 28.0)])
def test_39_a_proxy_that_is_late_after_the_only_pod_was_evicted_is_not_stale(
    nodes: int, lag: float
) -> None:
    """However long before the change the ClusterIP was dialed last."""
    for trial in range(8):
        story = among(nodes, PODS[0]).run(60 + 3.7 * trial, step=0.1)
        at = story.now
        behind(lag, TIMEOUT, story)
        story.store(slice_of(leaving(PODS[0], serving=False), "10.0.1.1"))
        story.run(1, step=0.1)
        story.store(slice_of("10.0.1.1"))
        story.run(90, step=0.1)

        assert set(alarms(story, at)) <= {"drain_race"}
        assert story.verdict() == "healthy"


def test_39_a_proxy_that_is_late_with_pods_that_end_as_soon_as_they_are_ready_is_not_stale() -> (
    None
):
    story = standing(2, *PODS).run(30, step=0.1)
    story.store(slice_of())
    story.run(10, step=0.1)
    at = story.now
    behind(8, REJECTED, story)
    story.store(slice_of("10.0.1.1"))
    story.run(2, step=0.1)
    story.store(slice_of(leaving("10.0.1.1")))
    story.run(30, step=0.1)

    assert alarms(story, at) == []
    assert story.verdict() == "healthy"


@pytest.mark.parametrize("nodes", [1, 30])
@pytest.mark.parametrize("before", [(), PODS], ids=["from zero", "replaced"])
def test_39_a_proxy_that_stands_still_is_stale_once_its_patience_is_over(
    before: tuple[str, ...], nodes: int
) -> None:
    story = among(nodes, *before).run(60, step=0.1)
    at = story.now
    behind(1000, REJECTED, story)
    story.store(slice_of("10.0.1.1", "10.0.1.2"))
    story.run(90, step=0.1)

    (told,) = [turn.at - at for turn in story.turns if turn.new.verdict == "proxy_stale"]
    assert PROXY_PATIENCE < told < PROXY_PATIENCE + 2 * max(10, nodes / 2)
    assert set(alarms(story, at)) <= {"drain_race", "proxy_stale"}
    assert story.verdict() == "proxy_stale"


def test_39_a_cluster_ip_that_may_be_late_is_not_said_to_answer() -> None:
    story = standing(0).run(60)
    behind(1000, REJECTED, story)
    story.store(slice_of("10.0.1.1"))
    story.run(PROXY_PATIENCE)

    assert story.verdict() == "unknown"
    assert (
        story.summary() == "1 of 1 endpoints dialed so far, the ClusterIP fails as yet (1 rejected)"
    )
