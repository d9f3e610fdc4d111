"""Edits carried out, and nothing else touched."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.lint.findings import Edit, Finding, Rule, Severity
from probe.lint.fixing import Unwritable, diff, edited, fix, write
from probe.lint.linting import lint_texts
from probe.lint.sources import Source, find
from tests.lint.texts import INCIDENT

RULE = Rule("a-rule", Severity.ERROR, "title", "why", "fix")


def finding(source: str, edit: Edit | None) -> Finding:
    return Finding(RULE, RULE.severity, source, 1, 1, "", "wrong", "", edit)


def test_the_incident_is_mended_and_its_comment_kept() -> None:
    source = Source("a.yaml", INCIDENT)
    ((_, text),) = fix(lint_texts([source]).findings, {"a.yaml": source})

    assert text == INCIDENT.replace("targetPort: 8081  #", "targetPort: 8080  #")
    assert lint_texts([Source("a.yaml", text)]).findings == []


def test_the_diff_is_that_of_diff() -> None:
    source = Source("a.yaml", "a\nb\nc")

    assert diff(source, "a\nB\nc") == "--- a.yaml\n+++ a.yaml\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"


def test_edits_do_not_move_each_other() -> None:
    source = Source("a", "80 80\r\n80\r\n")
    edits = [Edit(1, 1, "80", "8080"), Edit(1, 4, "80", "9"), Edit(2, 1, "80", "443")]

    assert edited(source, edits) == "8080 9\r\n443\r\n"


@pytest.mark.parametrize(
    "edits",
    [
        [Edit(1, 1, "81", "82")],
        [Edit(1, 1, "80", "81"), Edit(1, 1, "80", "82")],
        [Edit(9, 9, "80", "81")],
    ],
    ids=["what is not there", "what contradicts itself", "what is beyond the end"],
)
def test_doubtful_edits_are_left_out(edits: list[Edit]) -> None:
    source = Source("a", "80 80\n")

    assert edited(source, edits) == "80 80\n"
    assert fix([finding("a", edit) for edit in edits], {"a": source}) == []


def test_of_edits_that_overlap_the_last_one_counts() -> None:
    edits = [Edit(1, 1, "80 80", "x"), Edit(1, 4, "80", "81")]

    assert edited(Source("a", "80 80\n"), edits) == "80 81\n"


@pytest.mark.parametrize(
    "written", ["&port 8081", "!!int 8081", '!!int "8081"', "&port !!int 8081"]
)
def test_a_value_with_an_anchor_or_a_tag_is_left_alone(written: str) -> None:
    source = Source("a.yaml", INCIDENT.replace("8081", written))
    report = lint_texts([source])

    assert [f.edit for f in report.findings if f.severity == "error"] == [None]
    assert fix(report.findings, {"a.yaml": source}) == []


TWICE = """\
apiVersion: v1
kind: ConfigMap
data: {port: &p 80, x: 80, no: n}
more: *p
---
apiVersion: v1
kind: ConfigMap
data: {port: 80, name: web, more: .nan}
"""


def test_edits_that_change_more_than_their_value_are_left_out() -> None:
    source = Source("a.yaml", TWICE)
    twice, fine, false, broken = (
        finding("a.yaml", edit)
        for edit in (
            Edit(3, 17, "80", "81"),
            Edit(8, 14, "80", "81"),
            Edit(8, 24, "web", "no"),
            Edit(3, 24, "80", "81}"),
        )
    )

    assert fix([twice, false, broken], {"a.yaml": source}) == []
    assert fix([twice, fine, false, broken], {"a.yaml": source}) == [
        (source, TWICE.replace("port: 80, name", "port: 81, name"))
    ]


def test_findings_without_an_edit_or_a_file_change_nothing() -> None:
    edit = Edit(1, 1, "80", "81")

    assert fix([finding("a", None), finding("b", edit)], {"a": Source("a", "80")}) == []


def read(path: Path) -> Source:
    (source,) = find([str(path)])
    assert isinstance(source, Source)
    return source


@pytest.mark.parametrize(
    "content",
    [b"a: 80\r\n", b"\xef\xbb\xbfa: 80\n", b"a: 80 # \xff\n", b"a: 80"],
    ids=["Windows' line ends", "a byte order mark", "a byte that is no UTF-8", "no line end"],
)
def test_a_file_keeps_its_bytes_mode_and_links(tmp_path: Path, content: bytes) -> None:
    path, link = tmp_path / "a.yaml", tmp_path / "link.yaml"
    path.write_bytes(content)
    path.chmod(0o640)
    link.symlink_to(path)
    source = read(link)

    write(source, edited(source, [Edit(1, 4, "80", "8081")]))

    assert path.read_bytes() == content.replace(b"80", b"8081")
    assert path.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["a.yaml", "link.yaml"]


def test_a_file_that_was_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 80\n")
    source = read(path)
    path.write_text("a: 90\n")

    with pytest.raises(Unwritable, match="changed meanwhile"):
        write(source, "a: 81\n")
    assert path.read_text() == "a: 90\n"


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unwritable, match="No such file"):
        write(Source(f"{tmp_path}/a.yaml", "a"), "b")


@given(st.lists(st.sampled_from(["80", " ", "\n", "\r\n", "é", "😀"])), st.data())
def test_only_the_edited_place_changes(parts: list[str], data: st.DataObject) -> None:
    text = "".join([*parts, "80"])
    source = Source("a", text)
    offset = data.draw(st.sampled_from([i for i in range(len(text)) if text.startswith("80", i)]))
    line, column = source.position(offset)

    assert (
        edited(source, [Edit(line, column, "80", "9")]) == text[:offset] + "9" + text[offset + 2 :]
    )
