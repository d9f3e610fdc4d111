from datetime import UTC, datetime
from typing import Any

from probe.core.announcements import NOTE_MAX
from probe.core.rollout_events import event
from probe.core.rollout_reports import Json
from tests.core.records import WEB, rollout, told

KEY = ("Deployment", "demo-app", "backend-v1")
AT = datetime(2026, 11, 21, 10, 2, 30, tzinfo=UTC)


def made(found: Json) -> dict[str, Any]:
    return event(found, KEY, "uid-w", node="node-1", moment=AT, name="backend-v1.1")


def test_a_rollout_with_failed_dials_is_a_warning_that_names_the_drain() -> None:
    found = made(told(rollout(10.2, refused=3)))

    assert (found["type"], found["reason"]) == ("Warning", "RolloutFailedDials")
    assert found["regarding"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": "demo-app",
        "name": "backend-v1",
        "uid": "uid-w",
    }
    assert found["metadata"] == {"name": "backend-v1.1", "namespace": "demo-app"}
    assert found["eventTime"] == "2026-11-21T10:02:30.000000Z"
    assert found["note"].startswith("3 refused of 300 ClusterIP dials failed")
    assert "{preStop: {sleep: {seconds: 12}}}" in found["note"]
    assert found["note"].endswith(" (told by node node-1)")


def test_a_clean_rollout_is_normal() -> None:
    found = made(told())

    assert (found["type"], found["reason"]) == ("Normal", "RolloutClean")
    assert "none of 300 ClusterIP dials failed" in found["note"]
    assert f"rollout of {WEB}" in found["note"]


def test_failures_on_new_endpoints_alone_are_a_warning_too() -> None:
    assert made(told(rollout(refused_new=1)))["type"] == "Warning"


def test_a_note_is_cut_after_the_drain() -> None:
    known = rollout(10.2, refused=3)
    known.detail = "ü" * 2000

    note = made(told(known))["note"]

    assert len(note.encode()) <= NOTE_MAX
    assert "{preStop: {sleep: {seconds: 12}}}" in note
    assert note.endswith(" (told by node node-1)")
