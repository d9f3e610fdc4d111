"""The course of a rollout that somebody watches."""

from typing import Any, cast

import pytest

from probe.core.course import LONGEST_QUIET, QUIET_SECONDS, Course, Sample, Stage
from probe.core.progress import Progress

BEGAN = 100.0


def record(
    dials: int = 0,
    failed: int = 0,
    *,
    ended: bool = False,
    second: int = 0,
    window: float | None = None,
    unconfirmed: int = 0,
) -> dict[str, Any]:
    return {
        "unconfirmed": unconfirmed,
        "dials": dials,
        "failed": {"refused": failed} if failed else {},
        "ended": f"2026-01-01T00:00:{second:02}Z" if ended else None,
        "shortest_window_seconds": window,
    }


def test_before_a_rollout_it_waits() -> None:
    course = Course()
    course.see(None, BEGAN)

    assert course.stage(BEGAN) is Stage.WAITING
    assert course.began is None


def test_how_far_it_was_before_it_began_says_nothing() -> None:
    course = Course(progress=cast(Progress, object()))
    course.see(None, BEGAN)
    before = course.progress
    course.see(record(), BEGAN)

    assert (before is None, course.progress) == (False, None)


def test_a_rollout_without_a_failure_is_over_soon_after_its_end() -> None:
    course = Course(after_failures=15.0)
    course.see(record(), BEGAN)
    rolling = course.stage(BEGAN)
    course.see(record(100, ended=True), BEGAN + 10)
    end = BEGAN + 10 + QUIET_SECONDS

    assert rolling is Stage.ROLLING
    assert course.stage(end - 0.1) is Stage.LINGERING
    assert course.stage(end) is Stage.OVER


def test_each_failure_begins_the_wait_anew() -> None:
    course = Course(after_failures=7.0)
    course.see(record(), BEGAN)
    course.see(record(90, 1, ended=True), BEGAN + 10)
    course.see(record(99, 2, ended=True), BEGAN + 14)

    assert course.over_at == BEGAN + 14 + 7


def test_but_not_for_ever() -> None:
    course = Course()
    course.see(record(), BEGAN)
    for second in range(40):
        course.see(record(second, second + 1, ended=True), BEGAN + second)

    assert course.over_at == BEGAN + LONGEST_QUIET


def test_a_failure_at_the_first_sight_of_a_rollout_counts() -> None:
    course = Course(after_failures=9.0)
    course.see(record(1, 1, ended=True), BEGAN)

    assert course.over_at == BEGAN + 9


def test_where_a_removed_pod_is_seldom_met_the_wait_is_longer() -> None:
    course = Course()
    course.see(record(100, ended=True, window=6.0), BEGAN)

    assert course.over_at == BEGAN + 12


def test_failures_that_are_not_laid_to_a_cause_are_waited_for() -> None:
    course = Course()
    course.see(record(100, 3, ended=True, unconfirmed=2), BEGAN)
    open_, waits = course.unconfirmed, course.stage(BEGAN + QUIET_SECONDS)
    course.see(record(120, 3, ended=True), BEGAN + 9)

    assert (open_, waits) == (2, Stage.LINGERING)
    assert (course.unconfirmed, course.stage(BEGAN + 9)) == (0, Stage.OVER)


def test_but_no_longer_than_a_dial_may_be_laid_to_a_rollout() -> None:
    course = Course()
    course.see(record(100, 3, ended=True, unconfirmed=2), BEGAN)

    assert course.stage(BEGAN + LONGEST_QUIET - 0.1) is Stage.LINGERING
    assert course.stage(BEGAN + LONGEST_QUIET) is Stage.OVER


def test_an_older_daemon_does_not_say_what_it_has_not_laid_yet() -> None:
    course = Course()
    held = record(100, 3, ended=True)
    del held["unconfirmed"]
    course.see(held, BEGAN)

    assert (Course().unconfirmed, course.unconfirmed) == (0, 0)
    assert course.stage(BEGAN + QUIET_SECONDS) is Stage.OVER


def test_a_node_that_is_not_done_yet_takes_the_end_back() -> None:
    course = Course()
    course.see(record(ended=True), BEGAN)
    course.see(record(), BEGAN + 1)
    again = course.stage(BEGAN + 60)
    course.see(record(ended=True), BEGAN + 61)

    assert again is Stage.ROLLING
    assert course.ended == BEGAN + 61


def test_an_end_that_is_put_off_begins_the_wait_anew() -> None:
    course = Course()
    course.see(record(ended=True), BEGAN)
    course.see(record(ended=True, second=3), BEGAN + 3)

    assert course.over_at == BEGAN + 3 + QUIET_SECONDS


@pytest.mark.parametrize("step", [0.25, 0.5, 1.0])
def test_each_second_is_a_sample(step: float) -> None:
    course = Course()
    for turn in range(int(3 / step) + 1):
        seconds = int(turn * step)
        course.see(record(seconds * 20, max(0, seconds - 2) * 5), BEGAN + turn * step)

    assert list(course.samples) == [Sample(20, 0), Sample(20, 0), Sample(20, 5)]


def test_a_second_without_news_is_none_but_several_are_a_gap() -> None:
    course = Course()
    for turn, dials in enumerate((0, 0, 40, 40, 40, 40, 40)):
        course.see(record(dials), BEGAN + turn)

    assert list(course.samples) == [Sample(40, 0), Sample(0, 0)]


def test_a_node_that_falls_silent_makes_no_second_negative() -> None:
    course = Course()
    for turn, dials in enumerate((40, 20, 60)):
        course.see(record(dials, dials // 10), BEGAN + turn)

    assert course.samples[1] == Sample(40, 4)
    assert min(sample.dials for sample in course.samples) >= 0
