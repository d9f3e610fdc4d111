import pytest

from probe.core.results import Result
from probe.core.rollouts import (
    REMOVAL_WINDOW,
    Removal,
    Rollout,
    attribute,
    begin,
    ending,
    error_bar,
)
from probe.core.workloads import Workload
from tests.core.facts import workload


def rollout() -> Rollout:
    return begin(workload(deadline=100), ("backend-v1",), "image", 10.0)


def test_a_rollout_lasts_at_most_its_progress_deadline() -> None:
    assert (rollout().started, rollout().deadline) == (10.0, 110.0)
    assert rollout().workload == ("Deployment", "demo-app", "backend-v1")


@pytest.mark.parametrize(
    ("held", "terminating", "now", "word"),
    [
        (workload(), False, 20.0, "complete"),
        (workload(), True, 20.0, ""),
        (workload(complete=False), False, 20.0, ""),
        (workload(complete=False, stuck=True), False, 20.0, "stuck"),
        (workload(), True, 110.0, "overdue"),
        (None, False, 20.0, "deleted"),
    ],
)
def test_a_rollout_ends_when_complete_and_nothing_terminates(
    held: Workload | None, terminating: bool, now: float, word: str
) -> None:
    assert word == ending(rollout(), held, terminating, now)


def test_a_rollout_covers_the_linger_time_after_its_end() -> None:
    found = rollout()
    running = found.covers(1e9, 30.0)
    found.ended = 50.0

    assert running
    assert found.covers(79.9, 30.0)
    assert not found.covers(80.0, 30.0)


def test_no_failure_no_lag_and_no_advice() -> None:
    found = rollout()
    found.count(Result.CONNECTED, 11.0, failed=False)

    assert (found.lag, found.recommended_drain) == (None, None)
    assert found.text() == "none of 1 ClusterIP dials failed"


def test_the_recommended_drain_is_the_lag_its_error_and_a_margin_rounded_up() -> None:
    found = rollout()
    for at in (12.0, 13.0):
        found.count(Result.REFUSED, at, failed=True)
    found.saw_lag(10.2, 0.5)
    found.saw_lag(3.0, 9.0)

    assert (found.first_failure, found.last_failure) == (12.0, 13.0)
    assert found.recommended_drain == 12  # 10.2 + 0.5 + 1.0
    assert found.text() == (
        "2 refused of 2 ClusterIP dials failed, removal lag 10.2 s (up to 0.5 s more), "
        "preStop.sleep of 12 s would have avoided it"
    )


def test_a_removal_without_a_failure_has_no_lag() -> None:
    assert Removal("10.0.0.1", 5.0).lag is None
    assert Removal("10.0.0.1", 5.0, last_failure=8.0).lag == 3.0


def test_a_failure_is_laid_to_the_latest_removal_before_it() -> None:
    early, late = Removal("10.0.0.1", 5.0), Removal("10.0.0.2", 9.0)

    assert early is attribute([early, late], 8.0)
    assert late is attribute([early, late], 9.0)
    assert late is attribute([early, late], 9.0 + REMOVAL_WINDOW - 0.1)
    assert attribute([early, late], 4.9) is None
    assert attribute([early, late], 9.0 + REMOVAL_WINDOW) is None


def test_the_error_of_a_lag_is_three_mean_times_between_meetings() -> None:
    assert pytest.approx(error_bar(4, 20.0)) == 0.6
    assert error_bar(4, 0.0) == 0.0
