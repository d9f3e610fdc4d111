"""Incidents as JSON: the shape of /api/v1/incidents."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from probe.core import incident_reports
from probe.core.edges import PortKey
from probe.core.incident import SERVICES_KEPT
from tests.core.turning import API, CUT_OFF, DB, HEALTHY, MISMATCH, REFUSED, UNKNOWN, WEB, Desk

EPOCH = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
ELSEWHERE = PortKey("other", "web", 443)


def clock(at: float) -> datetime:
    return EPOCH + timedelta(seconds=at - 100)


def told(desk: Desk, **filters: Any) -> Any:
    found = incident_reports.incidents(desk.incidents, "node-a", desk.now, clock, **filters)
    return {**found, "incidents": list(found["incidents"])}


def test_an_open_incident_is_told_as_its_interface_says() -> None:
    desk = Desk().turn(WEB, MISMATCH).run(10)

    assert told(desk) == {
        "node": "node-a",
        "incidents": [
            {
                "id": desk.only.id,
                "state": "open",
                "cause": {"kind": "service", "name": "shop/web"},
                "verdict": "port_mismatch",
                "first_verdict": "port_mismatch",
                "worst_verdict": "port_mismatch",
                "summary": "set targetPort to 8080",
                "services": [{"namespace": "shop", "name": "web", "ports": [80]}],
                "service_count": 1,
                "most_services": 1,
                "opened": "2026-11-21T10:00:00Z",
                "updated": "2026-11-21T10:00:00Z",
                "closed": None,
                "seconds": 10.0,
                "quiet_since": None,
                "evidence_away_since": None,
                "flaps": 0,
                "ending": None,
                "change": {
                    "time": "2026-11-21T09:59:50Z",
                    "kind": "service_edit",
                    "object": "Service shop/web",
                    "by": None,
                    "managed": None,
                    "detail": "targetPort 8080 -> 8081",
                },
                "seconds_before": 4.0,
                "watched_seconds": 94.0,
                "last_write": {"by": "ada", "time": "2026-11-21T09:00:00Z"},
                "advice": ["look at web: port_mismatch"],
                "node": "node-a",
            }
        ],
        "untracked": 0,
    }


def test_a_closed_one_says_when_and_why() -> None:
    desk = Desk().turn(API, REFUSED).run(10).turn(API, HEALTHY).run(5)
    (found,) = told(desk)["incidents"]
    assert found["quiet_since"] == "2026-11-21T10:00:10Z"
    desk.run(60)
    (found,) = told(desk)["incidents"]

    assert (found["state"], found["closed"]) == ("closed", "2026-11-21T10:00:10Z")
    assert (found["seconds"], found["quiet_since"]) == (10.0, None)
    assert found["ending"] == "2 of 2 endpoints answer"
    assert (found["change"], found["seconds_before"]) == (None, None)


def test_evidence_that_is_away_is_told() -> None:
    desk = Desk().turn(API, REFUSED).run(10).turn(API, UNKNOWN).run(5)
    (found,) = told(desk)["incidents"]

    assert found["evidence_away_since"] == "2026-11-21T10:00:10Z"
    assert found["verdict"] == "not_listening"


def test_of_many_services_some_are_named() -> None:
    desk = Desk()
    for number in range(SERVICES_KEPT + 5):
        desk.turn(PortKey("shop", f"svc-{number:02}", 80), CUT_OFF)
    (found,) = told(desk.run(5))["incidents"]

    assert found["cause"] == {"kind": "node", "name": "node-2"}
    assert len(found["services"]) == SERVICES_KEPT
    assert (found["service_count"], found["most_services"]) == (25, 25)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["other/web", "shop/api", "shop/web"]),
        ({"namespace": "shop"}, ["shop/api", "shop/web"]),
        ({"service": "web"}, ["other/web", "shop/web"]),
        ({"namespace": "shop", "service": "web"}, ["shop/web"]),
        ({"namespace": "none"}, []),
        ({"since": 0.0}, ["other/web", "shop/api"]),
        ({"since": 89.0}, ["other/web", "shop/api"]),
        ({"since": 91.0}, ["other/web", "shop/api", "shop/web"]),
        ({"since": 91.0, "service": "web"}, ["other/web", "shop/web"]),
    ],
)
def test_they_can_be_asked_for_by_service_and_time(
    filters: dict[str, Any], names: list[str]
) -> None:
    desk = Desk().turn(WEB, MISMATCH).run(10).turn(WEB, HEALTHY).run(60)
    desk.turn(API, REFUSED).run(10).turn(ELSEWHERE, REFUSED).run(20)

    found = [i["cause"]["name"] for i in told(desk, **filters)["incidents"]]
    assert found == names


def test_one_that_takes_a_service_along_concerns_it() -> None:
    desk = Desk().turn(WEB, CUT_OFF).turn(API, CUT_OFF).run(10)

    assert len(told(desk, service="api")["incidents"]) == 1
    assert told(desk, service=DB.service)["incidents"] == []
