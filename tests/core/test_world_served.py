"""A Service that led to pods and leads to none: who wanted that, and who lost it by mistake."""

from itertools import permutations

import pytest

from probe.core import kube
from probe.core.edges import EndpointSlice, Service
from probe.core.workloads import Workload
from tests.core.facts import Story, endpoint, leaving, service, slice_of, workload
from tests.core.scaling import PODS, alarms

BLUE = (("app", "shop"), ("color", "blue"))
GREEN = (("app", "shop"), ("color", "green"))
SHOP = (("app", "shop"),)

SERVES, EMPTY = slice_of(*PODS), slice_of()
LOST = "; the Service led to other pods before"


def green_serves(*beside: Workload) -> Story:
    green = workload(name="green", labels=GREEN, available=True)
    return Story().listed([service(selector=GREEN)], [SERVES], [green, *beside]).run(40)


@pytest.mark.parametrize("order", list(permutations((service(selector=BLUE), EMPTY))))
def test_a_selector_that_is_pointed_at_a_workload_at_zero_is_an_outage(
    order: tuple[Service | EndpointSlice, ...],
) -> None:
    story = green_serves(workload(name="blue", labels=BLUE, replicas=0))
    at = story.now
    for fact in order:
        story.store(fact)
        story.run(1)
    story.run(5)

    assert alarms(story, at) == ["no_endpoints"]
    assert story.summary() == f"no endpoints: its workload is scaled to zero{LOST}"


def test_nor_is_it_meant_while_that_workload_is_scaled_up_and_its_pods_start() -> None:
    story = green_serves(workload(name="blue", labels=BLUE, replicas=0))
    story.store(service(selector=BLUE), EMPTY)
    story.run(5)
    story.store(workload(name="blue", labels=BLUE, complete=False))
    story.run(5)
    assert not story.judged().on_purpose

    story.store(slice_of("10.0.1.1"))
    story.run(5)
    assert story.verdict() == "healthy"


def test_a_selector_that_is_pointed_at_a_workload_that_does_not_start_is_an_outage() -> None:
    story = green_serves()
    story.store(workload(name="blue", labels=BLUE, complete=False, fresh=True))
    story.run(5)
    at = story.now
    story.store(service(selector=BLUE), EMPTY)
    story.run(5)

    assert alarms(story, at) == ["no_endpoints"]
    assert story.summary() == (
        f"no endpoints yet: the first pods of its workload are starting{LOST}"
    )


def test_a_workload_that_is_made_anew_and_does_not_start_is_an_outage() -> None:
    """kubectl replace --force, where a field cannot be changed."""
    story = Story().listed([service()], [SERVES], [workload(available=True)]).run(40)
    at = story.now
    story.remove(workload())
    story.run(1)
    story.store(workload(image="app:typo", complete=False, fresh=True), EMPTY)
    story.run(60)

    assert alarms(story, at) == ["no_endpoints"]


@pytest.mark.parametrize("order", list(permutations((workload(replicas=0), EMPTY))))
def test_what_is_scaled_to_zero_and_back_is_meant_whatever_is_heard_first(
    order: tuple[Workload | EndpointSlice, ...],
) -> None:
    story = Story().listed([service()], [SERVES], [workload(available=True)]).run(40)
    for _ in range(2):
        at = story.now
        for fact in order:
            story.store(fact)
            story.run(1)
        story.run(10)
        assert story.judged().on_purpose
        story.store(workload(complete=False))
        story.run(10)
        assert story.judged().on_purpose
        story.store(workload(available=True), SERVES)
        story.run(10)
        assert (story.verdict(), alarms(story, at)) == ("healthy", [])


def test_pods_that_end_or_become_ready_late_call_no_zero_in_question() -> None:
    story = Story().listed([service()], [SERVES], [workload(available=True)]).run(40)
    at = story.now
    story.store(workload(replicas=0), slice_of(*PODS, "10.0.0.3"))
    story.run(1)
    story.store(slice_of(*map(leaving, PODS)))
    story.run(5)
    story.store(EMPTY)
    story.run(10)

    assert alarms(story, at) == []
    assert story.judged().on_purpose


def test_pods_that_start_again_before_the_old_ones_are_gone_are_waited_for() -> None:
    """Scaled to zero and back at once, as some restart what they have."""
    story = Story().listed([service()], [SERVES], [workload(available=True)]).run(40)
    at = story.now
    story.store(workload(replicas=0), workload(complete=False))
    story.store(slice_of(*map(leaving, PODS)))
    story.run(2)
    story.store(EMPTY)
    story.run(20)
    assert alarms(story, at) == []

    story.store(workload(available=True), slice_of("10.0.1.1"))
    story.run(10)
    assert story.verdict() == "healthy"


