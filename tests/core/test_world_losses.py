"""Dials that are lost now and then: told while it lasts, and never where something else is why."""

from random import Random

import pytest

from probe.core.edges import Kind
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from tests.core.facts import (
    CONNECTED,
    NODE,
    REFUSED,
    REJECTED,
    RESET,
    TIMEOUT,
    UNREACHABLE,
    VIP,
    Answer,
    Story,
    answers,
    endpoint,
    leaving,
    service,
    slice_of,
    standing,
    workload,
)
from tests.core.rolling import PODS, Rolling, roll

LATE = CONNECTED._replace(syn_retransmits=1)
TEN = tuple(f"10.0.0.{i}" for i in range(1, 11))
MINUTE = 60.0


def now_and_then(share: float, outcome: Outcome, *kinds: Kind) -> Answer:
    """That share of the dials of these kinds ends so, as a die falls."""
    die = Random(1)

    def answer(dial: Dial, now: float) -> Outcome:
        return outcome if dial.edge.kind in kinds and die.random() < share else CONNECTED

    return answer


def ran(story: Story, seconds: float) -> Story:
    return story.run(seconds, step=0.2)


@pytest.mark.parametrize("outcome", [TIMEOUT, UNREACHABLE, REFUSED, RESET])
def test_31_one_stale_backend_of_ten_is_told_and_the_proxy_named(outcome: Outcome) -> None:
    """Its address is nobody's any more, or another pod's, which does not listen there."""
    story = ran(standing(slice_of(*TEN)), MINUTE)
    story.answer = now_and_then(0.1, outcome, Kind.SERVICE)
    ran(story, 10 * MINUTE)

    assert story.verdicts() == ["healthy", "lossy"]
    assert "dials of the ClusterIP in 4 min never connected" in story.summary()
    assert "kube-proxy's rules may hold an endpoint that is gone" in story.summary()


def test_31_three_failures_in_a_row_of_many_are_no_proxy_that_is_stale() -> None:
    story = ran(standing(slice_of(*TEN)), MINUTE)
    story.answer = now_and_then(0.3, TIMEOUT, Kind.SERVICE)
    ran(story, 30 * MINUTE)
    assert story.verdicts() == ["healthy", "lossy"]

    story.answer = answers(at_10_96_0_10=TIMEOUT)
    ran(story, MINUTE)
    assert story.verdict() == "proxy_stale"


def test_a_link_that_loses_a_tenth_of_what_goes_over_it_is_told() -> None:
    story = ran(standing(slice_of(*TEN)), MINUTE)
    story.answer = now_and_then(0.1, TIMEOUT, Kind.ENDPOINT)
    ran(story, 10 * MINUTE)

    assert "lossy" in story.verdicts()
    assert "dials of the endpoints in 4 min never connected" in story.summary()


@pytest.mark.parametrize("share", [0.001, 0.01])
def test_33_what_is_lost_in_any_cluster_is_not_told(share: float) -> None:
    story = standing(slice_of(*TEN))
    story.answer = now_and_then(share, LATE, Kind.ENDPOINT, Kind.SERVICE)
    ran(story, 30 * MINUTE)

    assert story.verdicts() == ["healthy"]


def test_33_a_minute_of_loss_is_over_before_its_alert_would_have_held() -> None:
    story = ran(standing(slice_of("10.0.0.1")), MINUTE)
    story.answer = lambda dial, now: LATE
    ran(story, MINUTE)
    assert story.verdict() == "lossy"

    story.answer = answers()
    ran(story, 4 * MINUTE)
    assert story.verdict() == "healthy"


def test_33_a_blip_that_many_endpoints_saw_is_not_told() -> None:
    story = ran(standing(slice_of(*(f"10.0.0.{i}" for i in range(1, 61)))), MINUTE)
    story.answer = lambda dial, now: LATE
    ran(story, 2)
    story.answer = answers()
    ran(story, 5 * MINUTE)

    assert story.verdicts() == ["healthy"]


