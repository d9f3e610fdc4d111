"""Carries edits out: in place, leaving everything else as its author wrote it."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any

from probe.lint.documents import Document
from probe.lint.findings import Edit, Finding
from probe.lint.reading import read
from probe.lint.sources import Position, Source


class Unwritable(Exception):
    """A file cannot be rewritten. A sentence for a person."""


def fix(findings: Iterable[Finding], sources: Mapping[str, Source]) -> list[tuple[Source, str]]:
    """The texts that change, with what they become. Edits that contradict each other, or do not
    find what they replace, are left out; so are those that would change another value too (of an
    anchor that is used twice), or make something else of it (a name `no`, which YAML reads as
    false)."""
    edits: dict[str, set[Edit]] = {}
    for finding in findings:
        if finding.edit is not None and finding.source in sources:
            edits.setdefault(finding.source, set()).add(finding.edit)
    fixed = []
    for name, wanted in edits.items():
        source = sources[name]
        text = edited(source, wanted)
        if not _is_as_meant(source, text, wanted):
            alone = (e for e in wanted if _is_as_meant(source, edited(source, [e]), [e]))
            text = edited(source, alone)
        if text != source.text:
            fixed.append((source, text))
    return fixed


def edited(source: Source, edits: Iterable[Edit]) -> str:
    """The text after the edits."""
    text, by_place = source.text, dict[int, set[Edit]]()
    for edit in edits:
        by_place.setdefault(source.offset(Position(edit.line, edit.column)), set()).add(edit)
    end = len(text)
    for begin in sorted(by_place, reverse=True):
        edit, *others = by_place[begin]
        after = begin + len(edit.old)
        if not others and after <= end and text.startswith(edit.old, begin):
            text = text[:begin] + edit.new + text[after:]
            end = begin
    return text


def _is_as_meant(source: Source, text: str, edits: Iterable[Edit]) -> bool:
    """Whether the objects of the text differ from the source's by one value for each edit."""
    changed = (str(value) for value in _changed(_values(source.text), _values(text)))
    return sorted(changed) == sorted(edit.new.strip("\"'") for edit in edits)


def _values(text: str) -> list[Any]:
    return [each.value for each in read([Source("", text)], {}) if isinstance(each, Document)]


def _changed(before: Any, after: Any) -> Iterator[Any]:
    """What has come instead of other values."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        for key, value in before.items():
            yield from _changed(value, after[key])
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from _changed(one, other)
    elif repr(before) != repr(after):  # True is no 1, and .nan is itself
        yield after


def diff(source: Source, text: str) -> str:
    """What changes, as `diff -u` says it."""
    before, after = source.text.splitlines(keepends=True), text.splitlines(keepends=True)
    lines = unified_diff(before, after, source.name, source.name)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def write(source: Source, text: str) -> None:
    """Replaces the file by the text at once, keeping its mode, owner and encoding. What a link
    points to is rewritten, not the link. Raises Unwritable, also if the file was changed since
    it was read."""
    path = Path(os.path.realpath(source.name))
    try:
        before = source.text.encode(source.encoding, "surrogateescape")
        if path.read_bytes() != before:
            raise Unwritable(
                f"{source.name}: it was changed meanwhile, or its encoding is not kept"
            )
        _replace(path, text.encode(source.encoding, "surrogateescape"))
    except OSError as wrong:
        raise Unwritable(f"{source.name}: {wrong.strerror}") from wrong


def _replace(path: Path, content: bytes) -> None:
    found = path.stat()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), found.st_uid, found.st_gid)
            os.fchmod(file.fileno(), found.st_mode & 0o7777)  # a change of owner drops setuid
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
