import pytest

from probe.core.changes import Change, ChangeKind
from probe.core.rolling import Rolling
from tests.core.facts import workload

KEY = ("Deployment", "demo-app", "backend-v1")


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
        held.begin(workload(complete=False), ("backend-v1",), edit, 100.0 + seconds)

    assert held.rollouts[KEY].scaling is scaling
