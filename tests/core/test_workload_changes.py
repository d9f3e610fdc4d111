"""What changed of a workload: rollouts, restarts, undos, pauses, scalings."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from probe.core.changes import Aspect, Change, ChangeKind
from probe.core.edges import Author
from probe.core.ports import Declared
from probe.core.workload_changes import (
    invalid_targets,
    replaces_pods,
    rollout_ended,
    rollout_report,
    workload_changes,
    workload_created,
    workload_deleted,
)
from probe.core.workloads import Workload
from tests.core.facts import workload

ARGO = Author("argocd-controller", "2026-11-20T10:00:00Z")
ADA = Author("kubectl-set", "2026-11-20T09:00:00Z")
WHOM = "Deployment demo-app/backend-v1"
AGENT = workload(name="cilium", namespace="kube-system", kind="DaemonSet", labels=())


def told(
    old: Workload,
    new: Workload,
    *,
    running: bool = False,
    earlier: str | None = None,
    ours: bool = False,
) -> list[Change]:
    return list(
        workload_changes(
            old, new, ("backend-v1",), 5.0, running=running, earlier=earlier, ours=ours
        )
    )


def details(old: Workload, new: Workload, *, running: bool = False) -> list[tuple[str, str]]:
    return [(str(c.kind), c.detail) for c in told(old, new, running=running)]


def test_a_changed_template_is_a_rollout_and_changed_replicas_a_scaling() -> None:
    new = workload(image="app:2", replicas=3, author=ARGO, cause="upgrade")

    assert details(workload(), new) == [
        ("rollout", "image app:1 -> app:2 (upgrade)"),
        ("scale", "replicas: 2 -> 3"),
    ]
    assert details(workload(), workload(complete=False)) == []


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (
            "kubectl set env deployment/web DB_PASSWORD=hunter2 --record=true",
            "kubectl set env deployment/web DB_PASSWORD=...",
        ),
        ("kubectl edit deployment/web", "kubectl edit deployment/web"),
        pytest.param("://" * 80_000, "...", id="long"),
        ("CI=7 of https://ci:hunter2@git/web?k=hunter2", "CI=7 of https://...@git/web?..."),
    ],
)
def test_a_change_cause_is_told_without_passwords(cause: str, said: str) -> None:
    (found,) = told(workload(), workload(image="app:2", cause=cause))

    assert found.detail.endswith(f" ({said})")


def test_a_rollout_names_its_author_what_keeps_the_workload_and_its_services() -> None:
    (change,) = told(workload(), workload(image="app:2", author=ARGO, managed="Argo CD"))

    assert (change.by, change.time) == (ARGO.manager, ARGO.time)
    assert (change.object, change.managed, change.services) == (WHOM, "Argo CD", ("backend-v1",))


def test_images_are_told_by_container_where_there_are_several() -> None:
    old = replace(workload(), images=("app:1", "log:1", "old:1"), containers=("app", "log", "old"))
    new = replace(
        workload(image="app:2"),
        images=("app:2", "log:1", "new:1"),
        containers=("app", "log", "new"),
    )

    assert [detail for _, detail in details(old, new)] == [
        "image of app: app:1 -> app:2; container new added (new:1); container old removed (old:1)"
    ]


def test_other_aspects_of_a_template_are_named_without_their_values() -> None:
    assert details(workload(), workload(env="b")) == [("rollout", "env changed")]
    labelled = workload(env="b", labels=(("app", "x"),))
    assert details(workload(), labelled) == [("rollout", "env and labels changed")]


def test_a_restart_is_said_to_be_one() -> None:
    assert details(workload(), workload(restarted="10:00")) == [("rollout", "restarted")]
    again = workload(restarted="11:00", image="app:2")
    assert details(workload(restarted="10:00"), again) == [
        ("rollout", "image app:1 -> app:2; restarted")
    ]


@pytest.mark.parametrize(("revision", "named"), [("3", "revision 3"), ("", "an earlier template")])
def test_a_template_that_was_there_before_is_a_rollback(revision: str, named: str) -> None:
    (change,) = told(workload(image="app:2"), workload(), earlier=revision)

    assert change.detail == f"rolled back to {named}: image app:2 -> app:1"


def test_a_paused_deployment_says_that_nothing_moves_until_it_is_resumed() -> None:
    held = workload(paused=True)

    assert details(workload(), held) == [("rollout", "paused")]
    assert details(held, workload()) == [("rollout", "resumed")]
    edited = workload(paused=True, image="app:2")
    why = "paused, so that no pod is replaced before it is resumed"
    assert details(held, edited) == [("rollout", f"image app:1 -> app:2; {why}")]
    assert details(workload(), edited) == details(held, edited)
    assert details(edited, workload(paused=True, image="app:2", rolling=True)) == []


def test_a_deployment_is_stuck_once_and_may_recover_without_an_edit() -> None:
    stuck = workload(stuck=True, deadline=60)

    assert details(workload(), stuck, running=True) == []  # the rollout's end says so
    assert details(workload(), stuck) == [
        ("rollout_end", "stuck: no progress in progressDeadlineSeconds 60")
    ]
    assert details(stuck, stuck) == []
    assert details(stuck, workload()) == [("rollout", "progresses again after it was stuck")]
    assert details(stuck, workload(generation=2)) == []  # an edit's status is not there yet


def test_what_nobody_wrote_names_no_author() -> None:
    """A rollback that only removes fields, a scaling of old, a status."""
    old = workload(author=ARGO)
    found = [
        *told(old, workload(author=ARGO, image="app:2", replicas=3)),
        *told(old, workload(author=ARGO, stuck=True)),
    ]

    assert [change.by for change in found] == [None, None, None]
    assert [str(change.kind) for change in found] == ["rollout", "scale", "rollout_end"]


@pytest.mark.parametrize(
    ("scaler", "detail"),
    [
        ("kubectl", "replicas: 2 -> 3"),
        ("kube-controller-manager", "replicas: 2 -> 3 (HorizontalPodAutoscaler)"),
    ],
)
def test_a_scaling_is_his_who_wrote_to_the_scale_subresource(scaler: str, detail: str) -> None:
    (change,) = told(workload(), workload(replicas=3, scaler=scaler, author=ARGO))

    assert (change.by, change.time, change.detail) == (scaler, None, detail)


def test_pods_being_replaced_tell_of_a_change_in_a_part_of_the_template_that_is_not_kept() -> None:
    rolling = workload(rolling=True)

    assert details(workload(), rolling) == [("rollout", "pod template changed")]
    assert details(workload(), rolling, running=True) == []
    assert details(rolling, rolling) == []


def test_what_is_created_or_deleted_is_scaled_from_or_to_nothing() -> None:
    created = workload_created(workload(author=ARGO), ("backend-v1",), 5.0)
    deleted = workload_deleted(workload(author=ARGO), ("backend-v1",), 6.0)

    assert (created.kind, created.detail) == (ChangeKind.SCALE, "created, replicas: 0 -> 2")
    assert (deleted.kind, deleted.detail) == (ChangeKind.SCALE, "deleted, replicas: 2 -> 0")
    assert (created.by, deleted.by) == (ARGO.manager, None)
    assert workload_created(AGENT, (), 5.0).detail == "created"


def test_changes_tell_what_of_a_workload_they_touched() -> None:
    more, fewer = workload(replicas=3), workload(replicas=1)
    ported = workload(Declared(9090, "containerPort 9090", False, "app"), image="app:2")

    assert [c.aspects for c in told(workload(), more)] == [(Aspect.UP,)]
    assert [c.aspects for c in told(workload(), fewer)] == [(Aspect.DOWN,)]
    assert [c.aspects for c in told(workload(), ported)] == [(Aspect.DECLARED,)]
    assert [c.aspects for c in told(workload(), workload(image="app:2"))] == [()]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("cilium", ChangeKind.NETWORK), ("kube-proxy", ChangeKind.PROXY), ("web", ChangeKind.ROLLOUT)],
)
def test_a_rollout_of_what_carries_the_traffic_is_of_a_kind_of_its_own(
    name: str, kind: ChangeKind
) -> None:
    old = replace(AGENT, name=name)

    assert [
        c.kind for c in told(old, replace(workload(image="a:2"), kind="DaemonSet", name=name))
    ] == [kind]


def test_a_rollout_of_the_daemons_is_ours() -> None:
    assert [c.kind for c in told(workload(), workload(image="a:2"), ours=True)] == [
        ChangeKind.PROBER
    ]


PENDING = workload(image="app:2", paused=True, rolling=True)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (workload(), workload(image="app:2"), True),
        (workload(), workload(rolling=True), True),
        (workload(), workload(replicas=9), True),
        (workload(), workload(cause="x"), False),
        (workload(), workload(image="app:2", paused=True), False),
        (workload(image="app:2", paused=True), PENDING, False),
        (PENDING, workload(image="app:2", rolling=True), True),
        (workload(paused=True), workload(), False),
        (workload(stuck=True), workload(), True),
        (workload(stuck=True), workload(stuck=True), False),
    ],
)
def test_pods_are_replaced_unless_the_deployment_is_paused(
    old: Workload, new: Workload, expected: bool
) -> None:
    assert replaces_pods(old, new, running=False) is expected
    if expected:
        assert told(old, new)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (rollout_ended, ChangeKind.ROLLOUT_END),
        (rollout_report, ChangeKind.ROLLOUT_REPORT),
    ],
)
def test_the_end_and_the_report_of_a_rollout_name_its_workload(
    make: Callable[..., Change], kind: ChangeKind
) -> None:
    found = make(("Deployment", "demo-app", "backend-v1"), "x", ("backend-v1",), 5.0)

    assert (found.kind, found.object) == (kind, WHOM)


def test_an_address_that_nobody_may_dial_is_laid_to_who_wrote_it() -> None:
    mine, other = ("env", "UPSTREAM=0:80"), ("args", "http://0:81")
    new = replace(workload(author=ARGO, invalid=(mine, other)), tellers={mine: ADA})

    assert [(c.detail, c.by, c.time) for c in invalid_targets(None, new, ("web",), 5.0)] == [
        (mine[1], ADA.manager, ADA.time),
        (other[1], None, None),
    ]
