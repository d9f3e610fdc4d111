"""Ports that probes ask on."""

import pytest

from tests.lint.rules.manifest import findings, rules, said, workload

PORTS = "ports: [{name: http, containerPort: 8080}]"


@pytest.mark.parametrize("kind", ["readinessProbe", "livenessProbe", "startupProbe"])
@pytest.mark.parametrize("action", ["httpGet", "tcpSocket"])
def test_a_name_that_the_container_does_not_have(kind: str, action: str) -> None:
    text = workload(f"{{name: web, {PORTS}, {kind}: {{{action}: {{port: web}}}}}}")
    assert [(s.rule, s.severity) for s in said(text)] == [("probe-port-name", "error")]


def test_a_number_in_quotes_is_a_name_that_the_api_refuses() -> None:
    text = workload(f"{{name: web, {PORTS}, readinessProbe: {{httpGet: {{port: '8080'}}}}}}")
    (found,) = [f for f in findings(text) if f.rule.id == "probe-port-name"]
    assert (found.severity, found.fix) == ("error", "set it to 8080, without quotes")
    assert found.edit is not None
    assert (found.edit.old, found.edit.new) == ("'8080'", "8080")


def test_a_webhook_may_give_the_container_a_port() -> None:
    text = workload(f"{{name: web, {PORTS}, readinessProbe: {{httpGet: {{port: web}}}}}}")
    injected = text.replace(
        "metadata: {labels", "metadata: {annotations: {inject.istio.io/templates: x}, labels"
    )
    assert [(s.rule, s.severity) for s in said(injected)] == [("probe-port-name", "warning")]


def test_a_neighbours_names_are_not_the_containers_own() -> None:
    asking = "{name: b, image: b, readinessProbe: {httpGet: {port: http}}}"
    text = workload(f"{{name: web, {PORTS}}}") + f"        - {asking}\n"
    assert rules(text) == ["probe-port-name"]
    assert rules(text.replace("port: http}", "port: 8080}")) == []  # they share an address


@pytest.mark.parametrize(
    "container",
    [
        f"{{name: web, {PORTS}, readinessProbe: {{httpGet: {{port: http}}}}}}",
        f"{{name: web, {PORTS}, readinessProbe: {{httpGet: {{port: 8080}}}}}}",
        f"{{name: web, {PORTS}, readinessProbe: {{httpGet: {{port: $(PORT)}}}}}}",
        f"{{name: web, {PORTS}, readinessProbe: {{httpGet: {{port: 15021}}}}}}",
        f"{{name: web, {PORTS}, readinessProbe: {{exec: {{command: [ls]}}}}}}",
        f"{{name: web, {PORTS}, args: [--health=9], readinessProbe: {{httpGet: {{port: 9}}}}}}",
        "{name: web, readinessProbe: {httpGet: {port: 8081}}}",
        "{name: web, ports: [{name: webhook, containerPort: 1}], livenessProbe: {grpc: {port: 9}}}",
        "{name: web, env: [{name: PORT, value: 80}], readinessProbe: {tcpSocket: {port: 80}}}",
    ],
)
def test_probes_that_fit_or_may_fit(container: str) -> None:
    assert rules(workload(container)) == []


HEALTH = "httpGet: {path: /healthz, port: 8081}"


@pytest.mark.parametrize(
    ("declared", "asks", "severity"),
    [
        (PORTS, "httpGet: {path: /, port: 8081}", "warning"),
        (PORTS, "tcpSocket: {port: 8081}", "warning"),
        (PORTS, "grpc: {port: 8081}", "warning"),
        ("env: [{name: PORT, value: 8080}]", HEALTH, "warning"),  # told where to listen
        (PORTS, HEALTH, "info"),  # there may be a port for probes alone
    ],
)
def test_a_number_that_nothing_declares(declared: str, asks: str, severity: str) -> None:
    text = workload(f"{{name: web, {declared}, readinessProbe: {{{asks}}}}}")
    assert [(s.rule, s.severity) for s in said(text)] == [("probe-port-mismatch", severity)]


def test_a_patch_is_not_judged() -> None:
    text = workload("{name: web, readinessProbe: {httpGet: {port: web}}}")
    assert rules(text.replace("image: web:1, ", "")) == []


@pytest.mark.parametrize("kind", ["patches: [{path: a.yaml}]", "patchesStrategicMerge: [a.yaml]"])
def test_nor_is_what_kustomize_calls_a_patch(kind: str) -> None:
    text = workload("{name: web, readinessProbe: {httpGet: {port: web}}}")
    head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    assert rules(over__a=text, over__kustomization=head + kind) == []
    assert rules(over__b=text, over__kustomization=head + kind) == ["probe-port-name"]
