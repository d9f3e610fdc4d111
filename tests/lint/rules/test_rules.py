"""What holds for all rules."""

from pathlib import Path

from probe.lint.linting import all_rules

PAGE = Path(__file__).parents[3] / "docs" / "lint.md"


def test_every_rule_has_its_own_name_and_its_section_in_the_documentation() -> None:
    names = [rule.id for rule in all_rules()]
    assert len(set(names)) == len(names)
    headings = [
        line.removeprefix("## ") for line in PAGE.read_text().splitlines() if line[:3] == "## "
    ]
    assert sorted(headings) == sorted(names)
    assert {rule.page for rule in all_rules()} == {f"docs/lint.md#{name}" for name in headings}


def test_every_rule_says_what_is_wrong_why_and_what_to_do() -> None:
    for rule in all_rules():
        assert rule.title[0].isupper()
        assert not rule.title.endswith(".")
        assert rule.why.endswith(".")
        assert rule.fix
