"""Findings as other programs read them."""

from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import fromstring

from probe.cli import lint_formats
from probe.cli.lint import FailOn
from probe.lint.documents import of_value
from probe.lint.findings import Finding, Severity
from probe.lint.linting import Report, all_rules, lint_objects, lint_texts
from probe.lint.sources import Source
from tests.lint.texts import INCIDENT

BEGAN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
RULE = all_rules()[0]


def report(name: str = "deploy/a b.yaml") -> Report:
    return lint_texts([Source(name, INCIDENT), Source("good.yaml", "apiVersion: v1\nkind: A\n")])


def finding(severity: Severity = Severity.ERROR, message: str = "wrong", line: int = 1) -> Finding:
    return Finding(RULE, severity, "a.yaml", line, line, "Service a/b", message, "mend it")


def sarif(found: Report) -> dict[str, Any]:
    """The only run, with what SARIF 2.1.0 demands of its parts (chapter 3)."""
    document = lint_formats.sarif(found)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    rules = driver["rules"]
    assert driver["name"] == "probe lint"
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
        for part in ("shortDescription", "fullDescription", "help"):
            assert rule[part]["text"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        for location in result["locations"]:
            region = location.get("physicalLocation", {}).get("region", {"startLine": 1})
            assert all(number >= 1 for number in region.values())
    assert isinstance(run, dict)
    return run


def test_sarif_holds_the_finding_with_its_place_and_object() -> None:
    (result,) = sarif(report())["results"]

    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "deploy/a%20b.yaml"},
        "region": {"startLine": 11, "startColumn": 19},
    }
    assert location["logicalLocations"] == [{"fullyQualifiedName": "Service demo-app/backend-v1"}]
    assert result["level"] == "error"
    assert result["message"]["text"].endswith("(set targetPort to 8080)")


def test_sarif_knows_the_same_fault_again() -> None:
    moved = lint_texts([Source("deploy/a b.yaml", f"# moved\n{INCIDENT}")])

    before, after = (sarif(each)["results"][0] for each in (report(), moved))
    assert before["partialFingerprints"] == after["partialFingerprints"]


def test_sarif_calls_standard_input_by_a_name_and_the_cluster_by_none() -> None:
    (piped,) = sarif(report("-"))["results"]
    value = {"apiVersion": "v1", "kind": "Pod", "metadata": {"annotations": {}}}
    value["metadata"] = {"annotations": {"lint.edgeprobe.dev/zero-address": "no more"}}
    (live,) = sarif(lint_objects([of_value("cluster", 0, value)]))["results"]

    assert piped["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "stdin"
    assert live["locations"] == [{"logicalLocations": [{"fullyQualifiedName": "Pod default/"}]}]


def test_junit_has_a_case_for_each_finding_and_one_for_each_good_file() -> None:
    root = fromstring(lint_formats.junit(report("a.yaml"), FailOn.ERROR.fails, BEGAN))

    wrong, good = root
    assert (wrong.attrib["classname"], good.attrib["classname"]) == ("a.yaml", "good.yaml")
    assert wrong.attrib["name"] == "target-port-mismatch Service demo-app/backend-v1"
    (failure,) = wrong
    assert failure.attrib["type"] == "target-port-mismatch"
    lines = (failure.text or "").splitlines()
    assert (lines[0], lines[-1]) == ("a.yaml:11:19", "set targetPort to 8080")
    assert [root.attrib[name] for name in ("tests", "failures", "errors")] == ["2", "1", "0"]


def test_junit_fails_what_fails_the_run() -> None:
    found = Report([finding(Severity.WARNING), finding(Severity.INFO)], 1)

    for fail_on, failures in ((FailOn.ERROR, "0"), (FailOn.WARNING, "1")):
        root = fromstring(lint_formats.junit(found, fail_on.fails, BEGAN))
        assert root.attrib["failures"] == failures
        assert root.attrib["tests"] == "2"


def test_junit_holds_nothing_that_xml_may_not_hold() -> None:
    found = Report([finding(message="\x1b[31m\udcff")], 1)
    root = fromstring(lint_formats.junit(found, FailOn.ERROR.fails, BEGAN))

    assert root[0][0].attrib["message"] == "\ufffd[31m\ufffd"


def test_github_gets_one_line_for_each_finding() -> None:
    message = "50% of\nit"

    assert lint_formats.github(finding(Severity.WARNING, message)) == (
        f"::warning file=a.yaml,line=1,col=1,title={RULE.id}::Service a/b: 50%25 of%0Ait%0Amend it"
    )
    assert lint_formats.github(finding(Severity.INFO, line=0)).startswith("::notice title=")


def test_names_of_files_do_not_end_what_github_reads() -> None:
    (found,) = report("a:b,c%.yaml").findings

    assert "file=a%3Ab%2Cc%25.yaml,line=11,col=19," in lint_formats.github(found)


def test_json_leaves_out_the_place_that_there_is_not() -> None:
    document = lint_formats.document(Report([finding(line=0)], 1))

    assert "line" not in document["findings"][0]
