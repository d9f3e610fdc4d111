"""Scaling and replacing pods as a healthy cluster does all day: nobody is to be alarmed by it."""

import pytest

from probe.core import kube
from probe.core.edges import Kind, PortKey
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
from tests.core.scaling import PODS, alarms, standing, vip_refuses

SETTLE = 30.0


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
