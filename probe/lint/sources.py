"""Where manifests are: files, directories, globs and standard input, as texts."""

import codecs
import glob
import os
import re
import stat
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

STDIN = "-"
"""How standard input is called, by who asks for it and in findings."""

SUFFIXES = (".yaml", ".yml", ".json")
"""What is read of a directory; a file that is named itself is read whatever its name is."""

SOURCE_MAX = 64 * 1024 * 1024
"""Bytes of one text. Kubernetes takes objects of up to 3 MiB (apiserver's MaxRequestBodyBytes),
and ten thousand of usual size are 5 MB (measured); this bounds what a wrong file can cost."""

_BREAK = re.compile(r"\r\n|\r|\n")


class Unreadable(Exception):
    """What was asked for cannot be read, or holds nothing to read. A sentence for a person."""


class Position(NamedTuple):
    """1-based, as editors count; 0 and 0 for what stands in no text."""

    line: int
    column: int


@dataclass(eq=False)
class Source:
    """A text that manifests are read from.

    `name` is its file as it was asked for, or `-`; `asked` that it was named itself, not come upon
    in a directory. A byte that is no UTF-8 is kept as a lone surrogate.
    """

    name: str
    text: str
    asked: bool = True
    encoding: str = "utf-8"

    @cached_property
    def starts(self) -> "array[int]":
        """Where each line begins in the text."""
        starts = array("Q", [0])
        starts.extend(found.end() for found in _BREAK.finditer(self.text))
        return starts

    def line(self, number: int) -> str:
        """That line, without its end; empty if there is none."""
        if not 0 < number <= len(self.starts):
            return ""
        start = self.starts[number - 1]
        end = self.starts[number] if number < len(self.starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def offset(self, position: Position) -> int:
        """Where that position is in the text."""
        return self.starts[min(position.line, len(self.starts)) - 1] + position.column - 1

    def position(self, offset: int) -> Position:
        """The opposite."""
        line = bisect_right(self.starts, offset)
        return Position(line, offset - self.starts[line - 1] + 1)


@dataclass(frozen=True, slots=True)
class Chart:
    """A directory with templates of Helm, which are no YAML before Helm has rendered them."""

    folder: Path


def find(paths: Iterable[str]) -> Iterator[Source | Chart]:
    """The texts behind what a person asked for, each file once. Raises Unreadable."""
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path == STDIN:
            yield _source(STDIN, _piped(), asked=True)
            continue
        for name in _expanded(path):
            if os.path.isdir(name):
                yield from _folder(Path(name), seen)
            elif _is_new(name, seen):
                yield _source(name, _bytes(name), asked=True)


def _expanded(path: str) -> list[str]:
    """The path, or what a glob matches that no shell has expanded (`**` too)."""
    if not path:
        raise Unreadable("an empty path names no manifest")
    if os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    found = sorted(glob.glob(path, recursive=True))
    if not found:
        raise Unreadable(f"{path}: no file matches")
    return found


def _folder(top: Path, seen: set[tuple[int, int]]) -> Iterator[Source | Chart]:
    """The manifests of a directory. Hidden ones are other programs' (.git, .github)."""
    charts, any_found = 0, False
    for folder, folders, files in os.walk(top, onerror=_refuse):
        is_chart = "Chart.yaml" in files and "templates" in folders
        if is_chart:
            charts += 1
            yield Chart(Path(folder))
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name != "node_modules"
            and not (is_chart and name == "templates")
        )
        for name in sorted(files):
            path = os.path.join(folder, name).removeprefix("./")
            if name.endswith(SUFFIXES) and not name.startswith(".") and os.path.isfile(path):
                any_found = True
                if _is_new(path, seen):
                    yield _source(path, _bytes(path), asked=False)
    if not any_found:
        raise Unreadable(f"{top}: no manifests in this directory (*.yaml, *.yml or *.json)")


def _refuse(wrong: OSError) -> None:
    raise Unreadable(f"{wrong.filename}: {wrong.strerror}") from wrong


def _is_new(name: str, seen: set[tuple[int, int]]) -> bool:
    try:
        found = os.stat(name)
    except (OSError, ValueError) as wrong:
        raise Unreadable(f"{name}: {_reason(wrong)}") from wrong
    key = found.st_dev, found.st_ino
    if stat.S_ISREG(found.st_mode) and key in seen:
        return False
    seen.add(key)
    return True


def _bytes(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read(SOURCE_MAX + 1)
    except OSError as wrong:
        raise Unreadable(f"{name}: {_reason(wrong)}") from wrong


def _piped() -> bytes:
    if sys.stdin is None:
        raise Unreadable("standard input is closed")
    try:
        return sys.stdin.buffer.read(SOURCE_MAX + 1)
    except OSError as wrong:
        raise Unreadable(f"standard input: {_reason(wrong)}") from wrong


def _reason(wrong: Exception) -> str:
    return (isinstance(wrong, OSError) and wrong.strerror) or str(wrong)


def _source(name: str, raw: bytes, *, asked: bool) -> Source:
    if len(raw) > SOURCE_MAX:
        raise Unreadable(f"{name}: more than {SOURCE_MAX >> 20} MiB; manifests are smaller")
    # A byte order mark, as YAML 1.1 and Windows' editors have it.
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Source(name, raw.decode("utf-16", "replace"), asked, "utf-16")
    encoding = "utf-8-sig" if raw.startswith(codecs.BOM_UTF8) else "utf-8"
    return Source(name, raw.decode(encoding, "surrogateescape"), asked, encoding)
