import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core import wire
from probe.core.labels import (
    EVERYTHING,
    Labels,
    Requirement,
    Selector,
    all_of,
    any_of,
    matches,
    pairs,
    selector,
)
from probe.core.wire_selectors import Expression

OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"]


def test_match_labels_and_match_expressions_make_one_selector() -> None:
    told = wire.LabelSelector(
        {"b": "2", "a": "1"}, [Expression("tier", "NotIn", ["web"]), Expression("c")]
    )

    assert selector(told) == (
        Requirement("a", "In", ("1",)),
        Requirement("b", "In", ("2",)),
        Requirement("tier", "NotIn", ("web",)),
        Requirement("c", ""),
    )
    assert selector(None) == selector(wire.LabelSelector()) == EVERYTHING


@pytest.mark.parametrize(
    ("operator", "there", "other", "missing", "unknown"),
    [
        ("In", True, False, False, None),
        ("NotIn", False, True, True, None),
        ("Exists", True, True, False, None),
        ("DoesNotExist", False, False, True, None),
        ("Near", None, None, None, None),
    ],
)
def test_each_operator_on_a_label_that_is_there_other_missing_or_unknown(
    operator: str,
    there: bool | None,
    other: bool | None,
    missing: bool | None,
    unknown: bool | None,
) -> None:
    one = (Requirement("app", operator, ("web",)),)

    assert matches(one, Labels({"app": "web"})) is there
    assert matches(one, Labels({"app": "db"})) is other
    assert matches(one, Labels({})) is missing
    assert matches(one, Labels({}, complete=False)) is unknown


def test_the_empty_selector_matches_everything_even_the_unknown() -> None:
    assert matches(EVERYTHING, Labels({}, complete=False)) is True


def test_one_that_fails_outweighs_the_unknown() -> None:
    assert [all_of(found) for found in ([], [True], [True, None], [None, False])] == [
        True,
        True,
        None,
        False,
    ]
    assert [any_of(found) for found in ([], [False], [False, None], [None, True])] == [
        False,
        False,
        None,
        True,
    ]


def test_labels_are_sorted_and_their_texts_shared() -> None:
    ((key, _), _) = pairs({"b" * 3: "1", "c": "2"})

    assert pairs(None) == ()
    assert key is pairs({"".join(["bb", "b"]): "2"})[0][0]


keys, values = st.sampled_from("abc"), st.sampled_from("12")
labels = st.dictionaries(keys, values)
selectors = st.lists(
    st.builds(
        Requirement, keys, st.sampled_from(OPERATORS), st.lists(values, min_size=1).map(tuple)
    ),
    max_size=3,
).map(tuple)


@given(selectors, labels, st.sets(keys))
def test_what_is_told_of_some_labels_holds_whatever_the_others_are(
    chosen: Selector, whole: dict[str, str], hidden: set[str]
) -> None:
    some = {key: value for key, value in whole.items() if key not in hidden}
    told = matches(chosen, Labels(some, complete=False))

    assert told is None or told is matches(chosen, Labels(whole))