@pytest.mark.slow
def test_where_a_hundred_nodes_share_the_cluster_ip_it_is_told_and_ends() -> None:
    """Each dials it every 50 s."""
    peers = service(name="probe", ips=("None",))
    daemons = [endpoint(f"10.1.0.{i}", node=NODE if i == 0 else f"n{i}") for i in range(100)]
    story = Story(Config(NODE, peers=("demo-app", "probe")))
    story.listed([service(), peers], [slice_of(*TEN), slice_of(*daemons, service="probe")])
    ran(story, 3 * MINUTE)
    story.answer = now_and_then(0.2, TIMEOUT, Kind.SERVICE)
    ran(story, 40 * MINUTE)
    assert story.verdict() == "lossy"

    story.answer = answers()
    ran(story, 21 * MINUTE)
    assert story.verdict() == "healthy"


# An endpoint that fails again and again.


def one_of(pods: tuple[str, ...], share: float, seed: int = 7) -> Answer:
    """The first of them refuses that share of its connections, and the ClusterIP leads there too,
    as a die falls."""
    die = Random(seed)

    def answer(dial: Dial, now: float) -> Outcome:
        pod = die.choice(pods) if dial.edge.kind is Kind.SERVICE else dial.edge.address
        return REFUSED if pod == pods[0] and die.random() < share else CONNECTED

    return answer


@pytest.mark.slow
@pytest.mark.parametrize("pods", [TEN[:2], TEN], ids=["one of two", "one of ten"])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_31_a_pod_that_refuses_half_of_its_connections_is_down_for_as_long_as_it_does(
    share: float, pods: tuple[str, ...]
) -> None:
    story = ran(standing(slice_of(*pods)), 2 * MINUTE)
    story.answer = one_of(pods, share)
    ran(story, 10 * MINUTE)
    found = len(story.turns)
    assert story.verdict() == "endpoint_down"
    assert set(story.verdicts()) <= {"healthy", "endpoint_down", "lossy"}

    for _ in range(40):
        ran(story, MINUTE)
        assert story.verdict() == "endpoint_down"
        assert f"1 of {len(pods)} endpoints fail" in story.summary()
    assert len(story.turns) == found

    story.answer = answers()
    ran(story, 3 * MINUTE)
    assert story.verdicts()[found:] == ["healthy"]


def test_a_pod_that_fails_again_and_again_is_named_while_it_answers() -> None:
    story = ran(standing(slice_of(*TEN)), 2 * MINUTE)
    for _ in range(4):
        story.answer = answers(at_10_0_0_1=REFUSED)
        ran(story, MINUTE / 2)
        story.answer = answers()
        ran(story, MINUTE / 2)

    assert story.verdict() == "endpoint_down"
    assert story.summary() == "1 of 10 endpoints fail again and again: 10.0.0.1:8080"


@pytest.mark.parametrize("times", [1, 2])
def test_a_pod_that_restarts_leaves_nothing_behind(times: int) -> None:
    story = ran(standing(slice_of(*TEN[:2])), 2 * MINUTE)
    for _ in range(times):
        story.answer = answers(at_10_0_0_1=REFUSED)
        ran(story, MINUTE / 3)
        story.answer = answers()
        ran(story, MINUTE / 2)
        assert story.verdict() == "healthy"
    ran(story, 5 * MINUTE)

    assert story.verdicts() == ["healthy", *["endpoint_down", "healthy"] * times]


# What is not lost now and then.


@pytest.mark.parametrize("removed", [REFUSED, TIMEOUT])
def test_13_rollouts_one_after_the_other_are_no_loss(removed: Outcome) -> None:
    story = Story().listed([service()], [slice_of(*PODS)], [workload()]).run(60)
    for _ in range(4):
        network = Rolling(lag=8.0)
        story.answer = lambda dial, now, of=network: (  # type: ignore[misc]
            removed if of(dial, now) is REFUSED else CONNECTED
        )
        roll(story, network)
        story.run(50, step=0.1)
        story.store(slice_of(*PODS))

    assert "lossy" not in story.verdicts()


