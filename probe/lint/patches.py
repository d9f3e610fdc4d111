"""What Kustomizations lay over their resources: files, and patches that stand right in them."""

import re
from collections.abc import Iterator
from os.path import dirname, join, normpath
from typing import NamedTuple

from probe.lint.documents import Document
from probe.lint.parsing import Broken, Parser
from probe.lint.values import items, mapping, text, texts, within
from probe.lint.workloads import numbers_of

_LITERAL = re.compile(r"[A-Za-z0-9.-]*")
"""A target's kind or name; what has more in it is a regular expression that may match anything
(kustomize, api/types/selector.go)."""


class Patch(NamedTuple):
    """One that is no object by itself. `kind` and `name` are those of its target, empty for any;
    `numbers` are those in it, as far as its text is known."""

    kind: str
    name: str
    numbers: frozenset[str]


def files(document: Document) -> Iterator[str]:
    """The files that a Kustomization lays over its resources."""
    if document.kind == "Kustomization":
        folder = dirname(document.source)
        found = [text(each.get("path")) for _, each in items(document.value.get("patches"))]
        found += texts(document.value.get("patchesStrategicMerge"))
        yield from (normpath(join(folder, each)) for each in found if each and "\n" not in each)


def patches(document: Document) -> Iterator[Patch]:
    """The patches of a Kustomization that say their target, or whose text stands in it."""
    if document.kind != "Kustomization":
        return
    for key in ("patches", "patchesJson6902"):
        for _, each in items(document.value.get(key)):
            target, said = mapping(each.get("target")), text(each.get("patch"))
            if target:
                kind, name = (_literal(text(target.get(what))) for what in ("kind", "name"))
                yield Patch(kind, name, frozenset(numbers_of(said)))
            else:
                yield from _of_objects(said)
    for said in texts(document.value.get("patchesStrategicMerge")):
        if "\n" in said:
            yield from _of_objects(said)


def _literal(said: str) -> str:
    return said if _LITERAL.fullmatch(said) else ""


def _of_objects(said: str) -> Iterator[Patch]:
    """A strategic merge patch has its target's kind and name."""
    try:
        for parsed in Parser().parse(said):
            kind, name = within(parsed.value, "kind"), within(parsed.value, "metadata", "name")
            yield Patch(text(kind), text(name), frozenset(numbers_of(parsed.value)))
    except Broken:
        return  # kustomize refuses it, and all of the Kustomization with it
