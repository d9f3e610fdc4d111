"""Streams come apart the same way whatever their chunks are, and keep no more than they may."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.apiserver.decoding import Page
from probe.apiserver.framing import ENVELOPE_MAX, HEAD, Items, Lines, Oversized, Piece

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\{}[]:, é', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text('a"\\{[', max_size=4), VALUES, max_size=4)
CUTS = st.lists(st.integers(0, 400), max_size=12)


def chunks(body: bytes, cuts: list[int]) -> list[bytes]:
    return [body[a:b] for a, b in pairwise([0, *sorted(cuts), len(body)]) if a <= b]


@given(st.lists(OBJECTS, max_size=5), CUTS, st.booleans(), st.sampled_from([None, 2]))
def test_items_come_out_whole_whatever_the_chunks(
    objects: list[Any], cuts: list[int], items_first: bool, indent: int | None
) -> None:
    meta = {"metadata": {"resourceVersion": "5", "odd": [{"items": []}], "continue": "t"}}
    items = {"items": objects}
    page = {**items, **meta} if items_first else {"kind": "List", **meta, **items}
    body = json.dumps(page, indent=indent).encode()
    splitter = Items()

    pieces: list[Piece] = []
    for chunk in chunks(body, cuts):
        pieces += splitter.feed(chunk)

    assert [json.loads(piece) for piece in pieces if isinstance(piece, bytes)] == objects
    assert json.loads(splitter.envelope()) == {**page, "items": []}


@given(st.lists(OBJECTS, max_size=5), CUTS)
def test_lines_come_out_whole_whatever_the_chunks(objects: list[Any], cuts: list[int]) -> None:
    lines = [json.dumps(obj).encode() for obj in objects]
    framing = Lines()

    found: list[Piece] = []
    for chunk in chunks(b"\n".join(lines), cuts):
        found += framing.feed(chunk)
    found += framing.rest()

    assert found == lines


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_what_is_too_large_leaves_its_head_and_its_neighbours(size: int) -> None:
    large = {"metadata": {"name": "large"}, "x": 'y"]}' * 5000}
    body = json.dumps({"items": [{"n": 1}, large, {"n": 2}], "kind": "List"}).encode()
    splitter, framing = Items(limit=10_000), Lines(limit=10_000)
    lines = b'{"n": 1}\n' + json.dumps(large).encode() + b'\n{"n": 2}\n'

    items = [x for at in range(0, len(body), size) for x in splitter.feed(body[at : at + size])]
    found = [x for at in range(0, len(lines), size) for x in framing.feed(lines[at : at + size])]

    head = Oversized(json.dumps(large).encode()[:HEAD])
    assert items == [b'{"n": 1}', head, b'{"n": 2}']
    assert found == items


def test_what_is_no_list_is_not_kept() -> None:
    splitter = Items()

    splitter.feed(b"x" * ENVELOPE_MAX)

    with pytest.raises(ValueError, match="not a list of objects"):
        splitter.feed(b"x")


def test_a_page_that_does_not_fit_gives_the_same_items() -> None:
    objects = [{"metadata": {"name": f"s{n}"}} for n in range(100)]
    page = {"metadata": {"resourceVersion": "7", "continue": "t"}, "items": objects}
    body = json.dumps(page).encode()
    small, large = Page(), Page(limit=100)

    whole, end = small.finish() if list(small.feed(body)) == [] else ([], None)
    early = [x for at in range(0, len(body), 50) for x in large.feed(body[at : at + 50])]
    late, large_end = large.finish()

    assert (end, len(whole)) == (large_end, 100)
    assert [json.loads(x) for x in early if isinstance(x, bytes)] == objects
    assert late == []
