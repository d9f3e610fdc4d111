"""Objects as manifests have them: plain values, and where each of them is written."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from probe.lint.parsing import Parsed, place, placed
from probe.lint.sources import Position, Source

DEFAULT_NAMESPACE = "default"
"""Where an object without a namespace is put (kubectl's, without a context that says otherwise)."""

LISTS_MAX = 8
"""Lists inside of Lists that are looked into. Arbitrary."""

_PLAIN = re.compile(r"[^\s,\[\]{}#&!*][^\s,\[\]{}#]*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^']|'')*'")


@dataclass(eq=False, slots=True)
class Document:
    """One object. `index` counts those of a source; `value` is plain Python: dicts whose keys are
    all str, lists, str, int, float, bool and None, as the API server would read them."""

    origin: Source
    index: int
    value: dict[str, Any]
    at: int = 0
    kind: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = self.value.get("metadata")
        self.metadata = found if isinstance(found, dict) else {}
        self.kind = self.kind or _text(self.value.get("kind"))

    @property
    def source(self) -> str:
        return self.origin.name

    @property
    def api_version(self) -> str:
        return _text(self.value.get("apiVersion"))

    @property
    def name(self) -> str:
        """Its name; generateName's beginning where it has none; else empty."""
        return _text(self.metadata.get("name")) or _text(self.metadata.get("generateName"))

    @property
    def namespace(self) -> str:
        return _text(self.metadata.get("namespace")) or DEFAULT_NAMESPACE

    @property
    def object(self) -> str:
        """How findings call it: `Service demo-app/web`."""
        return f"{self.kind} {self.namespace}/{self.name}"

    def position(self, path: Sequence[str | int] = (), text: str = "") -> Position:
        """Where the value at that path begins, or that of its nearest parent there is.

        With `text`, where this piece of it begins, if it is written there just so: inside of a
        block scalar (`|`) it is, and so it is in most plain ones.
        """
        value, packed = self._walk(path)
        found = _position(packed)
        return self._inside(found, value, text) if text and isinstance(value, str) else found

    def quote(self, line: int) -> str:
        """That line of its source, as it is written."""
        return self.origin.line(line)

    def written(self, path: Sequence[str | int]) -> str:
        """The scalar at that path as its file has it, quotes and all (`0x1F90`, `"8080"`); empty
        if there is none, it takes more than its line, or begins with an anchor or a tag."""
        value, packed = self._walk(path)
        begin = _position(packed)
        if not begin.line or isinstance(value, dict | list):
            return ""
        line = self.quote(begin.line)
        found = _QUOTED.match(line, begin.column - 1) or _PLAIN.match(line, begin.column - 1)
        return found[0] if found else ""

    def _walk(self, path: Sequence[str | int]) -> tuple[Any, int]:
        value: Any = self.value
        packed = self.at
        for step in path:
            if not isinstance(value, dict | list):
                return None, packed
            try:
                packed = placed(value, step)
                value = value[step]  # type: ignore[index]
            except (LookupError, TypeError, ValueError):
                return None, packed
        return value, packed

    def _inside(self, begin: Position, value: str, text: str) -> Position:
        """The first place where the piece of the value is written, from where the value begins."""
        if not begin.line:
            return begin
        offset = self.origin.offset(begin)
        # Indentation of at most 100 columns a line.
        reach = len(value) + 100 * (value.count("\n") + 2)
        found = self.origin.text.find(text, offset, offset + reach)
        return begin if found < 0 else self.origin.position(found)


def objects(origin: Source, index: int, parsed: Parsed) -> Iterator[Document]:
    """The objects of what was parsed: itself, or the items of a List; none if it is no manifest
    (without apiVersion and kind, which only a kustomization.yaml may do without)."""
    implied = "Kustomization" if PurePath(origin.name).stem.lower() == "kustomization" else ""
    yield from _objects(origin, index, parsed.value, parsed.at, implied, 0)


def _objects(
    origin: Source, index: int, value: Any, at: int, implied: str, depth: int
) -> Iterator[Document]:
    if not isinstance(value, dict):
        return
    kind = _text(value.get("kind")) or implied
    if not kind or not (implied or _text(value.get("apiVersion"))):
        return
    items = value.get("items")
    if kind.endswith("List") and isinstance(items, list) and depth < LISTS_MAX:
        for number, item in enumerate(items):
            yield from _objects(
                origin,
                index + number,
                item,
                placed(items, number),
                kind.removesuffix("List"),
                depth + 1,
            )
        return
    yield Document(origin, index, value, at, kind)


def of_value(source: str, index: int, value: dict[str, Any]) -> Document:
    """An object that was read from no text, such as one of the cluster's."""
    return Document(Source(source, ""), index, value)


def _position(packed: int) -> Position:
    return Position(*place(packed))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
