"""When rollouts begin and end, and which Services they concern while they run and after."""

import pytest

from probe.core.changes import Change, ChangeKind
from probe.core.edges import ServiceKey
from probe.core.rolling import ROLLOUTS_KEPT, Rolling
from probe.core.rollouts import WorkloadKey
from probe.core.workloads import Workload
from tests.core.facts import service, workload

NAME = "backend-v1"
KEY = ("Deployment", "demo-app", NAME)
SERVICE: ServiceKey = ("demo-app", NAME)
OTHER: ServiceKey = ("demo-app", "other")

FIRST = workload(labels=(("app", NAME), ("version", "1")))
SECOND = workload(labels=(("app", NAME), ("version", "2")), image="app:2", complete=False)
THIRD = workload(labels=(("app", NAME), ("version", "3")), image="app:3", complete=False)


def change(kind: ChangeKind) -> Change:
    return Change(100.0, kind, "demo-app", "Deployment demo-app/backend-v1", "as told")


SCALE, ROLLOUT = change(ChangeKind.SCALE), change(ChangeKind.ROLLOUT)


@pytest.mark.parametrize(
    ("edits", "scaling"),
    [
        ([SCALE], True),
        ([SCALE, SCALE], True),
        ([SCALE, ROLLOUT], False),
        ([ROLLOUT, SCALE], False),
        ([None], False),
    ],
    ids=["scaled", "scaled twice", "and rolled", "rolled and scaled", "under way"],
)
def test_a_rollout_is_a_scaling_if_nothing_but_the_replicas_was_changed(
    edits: list[Change | None], scaling: bool
) -> None:
    held = Rolling(linger=30.0)
    for seconds, edit in enumerate(edits):
        held.begin(workload(complete=False), (NAME,), edit, 100.0 + seconds)

    assert held.rollouts[KEY].scaling is scaling


def test_a_further_change_brings_its_own_deadline() -> None:
    held = Rolling(linger=30.0)
    held.begin(workload(complete=False, deadline=600), (NAME,), ROLLOUT, 100.0)
    held.begin(workload(complete=False, deadline=60), (NAME,), ROLLOUT, 110.0)

    assert held.rollouts[KEY].deadline == 170.0


def ends(held: Rolling, now: float, *, terminating: bool = False) -> Change | None:
    return held.end(KEY, workload(), now, terminating=terminating)


def test_the_end_moves_on_with_the_last_old_pods_but_not_beyond_the_deadline() -> None:
    held = Rolling(linger=30.0)
    held.begin(workload(complete=False, deadline=60), (NAME,), ROLLOUT, 100.0)
    assert ends(held, 150.0) is not None
    ends(held, 155.0, terminating=True)
    assert held.rollouts[KEY].ended == 155.0
    ends(held, 170.0, terminating=True)
    assert held.rollouts[KEY].ended == 160.0


def of(held: Rolling, *services: ServiceKey) -> list[tuple[WorkloadKey, ...]]:
    """Whose rollouts are found behind each of these Services."""
    return [tuple(rollout.workload for rollout in held.of(key)) for key in services]


def selected(held: Rolling, *labels: tuple[str, str], chosen: tuple[Workload, ...] = ()) -> None:
    """The Service is new, or selects these labels now, and so these workloads."""
    held.select(service(selector=labels), chosen, {KEY})


def test_a_service_of_the_pods_that_are_replaced_is_kept_whatever_is_edited_of_it() -> None:
    held = Rolling(linger=30.0)
    held.begin(SECOND, (NAME,), ROLLOUT, 100.0, FIRST)
    selected(held, ("version", "1"))
    assert of(held, SERVICE) == [(KEY,)]
    held.begin(THIRD, (), ROLLOUT, 110.0, SECOND)
    selected(held, ("version", "1"))
    assert (of(held, SERVICE), held.services_of(KEY)) == ([(KEY,)], (NAME,))

    selected(held, ("version", "4"))
    assert (of(held, SERVICE), held.services_of(KEY)) == ([()], ())
    selected(held, ("version", "1"))
    assert of(held, SERVICE) == [(KEY,)]
    selected(held, ("version", "3"), chosen=(THIRD,))
    assert of(held, SERVICE) == [(KEY,)]


def test_a_further_change_adds_the_services_of_its_pods() -> None:
    held = Rolling(linger=30.0)
    held.begin(SECOND, (NAME,), ROLLOUT, 100.0, FIRST)
    held.begin(THIRD, ("other",), ROLLOUT, 110.0, SECOND)

    assert of(held, SERVICE, OTHER) == [(KEY,), (KEY,)]
    assert held.rollouts[KEY].services == (NAME, "other")


def test_what_was_replaced_is_forgotten_with_the_rollout() -> None:
    held = Rolling(linger=30.0)
    held.begin(SECOND, (NAME,), ROLLOUT, 100.0, FIRST)
    ends(held, 110.0)
    assert held.services_of(KEY) == ()
    ends(held, 140.0)
    held.begin(workload(complete=False), (NAME,), ROLLOUT, 200.0, workload())
    selected(held, ("version", "1"))

    assert of(held, SERVICE) == [()]


def test_rollouts_of_several_workloads_stand_behind_one_service() -> None:
    held = Rolling(linger=30.0)
    held.begin(workload(complete=False), (NAME,), ROLLOUT, 100.0)
    held.begin(workload(name="canary", complete=False), (NAME, "other"), ROLLOUT, 100.0)
    canary = ("Deployment", "demo-app", "canary")
    assert of(held, SERVICE, OTHER) == [(KEY, canary), (canary,)]

    ends(held, 110.0)
    ends(held, 140.0)
    assert of(held, SERVICE, OTHER) == [(canary,), (canary,)]
    assert [r.workload for r in held.last_of(SERVICE)] == [canary, KEY]


def test_what_is_over_is_found_by_service_and_workload_until_it_is_pushed_out() -> None:
    held = Rolling(linger=30.0)
    assert held.last(KEY) is None
    for number in range(3):
        held.begin(workload(complete=False), (NAME,), ROLLOUT, 100.0 * number)
        ends(held, 100.0 * number + 10)
    running = held.rollouts[KEY]
    assert held.last(KEY) is running
    assert [r.started for r in held.ever_of(SERVICE)] == [0.0, 100.0, 200.0]
    assert [r.started for r in held.last_of(SERVICE)] == [200.0, 100.0]

    ends(held, 300.0)
    assert held.last(KEY) is running
    assert (held.of(SERVICE), held.last_of(SERVICE)) == ((), (running,))
    for number in range(ROLLOUTS_KEPT - 1):
        name = f"w{number}"
        key = ("Deployment", "demo-app", name)
        held.begin(workload(name=name, complete=False), ("other",), ROLLOUT, 400.0)
        held.end(key, workload(name=name), 410.0, terminating=False)
        held.end(key, workload(name=name), 440.0, terminating=False)

    assert [r.started for r in held.ever_of(SERVICE)] == [200.0]
    assert held.last(KEY) is running
    held.begin(workload(complete=False), ("other",), ROLLOUT, 500.0)
    ends(held, 510.0)
    ends(held, 540.0)
    assert (held.ever_of(SERVICE), len(held.finished)) == ((), ROLLOUTS_KEPT)
    assert held.last(KEY) is held.finished[-1]
    assert len(held.ever_of(OTHER)) == ROLLOUTS_KEPT
