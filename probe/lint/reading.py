"""Texts -> objects, and what is wrong with the texts themselves."""

import json
import re
from array import array
from collections.abc import Iterable, Iterator
from typing import Any

from probe.lint.documents import Document, objects
from probe.lint.findings import Finding, Rule, Severity
from probe.lint.parsing import (
    COLUMNS,
    DEPTH_MAX,
    Broken,
    Excessive,
    Map,
    Parsed,
    Parser,
    Seq,
    place,
)
from probe.lint.sources import Chart, Source

BROKEN = Rule(
    "broken-yaml",
    Severity.ERROR,
    "A manifest is no YAML",
    "kubectl refuses the whole file, and nothing of this document was checked.",
    "mend the YAML",
)

DUPLICATE = Rule(
    "duplicate-key",
    Severity.WARNING,
    "A key stands twice in one map",
    "The first of the two values is lost without a word where field validation is not strict; "
    "where it is, as with kubectl since 1.25, the API server refuses the object.",
    "delete one of them",
)

TEMPLATE = Rule(
    "not-rendered",
    Severity.INFO,
    "A template was not checked",
    "Before a template is rendered it is no manifest: what it will say cannot be told.",
    "render it first: `helm template NAME CHART | probe lint -`",
)

_SEPARATOR = re.compile(r"(?m)^---(?=[ \t\r\n]|\Z)")
_DIRECTIVE = re.compile(r"(?m)^%")
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}|\{%[^%]*%\}|<%[^%]*%>")
_MANIFEST = re.compile(r"""(?m)^[ \t{"'-]*(?:apiVersion|kind)["']?\s*:""")


def read(
    found: Iterable[Source | Chart], sources: dict[str, Source]
) -> Iterator[Document | Finding]:
    """The objects in the texts, and findings about the texts; each text is noted in `sources`.

    What is no manifest passes without a word: an empty document, YAML without apiVersion and
    kind, and in a directory also what is no YAML and does not look like a manifest.
    """
    charts = []
    for each in found:
        if isinstance(each, Chart):
            charts.append(each)
        else:
            sources[each.name] = each
            yield from _read(each)
    if charts:
        several = f" and those of {len(charts) - 1} more charts" if len(charts) > 1 else ""
        first = charts[0].folder
        message = f"the templates of the Helm chart in {first}{several} were not checked"
        fix = f"render them first: `helm template NAME {first} | probe lint -`"
        yield _finding(TEMPLATE, Source(str(first / "Chart.yaml"), ""), COLUMNS + 1, message, fix)


def _read(source: Source) -> Iterator[Document | Finding]:
    """One document after another, so that a broken one costs none but itself."""
    parser, line, index, told = Parser(), 1, 0, False
    for piece in _pieces(source.text):
        if piece.strip("-\r\n") == "":
            line += piece.count("\n")
            continue
        try:
            for parsed in _parsed(parser, piece, line):
                documents = list(objects(source, index, parsed))
                if documents:
                    index += len(documents)
                    yield from _duplicates(source, parsed, documents[0])
                    yield from documents
        except Excessive as excessive:
            yield _finding(BROKEN, source, excessive.at, f"not read on: {excessive}")
            return
        except Broken as broken:
            if _is_template(source, broken.at):
                if not told:
                    message = "this is a template, not YAML, and was not checked"
                    yield _finding(TEMPLATE, source, broken.at, message)
                told = True
            elif source.asked or index or _MANIFEST.search(piece):
                yield _finding(BROKEN, source, broken.at, f"no YAML: {broken}")
        line += piece.count("\n")


def _is_template(source: Source, at: int) -> bool:
    """Whether the parser stumbled over a template's action: libyaml does so in its line, or at
    the beginning of the next one."""
    line, _ = place(at)
    return any(_TEMPLATE.search(source.line(number)) for number in (line - 1, line))


def _pieces(text: str) -> Iterator[str]:
    """The documents of a text, as kubectl parts them: at lines that begin with ---. Only with
    directives (%YAML) they are left together, as these belong to what follows."""
    begin = 0
    if not _DIRECTIVE.search(text):
        for found in _SEPARATOR.finditer(text):
            yield text[begin : found.start()]
            begin = found.start()
    yield text[begin:]


def _parsed(parser: Parser, piece: str, line: int) -> Iterator[Parsed]:
    """As YAML; and what is JSON, but no YAML of libyaml's (surrogate pairs, leading tabs), as
    that, without knowing more of its places than its first line."""
    try:
        yield from parser.parse(piece, line)
    except Excessive:
        raise
    except Broken:
        text = piece.removeprefix("---").lstrip()
        if not text.startswith("{"):
            raise
        try:
            value = _unplaced(json.loads(text), line * COLUMNS + 1, 0)
        except (ValueError, RecursionError):
            value = None
        if value is None:
            raise
        yield Parsed(value, line * COLUMNS + 1)


def _unplaced(value: Any, at: int, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise RecursionError
    if isinstance(value, dict):
        found = Map((key, _unplaced(each, at, depth + 1)) for key, each in value.items())
        found.at = array("Q", [at]) * len(found)
        return found
    if isinstance(value, list):
        items = Seq(_unplaced(each, at, depth + 1) for each in value)
        items.at = array("Q", [at]) * len(items)
        return items
    return value


def _duplicates(source: Source, parsed: Parsed, document: Document) -> Iterator[Finding]:
    for each in parsed.duplicates:
        message = f"key {each.key!r} stands a second time in its map: the first value is lost"
        yield _finding(DUPLICATE, source, each.at, message, object=document.object)


def _finding(
    rule: Rule,
    source: Source,
    at: int,
    message: str,
    fix: str = "",
    object: str = "",  # noqa: A002
) -> Finding:
    line, column = place(at)
    return Finding(rule, rule.severity, source.name, line, column, object, message, fix or rule.fix)
