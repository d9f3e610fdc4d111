"""Texts in, findings out, in their order."""

import gc

from probe.lint.findings import Severity
from probe.lint.linting import lint_texts
from probe.lint.sources import Source
from tests.lint.texts import INCIDENT, brief

BROKEN = "kind: [\n"


def test_findings_are_in_the_order_of_the_texts_and_their_lines() -> None:
    texts = [Source("b", BROKEN + "---\n" + INCIDENT), Source("a", BROKEN)]

    found = lint_texts(texts)

    assert [(f.source, f.rule.id) for f in found.findings] == [
        ("b", "broken-yaml"),
        ("b", "target-port-mismatch"),
        ("a", "broken-yaml"),
    ]
    assert found.documents == 2
    assert [found.count(severity) for severity in Severity] == [3, 0, 0]


def test_a_service_and_its_workload_may_be_in_two_files() -> None:
    service, deployment = INCIDENT.split("---\n")

    assert brief(lint_texts([Source("a", service), Source("b", deployment)])) == [
        ("target-port-mismatch", 11)
    ]


def test_the_garbage_collector_is_as_it_was() -> None:
    gc.disable()
    try:
        lint_texts([])
        assert not gc.isenabled()
    finally:
        gc.enable()
    lint_texts([Source("a", INCIDENT)])
    assert gc.isenabled()


def test_many_services_before_many_pods_end() -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {a: b}}\n---\n"
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {a: b}}\nspec: {}\n---\n"

    assert lint_texts([Source("a", service * 3000 + pod * 3000)]).documents == 6000
