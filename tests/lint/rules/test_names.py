"""Services that programs are told to connect to by name."""

import pytest

from tests.lint.rules.manifest import Said, config_map, said, service, workload

API = service("{port: 80}", name="api", more="clusterIP: 10.0.0.1").replace(
    "{name: api}", "{name: api, namespace: shop}"
)


def told(value: str) -> list[Said]:
    return said(API + config_map(f"API_URL: {value}"))


@pytest.mark.parametrize(
    "value",
    [
        "http://api.shop.svc/",
        "http://api.shop.svc:80/",
        "api.shop.svc.cluster.local:80",
        "http://web.elsewhere.svc",  # whose Services are not among the manifests
        "http://{{ name }}.shop.svc",
        "api",
    ],
)
def test_services_that_there_are(value: str) -> None:
    assert told(f"'{value}'") == []


def test_a_service_that_there_is_not() -> None:
    assert told("http://apj.shop.svc:80") == [
        ("service-not-found", "warning", "API_URL: http://apj.shop.svc:80")
    ]


def test_a_port_that_there_is_not() -> None:
    assert told("api.shop.svc:8080") == [
        ("service-port-not-found", "warning", "API_URL: api.shop.svc:8080")
    ]


def test_the_pods_of_a_headless_service_have_whatever_ports() -> None:
    headless = API.replace("clusterIP: 10.0.0.1", "clusterIP: None")
    assert said(headless + config_map("API_URL: api-0.api.shop.svc:9")) == []


def test_operators_may_make_services() -> None:
    operator = "---\napiVersion: example.com/v1\nkind: Database\nmetadata: {name: db}\n"
    assert said(API + operator + config_map("API_URL: http://apj.shop.svc:80")) == []


def test_names_elsewhere_than_in_addresses_are_names() -> None:
    assert said(API + workload("{name: web, args: [--san, apj.shop.svc]}")) == []
    assert [s.rule for s in said(API + workload("{name: web, args: [--url, apj.shop.svc]}"))] == [
        "service-not-found"
    ]
