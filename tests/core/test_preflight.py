"""What can be told of a rollout before it begins."""

from dataclasses import replace

import pytest

from probe.core.preflight import notes
from probe.core.progress import Strategy
from probe.core.workloads import UNKNOWN_LENGTH, Workload
from tests.core.facts import DECLARED_8080, workload

GRADUAL = Strategy("RollingUpdate", 0, 1)
CAREFUL = replace(workload(DECLARED_8080), readiness=True, pre_stop=15)


def codes(held: Workload, strategy: Strategy | None = GRADUAL) -> list[str]:
    return [note.code for note in notes(held, strategy)]


def test_of_a_careful_one_there_is_nothing_to_say() -> None:
    assert codes(CAREFUL) == []
    assert codes(CAREFUL, None) == []


def test_without_a_readiness_probe_the_declared_port_is_proposed_for_one() -> None:
    (note,) = notes(replace(CAREFUL, readiness=False), GRADUAL)

    assert note.code == "no_readiness_probe"
    assert note.fix == "readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 2}"


def test_of_several_ports_the_person_chooses_the_probes() -> None:
    other = replace(DECLARED_8080, port=9090)
    held = replace(CAREFUL, readiness=False, declared=(DECLARED_8080, other))

    assert "port: PORT" in notes(held, GRADUAL)[0].fix


def test_without_a_pre_stop_hook_a_sleep_is_proposed() -> None:
    (note,) = notes(replace(CAREFUL, pre_stop=None), GRADUAL)

    assert note.code == "no_pre_stop"
    assert note.fix == "lifecycle: {preStop: {sleep: {seconds: 15}}}"


def test_a_sleep_that_the_grace_period_would_not_hold_raises_it() -> None:
    (note,) = notes(replace(CAREFUL, pre_stop=None, grace_seconds=15), GRADUAL)

    assert note.fix.endswith("}}, terminationGracePeriodSeconds: 45")


@pytest.mark.parametrize(
    ("sleep", "grace", "short"),
    [(15, 30, False), (27, 30, False), (28, 30, True), (30, 30, True), (UNKNOWN_LENGTH, 1, False)],
)
def test_a_sleep_must_leave_time_to_end_in(sleep: int, grace: int, short: bool) -> None:
    found = codes(replace(CAREFUL, pre_stop=sleep, grace_seconds=grace))

    assert found == (["grace_too_short"] if short else [])


def test_recreate_leaves_nobody() -> None:
    (note,) = notes(CAREFUL, Strategy("Recreate", 2, 0))

    assert note.code == "recreate"
    assert note.fix == (
        "kubectl patch deployment backend-v1 -n demo-app -p "
        '\'{"spec":{"strategy":{"type":"RollingUpdate",'
        '"rollingUpdate":{"maxSurge":1,"maxUnavailable":0}}}}\''
    )


def test_neither_does_a_rolling_update_that_may_take_all_at_once() -> None:
    (note,) = notes(CAREFUL, Strategy("RollingUpdate", 2, 0))

    assert note.code == "all_unavailable"
    assert note.fix.endswith(
        '-p \'{"spec":{"strategy":{"rollingUpdate":{"maxSurge":1,"maxUnavailable":0}}}}\''
    )


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        (GRADUAL, "nothing else answers if the new pod"),
        (Strategy("RollingUpdate", 1, 0), "until the new pod is ready nothing answers"),
    ],
)
def test_one_replica_is_alone(strategy: Strategy, text: str) -> None:
    (note,) = notes(replace(CAREFUL, replicas=1), strategy)

    assert note.code == "one_replica"
    assert text in note.text
    assert note.fix == "kubectl scale deployment backend-v1 -n demo-app --replicas=2"


def test_a_daemon_set_has_as_many_as_there_are_nodes() -> None:
    held = replace(CAREFUL, kind="DaemonSet", replicas=1)

    assert codes(held, Strategy("RollingUpdate", 1, 0)) == []


def test_what_is_scaled_to_zero_or_held_does_not_roll() -> None:
    assert codes(replace(CAREFUL, replicas=0, readiness=False)) == ["no_replicas"]
    assert codes(replace(CAREFUL, paused=True)) == ["paused"]
    held = replace(CAREFUL, kind="StatefulSet")
    assert codes(held, Strategy("OnDelete", 1, 0)) == ["on_delete"]


def test_one_that_is_stuck_moves_with_its_next_template() -> None:
    (note,) = notes(replace(CAREFUL, stuck=True, progress_deadline_seconds=60), GRADUAL)

    assert note.code == "stuck"
    assert "progressDeadlineSeconds 60" in note.text
    assert note.fix == "kubectl rollout undo deployment backend-v1 -n demo-app"
