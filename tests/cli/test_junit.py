"""JUnit XML as CI systems read it: the shape of Jenkins' junit-10.xsd, counts that agree."""

from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from probe.cli.junit import junit
from probe.core.verdicts import FAILING, UNDECIDED, Verdict
from tests.cli.documents import MISMATCH, document, port, vip
from tests.cli.junit_shape import shaped

BEGAN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def suite(*documents: dict[str, Any], **silent: str) -> Element:
    return shaped(junit(documents, BEGAN, 1.25, silent))


def test_a_failing_port_is_a_failure_with_its_path_advice_and_change() -> None:
    root = suite(MISMATCH)
    (case,) = root
    (failure,) = case

    assert root.attrib["timestamp"] == "2026-11-21T10:00:00"
    assert root.attrib["time"] == "1.250"
    assert (case.attrib["classname"], case.attrib["name"]) == ("demo-app.backend-v1", "http 8080")
    assert failure.attrib["type"] == "port_mismatch"
    assert failure.attrib["message"] == MISMATCH["summary"]
    assert (failure.text or "").splitlines() == [
        "ClusterIP 10.96.1.2:8080 refused",
        "endpoints 10.244.1.5:8081 refused backend-v1-6946cbff4c-5xcdz on node-1",
        "endpoints 10.244.2.7:8081 refused backend-v1-6946cbff4c-7xcdz on node-2",
        "declared 10.244.1.5:8080 connected backend-v1-6946cbff4c-5xcdz on node-1",
        "declared 10.244.2.7:8080 connected backend-v1-6946cbff4c-7xcdz on node-2",
        *MISMATCH["advice"],
        "changed 2026-11-21T09:58:00Z by kubectl-patch: Service demo-app/backend-v1: "
        "port 8080: targetPort 8080 -> 8081",
    ]


@pytest.mark.parametrize("verdict", Verdict)
def test_each_verdict_is_passed_failed_or_skipped_as_the_exit_code_has_it(
    verdict: Verdict,
) -> None:
    (case,) = suite(document(port(vip(), verdict=str(verdict))))
    found = [child.tag for child in case]

    if verdict is Verdict.PROBE_FAULT:
        assert found == ["error"]
    elif verdict in FAILING:
        assert found == ["failure"]
    else:
        assert found == (["skipped"] if verdict in UNDECIDED else [])


def test_each_port_is_a_case_and_a_service_without_one_is_skipped() -> None:
    root = suite(document(port(), port(name="", port=9090)), document())

    assert [case.attrib["name"] for case in root] == ["http 8080", "9090", "no port is dialed"]
    assert [len(case) for case in root] == [0, 0, 1]


def test_nothing_checked_is_an_empty_suite() -> None:
    assert suite().attrib["tests"] == "0"


def test_what_xml_cannot_hold_is_replaced_and_the_rest_quoted() -> None:
    summary = "env A=\x1b[1m<b>&\"'\ufffe\ud800 ok"
    (case,) = suite(document(port(verdict="lossy", summary=summary)))

    assert case[0].attrib["message"] == "env A=\ufffd[1m<b>&\"'\ufffd\ufffd ok"


def test_what_is_on_purpose_or_starts_is_skipped() -> None:
    empty = {"verdict": "no_endpoints", "summary": "nobody is there"}
    wanted, starts = port(**empty, on_purpose=True), port(**empty, starting=True)
    root = suite(document(wanted), document(starts))

    assert [[child.tag for child in case] for case in root] == [["skipped"]] * 2
    assert root[0][0].attrib["message"] == "no_endpoints: nobody is there"


def test_a_node_that_does_not_answer_is_a_case_of_its_own() -> None:
    healthy, silent = suite(document(port(vip())), **{"node-c": "no answer within 5 s"})

    assert len(healthy) == 0
    assert (silent.attrib["classname"], silent.attrib["name"]) == ("probe", "node node-c")
    assert silent[0].attrib["message"] == "it does not answer: no answer within 5 s"
