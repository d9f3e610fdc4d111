"""Texts that are not what they should be."""

from array import array
from pathlib import Path

import pytest

from probe.lint.documents import Document
from probe.lint.parsing import COLUMNS, Map
from probe.lint.reading import read
from probe.lint.sources import Chart, Position, Source
from tests.lint.texts import documents, troubles

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"


def test_a_broken_document_costs_no_other() -> None:
    text = f"{SERVICE}---\na: [\n---\n{SERVICE}"

    assert [d.position(("kind",)).line for d in documents(text)] == [2, 8]
    (broken,) = troubles(text)
    assert (broken.rule.id, broken.line) == ("broken-yaml", 5)


def test_in_a_directory_only_what_looks_like_a_manifest_can_be_broken() -> None:
    assert troubles("// no YAML: [\n", asked=False) == []
    assert [f.rule.id for f in troubles("kind: A\napiVersion: [\n", asked=False)] == ["broken-yaml"]
    assert [f.rule.id for f in troubles("a: [\n", asked=True)] == ["broken-yaml"]


@pytest.mark.parametrize(
    "template",
    [
        "metadata:\n{{- if .Values.x }}\n  name: x\n{{- end }}\n",
        "metadata:\n  name: {{ .Release.Name }}\n",
        "{% if x %}\nmetadata: {}\n{% endif %}\n",
        "metadata:\n<% if x %>\n  name: x\n",
    ],
)
def test_a_template_is_told_once_and_as_no_error(template: str) -> None:
    found = troubles(f"{SERVICE}{template}---\n{SERVICE}{template}")

    assert [(f.rule.id, f.severity) for f in found] == [("not-rendered", "info")]


def test_a_manifest_that_holds_a_template_may_be_broken() -> None:
    text = 'a: "{{ x }}"\nb: "{{ y }}"\nc: d\ne: [\n'

    assert [f.rule.id for f in troubles(text)] == ["broken-yaml"]


def test_charts_are_told_together() -> None:
    found = list(read([Chart(Path("a")), Chart(Path("b")), Chart(Path("c"))], {}))

    (told,) = found
    assert not isinstance(told, Document)
    assert (
        told.message
        == "the templates of the Helm chart in a and those of 2 more charts were not checked"
    )
    assert (told.source, told.line) == ("a/Chart.yaml", 1)


def test_a_key_that_comes_twice_is_told_of_a_manifest_only() -> None:
    (found,) = troubles(f"{SERVICE}spec:\n  type: A\n  type: B\n")

    assert (found.rule.id, found.line, found.column) == ("duplicate-key", 6, 9)
    assert found.object == "Service default/web"
    assert troubles("a: 1\na: 2\n") == []


def test_json_that_libyaml_does_not_take_is_read_all_the_same() -> None:
    text = '\t{"apiVersion": "v1", "kind": "A\\ud83d\\ude00", "x": [{"y": 1}]}\n'
    (found,) = documents(f"{SERVICE}---\n{text}")[1:]

    assert found.kind == "A😀"
    assert found.position(("x", 0, "y")) == Position(4, 1)
    assert isinstance(found.value, Map)
    assert found.value.at == array("Q", [4 * COLUMNS + 1] * 3)


@pytest.mark.parametrize("text", ["{", '{"a": ' * 400 + "1" + "}" * 400, '{"a": \x01}', "{a: [}"])
def test_json_that_is_none_is_broken(text: str) -> None:
    assert [f.rule.id for f in troubles(text)] == ["broken-yaml"]


def test_directives_belong_to_what_follows() -> None:
    text = f"%YAML 1.1\n---\n{SERVICE}---\n{SERVICE}"

    assert [d.position(("kind",)).line for d in documents(text)] == [4, 8]


def test_lines_are_right_with_any_line_ends() -> None:
    text = f"---\r\n\r\n{SERVICE}---\n---\n{SERVICE}".replace("\n", "\r\n").replace("\r\r", "\r")

    assert [d.position(("kind",)).line for d in documents(text)] == [4, 9]


@pytest.mark.slow
def test_too_much_ends_the_text() -> None:
    text = f"{SERVICE}---\n- [{'a,' * 2_000_000}]\n---\n{SERVICE}"

    (found,) = troubles(text)

    assert found.message == "not read on: more than 2,000,000 values in one text"
    assert len(documents(text)) == 1


def test_every_text_is_noted() -> None:
    sources: dict[str, Source] = {}
    list(read([Source("a", ""), Source("b", "x: [")], sources))

    assert list(sources) == ["a", "b"]
