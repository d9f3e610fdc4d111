"""YAML as kubectl reads it, with places, and nothing that takes for ever."""

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.lint.parsing import Broken, Excessive, Map, Parsed, Parser, place, placed


def parsed(text: str) -> Parsed:
    (found,) = Parser().parse(text)
    return found


def value(text: str) -> Any:
    return parsed(text).value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("8080", 8080),
        ("0x1F90", 8080),
        ("017620", 8080),
        ("0o17620", 8080),
        ("0b101", 5),
        ("8_080", 8080),
        ("-1", -1),
        ("8080:80", "8080:80"),
        ("0:80", "0:80"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.2.3", "1.2.3"),
        ("0.0.0.0", "0.0.0.0"),
        ("08", 8.0),
        ("2026-01-01", "2026-01-01"),
        ("yes", True),
        ("on", True),
        ("Off", False),
        ("n", False),
        ("truE", "truE"),
        ("~", None),
        ("", None),
        ("'yes'", "yes"),
        ('"8080"', "8080"),
        ("!!str 8080", "8080"),
        ('!!int "8080"', 8080),
        ('!!null ""', None),
        ("!Ref 8080", "8080"),
        ("-.inf", float("-inf")),
        ("1٢", "1٢"),
        ("9" * 500, "9" * 500),
    ],
)
def test_a_scalar_means_what_kubectl_makes_of_it(written: str, meant: object) -> None:
    found = value(f"a: {written}")["a"]

    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    ("key", "name"), [("on", "true"), ("~", "null"), ("8080", "8080"), ("'no'", "no")]
)
def test_a_key_is_always_a_text(key: str, name: str) -> None:
    assert list(value(f"{key}: 1")) == [name]


def test_places_are_those_of_the_values() -> None:
    found = value("a: 1\nb:\n  - c\n  - d: 2\n")

    assert place(placed(found, "a")) == (1, 4)
    assert place(placed(found["b"], 1)) == (4, 5)
    assert place(placed(found["b"][1], "d")) == (4, 8)


def test_a_piece_further_down_knows_its_lines() -> None:
    (found,) = Parser().parse("---\na: 1\n", 41)

    assert place(placed(found.value, "a")) == (42, 4)


def test_what_has_no_places_says_so() -> None:
    assert placed({"a": 1}, "a") == 0


def test_a_merge_key_brings_what_is_not_there_and_its_place() -> None:
    found = value("base: &base\n  a: 1\n  b: 2\nuser:\n  <<: *base\n  b: 3\n")["user"]

    assert found == {"a": 1, "b": 3}
    assert place(placed(found, "a")) == (2, 6)
    assert place(placed(found, "b")) == (6, 6)


def test_of_several_maps_to_merge_the_first_counts() -> None:
    text = "x: &x {a: 1}\ny: &y {a: 2, b: 2}\nz: {<<: [*x, *y]}\n"

    assert value(text)["z"] == {"a": 1, "b": 2}


def test_a_key_that_comes_twice_is_told_and_the_last_one_counts() -> None:
    found = parsed("a: 1\nb: 2\na: 3\nc: 4\na: 5\nc: 6\n")

    assert found.value == {"a": 5, "b": 2, "c": 6}
    assert [(each.key, place(each.at)) for each in found.duplicates] == [
        ("a", (3, 4)),
        ("a", (5, 4)),
        ("c", (6, 4)),
    ]
    assert place(placed(found.value, "a")) == (5, 4)
    assert place(placed(found.value, "c")) == (6, 4)


def test_documents_come_one_by_one_and_empty_ones_not_at_all() -> None:
    found = [each.value for each in Parser().parse("---\n# nothing\n---\na: 1\n---\nb: 2\n")]

    assert found == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("a: b\n\tc: d\n", (2, 1), "tab"),
        ("a: [1,2", (1, 8), "expected ',' or ']'"),
        ("a: b: c", (1, 5), "mapping values"),
        ("a: @b", (1, 4), "nothing can begin with this character"),
        ("'abc", (1, 5), "unexpected end"),
        ("a:\n  - b\n c: d\n", (3, 2), "expected key"),
        ("a: *x", (1, 4), "*x has no anchor"),
        ("a: &x [*x]", (1, 8), "contains itself"),
        ("? {a: b}\n: c\n", (1, 3), "a key is a map"),
        ("<<: 5\n", (1, 5), "merge key"),
        ("a: b\nc: \x00\n", (2, 4), "U+0000"),
        ("a: b\nc: d\udcff\n", (2, 5), "byte 0xFF is no UTF-8"),
        ("%YAML 3.0\n---\na: b\n", (1, 1), "incompatible"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(
    text: str, where: tuple[int, int], said: str
) -> None:
    with pytest.raises(Broken, match=re.escape(said)) as broken:
        list(Parser().parse(text))

    assert place(broken.value.at) == where


def test_documents_before_the_broken_one_are_given() -> None:
    found = Parser().parse("a: 1\n---\nb: [\n")

    assert next(found).value == {"a": 1}
    with pytest.raises(Broken):
        next(found)


def test_aliases_are_counted_in_full() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    text = "\n".join(["a0: &a0 [x]", *levels])

    with pytest.raises(Broken, match="aliases make more than 100,000 values"):
        list(Parser().parse(text))


def test_aliases_of_usual_size_share_their_value() -> None:
    found = value("a: &a {b: [1, 2]}\nc: [*a, *a]\n")

    assert found["c"] == [{"b": [1, 2]}, {"b": [1, 2]}]
    assert found["c"][0] is found["a"]


@pytest.mark.parametrize("text", ["[" * 5000, "- " * 5000, '{"a":' * 5000])
def test_depth_ends(text: str) -> None:
    with pytest.raises(Broken, match="more than 200 levels"):
        list(Parser().parse(text))


def test_values_and_documents_of_one_text_end() -> None:
    parser = Parser(values=5, documents=2)

    assert [each.value for each in parser.parse("[a, b]")] == [["a", "b"]]
    with pytest.raises(Excessive, match="more than 5 values in one text"):
        list(parser.parse("[a, b]", 2))
    with pytest.raises(Excessive, match="more than 2 documents in one text"):
        list(parser.parse("a", 3))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"])).map(
        lambda text: f"x{text}"  # what reads like a number is another test
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab<:", max_size=9), inner),
    max_leaves=20,
)


@settings(max_examples=50)
@given(JSON)
def test_json_is_read_as_json(found: Any) -> None:
    wrapped = {"value": found}

    assert value(json.dumps(wrapped, ensure_ascii=False)) == wrapped


@settings(max_examples=50)
@given(JSON)
def test_a_block_is_read_as_what_it_was(found: Any) -> None:
    wrapped = {"value": found}

    assert value(yaml.safe_dump(wrapped, allow_unicode=True)) == wrapped


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        for found in Parser().parse(text):
            assert not isinstance(found.value, Map) or len(found.value.at) == len(found.value)
    except Broken as broken:
        line, column = place(broken.at)
        assert 1 <= line <= len(text) + 1
        assert 1 <= column <= len(text) + 1