def test_a_switch_to_pods_that_run_leaves_the_old_ones_to_be_scaled_to_zero() -> None:
    story = green_serves(workload(name="blue", labels=BLUE, available=True))
    at = story.now
    story.store(service(selector=BLUE), slice_of("10.0.1.1", "10.0.1.2"))
    story.run(10)
    story.store(workload(name="green", labels=GREEN, replicas=0))
    story.run(10)
    assert (story.verdict(), alarms(story, at)) == ("healthy", [])

    story.store(workload(name="blue", labels=BLUE, replicas=0), EMPTY)
    story.run(10)
    assert story.judged().on_purpose
    assert alarms(story, at) == []


def test_a_selector_that_finds_the_same_pods_by_other_labels_changes_nothing_of_it() -> None:
    story = green_serves()
    at = story.now
    story.store(service(selector=SHOP))
    story.run(10)
    story.store(workload(name="green", labels=GREEN, replicas=0), EMPTY)
    story.run(10)

    assert story.judged().on_purpose
    assert alarms(story, at) == []


def test_a_selector_that_is_edited_while_nothing_is_wanted_accuses_nobody() -> None:
    story = green_serves(workload(name="blue", labels=BLUE, replicas=0))
    at = story.now
    story.store(workload(name="green", labels=GREEN, replicas=0), EMPTY)
    story.run(10)
    story.store(service(selector=BLUE))
    story.run(10)

    assert story.judged().on_purpose
    assert alarms(story, at) == []


def test_of_two_workloads_the_last_one_that_is_scaled_to_zero_decides() -> None:
    blue = workload(name="blue", labels=BLUE, available=True)
    green = workload(name="green", labels=GREEN, available=True)
    story = Story().listed([service(selector=SHOP)], [SERVES], [blue, green]).run(40)
    at = story.now
    story.store(workload(name="blue", labels=BLUE, replicas=0), slice_of(PODS[0]))
    story.run(5)
    story.store(workload(name="green", labels=GREEN, replicas=0), EMPTY)
    story.run(10)

    assert story.judged().on_purpose
    assert alarms(story, at) == []


def test_a_daemon_set_whose_last_node_is_taken_away_fits_none() -> None:
    runs = workload(kind="DaemonSet", replicas=1, available=True)
    story = Story().listed([service()], [SERVES])
    story.world.apply(kube.Listed("daemonsets", (runs,)), story.now)
    story.run(40)
    at = story.now
    story.store(EMPTY, workload(kind="DaemonSet", replicas=1, unplaced=True))
    story.run(10)

    assert story.summary() == "no endpoints: its DaemonSet fits no node"
    assert alarms(story, at) == []


@pytest.mark.parametrize("fresh_list", [True, False])
def test_replica_sets_at_zero_are_believed_since_nobody_watches_them(fresh_list: bool) -> None:
    """An Argo Rollout: its controller points the Service at one ReplicaSet after the other."""
    one, two = (
        workload(name=name, kind="ReplicaSet", labels=labels, replicas=0)
        for name, labels in (("blue", BLUE), ("green", GREEN))
    )
    story = Story().listed([service(selector=GREEN)], [SERVES])
    if not fresh_list:
        story.world.apply(kube.Listed("replicasets", (one,), "demo-app"), story.now)
    story.run(40)
    at = story.now
    story.store(service(selector=BLUE), slice_of("10.0.1.1"))
    story.run(10)
    story.store(EMPTY)
    story.run(1)
    story.world.apply(kube.Listed("replicasets", (one, two), "demo-app"), story.now)
    story.run(10)

    assert story.judged().on_purpose
    assert alarms(story, at) == []


def test_a_service_that_is_made_anew_has_led_nowhere_yet() -> None:
    story = Story().listed([service()], [SERVES], [workload(available=True)]).run(40)
    for gone in (service(), workload()):
        story.remove(gone)
    story.run(1)
    at = story.now
    story.store(service(uid="uid-2"), workload(complete=False, fresh=True), EMPTY)
    story.run(60)
    assert story.judged().on_purpose

    story.store(service(uid="uid-3"))
    story.run(60)
    assert alarms(story, at) == []


FIRST_LISTS: tuple[kube.Event, ...] = (
    kube.Listed("services", (service(),)),
    kube.Listed("endpointslices", (SERVES,)),
    kube.Listed("deployments", (workload(replicas=0),)),
)


@pytest.mark.parametrize("lists", list(permutations(FIRST_LISTS)))
def test_a_zero_whose_pods_still_ended_as_we_began_is_meant(lists: tuple[kube.Event, ...]) -> None:
    story = Story()
    for listed in lists:
        story.world.apply(listed, story.now)
    story.run(2)
    story.store(EMPTY)
    story.run(10)

    assert story.judged().on_purpose
    assert alarms(story, 0.0) == []


def test_published_pods_that_are_not_serving_were_led_to_by_nobody() -> None:
    story = Story().listed([service()], [EMPTY], [workload(replicas=0)]).run(40)
    at = story.now
    story.store(workload(complete=False))
    story.store(slice_of(endpoint("10.0.0.1", serving=False)))
    story.run(2)
    story.store(EMPTY)
    story.run(20)

    assert alarms(story, at) == []
