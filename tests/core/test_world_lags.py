"""How late a proxy was with a removal, as rollouts tell it: whose lag it is, for how long."""

from dataclasses import replace

import pytest

from probe.core.rollouts import Rollout
from probe.core.rounds import Config
from tests.core.facts import NODE, Story, endpoint, leaving, service, slice_of, workload
from tests.core.rolling import PODS, Rolling

NEW = ("10.0.1.0", "10.0.1.1")
ROLLING = workload(image="app:2", complete=False, rolling=True)


def standing(network: Rolling, interval: float = 10.0) -> Story:
    story = Story(Config(NODE, interval=interval), answer=network)
    return story.listed([service()], [slice_of(*PODS)], [workload()]).run(2 * interval, step=0.1)


def replace_at_once(story: Story, network: Rolling) -> None:
    """Both pods replaced by two others within three seconds."""
    story.store(ROLLING)
    network.pods += NEW
    story.store(slice_of(*network.pods))
    story.run(2)
    for pod in PODS:
        network.remove(pod, story.now)
    story.store(slice_of(*network.pods, *(leaving(pod, serving=False) for pod in PODS)))
    story.run(1)
    story.store(slice_of(*network.pods), workload(image="app:2"))


def ever(story: Story) -> list[Rollout]:
    """All rollouts there were, in their order."""
    mirror = story.world.mirror
    return [*mirror.finished, *mirror.rollouts.values()]


@pytest.mark.parametrize(
    ("late", "seen"), [(6.0, True), (28.0, True), (31.5, False), (45.0, False), (90.0, False)]
)
def test_a_lag_whose_end_nobody_saw_is_told_as_no_drain(late: float, seen: bool) -> None:
    """The rollout is watched closely until 31.0 s after the removal."""
    network = Rolling(late)
    story = standing(network)
    replace_at_once(story, network)
    story.run(100)
    (found,) = ever(story)

    assert found.lag is not None
    assert (found.censored, found.unconfirmed) == (not seen, 0)
    if seen:
        assert late < (found.recommended_drain or 0) <= late + 3
    else:
        assert found.recommended_drain is None


@pytest.mark.parametrize("interval", [10.0, 30.0, 60.0])
def test_a_few_seconds_after_the_last_failure_all_are_settled(interval: float) -> None:
    """Whoever watches waits for that; the next round may come an interval later."""
    network = Rolling(9.0)
    story = standing(network, interval)
    replace_at_once(story, network)
    story.run(7)
    (found,) = ever(story)
    assert found.unconfirmed > 0

    story.run(8)
    assert (found.unconfirmed, found.censored) == (0, False)
    assert found.lag == pytest.approx(9.0, abs=0.5)


def test_a_scale_up_is_not_charged_with_the_lag_of_the_rollout_before_it() -> None:
    network = Rolling(20.0)
    story = standing(network)
    replace_at_once(story, network)
    story.run(5)
    more = replace(workload(image="app:2", replicas=3), generation=3)
    story.store(replace(more, complete=False))
    network.pods.append("10.0.1.9")
    story.store(slice_of(*network.pods), more)
    story.run(60)
    rolled, scaled = ever(story)

    assert rolled.lag == pytest.approx(20.0, abs=0.5)
    assert (scaled.failed.total() > 0, scaled.lag, scaled.recommended_drain) == (True, None, None)


def test_of_two_workloads_behind_a_service_the_one_that_lost_the_pod_has_the_lag() -> None:
    network = Rolling(6.0)
    pods = endpoint(PODS[0], pod="a-7d4b9c6f5d-x2x5k"), endpoint(PODS[1], pod="b-7d4b9c6f5d-x2x5k")
    both = [workload(name="a"), workload(name="b")]
    story = Story(answer=network).listed([service()], [slice_of(*pods)], both).run(20, step=0.1)
    story.store(*(replace(ROLLING, name=name) for name in "ab"))
    network.pods += NEW
    story.store(slice_of(*pods, *NEW))
    story.run(3)
    network.remove(PODS[1], story.now)
    story.store(slice_of(pods[0], replace(pods[1], ready=False, terminating=True), *NEW))
    story.run(30)
    a, b = story.world.mirror.rollouts_of(("demo-app", "backend-v1"))

    assert (a.workload[2], a.lag) == ("a", None)
    assert b.lag == pytest.approx(6.0, abs=0.5)


def test_a_service_that_goes_leaves_nothing_unconfirmed() -> None:
    network = Rolling(9.0)
    story = standing(network)
    replace_at_once(story, network)
    story.run(3)
    (found,) = ever(story)
    assert found.unconfirmed > 0
    story.remove(service())

    assert found.unconfirmed == 0


def test_a_change_inside_a_rollout_brings_its_own_deadline() -> None:
    story = standing(Rolling(0.0))
    story.store(replace(ROLLING, progress_deadline_seconds=60))
    story.run(5, step=0.1)
    later = workload(image="app:3", complete=False, rolling=True, deadline=20)
    story.store(later)
    story.run(25, step=0.1)

    assert [found.outcome for found in ever(story)] == ["overdue"]


def test_pods_that_end_for_longer_than_the_deadline_hold_a_rollout_no_longer_than_that() -> None:
    story = standing(Rolling(0.0))
    story.store(replace(ROLLING, progress_deadline_seconds=20))
    story.run(1)
    story.store(workload(image="app:2", deadline=20))
    story.store(slice_of(leaving(PODS[0]), PODS[1]))
    story.run(60, step=0.1)
    (found,) = ever(story)

    assert found.ended == found.deadline
    assert story.world.mirror.rollouts == {}
