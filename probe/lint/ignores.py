"""What people know better: findings that a comment, or an annotation, tells us to leave out.

    targetPort: 8081  # probe-lint: ignore=target-port-mismatch the image listens there too

A comment covers its line, or the next one if it stands alone; on a document's first line, or on
the line of its `kind`, it covers the whole document. kustomize drops comments, so an annotation
`lint.edgeprobe.dev/RULE: reason` covers its document too. Each has a reason, and some finding.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from probe.lint.documents import Document
from probe.lint.findings import Finding, Rule, Severity
from probe.lint.sources import Position, Source

ANNOTATION = "lint.edgeprobe.dev/"

UNREASONED = Rule(
    "ignore-without-reason",
    Severity.WARNING,
    "Something is ignored without a reason",
    "Whoever reads it later cannot tell whether it still holds.",
    "write the reason behind the rule: `# probe-lint: ignore=RULE reason`",
)

UNUSED = Rule(
    "unused-ignore",
    Severity.INFO,
    "Something is ignored that is not found",
    "It may hide the next fault of this kind.",
    "delete it",
)

SILENT_MAX = 20
"""Blank lines and comments between an ignore and the line that it is about. Arbitrary."""

IGNORES_MAX = 10_000
"""Comments of one text that are looked at. Arbitrary."""

_COMMENT = re.compile(r"(?m)(^[ \t]*|[ \t])#[ \t]*probe-lint:[ \t]*ignore=([\w,-]+)[ \t]*(.*)$")
_SILENT = re.compile(r"[ \t]*(#.*|---)?")
"""A line that says nothing to YAML."""


class _Span(NamedTuple):
    """Lines of a source, both ends among them; no lines for a document without a text."""

    first: int
    last: int


_ANYWHERE = _Span(0, 0)


@dataclass(slots=True)
class _Ignore:
    """One rule that is to be ignored somewhere, as it was written at that position."""

    rule: str
    reason: str
    source: str
    position: Position
    span: _Span
    object: str = ""
    used: bool = field(default=False)


class _Ignores:
    """All of them, by where they apply: there may be as many as lines."""

    def __init__(self, ignores: Iterable[_Ignore]) -> None:
        self.all = list(ignores)
        self._spans: dict[tuple[str, str], list[_Ignore]] = {}
        self._lines: dict[tuple[str, str, int], list[_Ignore]] = {}
        self._objects: dict[tuple[str, str, str], list[_Ignore]] = {}
        for each in self.all:
            first, last = each.span
            if not first:
                key = each.source, each.rule, each.object
                self._objects.setdefault(key, []).append(each)
            elif first == last:
                self._lines.setdefault((each.source, each.rule, first), []).append(each)
            else:
                self._spans.setdefault((each.source, each.rule), []).append(each)
        for found in self._spans.values():
            found.sort(key=_first)

    def covering(self, finding: Finding) -> list[_Ignore]:
        """Those that tell to leave this finding out. Spans are documents, which do not overlap."""
        source, rule = finding.source, finding.rule.id
        spans = self._spans.get((source, rule), [])
        begun = bisect_right(spans, finding.line, key=_first)
        return [
            *self._lines.get((source, rule, finding.line), ()),
            *self._objects.get((source, rule, finding.object), ()),
            *(each for each in spans[begun - 1 : begun] if finding.line <= each.span.last),
        ]


def _first(ignore: _Ignore) -> int:
    return ignore.span.first


def apply(
    findings: Iterable[Finding], documents: Iterable[Document], sources: Mapping[str, Source]
) -> list[Finding]:
    """The findings but those that are ignored, and findings about what ignores them."""
    ignores = _Ignores(_ignores(documents, sources))
    left = []
    for finding in findings:
        covering = ignores.covering(finding)
        for each in covering:
            each.used = True
        if not covering:
            left.append(finding)
    for each in ignores.all:
        if not each.reason:
            left.append(_about(each, UNREASONED, f"{each.rule} is ignored without a reason"))
        if not each.used:
            left.append(_about(each, UNUSED, f"{each.rule} is ignored here, but is not found"))
    return left


def _about(ignore: _Ignore, rule: Rule, message: str) -> Finding:
    line, column = ignore.position
    return Finding(
        rule, rule.severity, ignore.source, line, column, ignore.object, message, rule.fix
    )


def _ignores(documents: Iterable[Document], sources: Mapping[str, Source]) -> Iterator[_Ignore]:
    commented = {name for name, source in sources.items() if "probe-lint:" in source.text}
    of_source: dict[str, list[Document]] = {}
    for document in documents:
        if document.source in commented:
            of_source.setdefault(document.source, []).append(document)
        found = document.metadata.get("annotations")
        annotations = found if isinstance(found, dict) else {}
        for key in annotations:
            if key.startswith(ANNOTATION):
                yield _annotated(document, key, annotations[key])
    for name in sorted(commented):
        yield from _comments(sources[name], of_source.get(name, []))


def _annotated(document: Document, key: str, reason: object) -> _Ignore:
    position = document.position(("metadata", "annotations", key))
    text = reason.strip() if isinstance(reason, str) else ""
    rule = key.removeprefix(ANNOTATION)
    return _Ignore(rule, text, document.source, position, _ANYWHERE, document.object)


def _comments(source: Source, documents: list[Document]) -> Iterator[_Ignore]:
    spans = _spans(source, documents)
    for found in islice(_COMMENT.finditer(source.text), IGNORES_MAX):
        position = source.position(found.start(2) - len("ignore="))
        line = position.line
        if source.position(found.start()).column == 1:
            line = _next(source, line)
        span = spans.get(line, _Span(line, line))
        for rule in filter(None, found[2].split(",")):
            yield _Ignore(rule, found[3].strip(), source.name, position, span)


def _next(source: Source, line: int) -> int:
    """The next line that says something to YAML."""
    following = range(line + 1, line + 1 + SILENT_MAX)
    return next((n for n in following if not _SILENT.fullmatch(source.line(n))), line)


def _spans(source: Source, documents: list[Document]) -> dict[int, _Span]:
    """The lines of each document, by its first line and by that of its kind."""
    begins = sorted(document.position().line for document in documents)
    found: dict[int, _Span] = {}
    for document in documents:
        first = document.position().line
        after = bisect_right(begins, first)
        last = begins[after] - 1 if after < len(begins) else len(source.starts)
        for line in (first, document.position(("kind",)).line):
            found[line] = _Span(first, last)
    return found
