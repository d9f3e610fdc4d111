"""What in a pod leaves in doubt where it listens."""

import pytest

from tests.lint.rules.manifest import LISTENS, PROBED, findings, mismatch, service, workload


@pytest.mark.parametrize("target", [4180, 8081])
@pytest.mark.parametrize("container", [PROBED, LISTENS])
def test_a_neighbour_that_declares_nothing_may_listen_there(target: int, container: str) -> None:
    text = service(f"{{port: 80, targetPort: {target}}}") + workload(container)
    proxy = "        - {name: proxy, image: proxy, args: ['--upstream=http://localhost:8080']}\n"
    assert mismatch(text) == [("error", True)]
    assert mismatch(text + proxy) == [("warning", False)]
    metrics = proxy.replace("args", "ports: [{name: metrics, containerPort: 9}], args")
    assert mismatch(text + metrics) == [("error", True)]


@pytest.mark.parametrize(
    ("annotation", "sure"),
    [
        ("dapr.io/enabled: 'true'", False),
        ("vault.hashicorp.com/agent-inject: 'true'", False),
        ("vault.hashicorp.com/agent-inject: 'false'", True),
        ("sidecar.istio.io/inject: 'true'", True),  # its ports are known
        ("example.com/team: web", True),
    ],
)
def test_so_may_what_a_webhook_puts_into_the_pods(annotation: str, sure: bool) -> None:
    def injected(target: str) -> str:
        text = service(f"{{port: 80, targetPort: {target}}}") + workload(PROBED)
        return text.replace(
            "metadata: {labels", f"metadata: {{annotations: {{{annotation}}}, labels"
        )

    assert mismatch(injected("8081")) == [("error", True) if sure else ("warning", False)]
    named = [f for f in findings(injected("x")) if f.rule.id == "target-port-name"]
    assert [(f.severity, bool(f.edit)) for f in named] == [
        ("error", True) if sure else ("warning", False)
    ]


@pytest.mark.parametrize(
    ("container", "more", "sure"),
    [
        ("envFrom: [{secretRef: {name: s}}], ", "", False),
        ("", "volumes: [{name: s, secret: {secretName: s}}]", False),
        ("", "volumes: [{name: s, projected: {sources: [{secret: {name: s}}]}}]", False),
        ("", "volumes: [{name: s, emptyDir: {}}]", True),
    ],
)
def test_a_secret_may_tell_where_to_listen(container: str, more: str, sure: bool) -> None:
    text = service("{port: 80, targetPort: 9000}")
    made = workload(PROBED.replace("ports:", f"{container}ports:"), more=more)
    assert mismatch(text + made) == [("error", True) if sure else ("warning", False)]
    told = workload(LISTENS.replace("env:", f"{container}env:"), more=more)
    assert mismatch(text + told) == [("error", True)]  # a variable goes before all those


def test_a_listener_on_loopback_is_none_for_a_service() -> None:
    text = service("{port: 80, targetPort: 9000}")
    assert mismatch(text + workload(LISTENS)) == [("error", True)]
    for host in ("127.0.0.1", "[::1]", "localhost"):
        assert mismatch(text + workload(LISTENS.replace("0.0.0.0", host))) == []


@pytest.mark.parametrize("name", ["jolokia", "ping", "jmx"])
def test_ports_for_those_who_look_are_not_meant(name: str) -> None:
    aside = f"{{name: web, ports: [{{name: {name}, containerPort: 8778}}]}}"
    assert mismatch(service("{port: 61616}") + workload(aside)) == []
