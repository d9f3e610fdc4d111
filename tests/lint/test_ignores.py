"""What people tell us to leave out."""

import pytest

from tests.lint.texts import INCIDENT, brief, linted

LINE = 11
"""The incident's."""

MISMATCH = "target-port-mismatch"


def commented(line: int, comment: str) -> str:
    """The incident with a comment behind that line."""
    lines = INCIDENT.splitlines()
    lines[line - 1] = lines[line - 1].partition("  #")[0] + comment
    return "\n".join(lines) + "\n"


def test_the_incident_is_found() -> None:
    assert brief(linted(INCIDENT)) == [(MISMATCH, LINE)]


@pytest.mark.parametrize(
    "line",
    [LINE, 1, 2],
    ids=["the line itself", "the document's first line", "the line of its kind"],
)
def test_a_comment_behind_a_line_covers_it_and_some_their_document(line: int) -> None:
    text = commented(line, f" # probe-lint: ignore={MISMATCH} the image listens there")

    assert brief(linted(text)) == []


def test_a_comment_of_its_own_covers_the_next_line_that_says_something() -> None:
    lines = INCIDENT.splitlines()
    lines[LINE - 1 : LINE - 1] = [f"      #probe-lint:ignore={MISMATCH} known", "", "  # more"]

    assert brief(linted("\n".join(lines))) == []


def test_a_comment_above_a_document_covers_it() -> None:
    text = f"# probe-lint: ignore={MISMATCH} known\n{INCIDENT}"

    assert brief(linted(text)) == []


def test_a_comment_covers_no_other_document_line_or_rule() -> None:
    for line in (12 + 2, LINE - 1):
        text = commented(line, f" # probe-lint: ignore={MISMATCH} x")
        assert sorted(brief(linted(text))) == [(MISMATCH, LINE), ("unused-ignore", line)]
    text = commented(LINE, " # probe-lint: ignore=zero-address x")
    assert sorted(brief(linted(text))) == [(MISMATCH, LINE), ("unused-ignore", LINE)]


def test_several_rules_stand_in_one_comment() -> None:
    text = commented(LINE, f" # probe-lint: ignore=drain-missing,{MISMATCH} x")

    assert brief(linted(text)) == [("unused-ignore", LINE)]


def test_without_a_reason_it_holds_but_is_told() -> None:
    text = commented(LINE, f" # probe-lint: ignore={MISMATCH}")

    assert brief(linted(text)) == [("ignore-without-reason", LINE)]


def test_an_annotation_does_as_well() -> None:
    name = "  name: backend-v1\n"
    note = f"  annotations:\n    lint.edgeprobe.dev/{MISMATCH}: the image listens there\n"

    assert brief(linted(INCIDENT.replace(name, name + note, 1))) == []
    reasonless = note.replace("the image listens there", "5")
    found = brief(linted(INCIDENT.replace(name, name + reasonless, 1)))
    assert found == [("ignore-without-reason", 6)]
    unused = note.replace(MISMATCH, "zero-address")
    found = brief(linted(INCIDENT.replace(name, name + unused, 1)))
    assert found == [("unused-ignore", 6), (MISMATCH, LINE + 2)]


def test_other_annotations_say_nothing() -> None:
    text = "apiVersion: v1\nkind: X\nmetadata: {name: a, annotations: 5}\n"

    assert brief(linted(text)) == []


def test_in_a_list_the_kind_of_an_item_covers_the_item() -> None:
    items = ""
    for document in INCIDENT.split("---\n"):
        first, *rest = document.splitlines()
        items += "\n".join([f"  - {first}", *(f"    {line}" for line in rest)]) + "\n"
    text = f"apiVersion: v1\nkind: List\nitems:\n{items}"
    ignored = text.replace("kind: Service", f"kind: Service # probe-lint: ignore={MISMATCH} x")

    assert brief(linted(text)) == [(MISMATCH, LINE + 3)]
    assert brief(linted(ignored)) == []
