"""YAML and JSON -> plain values that know where they are written, within bounds.

The values are those that kubectl would send (sigs.k8s.io/yaml: YAML 1.1 as goyaml.v2 reads it), so
`yes` is true, `010` is 8, and `8080:80` and `2026-01-01` are texts. An alias shares the value of
its anchor; how much it would take in full is counted, not built.
"""

import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

DEPTH_MAX = 200
"""Levels of a document. The deepest that people write are CustomResourceDefinitions, at some 60;
Python's own recursion ends at 1,000."""

VALUES_MAX = 2_000_000
"""Values of one text. Ten thousand objects have some 500,000 (measured); an empty map takes 250
bytes, so this is half a GB at the worst."""

ALIASED_MAX = 100_000
"""Values that aliases may add to those that are written in a document. goyaml.v2 begins to refuse
at 400,000 (decode.go: alias_ratio_range_low)."""

DOCUMENTS_MAX = 200_000
"""Documents of one text, at some 20 us each that are the parser's own. Arbitrary."""

COLUMNS = 1 << 20
"""A place is one number, line * COLUMNS + column: a tenth of the memory of two in a tuple."""

NUMBER_MAX = 400
"""Characters of a number that are read as one; more is a text. Arbitrary, over the 309 digits of
the largest float."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML has it, as its wheels do: ten times as fast."""

_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE
_START = re.compile("[-+.0-9]")
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "off", "Off", "OFF"], False),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], float("nan")),
    **dict.fromkeys([".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"], float("inf")),
    **dict.fromkeys(["-.inf", "-.Inf", "-.INF"], float("-inf")),
}


class Map(dict[str, Any]):
    """A dict that knows where the value of each key begins: `at`, in the order of the keys."""

    __slots__ = ("at",)
    at: "array[int]"


class Seq(list[Any]):
    """A list that knows where each of its items begins."""

    __slots__ = ("at",)
    at: "array[int]"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that stands in its map a second time, and where; the first one's value is lost."""

    key: str
    at: int


@dataclass(slots=True)
class Parsed:
    """One YAML document: its value, where that begins, the keys that it has twice."""

    value: Any
    at: int
    duplicates: list[Duplicate] = field(default_factory=list)


class Broken(Exception):
    """The text is no YAML, or too much of it. `at` is the place."""

    def __init__(self, sentence: str, at: int) -> None:
        super().__init__(sentence)
        self.at = at


class Excessive(Broken):
    """The text as a whole is too much: what follows is not to be read either."""


def place(at: int) -> tuple[int, int]:
    """Line and column, 1-based, of a place as it is kept; 0 and 0 for none."""
    return divmod(at, COLUMNS)


def placed(container: Any, step: str | int) -> int:
    """Where the value of that key, or the item of that number, begins; 0 if nobody noted it.
    Raises LookupError if there is none."""
    if isinstance(container, Map):
        return container.at[list(container).index(str(step))]
    return container.at[int(step)] if isinstance(container, Seq) else 0


class Parser:
    """Reads the pieces of one text, which together are bounded."""

    def __init__(self, values: int = VALUES_MAX, documents: int = DOCUMENTS_MAX) -> None:
        """For at most so many values and documents."""
        self.values_max, self._documents_max = values, documents
        self.values = 0
        self.documents = 0

    def parse(self, text: str, line: int = 1) -> Iterator[Parsed]:
        """The documents of a piece whose first line has that number, but for empty ones.

        Raises Broken at what is no YAML; the documents before that have been given by then.
        """
        self.documents += 1
        if self.documents > self._documents_max:
            sentence = f"more than {self._documents_max:,} documents in one text"
            raise Excessive(sentence, line * COLUMNS + 1)
        if wrong := _UNPRINTABLE.search(text):
            raise _unprintable(wrong[0], wrong.start(), text, line)
        try:
            loader = LOADER(text)
            while loader.check_event():
                if type(loader.get_event()) is yaml.DocumentStartEvent:
                    yield from _Document(self, loader.get_event, line).parsed()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            at = _at(mark, line, text) if mark else line * COLUMNS + 1
            raise Broken(_sentence(error), at) from None


