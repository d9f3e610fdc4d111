from typing import Any

import pytest

from probe.sandbox.selectors import NEW_EVENTS, keeps, matches, text
from probe.sandbox.statuses import BadRequest

WEB: Any = {
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "tier": "front"}},
    "spec": {"nodeName": "node-a"},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("selector", "kept"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=db", False),
        ("app!=web", False),
        ("app!=db", True),
        ("missing!=x", True),
        ("app", True),
        ("!app", False),
        ("missing", False),
        ("!missing", True),
        ("app in (web,db)", True),
        ("app in (db)", False),
        ("app notin (db, cache)", True),
        ("missing notin (x)", True),
        ("missing in (x)", False),
        ("app in (web, db),tier=front", True),
        ("app=web,tier=back", False),
        ("example.com/x=,app=web", False),
    ],
)
def test_a_label_selector_keeps_what_it_says(selector: str, kept: bool) -> None:
    assert kept == keeps("pods", selector, "")(WEB)


@pytest.mark.parametrize("selector", ["a===b", "a in", "a in (b", "=b", "a b", "a=b,,c=d"])
def test_a_label_selector_that_cannot_be_parsed_is_a_bad_request(selector: str) -> None:
    with pytest.raises(BadRequest, match="unable to parse requirement"):
        keeps("pods", selector, "")


@pytest.mark.parametrize(
    ("selector", "kept"),
    [
        ("metadata.name=web", True),
        ("metadata.name!=web", False),
        ("metadata.namespace=shop,status.phase=Running", True),
        ("spec.nodeName=node-b", False),
        ("status.phase!=Running", False),
        ("spec.schedulerName=", True),
    ],
)
def test_a_field_selector_keeps_what_it_says(selector: str, kept: bool) -> None:
    assert kept == keeps("pods", "", selector)(WEB)


def test_an_event_is_selected_by_its_object_and_by_its_source() -> None:
    event: Any = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "web"},
        "source": {"component": "kubelet"},
    }

    keep = keeps("events", "", "involvedObject.name=web,involvedObject.kind=Pod,source=kubelet")

    assert keep(event)


def test_the_newer_events_are_selected_by_their_own_names_of_fields() -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Service", "name": "web"},
        "reportingComponent": "edgeprobe.dev/probe",
    }
    fields = "regarding.name=web,reportingController=edgeprobe.dev/probe"

    assert keeps(NEW_EVENTS, "", fields)(event)
    assert not keeps(NEW_EVENTS, "", "regarding.name=db")(event)
    with pytest.raises(BadRequest, match=r"^field label not supported: involvedObject\.name$"):
        keeps(NEW_EVENTS, "", "involvedObject.name=web")


def test_a_field_nobody_indexed_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match=r"^field label not supported: spec\.foo$"):
        keeps("pods", "", "spec.foo=bar")


@pytest.mark.parametrize(
    ("operator", "values", "selected"),
    [
        ("In", ["web"], True),
        ("In", ["db"], False),
        ("NotIn", ["web"], False),
        ("Exists", None, True),
        ("DoesNotExist", None, False),
    ],
)
def test_expressions_of_a_selector_object(
    operator: str, values: list[str] | None, selected: bool
) -> None:
    selector: Any = {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}

    assert selected == matches(selector, {"app": "web"})


def test_a_selector_object_is_written_as_people_write_it() -> None:
    selector: Any = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["y", "x"]},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }

    assert text(selector) == "a=1,b=2,tier in (x,y),!old"
