"""What a watch comes to: its exit code, and the forms in which it is printed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from probe.cli.watch_result import Result
from probe.core.course import Course, Sample
from probe.core.preflight import Note
from probe.watch.session import Ending, Scene
from probe.watch.subject import Subject
from tests.cli.junit_shape import shaped
from tests.core.records import told

WEB = Subject("Deployment", "demo-app", "web")
BEGAN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def result(
    record: dict[str, Any] | None,
    ending: Ending = Ending.ROLLED,
    command_code: int | None = None,
) -> Result:
    course = Course(record=record)
    course.samples.extend([Sample(20, 0), Sample(20, 20), Sample(0, 0)])
    note = Note("one_replica", "it has one replica", "kubectl scale")
    scene = Scene(WEB, ("web",), "dialing from here", course, notes=(note,))
    return Result(WEB, scene, ending, command_code)


def record(dials: int = 100, failed: int = 0, outcome: str = "complete") -> dict[str, Any]:
    lost = {"refused": failed} if failed else {}
    return told() | {"dials": dials, "failed": lost, "outcome": outcome, "advice": []}


@pytest.mark.parametrize(
    ("seen", "max_failed", "code"),
    [
        (result(record()), 0, 0),
        (result(record(), command_code=0), 0, 0),
        (result(record(failed=2)), 0, 1),
        (result(record(failed=2)), 2, 0),
        (result(record(outcome="stuck")), 0, 1),
        (result(record(0)), 0, 3),
        (result(record(), command_code=5), 0, 5),
        (result(record(failed=1), command_code=5), 0, 1),
        (result(None, Ending.NOT_SEEN), 0, 3),
        (result(None, Ending.COMMAND_FAILED, 7), 0, 7),
        (result(None, Ending.STOPPED), 0, 130),
        (result(record(failed=1), Ending.STOPPED), 0, 130),
        (Result(WEB), 0, 130),
    ],
)
def test_the_exit_code_says_the_worst(seen: Result, max_failed: int, code: int) -> None:
    assert seen.exit_code(max_failed) == code


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (result(record()), "✓ no dial failed"),
        (result(record(failed=2)), "✗ 2 of 100 dials failed"),
        (result(record(outcome="stuck")), "✗ the rollout did not complete: stuck"),
        (result(record(0)), "✗ nothing could be dialed that did not fail before: nobody can tell"),
        (result(record(), command_code=5), "✗ no caller noticed, but the command failed with"),
        (result(None, Ending.NOT_SEEN), "✗ no rollout of Deployment demo-app/web was seen before"),
        (result(None, Ending.STOPPED), "✗ stopped before a rollout of Deployment demo-app/web"),
        (result(record(), Ending.STOPPED), "✗ stopped: this is what was seen so far"),
    ],
)
def test_the_last_line_says_what_it_comes_to(
    seen: Result, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen.table(0)

    assert capsys.readouterr().out.splitlines()[-1].startswith(said)


def test_what_was_allowed_to_fail_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    result(record(failed=2)).table(5)
    result(record(failed=4), command_code=7).table(5)
    result(record(failed=9)).table(5)

    lines = capsys.readouterr().out.splitlines()
    assert "✓ 2 of 100 dials failed, 5 may" in lines
    assert "✗ 4 of 100 dials failed, 5 may, but the command failed with code 7" in lines
    assert lines[-1] == "✗ 9 of 100 dials failed, 5 may"


def test_the_report_draws_the_failures_and_ends_with_the_advice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = record(failed=20) | {"advice": ["spec:", "  template:"]}
    result(seen).table(0)

    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:] == ["failed  ▁█ ", "spec:", "  template:", "✗ 20 of 100 dials failed"]


def test_json_is_the_record_with_what_could_be_seen_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = record()
    result(seen).json()
    found = json.loads(capsys.readouterr().out)

    assert found == seen | {
        "preflight": [{"code": "one_replica", "text": "it has one replica", "fix": "kubectl scale"}]
    }


@pytest.mark.parametrize(
    ("seen", "rolls", "dials"),
    [
        (result(record()), None, None),
        (result(record(failed=2)), None, "failure"),
        (result(record(outcome="stuck")), "failure", None),
        (result(record(0)), None, "skipped"),
        (result(None, Ending.NOT_SEEN), "skipped", "skipped"),
        (result(record(), Ending.STOPPED), "error", "error"),
        (result(None, Ending.STOPPED), "error", "error"),
        (result(record(0), Ending.STOPPED), "error", "error"),
        (result(record(failed=2), Ending.STOPPED), "error", "failure"),
        (Result(WEB), "error", "error"),
    ],
)
def test_junit_has_a_case_for_the_rollout_and_one_for_its_callers(
    seen: Result, rolls: str | None, dials: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    seen.junit(BEGAN, 0)
    cases = list(shaped(capsys.readouterr().out))

    assert [case.attrib["name"] for case in cases] == [
        "Deployment rolls out",
        "callers notice nothing",
    ]
    assert {case.attrib["classname"] for case in cases} == {"demo-app.web"}
    tags = [next((element.tag for element in case), None) for case in cases]
    assert tags == [rolls, dials]


@pytest.mark.parametrize(
    ("seen", "tags"),
    [
        (result(record(), command_code=0), [None, None, None]),
        (result(record(), command_code=7), [None, None, "error"]),
        (result(None, Ending.COMMAND_FAILED, 7), ["skipped", "skipped", "error"]),
    ],
)
def test_junit_has_a_case_for_the_command_that_ran(
    seen: Result, tags: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    seen.junit(BEGAN, 0)
    cases = list(shaped(capsys.readouterr().out))

    assert cases[-1].attrib["name"] == "the command succeeds"
    assert [next((element.tag for element in case), None) for case in cases] == tags


def test_what_was_not_explained_when_the_watch_ended_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result(record(failed=5)).table(0)
    before = capsys.readouterr().out
    result(record(failed=5) | {"unconfirmed": 3}).table(0)

    assert "not explained" not in before
    assert "3 failed dials were not explained within 30 s of the end" in capsys.readouterr().out
