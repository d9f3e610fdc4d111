"""A check as JUnit XML, for CI systems that show test results: a testcase for each Service port.

What fails is a `failure`, a fault of the prober's own an `error`. What could not be told (unknown,
masked, denied) is `skipped`, and so is what is so on purpose and a node that did not answer: that
is no verdict on the Service. The form is that of Jenkins' xunit plugin (its junit-10.xsd), which
other CI systems read too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from probe.cli.path import path
from probe.core.gate import counts_as
from probe.core.verdicts import FAILING, UNDECIDED, Verdict

Json = dict[str, Any]

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold, in no form (XML 1.0, production Char)."""


def junit(
    documents: Iterable[Json], began: datetime, seconds: float, silent: Mapping[str, str]
) -> str:
    """The testsuite of a run that began then and took so long; `silent` are the nodes that did not
    answer, with the reason of each."""
    cases = []
    for document in documents:
        service = document["service"]
        where = f"{service['namespace']}.{service['name']}"
        for case in _cases(document):
            case.set("classname", where)
            cases.append(case)
    for node, reason in silent.items():
        case = Element("testcase", classname="probe", name=f"node {node}", time="0")
        SubElement(case, "skipped", message=xml(f"it does not answer: {reason}"))
        cases.append(case)
    return testsuite("probe check", cases, began, seconds)


def testsuite(name: str, cases: Iterable[Element], began: datetime, seconds: float) -> str:
    """The document of these testcases."""
    suite = Element("testsuite", name=name, tests="0", failures="0", errors="0", skipped="0")
    suite.set("time", f"{seconds:.3f}")
    suite.set("timestamp", began.strftime("%Y-%m-%dT%H:%M:%S"))
    suite.extend(cases)
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite)))
    indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suite, encoding="unicode")


def _cases(document: Json) -> Iterator[Element]:
    if not document["ports"]:
        case = Element("testcase", name="no port is dialed", time="0")
        SubElement(case, "skipped", message=xml(document["summary"]))
        yield case
    for port in document["ports"]:
        name = f"{port['name']} {port['port']}".strip()
        case = Element("testcase", name=name, time="0")
        verdict, counted = Verdict(port["verdict"]), counts_as(port)
        if counted in FAILING:
            tag = "error" if verdict is Verdict.PROBE_FAULT else "failure"
            said = SubElement(case, tag, message=xml(port["summary"]), type=str(verdict))
            said.text = xml("\n".join(_details(document, port)))
        elif counted is None or counted in UNDECIDED:
            SubElement(case, "skipped", message=xml(f"{verdict}: {port['summary']}"))
        yield case


def _details(document: Json, port: Json) -> Iterator[str]:
    """The path, what to do, what changed."""
    role = ""
    for row in path(port, len(document["sources"])):
        role = row.role or role
        parts = (role, row.address, row.result, row.sources and f"from {row.sources}", row.pod)
        yield " ".join((*filter(None, parts), row.node and f"on {row.node}")).rstrip()
    yield from document["advice"]
    for change in document["changes"][:1]:
        by = f" by {change['by']}" if change["by"] else ""
        yield f"changed {change['time']}{by}: {change['object']}: {change['detail']}"


def xml(text: str) -> str:
    """The text without what no XML may hold."""
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
