"""Backends of Ingresses and routes."""

import pytest

from tests.lint.rules.manifest import Said, said, service

WEB = service("{name: http, port: 80, targetPort: 8080}", more="clusterIP: 10.0.0.1")


def ingress(service: str, port: str, version: str = "networking.k8s.io/v1") -> str:
    backend = f"{{service: {{name: {service}, port: {port}}}}}"
    if version != "networking.k8s.io/v1":
        backend = f"{{serviceName: {service}, servicePort: {port}}}"
    return (
        f"---\napiVersion: {version}\nkind: Ingress\nmetadata: {{name: web}}\nspec:\n"
        f"  rules:\n    - http:\n        paths:\n          - backend: {backend}\n"
    )


def route(ref: str, kind: str = "HTTPRoute", spec: str = "rules: [{backendRefs: [%s]}]") -> str:
    head = f"---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\n"
    return head + f"metadata: {{name: web}}\nspec:\n  {spec % ref}\n"


@pytest.mark.parametrize("text", [ingress("web", "{number: 443}"), route("{name: web, port: 443}")])
def test_an_alias_in_dns_has_no_ports_of_its_own(text: str) -> None:
    external = service("{port: 5432}", more="type: ExternalName\n  externalName: db.example.com")
    assert said(external + text) == []
    assert said(WEB + text) != []


@pytest.mark.parametrize(
    "text",
    [
        ingress("web", "{number: 80}"),
        ingress("web", "{name: http}"),
        ingress("web", "80", "networking.k8s.io/v1beta1"),
        ingress("web", "'80'", "extensions/v1beta1"),
        ingress("web", "use-annotation", "extensions/v1beta1"),
        ingress("forward", "{name: use-annotation}"),
        ingress("web", "{number: '${PORT}'}"),
        ingress("{{ name }}".replace("{", "'{", 1).replace("}}", "}}'"), "{number: 80}"),
        ingress("web", "{number: 81}", "networking.k8s.io/v1").replace("kind: In", "kind: Our"),
        route("{name: web, port: 80}"),
        route("{name: web, port: 80}", "GRPCRoute"),
        route("{name: web}"),
        route("{name: pool, kind: InferencePool, group: inference.networking.k8s.io, port: 9}"),
        route("{name: web, port: 81}").replace("gateway.networking", "example"),
    ],
)
def test_backends_that_there_are(text: str) -> None:
    assert said(WEB + text) == []


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        (ingress("web", "{number: 81}"), "error"),
        (ingress("web", "{name: web}"), "error"),
        (ingress("web", "81", "networking.k8s.io/v1beta1"), "error"),
        (ingress("web", "{number: 8080}"), "warning"),  # ingress-nginx takes a targetPort
        (route("{name: web, port: 81}"), "error"),
        (route("{name: web, port: 8080}"), "error"),
        (route("{name: web, port: 81}", "TCPRoute"), "error"),
        (
            route(
                "{name: web, port: 81}",
                spec="rules: [{filters: [{requestMirror: {backendRef: %s}}]}]",
            ),
            "error",
        ),
    ],
)
def test_ports_that_there_are_not(text: str, severity: str) -> None:
    assert [(s.rule, s.severity) for s in said(WEB + text)] == [("backend-port-missing", severity)]


def test_it_points_at_the_port() -> None:
    text = """
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: web}
        spec:
          defaultBackend:
            service:
              name: web
              port:
                number: 81
        """
    assert said(WEB, text) == [Said("backend-port-missing", "error", "number: 81")]


def test_services_that_there_are_not() -> None:
    for text in (ingress("api", "{number: 80}"), route("{name: api, port: 80}")):
        assert [(s.rule, s.severity) for s in said(WEB + text)] == [
            ("backend-service-missing", "warning")
        ]
        assert said(text) == []  # without any Service, nothing can be told
        assert (
            said(
                WEB.replace("{name: web}", "{name: web, namespace: a}", 1)
                + text.replace("{name: web}", "{name: web, namespace: b}", 1)
            )
            == []
        )


def test_a_route_may_lead_into_another_namespace() -> None:
    there = WEB.replace("{name: web}", "{name: web, namespace: there}", 1)
    here = route("{name: web, namespace: there, port: 81}").replace(
        "{name: web}", "{name: web, namespace: here}", 1
    )
    assert [s.rule for s in said(there + here)] == ["backend-port-missing"]


def test_a_service_that_stands_twice_has_the_ports_of_both() -> None:
    other = service("{port: 81}", more="clusterIP: 10.0.0.1")
    assert said(WEB + other + ingress("web", "{number: 81}")) == []
