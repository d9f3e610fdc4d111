"""The findings of `probe lint` as other programs read them: JSON, SARIF, JUnit XML and the
workflow commands of GitHub Actions."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from probe import __version__
from probe.cli.junit import testsuite, xml
from probe.lint.baseline import fingerprint
from probe.lint.findings import Finding, Rule, Severity
from probe.lint.linting import Report, all_rules
from probe.lint.sources import STDIN

Json = dict[str, Any]

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
"""SARIF's words (2.1.0, 3.27.10)."""

COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
"""GitHub's (workflow commands for GitHub Actions)."""


def document(report: Report) -> Json:
    """The one document of `-o json`."""
    return {
        "findings": [_finding(each) for each in report.findings],
        "summary": {
            "documents": report.documents,
            **{f"{severity}s": report.count(severity) for severity in Severity},
        },
    }


def _finding(finding: Finding) -> Json:
    """Without line and column where there is no text."""
    place = {"line": finding.line, "column": finding.column} if finding.line else {}
    return {
        "rule": finding.rule.id,
        "severity": str(finding.severity),
        "file": finding.source,
        **place,
        "object": finding.object,
        "message": finding.message,
        "fix": finding.fix,
    }


def rules(known: Sequence[Rule]) -> Json:
    """The one document of `--rules -o json`."""
    return {
        "rules": [
            {
                "id": rule.id,
                "severity": str(rule.severity),
                "title": rule.title,
                "why": rule.why,
                "fix": rule.fix,
                "page": rule.page,
            }
            for rule in known
        ]
    }


def sarif(report: Report) -> Json:
    """Static Analysis Results Interchange Format 2.1.0, as GitHub's code scanning takes it."""
    known = all_rules()
    order = {rule: number for number, rule in enumerate(known)}
    driver = {
        "name": "probe lint",
        "semanticVersion": __version__,
        "rules": [_sarif_rule(rule) for rule in known],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, order[finding.rule]) for finding in report.findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_rule(rule: Rule) -> Json:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why or rule.title},
        "help": {"text": f"{rule.fix} ({rule.page})" if rule.page else rule.fix},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
    }


def _result(finding: Finding, index: int) -> Json:
    location: Json = {}
    if finding.line:
        name = "stdin" if finding.source == STDIN else Path(finding.source).as_posix()
        location["physicalLocation"] = {
            "artifactLocation": {"uri": quote(name, errors="surrogateescape")},
            "region": {"startLine": finding.line, "startColumn": finding.column},
        }
    if finding.object:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.object}]
    fix = f" ({finding.fix})" if finding.fix else ""
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        "level": LEVELS[finding.severity],
        "message": {"text": f"{finding.message}{fix}"},
        "locations": [location] if location else [],
        "partialFingerprints": {"probeLint/v1": fingerprint(finding, Path())},
    }


def junit(report: Report, fails: Callable[[Finding], bool], began: datetime) -> str:
    """JUnit XML: a testcase for each finding, a failure if that fails the run; a text without any
    is one that passed."""
    cases = [_case(finding, fails=fails(finding)) for finding in report.findings]
    told = {finding.source for finding in report.findings}
    cases += [
        Element("testcase", classname=xml(name), name="no findings", time="0")
        for name in report.sources
        if name not in told
    ]
    return testsuite("probe lint", cases, began, (datetime.now(UTC) - began).total_seconds())


def _case(finding: Finding, *, fails: bool) -> Element:
    name = f"{finding.rule.id} {finding.object}".strip()
    case = Element("testcase", classname=xml(finding.source), name=xml(name), time="0")
    text = xml("\n".join(filter(None, (where(finding), finding.message, finding.fix))))
    if fails:
        said = SubElement(case, "failure", message=xml(finding.message), type=finding.rule.id)
        said.text = text
    else:
        SubElement(case, "system-out").text = f"{finding.severity}: {text}"
    return case


def github(finding: Finding) -> str:
    """One workflow command, which GitHub shows beside the line."""
    place = ""
    if finding.line and finding.source != STDIN:
        place = f"file={_property(finding.source)},line={finding.line},col={finding.column},"
    said = " ".join(filter(None, (finding.object and f"{finding.object}:", finding.message)))
    text = _escaped(f"{said}\n{finding.fix}" if finding.fix else said)
    return f"::{COMMANDS[finding.severity]} {place}title={_property(finding.rule.id)}::{text}"


def where(finding: Finding) -> str:
    """`FILE:LINE:COLUMN`, which terminals and editors open."""
    if not finding.line:
        return finding.source
    return f"{finding.source}:{finding.line}:{finding.column}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