class _Document:
    """Builds the value of one YAML document from libyaml's events."""

    def __init__(self, parser: Parser, take: Callable[[], Any], line: int) -> None:
        self._parser, self._take, self._line = parser, take, line
        self._anchors: dict[str, tuple[Any, int] | None] = {}
        self._aliased = 0
        self._duplicates: list[Duplicate] = []

    def parsed(self) -> Iterator[Parsed]:
        event = self._take()
        at = self._place(event)
        value = self._value(event, 0)
        if value is not None:
            yield Parsed(value, at, self._duplicates)

    def _place(self, event: Any) -> int:
        mark = event.start_mark
        return (mark.line + self._line) * COLUMNS + mark.column + 1  # type: ignore[no-any-return]

    def _value(self, event: Any, depth: int) -> Any:
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self._alias(event)
        parser = self._parser
        parser.values += 1
        if parser.values > parser.values_max:
            raise Excessive(
                f"more than {parser.values_max:,} values in one text", self._place(event)
            )
        before, anchor = parser.values + self._aliased, event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        value: Any
        if kind is yaml.ScalarEvent:
            value = _scalar(event.value) if event.implicit[0] else _tagged(event)
        elif depth >= DEPTH_MAX:
            raise Broken(f"more than {DEPTH_MAX} levels", self._place(event))
        elif kind is yaml.MappingStartEvent:
            value = self._map(depth + 1)
        else:
            value = self._seq(depth + 1)
        if anchor is not None:
            self._anchors[anchor] = value, parser.values + self._aliased - before + 1
        return value

    def _map(self, depth: int) -> Map:
        found, at, merged = Map(), array("Q"), []
        order: dict[str, int] = {}  # made when it is needed, which is hardly ever
        while type(event := self._take()) is not yaml.MappingEndEvent:
            key = self._key(event, depth)
            event = self._take()
            where = self._place(event)
            value = self._value(event, depth)
            if key is None:
                merged.append((value, where))
            elif key in found:
                self._duplicates.append(Duplicate(key, where))
                order = order or {key: number for number, key in enumerate(found)}
                at[order[key]] = where
                found[key] = value
            else:
                if order:
                    order[key] = len(found)
                found[key] = value
                at.append(where)
        found.at = at
        for value, where in merged:
            _merge(found, value, where)
        return found

    def _key(self, event: Any, depth: int) -> str | None:
        """As JSON has it, a text; None for the merge key."""
        if type(event) is yaml.ScalarEvent:
            plain = event.implicit[0]
            if plain and event.value == "<<":
                return None
        key = self._value(event, depth)
        if isinstance(key, str):
            return key
        if isinstance(key, dict | list):
            raise Broken("a key is a map or a list, which no JSON can say", self._place(event))
        return "null" if key is None else str(key).lower() if isinstance(key, bool) else str(key)

    def _seq(self, depth: int) -> Seq:
        found, at = Seq(), array("Q")
        while type(event := self._take()) is not yaml.SequenceEndEvent:
            at.append(self._place(event))
            found.append(self._value(event, depth))
        found.at = at
        return found

    def _alias(self, event: Any) -> Any:
        anchor = event.anchor
        if anchor not in self._anchors:
            raise Broken(f"alias *{anchor} has no anchor before it", self._place(event))
        known = self._anchors[anchor]
        if known is None:
            raise Broken(f"anchor &{anchor} contains itself", self._place(event))
        value, size = known
        self._aliased += size
        if self._aliased > ALIASED_MAX:
            raise Broken(
                f"aliases make more than {ALIASED_MAX:,} values of this document",
                self._place(event),
            )
        return value


def _merge(found: Map, value: Any, where: int) -> None:
    """What `<<` brings: keys that the map has not itself. Of several maps the first one counts."""
    for source in value if isinstance(value, list) else [value]:
        if not isinstance(source, Map):
            raise Broken("a merge key (<<) wants a map or a list of maps", where)
        for (key, each), at in zip(source.items(), source.at, strict=True):
            if key not in found:
                found[key] = each
                found.at.append(at)


def _tagged(event: Any) -> Any:
    """A scalar that is quoted, or has a tag: a text, unless the tag says a number (!!int "8")."""
    tag = event.tag
    if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool"):
        return _scalar(event.value)
    return None if tag == "tag:yaml.org,2002:null" else event.value


@lru_cache(maxsize=1 << 16)
def _scalar(text: str) -> Any:
    """What a plain scalar means, one text for all that are equal."""
    if text in _WORDS:
        return _WORDS[text]
    if not _START.match(text) or len(text) > NUMBER_MAX or not text.isascii():
        return text
    digits = text.replace("_", "")
    try:
        # Go's strconv.ParseInt(base 0): 0x, 0o, 0b, and a leading zero for octal.
        octal = re.fullmatch(r"([-+]?)0([0-7]+)", digits)
        return int(octal[1] + octal[2], 8) if octal else int(digits, 0)
    except ValueError:
        return float(digits) if _FLOAT.fullmatch(digits) else text


def _unprintable(character: str, index: int, text: str, line: int) -> Broken:
    code = ord(character)
    begin = text.rfind("\n", 0, index) + 1
    at = (line + text.count("\n", 0, index)) * COLUMNS + index - begin + 1
    # Bytes that are no UTF-8 come as lone surrogates (PEP 383).
    if 0xDC80 <= code <= 0xDCFF:
        return Broken(f"byte 0x{code - 0xDC00:02X} is no UTF-8", at)
    return Broken(f"character U+{code:04X} is not allowed", at)


def _at(mark: Any, line: int, text: str) -> int:
    """Where a mark is; that of the text's end may be on a line which there is not."""
    lines = text.splitlines() or [""]
    if mark.line < len(lines):
        return (line + int(mark.line)) * COLUMNS + int(mark.column) + 1
    return (line + len(lines) - 1) * COLUMNS + len(lines[-1]) + 1


def _sentence(wrong: yaml.MarkedYAMLError) -> str:
    """libyaml's words, with the few that say nothing to a person replaced."""
    problem = wrong.problem or "no YAML"
    if problem == "found character that cannot start any token":
        problem = "nothing can begin with this character (a tab is no indentation)"
    return ", ".join(filter(None, (problem, wrong.context)))
