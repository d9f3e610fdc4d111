"""Rollouts that callers would notice."""

import pytest

from tests.lint.rules.manifest import ABOUT_ROLLOUTS, findings, service, workload

WEB = service("{port: 80}")
READY = "readinessProbe: {tcpSocket: {port: 80}}"
SLEEPS = "lifecycle: {preStop: {sleep: {seconds: 15}}}"


def about(text: str) -> list[tuple[str, str]]:
    return [(f.rule.id, f.message) for f in findings(text) if f.rule.id in ABOUT_ROLLOUTS]


def test_a_workload_behind_a_service_wants_both() -> None:
    assert about(WEB + workload()) == [
        (
            "readiness-probe-missing",
            "no container of Deployment web, which Service web selects, has a readinessProbe",
        ),
        (
            "drain-missing",
            "Deployment web, which Service web selects, has no drain: no preStop hook",
        ),
    ]
    assert about(WEB + workload(f"{{name: web, {READY}, {SLEEPS}}}")) == []
    assert about(workload()) == []


@pytest.mark.parametrize(
    ("container", "more", "count"),
    [
        (f"{{name: web, {READY}, lifecycle: {{preStop: {{exec: {{command: [x]}}}}}}}}", "", 0),
        (f"{{name: web, {READY}}}", "terminationGracePeriodSeconds: 60", 0),
        (f"{{name: web, {READY}}}", "terminationGracePeriodSeconds: 0", 1),
        (f"{{name: web, {READY}, {SLEEPS}}}", "terminationGracePeriodSeconds: 15", 1),
        (f"{{name: web, {READY}, {SLEEPS.replace('15', '30')}}}", "", 1),
    ],
)
def test_what_counts_as_a_drain(container: str, more: str, count: int) -> None:
    assert len(about(WEB + workload(container, more=more))) == count


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("spec:\n", "spec:\n  replicas: 0\n"),
        ("spec:\n", "spec:\n  strategy: {type: Recreate}\n"),
        ("spec:\n", "spec:\n  updateStrategy: {type: OnDelete}\n"),
        ("kind: Deployment", "kind: ReplicaSet"),
    ],
)
def test_what_does_not_roll_is_no_matter(old: str, new: str) -> None:
    assert about(WEB + workload().replace(old, new, 1)) == []
