import pytest

from probe.core.results import Result
from probe.core.rollouts import (
    REMOVAL_WINDOW,
    Removal,
    Rollout,
    attribute,
    begin,
    dial_rate,
    ending,
    error_bar,
    owns,
    removed_with,
)
from probe.core.workloads import Workload
from tests.core.facts import KEY, workload


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
        (workload(), True, 110.0, "complete"),
        (workload(complete=False), False, 110.0, "overdue"),
        (None, False, 20.0, "deleted"),
    ],
)
def test_a_rollout_ends_when_complete_and_nothing_terminates(
    held: Workload | None, terminating: bool, now: float, word: str
) -> None:
    assert word == ending(rollout(), held, terminating, now)


def test_with_each_progress_its_deadline_begins_anew() -> None:
    found = rollout()
    found.progressed(109.0)

    assert ending(found, workload(complete=False), False, 208.9) == ""
    assert ending(found, workload(complete=False), False, 209.0) == "overdue"


def test_a_rollout_covers_the_linger_time_after_its_end() -> None:
    found = rollout()
    running = found.covers(1e9, 30.0)
    found.ended = 50.0

    assert running
    assert found.covers(79.9, 30.0)
    assert not found.covers(80.0, 30.0)


def test_no_failure_no_lag_and_no_advice() -> None:
    found = rollout()
    found.count(KEY, Result.CONNECTED, 11.0)

    assert (found.lag, found.recommended_drain) == (None, None)
    assert found.text() == "none of 1 ClusterIP dials failed"


def test_the_recommended_drain_is_the_lag_its_error_and_a_margin_rounded_up() -> None:
    found = rollout()
    for at in (12.0, 13.0):
        found.count(KEY, Result.REFUSED, at)
    found.saw_lag(10.2, 0.5)
    found.saw_lag(3.0, 9.0)

    assert (found.first_failure, found.last_failure) == (12.0, 13.0)
    assert found.recommended_drain == 12  # 10.2 + 0.5 + 1.0
    assert found.text() == (
        "2 refused of 2 ClusterIP dials failed, removal lag 10.2 s (up to 0.5 s more), "
        "preStop.sleep of 12 s would have avoided it"
    )


def test_failures_of_new_endpoints_are_told_beside_those_of_the_cluster_ip() -> None:
    found = rollout()
    found.failed_new[Result.REFUSED] += 3

    assert found.text() == (
        "none of 0 ClusterIP dials failed, "
        "3 dials of new endpoints failed that a readinessProbe holds back"
    )


def test_failures_are_first_and_last_by_when_their_dials_began() -> None:
    """A timeout is known seconds after a refusal that began later."""
    found = rollout()
    for at in (14.0, 12.0, 16.0, 13.0):
        found.count(KEY, Result.TIMEOUT, at)

    assert (found.first_failure, found.last_failure) == (12.0, 16.0)


def test_the_longest_gap_is_between_two_successes_of_one_port_with_a_failure_between() -> None:
    found = rollout()
    other = KEY._replace(port=9090)
    for port, at, result in (
        (KEY, 11.0, Result.CONNECTED),
        (KEY, 19.0, Result.CONNECTED),  # nothing failed: it was dialed seldom
        (KEY, 20.0, Result.REFUSED),
        (other, 20.5, Result.CONNECTED),
        (KEY, 21.0, Result.LOCAL_FAULT),
        (KEY, 22.5, Result.CONNECTED),
        (KEY, 24.0, Result.REFUSED),
        (KEY, 25.0, Result.CONNECTED),
    ):
        found.count(port, result, at)
    assert found.longest_gap == 3.5

    found.count(other, Result.TIMEOUT, 30.0)
    assert found.longest_gap == 9.5  # and nothing connected since


def test_a_pause_after_what_failed_has_connected_again_is_no_gap() -> None:
    found = rollout()
    for at, result in (
        (11.0, Result.REFUSED),
        (11.5, Result.CONNECTED),
        (40.0, Result.CONNECTED),
    ):
        found.count(KEY, result, at)

    assert found.longest_gap == 1.5


def test_without_any_success_the_gap_is_as_old_as_the_rollout() -> None:
    found = rollout()
    found.count(KEY, Result.REFUSED, 12.0)

    assert found.longest_gap == 2.0


