"""Scaling and replacing pods as a healthy cluster does all day: nobody is to be alarmed by it."""

from collections.abc import Callable

import pytest

from probe.core import kube
from probe.core.edges import Kind, PortKey
from probe.core.ledger import PROXY_SYNC
from probe.core.results import Outcome
from probe.core.rounds import Dial
from probe.core.verdicts import FAILING, PROXY_PATIENCE
from tests.core.facts import (
    CONNECTED,
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
    assert story.summary() == "no endpoints yet: the first pods of its workload are starting"

    story.store(slice_of(PODS[0]))
    story.run(10)
    assert story.verdict() == "healthy"
    assert alarms(story, at) == []


@pytest.mark.parametrize("behind", [0.3, 1.5])
def test_a_first_pod_that_the_workload_tells_of_before_the_slices_is_no_outage(
    behind: float,
) -> None:
    story = standing(0)
    at = story.now
    story.store(workload(replicas=1))
    story.run(10)
    story.store(workload(replicas=1, available=True))
    story.run(behind)
    story.store(workload(replicas=1, available=True), slice_of(PODS[0]))
    story.run(10)

    assert story.verdict() == "healthy"
    assert alarms(story, at) == []


def test_a_workload_that_does_not_start_is_no_information_for_ever() -> None:
    story = standing(0)
    at = story.now
    story.store(workload(replicas=1, deadline=90))
    story.run(85)
    assert alarms(story, at) == []

    story.run(10)
    assert alarms(story, at) == ["no_endpoints"]


def test_a_workload_that_is_made_for_an_old_service_gets_the_same_time() -> None:
    story = Story().listed([service()], [], []).run(40)
    at = story.now
    story.store(workload(replicas=1))
    story.run(10)

    assert alarms(story, at) == []


def test_a_new_workload_has_until_its_deadline_and_a_stuck_one_no_time_at_all() -> None:
    story = Story().listed([service()], [], []).run(40)
    at = story.now
    story.store(workload(replicas=1, deadline=90))
    story.run(85)
    assert alarms(story, at) == []

    story.store(workload(replicas=1, deadline=90, stuck=True))
    story.run(2)
    assert alarms(story, at) == ["no_endpoints"]


def test_a_workload_that_had_a_pod_available_and_lost_it_is_an_outage() -> None:
    story = standing(0)
    at = story.now
    story.store(workload(replicas=1))
    story.run(5)
    story.store(workload(replicas=1, available=True), slice_of(PODS[0]))
    story.run(10)
    assert story.verdict() == "healthy"

    story.store(workload(replicas=1), slice_of(endpoint(PODS[0], ready=False)))
    story.run(10)
    assert alarms(story, at) == ["no_endpoints"]


def test_a_new_workload_beside_one_that_lost_its_pods_does_not_excuse_it() -> None:
    story = standing(2, *PODS)
    at = story.now
    story.store(workload(name="canary", replicas=1))
    story.store(slice_of(*(endpoint(pod, ready=False) for pod in PODS)))
    story.run(10)

    assert alarms(story, at) == ["no_endpoints"]


def test_a_workload_that_is_deleted_and_made_again_starts_anew() -> None:
    story = standing(0)
    story.store(workload(replicas=1, deadline=20))
    story.remove(workload())
    story.run(30)
    at = story.now
    story.store(workload(replicas=1, deadline=20))
    story.run(15)

    assert alarms(story, at) == []


def test_a_first_rollout_that_began_before_us_is_no_outage() -> None:
    fresh = workload(replicas=2, fresh=True)
    story = Story().listed([service()], [slice_of()], [fresh]).run(90)
    assert story.judged().on_purpose

    story.store(workload(replicas=2, fresh=True, available=True))
    story.store(workload(replicas=2, fresh=True))
    story.run(4)
    assert alarms(story, 0.0) == ["no_endpoints"]


def test_a_daemon_set_that_fits_no_node_is_wanted_so_until_a_node_comes() -> None:
    gone = workload(kind="DaemonSet", replicas=1, unplaced=True)
    story = Story().listed([service()], [slice_of()])
    story.world.apply(kube.Listed("daemonsets", (gone,)), story.now)
    story.run(40)
    assert story.summary() == "no endpoints: its DaemonSet fits no node"
    assert alarms(story, 0.0) == []

    at = story.now
    story.store(workload(kind="DaemonSet", replicas=1, deadline=90))
    story.run(85)
    assert alarms(story, at) == []

    story.run(10)
    assert alarms(story, at) == ["no_endpoints"]


def test_what_was_wanted_before_us_gets_none() -> None:
    assert standing(2).run(SETTLE).verdict() == "no_endpoints"
    assert not standing(2).judged().on_purpose


def test_the_last_pods_may_stop_while_the_slice_still_names_them() -> None:
    story = standing(2, *PODS)
    at = story.now
    story.store(workload(replicas=0), slice_of(*map(leaving, PODS)))
    story.run(2)
    story.answer = lambda dial, now: REFUSED
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


def test_a_proxy_that_is_late_with_the_first_endpoint_races_with_no_removal() -> None:
    """To zero and back: a SYN from before the rule is not translated, and times out (row 32)."""
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


def test_a_port_that_is_added_gets_the_time_that_a_new_service_gets() -> None:
    """Its slices come a moment later, kube-proxy's rule another one: until then an unknown port
    of a ClusterIP times out. What was removed before it was there has nothing to do with it."""
    two = service(port(), port(8181, 9090, name="admin"))
    story = standing(2, *PODS, "10.0.0.3")
    story.store(slice_of(*PODS, leaving("10.0.0.3")))
    story.store(slice_of(*PODS))
    story.run(5)
    at = story.now
    story.store(two)
    story.run(1)
    story.answer = vip_refuses
    story.store(slice_of(*PODS, number=9090, port_name="admin", name="admin"))
    story.run(2)
    story.answer = everything_connects
    story.run(20)

    assert alarms(story, at) == []
    assert story.verdict(PortKey("demo-app", "backend-v1", 8181)) == "healthy"


def test_a_rollout_does_not_lead_through_other_failures() -> None:
    """A bad release is rolled back: its pods still refuse while the template is right again."""
    bad, good = PODS, ("10.0.1.1", "10.0.1.2")
    story = standing(2, *bad)
    story.answer = lambda dial, now: REFUSED if dial.edge.address in bad else CONNECTED
    story.run(20)
    assert story.verdict() == "not_listening"
    at = story.now
    story.store(workload(replicas=2, image="app:2", complete=False, rolling=True))
    story.answer = lambda dial, now: TIMEOUT if dial.edge.address in bad else CONNECTED
    story.run(8)
    story.store(slice_of(*(leaving(pod, serving=False) for pod in bad), *good))
    story.store(workload(replicas=2, image="app:2"))
    story.run(10)

    assert alarms(story, at) == []
    assert story.verdict() == "healthy"


def test_confirmations_that_an_outage_of_the_api_server_put_off_come_together() -> None:
    story = standing(2, *PODS)
    story.answer = lambda dial, now: REJECTED if dial.edge.kind is not Kind.SERVICE else CONNECTED
    story.world.stale_seconds = 0.0
    at = story.now
    for _ in range(60):
        story.world.stale_seconds += 1.0
        story.run(1)
    assert alarms(story, at) == []
    story.world.stale_seconds = None
    story.run(20)

    assert {str(turn.new.verdict) for turn in story.turns if turn.at >= at} == {"denied"}


def test_slices_that_empty_and_fill_again_at_once_are_no_outage() -> None:
    """A watch that stood still tells "not ready" and "ready again" one after the other."""
    story = standing(2, *PODS)
    at = story.now
    for _ in range(3):
        story.store(slice_of(*(endpoint(pod, ready=False) for pod in PODS)))
        story.run(0.9)
        story.store(slice_of(*PODS))
        story.run(5)

    assert [turn.new.verdict for turn in story.turns if turn.at >= at] == []
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


def test_the_last_pod_of_those_that_are_published_while_they_end_may_go_before_the_next() -> None:
    """It was held responsible for nothing any more, but it was there until now."""
    ends = endpoint("10.0.0.1", terminating=True)
    story = Story().listed([service()], [slice_of(ends)]).run(40)
    story.store(slice_of())
    story.run(1)
    story.store(slice_of(endpoint("10.0.0.2", ready=True, serving=False)))
    story.run(10)
    assert "no_endpoints" not in story.verdicts()

    story.store(slice_of())
    story.run(4)
    assert story.verdict() == "no_endpoints"
