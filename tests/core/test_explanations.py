"""Every verdict has its words, in the order in which it is tried, and the README says the same."""

from pathlib import Path

import pytest

from probe.core.advice import LINES
from probe.core.explanations import BEGIN, END, EXPLANATIONS, Explanation, markdown
from probe.core.verdicts import TABLE, Verdict

README = Path(__file__).parents[2] / "README.md"


def test_every_verdict_is_explained_in_the_order_of_the_table() -> None:
    assert list(EXPLANATIONS) == list(Verdict)
    tried = [verdict for verdict, *_ in TABLE]
    assert [verdict for verdict in EXPLANATIONS if verdict in tried] == tried


@pytest.mark.parametrize("each", EXPLANATIONS.values(), ids=lambda each: each.verdict)
def test_each_says_what_it_means_and_what_to_do(each: Explanation) -> None:
    assert each.meaning
    assert not each.meaning.endswith(".")
    assert each.detail.endswith(".")
    assert each.next_step
    assert each.causes or each.verdict is Verdict.HEALTHY
    assert not {"{", "}"} & set("".join((each.meaning, each.detail, *each.causes)))


def test_the_next_step_is_the_advice_with_names_to_fill_in() -> None:
    found = EXPLANATIONS[Verdict.BLACKHOLED].next_step

    assert found == LINES[Verdict.BLACKHOLED].format(ns="NAMESPACE", name="NAME")


def test_the_readme_s_table_is_the_one_of_the_code() -> None:
    text = README.read_text()
    copy = text.partition(f"{BEGIN}\n")[2].partition(f"\n{END}")[0]

    assert copy == markdown(), "write `probe explain -o markdown` between the two comments"
