"""docs/edge-cases.md: what the numbers in tests' names mean, and where each edge case is held."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "edge-cases.md"
ROW = re.compile(r"^\| (\d+) \|.*\|(.*)\|$", re.MULTILINE)
ROWS = {int(number): re.findall(r"`(\S+)`", held) for number, held in ROW.findall(PAGE.read_text())}
"""The files that each edge case names."""


def cited() -> dict[int, set[str]]:
    """The files with tests whose names begin with the number, or those of their parameters."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text()
        names = re.findall(r"def test_((?:\d\d?_)+)", text) + re.findall(r'id="(\d\d?) ', text)
        for number in re.findall(r"\d+", " ".join(names)):
            found[int(number)].add(str(path.relative_to(TESTS)))
    return found


def test_every_number_that_a_test_s_name_begins_with_is_an_edge_case() -> None:
    assert len(cited()) > 30
    assert set(cited()) <= set(ROWS)


def test_each_number_stands_once_and_in_order() -> None:
    numbers = [int(number) for number, _ in ROW.findall(PAGE.read_text())]

    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("number", ROWS)
def test_an_edge_case_names_files_that_hold_it(number: int) -> None:
    files, citing = set(ROWS[number]), cited()[number]

    assert files
    assert all((TESTS / file).is_file() for file in files)
    assert not citing or files & citing


def test_the_files_that_the_incidents_name_are_there() -> None:
    named = re.findall(r"`(tests/\S+)`", PAGE.read_text())

    assert len(named) > 5
    assert all((TESTS.parent / file).is_file() for file in named)
