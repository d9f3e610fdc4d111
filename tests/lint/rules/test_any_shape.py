"""Objects of any shape: rules say something or nothing, and never raise."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from probe.lint.documents import of_value
from probe.lint.manifests import Manifests
from probe.lint.parsing import Parser
from probe.lint.rules import RULES
from tests.lint.rules.manifest import config_map, service, workload

CONTAINER = """{name: web, ports: [{name: http, containerPort: 8080}],
    env: [{name: BACKEND_ADDR, value: '0:80'}], args: [--api-url, 'http://api.shop.svc:1'],
    envFrom: [{configMapRef: {name: settings}}],
    readinessProbe: {httpGet: {host: 0.0.0.0, port: http}},
    lifecycle: {preStop: {exec: {command: [sh, -c, 'curl http://0:80']}}}}"""
SIDECAR = """
    initContainers: [{name: a, image: a, restartPolicy: Always}]
    volumes: [{configMap: {name: a}}]
"""
TEXT = (
    service("{port: 80, targetPort: 8081}", "{name: http, port: 81, targetPort: http}")
    + workload(CONTAINER, more=SIDECAR)
    + workload("{name: api, ports: [{containerPort: 1}]}", name="api")
    + workload(CONTAINER, kind="CronJob", version="batch/v1", name="job")
    + config_map("a.yaml: |\n  backend:\n    url: 0:80\nUPSTREAM: 0:80")
    + """
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec: {rules: [{http: {paths: [{backend: {service: {name: web, port: {number: 1}}}}]}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  rules:
    - backendRefs: [{name: web, port: 1, filters: [{requestMirror: {backendRef: {name: b}}}]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web}
endpoints: [{addresses: [0.0.0.0]}]
ports: [{port: 0}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: web}
subsets: [{addresses: [{ip: 0.0.0.0}], ports: [{port: 0}]}]
---
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
patches: [{path: a.yaml}]
patchesStrategicMerge: [b.yaml]
"""
)
ODD: tuple[Any, ...] = (None, True, -1, 10**30, 1.5, "", "0", "\x00:0", [], {}, [None], {"a": [{}]})


@pytest.mark.slow
def test_no_value_anywhere_makes_a_rule_raise() -> None:
    values = [parsed.value for parsed in Parser().parse(TEXT)]
    assert len(_found(values)) > 10
    tried = 0
    for number, value in enumerate(values):
        for path in _paths(value):
            for odd in ODD:
                changed = [*values[:number], _put(value, path, odd), *values[number + 1 :]]
                for finding in _found(changed):
                    assert finding.message
                tried += 1
    assert tried > 2000


def _found(values: list[Any]) -> list[Any]:
    documents = [of_value("cluster", i, v) for i, v in enumerate(values) if isinstance(v, dict)]
    manifests = Manifests(documents)
    return [finding for check in RULES for finding in check.find(manifests)]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in inner if isinstance(value, dict | list) else ():
        yield (*path, key)
        if isinstance(each, dict | list):
            yield from _paths(each, (*path, key))


def _put(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    found = changed = copy.deepcopy(value)
    for key in path[:-1]:
        found = found[key]
    found[path[-1]] = odd
    return changed
