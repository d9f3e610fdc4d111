from itertools import product

import pytest

from probe.core.health import CONTINUOUS, ONCE, STATES, Level, State

UP, NO = True, False


def after(*dials: bool) -> State:
    level = Level.NEW
    for connected in dials:
        level = CONTINUOUS[level, connected]
    return STATES[level]


@pytest.mark.parametrize(
    ("dials", "state"),
    [
        ((), State.UNKNOWN),
        ((UP,), State.UP),
        ((NO,), State.FAILING),
        ((NO, NO), State.FAILING),
        ((NO, NO, NO), State.DOWN),
        ((UP, NO), State.FAILING),
        ((UP, NO, UP), State.FAILING),
        ((UP, NO, UP, UP), State.UP),
        ((NO, NO, NO, UP), State.FAILING),
        ((NO, NO, NO, UP, UP), State.UP),
        ((NO, NO, NO, UP, NO), State.FAILING),
        ((NO, NO, UP, NO, NO, UP), State.FAILING),
    ],
)
def test_a_state_after_these_dials(dials: tuple[bool, ...], state: State) -> None:
    assert state is after(*dials)


def test_31_one_bad_backend_in_three_never_takes_a_cluster_ip_down() -> None:
    turns = [after(*((UP, UP, NO) * 5)[:n]) for n in range(1, 16)]

    assert State.DOWN not in turns


def test_both_tables_know_every_level() -> None:
    every = set(product(Level, (True, False)))

    assert every == set(CONTINUOUS) == set(ONCE)
    assert set(Level) == set(STATES)


def test_a_single_run_believes_a_failure_that_its_second_dial_meets_as_well() -> None:
    once = ONCE[Level.NEW, NO]

    assert STATES[ONCE[Level.NEW, UP]] is State.UP
    assert STATES[once] is State.FAILING
    assert STATES[ONCE[once, NO]] is State.DOWN
    assert STATES[ONCE[once, UP]] is State.UP