@pytest.mark.parametrize("removed", [REFUSED, TIMEOUT])
def test_13_pods_that_are_deleted_and_replaced_are_no_loss(removed: Outcome) -> None:
    """By nobody's rollout: the proxy sends to each for some seconds after it went."""
    story, pods, gone = standing(slice_of(*TEN)), list(TEN), {"": 0.0}
    die = Random(2)

    def answer(dial: Dial, now: float) -> Outcome:
        if dial.edge.kind is not Kind.SERVICE:
            return removed if dial.edge.address in gone else CONNECTED
        stale = [pod for pod, at in gone.items() if at > now - 10]
        return removed if stale and die.random() < 0.5 else CONNECTED

    story.answer = answer
    ran(story, MINUTE)
    for i in range(12):
        old, new = pods[i % 10], f"10.0.1.{i}"
        gone[old] = story.now
        story.store(slice_of(*[p for p in pods if p != old], leaving(old, serving=False)))
        ran(story, 3)
        pods[i % 10] = new
        story.store(slice_of(*pods))
        ran(story, 30)

    assert "lossy" not in story.verdicts()


def test_a_container_that_restarts_again_and_again_is_no_loss() -> None:
    """It refuses for a second before its slice says so."""
    story = standing(slice_of(*PODS))
    ran(story, MINUTE)
    for _ in range(12):
        story.answer = answers(at_10_0_0_1=REFUSED)
        story.world.ask(("demo-app", "backend-v1"), story.now)
        ran(story, 1)
        story.store(slice_of(endpoint("10.0.0.1", ready=False), "10.0.0.2"))
        ran(story, 3)
        story.answer = answers()
        story.store(slice_of(*PODS))
        ran(story, 20)

    assert "lossy" not in story.verdicts()


def test_pods_that_come_before_they_listen_are_no_loss() -> None:
    """By nobody's rollout: the ClusterIP leads to the new one, which is given time to settle."""
    story, pods, die = standing(slice_of(*TEN)), list(TEN), Random(4)
    ran(story, MINUTE)
    for i in range(12):
        pods.append(f"10.0.1.{i}")
        story.store(slice_of(*pods))
        story.answer = lambda dial, now, new=pods[-1]: (  # type: ignore[misc]
            REFUSED if dial.edge.address == new or at_vip(dial, die) else CONNECTED
        )
        ran(story, 20)
        story.answer = answers()
        ran(story, 20)

    assert "lossy" not in story.verdicts()


def at_vip(dial: Dial, die: Random) -> bool:
    """Whether a dial of the ClusterIP is sent to one of its ten pods."""
    return dial.edge.address == VIP and die.random() < 0.1


def test_what_a_failing_endpoint_explains_is_forgotten_with_it() -> None:
    """The ClusterIP leads to it now and then."""
    story = ran(standing(slice_of(*TEN)), MINUTE)
    die = Random(3)

    def answer(dial: Dial, now: float) -> Outcome:
        return TIMEOUT if dial.edge.address == TEN[0] or at_vip(dial, die) else CONNECTED

    for _ in range(6):
        story.answer = answer
        ran(story, 2 * MINUTE)
        assert story.verdict() == "endpoint_down"
        story.answer = answers()
        ran(story, MINUTE / 2)

    assert set(story.verdicts()) == {"healthy", "endpoint_down"}


def test_38_what_fails_while_the_api_server_is_away_is_no_loss() -> None:
    story = ran(standing(slice_of(*TEN)), MINUTE)
    story.world.stale_seconds = 60.0
    story.answer = now_and_then(0.2, TIMEOUT, Kind.SERVICE)
    ran(story, 10 * MINUTE)

    assert "lossy" not in story.verdicts()


def test_1_a_reject_rule_that_answers_now_and_then_is_no_loss() -> None:
    """It is a proxy's that has no endpoint yet, or a firewall's: nothing got lost."""
    story = ran(standing(slice_of(*TEN)), MINUTE)
    story.answer = now_and_then(0.2, REJECTED, Kind.SERVICE)
    ran(story, 10 * MINUTE)

    assert "lossy" not in story.verdicts()


def test_13_an_endpoint_that_ends_slowly_takes_no_traffic_and_loses_none() -> None:
    story = ran(standing(slice_of(leaving("10.0.0.1"), "10.0.0.2")), MINUTE)
    story.answer = lambda dial, now: LATE if dial.edge.address == "10.0.0.1" else CONNECTED
    ran(story, 10 * MINUTE)

    assert story.verdicts() == ["healthy"]
    (book,) = (book for _, book in story.world.books())
    assert book.retransmits[Kind.ENDPOINT] > 0
