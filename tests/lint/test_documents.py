"""Objects know what they are and where their values stand."""

import pytest

from probe.lint.documents import of_value
from probe.lint.sources import Position
from tests.lint.texts import INCIDENT, documents

LIST = """\
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Service
    metadata: {name: a}
  - apiVersion: v1
    kind: PodList
    items:
      - metadata:
          name: b
          namespace: c
"""


def test_an_object_says_what_it_is() -> None:
    service, deployment = documents(INCIDENT)

    assert service.object == "Service demo-app/backend-v1"
    assert (deployment.kind, deployment.api_version) == ("Deployment", "apps/v1")
    assert [service.index, deployment.index] == [0, 1]


@pytest.mark.parametrize("metadata", ["", "metadata: 5", "metadata: {name: [x], namespace: 7}"])
def test_without_a_namespace_it_is_in_the_default_one(metadata: str) -> None:
    (found,) = documents(f"apiVersion: v1\nkind: Pod\n{metadata}\n")

    assert (found.name, found.namespace) == ("", "default")


def test_a_generated_name_is_as_much_of_it_as_is_known() -> None:
    (found,) = documents("apiVersion: v1\nkind: Pod\nmetadata: {generateName: job-}\n")

    assert found.object == "Pod default/job-"


def test_lists_are_their_items_each_with_its_places() -> None:
    service, pod = documents(LIST)

    assert [service.object, pod.object] == ["Service default/a", "Pod c/b"]
    assert service.position(()) == Position(4, 5)
    assert pod.position(("metadata", "namespace")) == Position(12, 22)


def test_lists_in_lists_end() -> None:
    text = "apiVersion: v1\nkind: List\nitems: ["
    nested = text + "{apiVersion: v1, kind: List, items: [" * 20 + "]}" * 20 + "]\n"

    (found,) = documents(nested)

    assert found.kind == "List"


@pytest.mark.parametrize(
    "text", ["a: 1", "[1]", "kind: Service", "apiVersion: v1", "kind: 5\napiVersion: v1", "text"]
)
def test_what_is_no_manifest_passes(text: str) -> None:
    assert documents(text) == []


def test_a_value_that_is_not_there_is_where_its_parent_is() -> None:
    service, _ = documents(INCIDENT)

    assert service.position(("spec", "ports", 0, "targetPort")) == Position(11, 19)
    assert service.position(("spec", "ports", 0, "name")) == Position(10, 7)
    assert service.position(("spec", "ports", 7, "name")) == Position(10, 5)
    assert service.position(("spec", "ports", "x")) == Position(10, 5)
    assert service.position(("kind", 0, "x")) == Position(2, 7)
    assert service.quote(11).strip().startswith("targetPort: 8081")


def test_a_scalar_is_given_as_it_is_written() -> None:
    text = (
        "apiVersion: v1\nkind: X\na: 0x1F90 # eight\nb: 'it''s'\nc: {d: \"8\", e: f}\ng: |\n  x\n"
    )
    (found,) = documents(text)

    assert found.written(("a",)) == "0x1F90"
    assert found.written(("b",)) == "'it''s'"
    assert found.written(("c", "d")) == '"8"'
    assert found.written(("c", "e")) == "f"
    assert found.written(("c",)) == ""


@pytest.mark.parametrize("written", ["&a 80", "!!int 80", "&a !!int 80", '!!str "80"'])
def test_what_begins_with_an_anchor_or_a_tag_is_not_given(written: str) -> None:
    (found,) = documents(f"apiVersion: v1\nkind: X\na: {written}\nb: [{written}]\n")

    assert [found.written(("a",)), found.written(("b", 0))] == ["", ""]


def test_a_piece_of_a_long_value_is_found_in_its_line() -> None:
    data = "  a: |\n    x=1\n\n    url=http://0:80\n  b: 0:80\n"
    text = f"apiVersion: v1\nkind: ConfigMap\ndata:\n{data}"
    (found,) = documents(text)

    assert found.position(("data", "a"), "http://0:80") == Position(7, 9)
    assert found.position(("data", "a"), "nowhere") == Position(4, 6)
    assert found.position(("data", "b"), "80") == Position(8, 8)


def test_what_stands_in_no_text_is_nowhere() -> None:
    found = of_value("cluster", 3, {"apiVersion": "v1", "kind": "Service", "spec": {"a": "b"}})

    assert found.position(("spec", "a"), "b") == Position(0, 0)
    assert found.written(("spec", "a")) == ""
    assert found.quote(1) == ""


def test_json_has_places_as_yaml_has() -> None:
    (found,) = documents('{"apiVersion": "v1",\n "kind": "Service",\n "spec": {"a": 1}}\n')

    assert found.position(("spec", "a")) == Position(3, 16)