def test_what_is_not_settled_yet_makes_the_drain_a_lower_bound() -> None:
    found = rollout()
    found.saw_lag(3.0, 0.5, 15.0)
    found.unconfirmed = 2

    assert found.text() == (
        "none of 0 ClusterIP dials failed, removal lag at least 3.0 s (up to 0.5 s more), "
        "preStop.sleep of at least 5 s would have avoided it"
    )


def test_failures_within_an_error_bar_of_when_we_see_less_are_no_end() -> None:
    found = rollout()
    found.saw_lag(3.0, 0.5, 15.0)
    found.saw_lag(1.0, 0.5, 14.0)
    found.cut(15.6)
    assert (found.censored, found.recommended_drain) == (False, 5)

    found.saw_lag(3.4, 0.2, 15.4)  # confirmed later
    found.cut(99.0)
    assert (found.censored, found.recommended_drain) == (True, None)
    assert found.text() == (
        "none of 0 ClusterIP dials failed, removed endpoints still sent to after 3.4 s, "
        "look at kube-proxy on this node"
    )


def test_a_rollout_that_is_cut_right_after_a_failure_is_censored() -> None:
    found, clean = rollout(), rollout()
    found.saw_lag(3.0, 0.5, 15.0)
    for each in (found, clean):
        each.cut(15.5)

    assert (found.censored, clean.censored) == (True, False)


@pytest.mark.parametrize(
    ("kind", "pod", "of"),
    [
        ("Deployment", "web-7d4b9c6f5d-x2x5k", True),
        ("Deployment", "web-canary-7d4b9c6f5d-x2x5k", False),
        ("Deployment", "web-0", False),
        ("Deployment", "", False),
        ("StatefulSet", "web-0", True),
        ("StatefulSet", "web-12", True),
        ("StatefulSet", "web-a-0", False),
        ("DaemonSet", "web-x2x5k", True),
        ("DaemonSet", "web-7d4b9c6f5d-x2x5k", False),
    ],
)
def test_a_pod_is_named_after_its_workload(kind: str, pod: str, of: bool) -> None:
    assert owns((kind, "demo-app", "web"), pod) is of


def test_a_removal_is_of_the_rollout_whose_pod_it_is_or_of_all_that_ran() -> None:
    first = begin(workload(name="a"), (), "", 10.0)
    second = begin(workload(name="b"), (), "", 20.0)
    late = begin(workload(name="c"), (), "", 21.5)
    running = (first, second, late)
    mine = Removal("10.0.0.1", 20.0, "b-7d4b9c6f5d-x2x5k")
    early = Removal("10.0.0.1", 20.5, "c-7d4b9c6f5d-x2x5k")
    other = Removal("10.0.0.1", 20.0, "d-7d4b9c6f5d-x2x5k")
    for removal in (mine, early, other):
        removal.belong(running)
    other.belong(())

    assert mine.rollouts == (second,)
    assert early.rollouts == (late,)
    assert other.rollouts == (first, second)


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


def test_what_answered_after_a_dial_began_was_not_met_by_it() -> None:
    early, late = Removal("10.0.0.1", 5.0), Removal("10.0.0.2", 9.0)

    assert early is attribute([early, late], 12.0, {"10.0.0.2": 12.0})
    assert late is attribute([early, late], 12.0, {"10.0.0.2": 11.9})
    assert attribute([early, late], 12.0, {"10.0.0.1": 13.0, "10.0.0.2": 13.0}) is None


def test_a_proxy_that_has_not_heard_of_a_removal_has_heard_of_none_after_it() -> None:
    removals = [Removal(f"10.0.0.{i}", at) for i, at in enumerate((5.0, 9.0, 9.0, 12.0))]

    assert [removed_with(removals, each) for each in removals] == [4, 3, 3, 1]


def test_the_rate_of_dials_is_counted_once_there_are_enough() -> None:
    times = [10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 14.0, 13.5]  # in the order of their outcomes

    assert dial_rate(times[:-1]) is None
    assert dial_rate(times) == 7 / 4
    assert dial_rate([10.0] * 8) is None


def test_the_error_of_a_lag_is_three_mean_times_between_meetings() -> None:
    assert pytest.approx(error_bar(4, 20.0)) == 0.6
    assert error_bar(4, 0.0) == 0.0
