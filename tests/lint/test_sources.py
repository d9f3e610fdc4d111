"""Files, directories, globs and standard input, and what is left out of them."""

import os
import re
from pathlib import Path

import pytest

from probe.lint import sources
from probe.lint.sources import Chart, Position, Source, Unreadable, find

TEXT = "apiVersion: v1\nkind: Service\n"


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TEXT + f"# {name}\n")


def names(*paths: str | Path) -> list[str]:
    return [s.name for s in find(map(str, paths)) if isinstance(s, Source)]


def test_a_directory_is_read_to_its_depths_in_order(tmp_path: Path) -> None:
    put(tmp_path, "b.yml", "a/c.yaml", "d.json", "README.md", ".github/x.yaml", ".hidden.yaml")
    put(tmp_path, "node_modules/x.yaml")

    assert names(tmp_path) == [f"{tmp_path}/{n}" for n in ("b.yml", "d.json", "a/c.yaml")]


def test_files_here_are_called_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.yaml", "b/c.yaml")
    monkeypatch.chdir(tmp_path)

    assert names(".") == ["a.yaml", "b/c.yaml"]


def test_a_file_is_read_whatever_its_name_and_only_once(tmp_path: Path) -> None:
    put(tmp_path, "manifest", "a.yaml")

    found = names(tmp_path / "manifest", tmp_path / "a.yaml", tmp_path)

    assert found == [f"{tmp_path}/manifest", f"{tmp_path}/a.yaml"]


def test_a_glob_that_no_shell_expanded_is_expanded(tmp_path: Path) -> None:
    put(tmp_path, "a/x.yaml", "a/b/y.yaml", "z.txt")

    assert names(f"{tmp_path}/**/*.yaml") == [f"{tmp_path}/a/b/y.yaml", f"{tmp_path}/a/x.yaml"]


def test_a_file_with_a_bracket_in_its_name_is_itself(tmp_path: Path) -> None:
    put(tmp_path, "a[1].yaml")

    assert names(tmp_path / "a[1].yaml") == [f"{tmp_path}/a[1].yaml"]


def test_the_templates_of_a_chart_are_left_out_and_told(tmp_path: Path) -> None:
    put(tmp_path, "chart/Chart.yaml", "chart/values.yaml", "chart/templates/a.yaml", "x.yaml")

    found = list(find([str(tmp_path)]))

    assert [c.folder for c in found if isinstance(c, Chart)] == [tmp_path / "chart"]
    assert names(tmp_path) == [
        f"{tmp_path}/{n}" for n in ("x.yaml", "chart/Chart.yaml", "chart/values.yaml")
    ]


def test_a_pipe_is_read_as_a_file_is(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, TEXT.encode())
    os.close(writing)

    (found,) = find([f"/dev/fd/{reading}"])
    os.close(reading)

    assert isinstance(found, Source)
    assert found.text == TEXT


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("nothing.yaml", "nothing.yaml: No such file or directory"),
        ("*.yaml", "*.yaml: no file matches"),
        ("empty", "empty: no manifests in this directory"),
        ("a\0b", "null"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, asked: str, said: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(Unreadable, match=re.escape(said)):
        list(find([f"{tmp_path}/{asked}"]))


def test_an_empty_path_is_said() -> None:
    with pytest.raises(Unreadable, match="an empty path"):
        list(find([""]))


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    put(tmp_path, "a.yaml")
    (tmp_path / "self").symlink_to(tmp_path)

    assert names(tmp_path) == [f"{tmp_path}/a.yaml"]


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(sources.SOURCE_MAX + 1)

    with pytest.raises(Unreadable, match="more than 64 MiB"):
        list(find([str(path)]))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("kind: Grün\n".encode(encoding))

    (found,) = find([str(path)])

    assert isinstance(found, Source)
    assert found.text == "kind: Grün\n"
    assert found.encoding == encoding


def test_lines_and_offsets_are_each_others_opposite() -> None:
    source = Source("a", "ab\r\ncd\n\nef")

    assert [source.line(n) for n in range(6)] == ["", "ab", "cd", "", "ef", ""]
    assert source.offset(Position(2, 2)) == 5
    assert source.position(5) == Position(2, 2)
