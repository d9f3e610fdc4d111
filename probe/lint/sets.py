"""Which documents belong together: a repository has many applications, and one in many versions.

A directory with everything below it is one set, unless it holds the same object twice (a base and
its overlays, one example beside the next): then each of its directories is a set by itself, and so
are the files right in it, together if they can be. Whatever is in one text belongs together.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import PurePath

from probe.lint.backends import ROUTES
from probe.lint.documents import Document
from probe.lint.workloads import TEMPLATED

TOLD_APART = frozenset({"Service", "Ingress", *ROUTES, *TEMPLATED})
"""Kinds of which one set has each object once. Others are often copied: a Namespace, a Secret."""


def sets(documents: Iterable[Document]) -> list[list[Document]]:
    """All documents, each in one set."""
    files: dict[str, list[Document]] = {}
    for document in documents:
        files.setdefault(document.source, []).append(document)
    return list(_sets([(PurePath(name).parts, found) for name, found in files.items()], 0))


def distance(one: Document, other: Document) -> int:
    """How far apart their files are: 0 for the same one, 1 for the same directory, and one more
    for each directory that is to be left to find the other."""
    if one.source == other.source:
        return 0
    here, there = _folder(one.source), _folder(other.source)
    shared = 0
    for a, b in zip(here, there, strict=False):
        if a != b:
            break
        shared += 1
    return 1 + len(here) - shared + len(there) - shared


@lru_cache(maxsize=4096)
def _folder(source: str) -> tuple[str, ...]:
    return PurePath(source).parent.parts


_File = tuple[tuple[str, ...], list[Document]]


def _sets(files: list[_File], depth: int) -> Iterator[list[Document]]:
    if not _has_twins(files):
        yield [document for _, found in files for document in found]
        return
    below: dict[str, list[_File]] = {}
    right_here: list[_File] = []
    for parts, found in files:
        if len(parts) > depth + 1:
            below.setdefault(parts[depth], []).append((parts, found))
        else:
            right_here.append((parts, found))
    for inner in below.values():
        yield from _sets(inner, depth + 1)
    if _has_twins(right_here):
        yield from (found for _, found in right_here)
    elif right_here:
        yield [document for _, found in right_here for document in found]


def _has_twins(files: list[_File]) -> bool:
    """Whether two of the files hold the same object."""
    seen: set[tuple[str, str, str]] = set()
    for _, found in files:
        mine = {(d.kind, d.namespace, d.name) for d in found if d.kind in TOLD_APART and d.name}
        if not seen.isdisjoint(mine):
            return True
        seen |= mine
    return False
