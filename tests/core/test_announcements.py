"""Incidents in the words of Kubernetes Events."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.announcements import (
    INSTANCE_MAX,
    NOTE_MAX,
    event,
    instance,
    reason,
    regarding,
    series,
    told_still,
    turn_to_tell,
)
from probe.core.changes import Change, ChangeKind
from probe.core.edges import Author, PortKey
from probe.core.incident import Incident, Standing, Step
from probe.core.verdicts import Judgement, Verdict

WEB = PortKey("shop", "web", 80)
NODES = ("node-1", "node-2", "node-3", "node-4")
MOMENT = datetime(2026, 11, 21, 10, 30, 5, 42, UTC)

MISMATCH = Judgement(Verdict.PORT_MISMATCH, "set targetPort to 8080")
EDIT = Change(
    9.0,
    ChangeKind.SERVICE_EDIT,
    "shop",
    "Service shop/web",
    "targetPort 8080 -> 8081",
    by="argocd",
    managed="Argo CD",
)
ROLLOUT = Change(9.0, ChangeKind.ROLLOUT, "shop", "Deployment shop/web", "image a -> b")


def incident(
    judgement: Judgement = MISMATCH, *ports: PortKey, cause: str = "", **more: Any
) -> Incident:
    held = ports or (WEB,)
    verdict = judgement.verdict
    made = Incident("5e0f", cause, 10.0, held[0], judgement, verdict, verdict, 10.0, **more)
    made.ports = dict.fromkeys(held, Standing.FAILING)
    made.services = len({key[:2] for key in held})
    made.began = 13.0
    return made


def told(
    found: Incident, step: Step = Step.OPENED, *, node: str = "node-1", lonely: bool = False
) -> Any:
    return event(found, step, uid="u-1", node=node, moment=MOMENT, name="web.5e0f.1", lonely=lonely)


def test_an_event_regards_the_service_and_says_what_to_do() -> None:
    found = incident(change=EDIT, advice=("kubectl patch service web", "and the manifest"))

    assert told(found) == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": "web.5e0f.1",
            "namespace": "shop",
            "labels": {"edgeprobe.dev/incident": "5e0f", "edgeprobe.dev/port": "80"},
        },
        "eventTime": "2026-11-21T10:30:05.000042Z",
        "type": "Warning",
        "reason": "PortMismatch",
        "action": "Dial",
        "note": "port 80: set targetPort to 8080; "
        "after service_edit by argocd (Argo CD), 4 s before it first failed: "
        "targetPort 8080 -> 8081; "
        "kubectl patch service web (seen from node node-1)",
        "regarding": {
            "apiVersion": "v1",
            "kind": "Service",
            "namespace": "shop",
            "name": "web",
            "uid": "u-1",
        },
        "reportingController": "edgeprobe.dev/probe",
        "reportingInstance": "node-1",
    }


def test_a_change_of_another_object_is_named() -> None:
    assert (
        "; after rollout of Deployment shop/web, 4 s before it first failed: image a -> b ("
        in told(incident(change=ROLLOUT))["note"]
    )


def test_that_nothing_explains_it_is_said() -> None:
    assert told(incident())["note"] == (
        "port 80: set targetPort to 8080; no known change of the ten minutes before explains it "
        "(seen from node node-1)"
    )


def test_who_began_to_watch_only_then_says_so_and_who_wrote_last() -> None:
    found = incident(watched=3.0, author=Author("kubectl-patch", "2026-11-21T10:26:00Z"))

    assert told(found)["note"] == (
        "port 80: set targetPort to 8080; no change seen since probe started, 3 s before it first "
        "failed, explains it; the Service was last written by kubectl-patch at "
        "2026-11-21T10:26:00Z (seen from node node-1)"
    )


def test_the_end_is_normal_and_says_what_holds_instead() -> None:
    found = told(incident(ending="2 of 2 endpoints answer", recovered=True), Step.CLOSED)

    assert (found["type"], found["reason"]) == ("Normal", "Recovered")
    assert found["note"] == (
        "port 80 port_mismatch is over: 2 of 2 endpoints answer (seen from node node-1)"
    )


def test_an_end_without_health_is_no_recovery() -> None:
    assert reason(incident(ending="scaled to zero"), Step.CLOSED) == "Closed"


def test_what_no_other_node_told_of_says_so() -> None:
    assert told(incident(), lonely=True)["note"].endswith(
        "(seen from node node-1, and no other node has told of it)"
    )


def many(count: int) -> list[PortKey]:
    return [PortKey("shop", f"svc-{number}", 80) for number in range(count)]


CUT_OFF = Judgement(Verdict.NODE_PATH, "nothing on node-2 answers")


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        (many(1), "it takes 1 Service along: shop/svc-0"),
        (many(3), "it takes 3 Services along: shop/svc-0, shop/svc-1, shop/svc-2"),
        (
            many(9),
            "it takes 9 Services along: shop/svc-0, shop/svc-1, shop/svc-2, shop/svc-3, "
            "shop/svc-4 and 4 more",
        ),
    ],
)
def test_a_cause_that_is_shared_regards_its_node_and_counts_the_services(
    ports: Iterable[PortKey], said: str
) -> None:
    found = told(incident(CUT_OFF, *ports, cause="node/node-2"))

    node = {"apiVersion": "v1", "kind": "Node", "name": "node-2", "uid": "node-2"}
    assert found["regarding"] == node
    assert found["metadata"]["namespace"] == "default"
    assert found["note"] == (
        f"nothing on node-2 answers; {said}; no known change of the ten minutes before explains it "
        "(seen from node node-1)"
    )


def test_the_end_of_a_shared_cause_names_no_port() -> None:
    found = incident(CUT_OFF, *many(2), cause="node/node-2", ending="it answers")
    assert told(found, Step.CLOSED)["note"].startswith("node_path is over: it answers")


def test_without_a_uid_it_is_left_out() -> None:
    assert "uid" not in regarding(incident(), "")


def test_of_a_service_one_node_tells_and_the_others_have_their_turns() -> None:
    for key in many(20):
        turns = [turn_to_tell(incident(MISMATCH, key), node, NODES) for node in NODES]
        assert sorted(turns) == [0, 1, 2, 3]


def test_the_work_is_shared() -> None:
    first = [
        node
        for key in many(400)
        for node in NODES
        if turn_to_tell(incident(MISMATCH, key), node, NODES) == 0
    ]
    assert all(first.count(node) > 50 for node in NODES)


def test_all_ports_of_a_service_are_told_by_the_same_node() -> None:
    turns = [
        [turn_to_tell(incident(MISMATCH, WEB._replace(port=port)), n, NODES) for n in NODES]
        for port in (80, 443)
    ]
    assert turns[0] == turns[1]


@pytest.mark.parametrize("kind", ["proxy", "self"])
def test_what_only_its_own_daemon_sees_that_daemon_tells(kind: str) -> None:
    found = incident(CUT_OFF, cause=f"{kind}/node-2")
    assert [turn_to_tell(found, node, NODES) for node in NODES] == [4, 0, 4, 4]


def test_of_a_node_that_cannot_be_reached_the_others_tell_first() -> None:
    found = incident(CUT_OFF, cause="node/node-2")
    turns = [turn_to_tell(found, node, NODES) for node in NODES]

    assert sorted(turns) == [0, 1, 2, 3]
    assert turns[1] == 3


def test_alone_it_tells_of_its_own_node() -> None:
    assert turn_to_tell(incident(CUT_OFF, cause="node/node-1"), "node-1", ["node-1"]) == 0


def said(node: str, kind: str, at: str, port: str | None = "80", **more: Any) -> Any:
    labels = {"edgeprobe.dev/port": port} if port else None
    return {
        "metadata": {"labels": labels},
        "type": kind,
        "eventTime": f"2026-11-21T{at}:00.000000Z",
        "reportingInstance": node,
        **more,
    }


def test_the_last_word_of_each_reporter_counts() -> None:
    held = said("a", "Warning", "10:00")
    back = [said("b", "Warning", "10:00"), said("b", "Normal", "10:05")]
    again = said(
        "c", "Warning", "09:00", series={"lastObservedTime": "2026-11-21T10:30:00.000000Z"}
    )
    found = [held, *back, again, said("c", "Normal", "10:00")]

    assert told_still(found, incident()) == [held, again]
    assert told_still(reversed(found), incident()) == [again, held]
    assert told_still([], incident()) == []


def test_only_words_about_the_same_port_count() -> None:
    found = [said("a", "Warning", "10:00", "443"), said("b", "Warning", "10:00", None)]

    assert told_still(found, incident()) == []
    assert told_still(found, incident(CUT_OFF, cause="node/node-2")) == [found[1]]


def test_a_series_counts_and_says_when_it_was_last_seen() -> None:
    seen = "2026-11-21T10:30:05.000042Z"
    assert series(3, MOMENT) == {"series": {"count": 3, "lastObservedTime": seen}}


@given(st.text(max_size=3000), st.text("abc-.0", min_size=1, max_size=253))
def test_no_note_or_instance_is_longer_than_the_api_server_takes(summary: str, node: str) -> None:
    found = told(incident(Judgement(Verdict.LOSSY, summary)), node=node)

    assert len(found["note"].encode(errors="replace")) <= NOTE_MAX
    assert len(found["reportingInstance"].encode()) <= INSTANCE_MAX
    assert found["note"].endswith(f" (seen from node {node})")
    assert instance("node-1") == "node-1"


def test_what_is_too_long_is_cut_before_its_end() -> None:
    note = told(incident(Judgement(Verdict.LOSSY, "ä" * 1000)))["note"]

    assert len(note.encode()) in (NOTE_MAX, NOTE_MAX - 1)
    assert note.endswith("ä… (seen from node node-1)")
