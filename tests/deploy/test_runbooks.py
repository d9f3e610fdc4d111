"""The runbooks: a page for whatever an alert or a verdict says, and the way to each."""

import re
from pathlib import Path

import pytest

from deploy.alerts.alerts import ALERTS
from probe.core.explanations import EXPLANATIONS
from probe.core.verdicts import Verdict

FOLDER = Path(__file__).parents[2] / "deploy" / "runbooks"
GOLDEN = Path(__file__).parents[1] / "data" / "metrics.prom"
INDEX = FOLDER / "README.md"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path != INDEX)
HEADINGS = ["What it means", "Confirm", "Usual causes", "Fix"]
LINK = re.compile(r"\]\(([^)]+)\)")
METRIC = r"edgeprobe_\w+?(?=_bucket|_count|\b)"
COMMAND = re.compile(r"^```\n(probe|kubectl) .*\n```$", re.MULTILINE)

of_pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_every_verdict_and_every_alert_has_its_page_and_no_page_is_of_anything_else() -> None:
    wanted = {*map(str, Verdict), *(alert.runbook for alert in ALERTS)}

    assert {page.stem for page in PAGES} == wanted


def test_the_index_leads_to_every_page_verdicts_in_their_order() -> None:
    found = [link.removesuffix(".md") for link in LINK.findall(INDEX.read_text())]

    assert found[: len(Verdict)] == [*map(str, Verdict)]
    assert sorted(found) == [page.stem for page in PAGES]


@of_pages
def test_a_page_says_what_it_means_how_to_confirm_it_its_causes_and_the_fix(page: Path) -> None:
    text = page.read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)

    assert text.startswith(f"# {page.stem}\n")
    assert headings[:4] == HEADINGS
    assert COMMAND.search(section(text, "Confirm"))
    assert "\n- " in section(text, "Usual causes")


@of_pages
def test_a_page_names_the_alerts_that_lead_to_it(page: Path) -> None:
    head = page.read_text().split("\n## ")[0]
    named = re.findall(r"`(Edgeprobe\w+)`", head)

    assert named == [alert.name for alert in ALERTS if alert.runbook == page.stem]


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_means_the_same_here_as_in_probe_explain(verdict: Verdict) -> None:
    meaning = EXPLANATIONS[verdict].meaning
    first = (FOLDER / f"{verdict}.md").read_text().splitlines()[2]

    assert first == f"{meaning[0].upper()}{meaning[1:]}."


@of_pages
def test_its_links_lead_somewhere_and_its_metrics_are_exported(page: Path) -> None:
    text, golden = page.read_text(), GOLDEN.read_text()

    assert all((FOLDER / link).exists() for link in LINK.findall(text))
    assert all(f" {name} " in golden for name in re.findall(METRIC, text))


def test_the_two_incidents_are_told_as_they_happened() -> None:
    mismatch = section((FOLDER / "port_mismatch.md").read_text(), "As it happened")
    race = section((FOLDER / "drain_race.md").read_text(), "As it happened")

    assert "targetPort 8081 is refused on 2 of 2 endpoints, port 8080 accepts" in mismatch
    assert "preStop.sleep of 6 s would have avoided it" in race
