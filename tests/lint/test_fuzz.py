"""Whatever a file holds: findings and objects, never a traceback."""

import random
from collections.abc import Callable

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.lint.linting import Report, lint_texts
from probe.lint.sources import Source
from tests.lint.texts import INCIDENT

KEYS = st.sampled_from(
    [
        *("apiVersion", "kind", "metadata", "name", "namespace", "labels", "annotations", "spec"),
        *("selector", "ports", "port", "targetPort", "protocol", "template", "containers", "env"),
        *("value", "command", "args", "data", "httpGet", "host", "readinessProbe", "lifecycle"),
        *("preStop", "exec", "rules", "backend", "service", "number", "backendRefs", "items"),
        *("initContainers", "restartPolicy", "matchLabels", "matchExpressions", "addresses"),
        *("endpoints", "listeners", "workloadRef", "jobTemplate", "type", "clusterIP", "valueFrom"),
    ]
)
LEAVES = st.sampled_from(
    [
        *("v1", "apps/v1", "web", "http", "0:80", "http://0.0.0.0:0/", "a.b.svc:99999", "$(X):80"),
        *("", "[::]:80", "=", "\n", "TCP", "UDP", "Always", "x" * 300, "http://[", "{{ x }}"),
        *(None, True, 0, -1, 80, 8080, 65536, 2**70, 1.5, float("inf"), float("nan")),
    ]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
KINDS = st.sampled_from(
    [
        *("Service", "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"),
        *("CronJob", "Rollout", "ConfigMap", "Ingress", "HTTPRoute", "GRPCRoute", "TCPRoute"),
        *("Gateway", "EndpointSlice", "Endpoints", "List", "Kustomization", "Namespace"),
    ]
)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, object]:
    """Something of a kind that rules look at, and of no shape that they expect."""
    version = draw(st.sampled_from(["v1", "apps/v1", "batch/v1", "networking.k8s.io/v1", "x/v1"]))
    return {
        "apiVersion": version,
        "kind": draw(KINDS),
        "metadata": draw(VALUES),
        "spec": draw(VALUES),
        **draw(st.dictionaries(KEYS.filter(lambda key: key not in ("apiVersion", "kind")), VALUES)),
    }


def lint(*texts: str) -> Report:
    report = lint_texts(Source(f"{n}.yaml", text) for n, text in enumerate(texts))
    for finding in report.findings:
        assert finding.line >= 1
        assert finding.column >= 1
        assert finding.message
    return report


@pytest.mark.slow
@settings(max_examples=200)
@given(st.lists(objects(), min_size=1, max_size=4))
def test_objects_of_any_shape_are_linted(found: list[dict[str, object]]) -> None:
    lint(yaml.safe_dump_all(found))


POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)
PATHS: tuple[tuple[str | int, ...], ...] = (
    *(("spec",), ("spec", "ports"), ("spec", "ports", 0), ("spec", "ports", 0, "targetPort")),
    *(("spec", "selector"), ("metadata",), ("metadata", "name"), ("metadata", "labels")),
    *(("spec", "template"), ("spec", "template", "metadata"), POD, (*POD, "containers")),
    *(CONTAINER, (*CONTAINER, "env"), (*CONTAINER, "env", 0), (*CONTAINER, "env", 0, "value")),
    *((*CONTAINER, "readinessProbe"), (*CONTAINER, "lifecycle")),
)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_a_good_manifest_with_something_wrong_in_it_is_linted(
    faults: list[tuple[tuple[str | int, ...], object]],
) -> None:
    documents = list(yaml.safe_load_all(INCIDENT))
    for document in documents:
        for path, fault in faults:
            inner = document
            try:
                for step in path[:-1]:
                    inner = inner[step]
                inner[path[-1]] = fault
            except (LookupError, TypeError):
                continue
    lint(yaml.safe_dump_all(documents))


@given(st.integers(0, len(INCIDENT)))
def test_a_truncated_file_is_linted(end: int) -> None:
    lint(INCIDENT[:end])


@given(st.integers(0, len(INCIDENT)), st.text(max_size=3))
def test_a_file_with_something_put_into_it_is_linted(at: int, text: str) -> None:
    lint(INCIDENT[:at] + text + INCIDENT[at:])


@given(st.binary())
def test_any_bytes_are_linted(content: bytes) -> None:
    lint(content.decode("utf-8", "surrogateescape"))


MUCH = 12_000_000
"""Characters: enough to be beyond VALUES_MAX and DOCUMENTS_MAX."""

HUGE: dict[str, Callable[[], str]] = {
    "brackets": lambda: "[" * MUCH,
    "braces that might be a template's": lambda: "{" * MUCH,
    "empty lines": lambda: "\n" * MUCH,
    "items": lambda: "- a\n" * (MUCH // 4),
    "one key again and again": lambda: "a: b\n" * (MUCH // 5),
    "documents": lambda: "apiVersion: v1\nkind: A\n---\n" * (MUCH // 27),
    "one scalar": lambda: "apiVersion: v1\nkind: A\nx: " + "x" * MUCH,
    "ignores": lambda: "apiVersion: v1\nkind: A\n" + "# probe-lint: ignore=x\n" * (MUCH // 24),
    "noise": lambda: random.Random(0).randbytes(MUCH).decode("latin-1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("made", HUGE.values(), ids=HUGE.keys())
def test_megabytes_of_anything_end(made: Callable[[], str]) -> None:
    lint(made())
