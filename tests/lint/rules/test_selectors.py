"""Selectors that match nothing."""

import pytest

from tests.lint.rules.manifest import findings, rules, said, service, workload

TYPO = service("{port: 80}", more="selector: {app: wep, tier: front}")
FRONT = workload(labels="{app: web, tier: front}")


def test_a_selector_with_a_typing_error_matches_nothing() -> None:
    assert said(TYPO + FRONT) == [
        ("selector-matches-nothing", "warning", "selector: {app: wep, tier: front}")
    ]
    (found,) = [f for f in findings(TYPO + FRONT) if f.rule.id == "selector-matches-nothing"]
    assert found.message.endswith("; those of Deployment web have app=web")


@pytest.mark.parametrize(
    "more",
    [
        "selector: {app: web, tier: front}",
        "externalName: example.com\n  type: ExternalName",
        "clusterIP: 10.0.0.1",  # its EndpointSlices are written by somebody
        "selector: {}",
        "selector: {app: web, statefulset.kubernetes.io/pod-name: web-0}",
        "selector: {app: '${NAME}'}",
    ],
)
def test_services_that_match_or_are_meant_to_have_no_selector(more: str) -> None:
    assert rules(service("{port: 80}", more=more) + FRONT) == []


OPERATOR = "---\napiVersion: example.com/v1\nkind: Database\nmetadata: {name: db}\n"
ISSUER = "---\napiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: {name: a}\n"
PROMETHEUS = "---\napiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {name: a}\n"
CLUSTER = "---\napiVersion: infrastructure.cluster.x-k8s.io/v1\nkind: X\nmetadata: {name: a}\n"
MONITOR = PROMETHEUS.replace("kind: Prometheus", "kind: ServiceMonitor")
UNLABELLED = workload(labels="{}", name="none")
ELSEWHERE = FRONT.replace("name: web}", "name: web, namespace: there}", 1)


@pytest.mark.parametrize("beside", [OPERATOR, PROMETHEUS, CLUSTER, UNLABELLED])
def test_pods_that_come_from_elsewhere_may_match(beside: str) -> None:
    assert rules(TYPO + FRONT + beside) == []


@pytest.mark.parametrize("beside", [ISSUER, MONITOR])
def test_objects_that_make_no_pods_do_not_matter(beside: str) -> None:
    assert rules(TYPO + FRONT + beside) == ["selector-matches-nothing"]


def test_a_service_alone_or_in_another_namespace_says_nothing() -> None:
    here = TYPO.replace("name: web}", "name: web, namespace: here}")
    assert rules(TYPO) == []
    assert rules(here + ELSEWHERE) == []
    assert rules(here + workload(kind="Job", version="batch/v1")) == []
    assert rules(TYPO + ELSEWHERE) == ["selector-matches-nothing"]
