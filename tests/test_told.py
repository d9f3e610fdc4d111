"""Documents that come from elsewhere, and what only looks like them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core import rollout_reports
from probe.told import Document, Incident, Rollouts, Unreadable, read, records
from tests.core.records import WEB, rollout
from tests.core.records import told as record
from tests.front import document, edge

FINE = document("a")


TIME = "2026-11-20T12:00:00Z"
CHANGE = {
    "time": TIME,
    "kind": "scaled",
    "object": "Deployment",
    "by": None,
    "detail": "",
    "managed": "Flux",
}
INCIDENT = {
    "id": "1",
    "cause": {"kind": "service", "name": "shop/cart"},
    "verdict": "port_mismatch",
    "worst_verdict": "port_mismatch",
    "summary": "",
    "services": [{"namespace": "shop", "name": "cart", "ports": [80]}],
    "service_count": 1,
    "opened": TIME,
    "closed": None,
    "seconds": 5.0,
    "flaps": 0,
    "change": None,
    "advice": [],
    "node": "a",
}


LATER = ("spec", "on_purpose", "starting", "skipped", "change", "seconds_before", "warnings")
"""What older daemons do not tell."""


def changed(time: str) -> bytes:
    return json.dumps({**FINE, "changes": [{**CHANGE, "time": time}]}).encode()


def with_edge(**more: Any) -> bytes:
    port = {**FINE["ports"][0], "edges": [{**edge("a"), **more}]}
    return json.dumps({**FINE, "ports": [port]}).encode()


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in FINE.items() if key != name}


def test_of_a_document_is_kept_what_we_know_of() -> None:
    more = {**FINE, "pods": 5, "policies": [], "edges": {}}

    assert read(json.dumps(more).encode(), Document) == FINE


def test_a_warning_is_read_with_or_without_who_wrote_it() -> None:
    said = {"object": "Deployment shop/cart", "detail": "container cart: env DB=0:80"}
    told = [{**said, "by": "ada", "time": TIME}, {**said, "by": None, "time": None}]

    found = read(json.dumps({**FINE, "warnings": told}).encode(), Document)

    assert found["warnings"] == told


def test_what_an_older_daemon_lacks_has_a_default() -> None:
    bare = {**FINE, "spec": {"type": "ClusterIP"}}
    filled = {"type": "ClusterIP", "cluster_ips": [], "selector": {}}

    assert read(json.dumps(without("spec")).encode(), Document) == FINE
    assert read(json.dumps(bare).encode(), Document)["spec"] == filled
    told = read(with_edge(icmp={"type": 3, "code": 1}), Document)
    assert told["ports"][0]["edges"][0]["icmp"] == {"type": 3, "code": 1, "offender": None}
    incident = read(json.dumps(INCIDENT).encode(), Incident)
    assert incident.items() >= INCIDENT.items()
    assert (incident["state"], incident["updated"]) == (None, None)
    assert incident["seconds_before"] is None


def test_what_a_daemon_of_ours_tells_of_an_incident_is_kept_whole() -> None:
    counts = {"most_services": 1, "first_verdict": "port_mismatch", "state": "open", "ending": None}
    times = {"updated": TIME, "quiet_since": TIME, "evidence_away_since": None}
    looked = {"watched_seconds": 9.0, "last_write": {"by": "ada", "time": TIME}}
    whole = {**INCIDENT, **counts, **times, **looked, "change": CHANGE, "seconds_before": 4.0}

    assert read(json.dumps(whole).encode(), Incident) == whole


@pytest.mark.parametrize("name", ["opened", "closed", "updated"])
def test_an_incident_without_a_time_zone_is_not_read(name: str) -> None:
    with pytest.raises(Unreadable, match="timezone"):
        read(json.dumps({**INCIDENT, name: "2026-11-20T12:00:00"}).encode(), Incident)


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (TIME, TIME),
        ("2026-01-01t00:00:00z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T01:30:00+01:30", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.25Z", "2026-01-01T00:00:00.250000Z"),
    ],
)
def test_times_are_told_in_utc_however_they_are_written(written: str, read_as: str) -> None:
    assert read(changed(written), Document)["changes"][0]["time"] == read_as


@pytest.mark.parametrize("raw", ["\x7f", "\x9b", "\u202e"])
def test_what_json_need_not_escape_does_not_steer_it_either(raw: str) -> None:
    body = json.dumps({**FINE, "summary": raw}, ensure_ascii=False).encode()

    assert read(body, Document)["summary"] == "\ufffd"


def test_no_text_steers_the_terminal() -> None:
    said = {"summary": "fine\x1b[2J", "advice": ["a\r\nb", "\x9b1m\x7f", "\u202etxt", "caf\u00e9"]}

    told = read(json.dumps({**FINE, **said}).encode(), Document)

    assert told["summary"] == "fine\ufffd[2J"
    assert told["advice"] == ["a\ufffd\ufffdb", "\ufffd1m\ufffd", "\ufffdtxt", "caf\u00e9"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 100_000,
        b'"\xff"',
        *(json.dumps(without(name)).encode() for name in FINE if name not in LATER),
        json.dumps({**FINE, "verdict": "cursed"}).encode(),
        json.dumps({**FINE, "dialed": "3"}).encode(),
        json.dumps({**FINE, "ports": [{**FINE["ports"][0], "edges": [{}]}]}).encode(),
        json.dumps({**FINE, "spec": 5}).encode(),
        json.dumps({**FINE, "spec": {"selector": 3}}).encode(),
        json.dumps({**FINE, "spec": {"selector": {"app": "a,b!=c"}}}).encode(),
        json.dumps({**FINE, "dialed": 10**400}).encode(),
        json.dumps({**FINE, "service": {"namespace": "x/../kube-system", "name": "a"}}).encode(),
        json.dumps({**FINE, "service": {"namespace": "shop\n", "name": "a"}}).encode(),
        with_edge(connect_seconds=1e300),
        changed("yesterday"),
        changed("2026-01-01T00:00:00"),
        changed("0001-01-01T00:00:00+01:00"),
        changed("0001-01-01T00:00:00Z"),
        changed("9999-12-31T23:59:59Z"),
    ],
)
def test_what_is_of_another_shape_is_not_read(body: bytes) -> None:
    with pytest.raises(Unreadable, match="its answer is of another version, or none of ours"):
        read(body, Document)


def test_a_rollouts_record_is_read_as_it_was_written() -> None:
    written = {"node": "a", "rollouts": [record(rollout(3.0, refused=2))], "reports": [record()]}

    assert read(json.dumps(written).encode(), Rollouts) == written


async def test_of_many_records_those_of_some_workloads_are_read() -> None:
    other = record() | {"workload": "Deployment shop/web", "started": "unreadable"}
    written = {"node": "a", "rollouts": [other, record()], "reports": [record(), other]}

    assert await records(json.dumps(written).encode(), {WEB}) == ([record()], [record()])


@pytest.mark.parametrize("wrong", [{"rollouts": []}, {"rollouts": [{}], "reports": []}], ids=str)
async def test_what_is_no_list_of_records_is_not_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        await records(json.dumps(wrong).encode(), {WEB})


@pytest.mark.parametrize(
    "wrong",
    [
        {"started": "soon"},
        {"ended": "9999-12-31T23:59:59Z"},
        {"failed": {"refused": -1}},
        {"failed": {"connected by magic": 1}},
        {"nodes": [{}]},
        {"services": ["../web"]},
        {"template": {}},
        {"seconds": None},
        {"ended": None},
        {"seconds": -1.0},
        {"failed": {"refused": 2}},
        {"first_failure": TIME},
        {"last_failure": TIME},
        {"removal_lag_seconds": 2.0},
        {"removal_lag_error_seconds": 2.0},
        {"removal_lag_seconds": -1.0, "removal_lag_error_seconds": 2.0},
        {"removal_lag_seconds": 1e6, "removal_lag_error_seconds": 2.0},
        {"nodes": [record()["nodes"][0] | {"removal_lag_seconds": 2.0}]},
        {"nodes": [record()["nodes"][0] | {"censored": True}]},
        {"censored": True, "removal_lag_seconds": 2.0, "removal_lag_error_seconds": 2.0},
        {"outcome": "x" * 1001},
        {"services": ["web"] * 10_001},
    ],
    ids=lambda wrong: str(wrong)[-60:],
)
def test_what_is_no_record_of_a_rollout_is_not_read(wrong: dict[str, Any]) -> None:
    written = {"node": "a", "rollouts": [record() | wrong], "reports": []}

    with pytest.raises(Unreadable):
        read(json.dumps(written).encode(), Rollouts)


def test_what_an_older_daemon_lacks_of_a_rollout_has_a_default() -> None:
    written = {"node": "a", "rollouts": [_older(record(rollout(3.0, refused=2)))], "reports": []}

    (found,) = read(json.dumps(written).encode(), Rollouts)["rollouts"]

    assert found == record(rollout(3.0, refused=2))


def _older(known: dict[str, Any]) -> dict[str, Any]:
    new = ("unconfirmed", "censored")
    nodes = [{k: share[k] for k in share if k not in new} for share in known["nodes"]]
    return {k: known[k] for k in known if k not in new} | {"nodes": nodes}


def test_of_a_rollout_is_cut_what_is_absurdly_long() -> None:
    endless = {
        "detail": "x" * 10**7,
        "removal_lag_error_seconds": 1e9,
        "shortest_window_seconds": 1e9,
        "recommended_drain_seconds": 2**53,
    }
    written = record(rollout(3.0, refused=2)) | endless

    (found,) = read(
        json.dumps({"node": "a", "rollouts": [written], "reports": []}).encode(), Rollouts
    )["rollouts"]

    assert len(found["detail"]) == 1000
    assert [found[key] for key in endless if key != "detail"] == [3600] * 3


KNOWN = record(rollout(3.0, refused=2, refused_new=1))
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "web", TIME, 0, -1, 2**53, 5.0, 1e9, True, [], {}, {"refused": 2**53}, {"reset": 0}]
)


@given(st.dictionaries(st.sampled_from(sorted(KNOWN)), ODD), st.booleans())
def test_what_is_read_of_a_rollout_merges_with_ours_and_can_be_read_again(
    odd: dict[str, Any], in_share: bool
) -> None:
    share = KNOWN["nodes"][0] | {key: odd[key] for key in odd if key in KNOWN["nodes"][0]}
    written = KNOWN | odd | ({"nodes": [share]} if in_share else {})
    body = json.dumps({"node": "b", "rollouts": [written], "reports": []}).encode()
    try:
        (found,) = read(body, Rollouts)["rollouts"]
    except Unreadable:
        return
    for ours in (KNOWN, None):
        whole = rollout_reports.merged([KNOWN, found], ours)
        assert rollout_reports.lines(whole)
        assert rollout_reports.news(whole)
        assert rollout_reports.shortened(whole, 1)
        again = {"node": "a", "rollouts": [], "reports": [whole]}
        assert read(json.dumps(again).encode(), Rollouts)["reports"]
