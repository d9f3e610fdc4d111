from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from probe.core.results import Result
from probe.core.rollout_reports import (
    advice,
    clean,
    drain,
    lines,
    match,
    merged,
    news,
    raised_grace,
    record,
    same,
    shortened,
)
from probe.core.rollouts import Rollout, begin
from probe.core.workloads import UNKNOWN_LENGTH
from tests.core.facts import workload

Json = dict[str, Any]

WEB = "Deployment demo-app/backend-v1"


def clock(at: float) -> datetime:
    return datetime(2026, 11, 21, 10, 0, tzinfo=UTC) + timedelta(seconds=at)


def rollout(lag: float | None = None, error: float = 0.5, **refused: int) -> Rollout:
    """One that took 12 s of 300 dials, with as many `refused` of them, and of new endpoints as
    `refused_new`."""
    made = begin(workload(), ("backend-v1",), "image app:1 -> app:2", 100.0)
    made.ended, made.outcome, made.dials, made.window = 112.0, "complete", 300, 0.9
    made.by = "kubectl-set"
    made.lag, made.error = lag, error
    if count := refused.get("refused"):
        made.failed = Counter({Result.REFUSED: count})
        made.first_failure, made.last_failure, made.longest_gap = 102.0, 111.0, 1.25
    if count := refused.get("refused_new"):
        made.failed_new = Counter({Result.REFUSED: count})
    return made


def told(
    known: Rollout | None = None,
    *,
    node: str = "a",
    had: int | None = None,
    grace: int = 30,
    readiness: bool = False,
    containers: tuple[str, ...] = ("app",),
    ports: tuple[int, ...] = (8080,),
) -> Json:
    """A node's record of a rollout whose pods have these hooks and probes now."""
    held = replace(
        workload(), pre_stop=had, grace_seconds=grace, readiness=readiness, containers=containers
    )
    return record(known or rollout(), node, clock, workload=held, ports=ports)


def pasted(lines: list[str]) -> Any:
    """The YAML among the lines of an advice."""
    return yaml.safe_load("\n".join(line for line in lines if line.startswith(("spec:", " "))))


def test_a_record_has_the_shape_that_others_read() -> None:
    assert told(rollout(10.2, refused=3), had=5) == {
        "workload": WEB,
        "detail": "image app:1 -> app:2",
        "by": "kubectl-set",
        "managed": "",
        "services": ["backend-v1"],
        "started": "2026-11-21T10:01:40Z",
        "ended": "2026-11-21T10:01:52Z",
        "outcome": "complete",
        "seconds": 12.0,
        "dials": 300,
        "failed": {"refused": 3},
        "failed_new": {},
        "first_failure": "2026-11-21T10:01:42Z",
        "last_failure": "2026-11-21T10:01:51Z",
        "longest_gap_seconds": 1.25,
        "removal_lag_seconds": 10.2,
        "removal_lag_error_seconds": 0.5,
        "shortest_window_seconds": 0.9,
        "recommended_drain_seconds": 12,
        "template": {
            "pre_stop_seconds": 5,
            "termination_grace_period_seconds": 30,
            "readiness_probe": False,
            "containers": ["app"],
            "ports": [8080],
        },
        "silent": [],
        "nodes": [
            {
                "node": "a",
                "dials": 300,
                "failed": {"refused": 3},
                "removal_lag_seconds": 10.2,
                "removal_lag_error_seconds": 0.5,
                "shortest_window_seconds": 0.9,
            }
        ],
        "advice": list(advice(told(rollout(10.2, refused=3), had=5))),
    }


def test_what_is_not_known_yet_is_null() -> None:
    running = begin(workload(), ("backend-v1",), "image", 100.0)

    found = record(running, "a", clock)

    unknown = (
        *("ended", "seconds", "first_failure", "last_failure", "removal_lag_seconds"),
        *("removal_lag_error_seconds", "shortest_window_seconds", "recommended_drain_seconds"),
    )
    assert [found[key] for key in unknown] == [None] * len(unknown)
    assert found["outcome"] == "running"
    assert found["template"]["readiness_probe"] is None
    assert lines(found) == [
        f"rollout of {WEB}: running, image",
        "none of 0 ClusterIP dials failed, from node a",
    ]


def test_without_a_failure_it_says_what_would_have_been_seen_and_advises_nothing() -> None:
    found = told()

    assert clean(found)
    assert lines(found) == [
        f"rollout of {WEB} by kubectl-set: complete after 12 s, image app:1 -> app:2",
        "none of 300 ClusterIP dials failed, from node a",
        "a removed endpoint still sent to for 0.9 s would have been seen (95 %)",
    ]


def test_failures_on_removed_endpoints_ask_for_a_drain_with_the_yaml_to_paste() -> None:
    found = told(rollout(10.2, refused=3))

    assert not clean(found)
    assert lines(found)[1:4] == [
        "3 refused of 300 ClusterIP dials failed, from node a, between 2026-11-21T10:01:42Z and "
        "2026-11-21T10:01:51Z, 1.2 s at most without a success",
        "removal lag 10.2 s (up to 0.5 s more)",
        f"a preStop.sleep of 12 s would have avoided it; in {WEB}:",
    ]
    assert pasted(found["advice"]) == {
        "spec": {
            "template": {
                "spec": {
                    "terminationGracePeriodSeconds": 42,
                    "containers": [
                        {"name": "app", "lifecycle": {"preStop": {"sleep": {"seconds": 12}}}}
                    ],
                }
            }
        }
    }


@pytest.mark.parametrize(
    ("had", "sentence", "grace"),
    [
        (5, f"a preStop.sleep of 12 s instead of 5 s would have avoided it; in {WEB}:", 37),
        (
            UNKNOWN_LENGTH,
            f"a preStop.sleep of 12 s instead of its hook would have avoided it; in {WEB}:",
            42,
        ),
    ],
)
def test_a_hook_that_is_there_is_replaced_and_the_grace_period_grows_by_the_difference(
    had: int, sentence: str, grace: int
) -> None:
    found = told(rollout(10.2, refused=3), had=had)

    assert found["advice"][0] == sentence
    pod = pasted(found["advice"])["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == grace


def test_a_drain_that_is_there_by_now_is_enough() -> None:
    """The pods that failed were of the template before."""
    found = told(rollout(10.2, refused=3), had=15)

    assert found["recommended_drain_seconds"] == 12
    assert found["advice"] == [
        f"{WEB} has a preStop.sleep of 15 s now, and 12 s are enough: its next rollout is covered"
    ]


def test_with_several_containers_their_name_is_left_to_the_reader() -> None:
    found = told(rollout(10.2, refused=3), containers=("app", "proxy"))

    (container,) = pasted(found["advice"])["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "CONTAINER"


@pytest.mark.parametrize(
    ("readiness", "words"), [(True, "have its readinessProbe"), (False, "have a readinessProbe")]
)
def test_failures_on_new_endpoints_ask_for_a_readiness_probe(readiness: bool, words: str) -> None:
    found = told(rollout(refused_new=4), readiness=readiness)

    assert not clean(found)
    assert found["recommended_drain_seconds"] is None
    assert found["advice"][0] == (
        f"new endpoints of {WEB} took traffic before they listened (4 refused): {words} ask port "
        "8080 itself:"
    )
    (container,) = pasted(found["advice"])["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "app", "readinessProbe": {"tcpSocket": {"port": 8080}}}
    assert "4 refused on endpoints that had just become ready" in lines(found)
    assert words in news(found)


def test_a_port_that_is_not_known_is_left_to_the_reader() -> None:
    assert "        port: PORT" in " ".join(told(rollout(refused_new=4), ports=())["advice"])


def test_what_argo_cd_keeps_is_to_be_changed_there() -> None:
    known = rollout(10.2, refused=3)
    known.managed = "Argo CD"

    found = told(known)

    assert found["advice"][-1] == (f"Argo CD keeps {WEB}: change it where that takes it from")
    assert "by kubectl-set (Argo CD): " in lines(found)[0]


def test_failures_that_are_nobodys_removal_ask_for_nothing() -> None:
    found = told(rollout(refused=3))

    assert found["advice"] == []
    assert lines(found)[-1] == "no failure could be laid to a removed endpoint"


def test_the_news_are_one_line_with_what_matters_first() -> None:
    assert news(told(rollout(10.2, refused=3))) == (
        "3 refused of 300 ClusterIP dials failed, from node a, between 2026-11-21T10:01:42Z and "
        "2026-11-21T10:01:51Z, 1.2 s at most without a success; "
        f"add to the container of {WEB}: lifecycle: {{preStop: {{sleep: {{seconds: 12}}}}}}, "
        "and set terminationGracePeriodSeconds: 42; removal lag 10.2 s (up to 0.5 s more); "
        f"rollout of {WEB} by kubectl-set: complete after 12 s, image app:1 -> app:2"
    )


@pytest.mark.parametrize(
    ("had", "sentence"),
    [
        (
            3,
            "change in the container of x: lifecycle: {preStop: {sleep: {seconds: 9}}}, and set "
            "terminationGracePeriodSeconds: 36",
        ),
        (9, "its preStop sleep of 9 s covers that from now on"),
    ],
)
def test_a_drain_in_a_sentence_knows_what_is_there(had: int, sentence: str) -> None:
    assert drain("x", 9, had, 30) == sentence


@given(
    seconds=st.integers(1, 600),
    had=st.none() | st.just(UNKNOWN_LENGTH) | st.integers(0, 600),
    left=st.integers(0, 600),
)
def test_the_api_server_takes_the_sleep_and_the_application_loses_no_time(
    seconds: int, had: int | None, left: int
) -> None:
    grace = max(had or 0, 0) + left

    raised = raised_grace(seconds, had, grace)

    assert raised >= seconds
    assert raised - max(seconds, had or 0) >= left


def test_records_of_several_nodes_are_one_that_asks_for_the_longest_drain() -> None:
    slow = rollout(10.2, refused=3)
    slow.started, slow.ended = 99.0, 113.5
    vague = rollout(2.0, 9.0, refused=1, refused_new=2)
    vague.services = ("backend-v1", "web")
    found = merged([told(rollout(), node="c"), told(vague, node="b"), told(slow, node="a")])

    assert {key: found[key] for key in ("dials", "failed", "failed_new", "outcome")} == {
        "dials": 900,
        "failed": {"refused": 4},
        "failed_new": {"refused": 2},
        "outcome": "complete",
    }
    assert (found["started"], found["ended"]) == ("2026-11-21T10:01:39Z", "2026-11-21T10:01:53Z")
    assert found["seconds"] == 14.5
    assert found["services"] == ["backend-v1", "web"]
    assert (found["removal_lag_seconds"], found["removal_lag_error_seconds"]) == (2.0, 9.0)
    assert found["recommended_drain_seconds"] == 12
    assert [share["node"] for share in found["nodes"]] == ["a", "b", "c"]
    assert "removal lag 2.0 s (up to 9.0 s more): a 10.2 s, b 2.0 s" in lines(found)
    assert "4 refused of 900 ClusterIP dials failed, from 3 nodes" in lines(found)[1]


def test_one_that_still_runs_for_a_node_still_runs() -> None:
    running = rollout()
    running.ended, running.outcome = None, ""

    found = merged([told(running, node="b"), told()])

    assert (found["outcome"], found["ended"], found["seconds"]) == ("running", None, None)


def test_what_went_wrong_for_one_node_is_told_and_unknown_words_first() -> None:
    stuck = rollout()
    stuck.outcome = "stuck"
    other = told(node="b") | {"outcome": "exploded"}

    assert merged([told(), told(stuck, node="b")])["outcome"] == "stuck"
    assert merged([told(), other])["outcome"] == "exploded"


def test_a_single_record_stays_as_it_is_and_none_cannot_be_merged() -> None:
    assert merged([told()]) == told()
    with pytest.raises(ValueError, match="nothing to merge"):
        merged([])


@given(st.permutations([0, 1, 2, 3]))
def test_the_order_of_the_records_changes_nothing(order: list[int]) -> None:
    late = rollout(4.0, refused=1)
    late.started, late.by, late.detail = 101.0, None, "already in progress"
    records = [
        told(rollout(10.2, refused=3), node="d"),
        told(rollout(), node="c"),
        told(late, node="a"),
        told(rollout(3.0, refused_new=1), node="b"),
    ]

    found = merged([records[place] for place in order])

    assert found == merged(records)
    assert (found["by"], found["detail"]) == ("kubectl-set", "image app:1 -> app:2")


def test_the_silent_are_named() -> None:
    nodes = [f"node-{number}" for number in range(7)]

    assert lines(told() | {"silent": nodes})[2] == (
        "without the word of node-0, node-1, node-2, node-3, node-4 and 2 more"
    )


def test_records_are_of_one_rollout_by_workload_and_time() -> None:
    later, running = rollout(), rollout()
    later.started, later.ended = 122.0, 130.0
    running.ended = None

    assert same(told(), told(node="b"))
    assert same(told(later), told())
    assert same(told(later), told(running))
    assert not same(told(), told() | {"workload": "Deployment demo-app/other"})
    later.started = 123.0
    assert not same(told(), told(later))


def test_of_another_nodes_records_the_next_in_time_counts_whatever_node_it_names() -> None:
    again = rollout()
    again.started, again.ended = 113.0, 120.0
    theirs = [told(again, node="liar"), told(rollout(), node="liar")]

    found = match(told(), theirs, "b")

    assert found is not None
    assert found["started"] == told()["started"]
    assert [share["node"] for share in found["nodes"]] == ["b"]
    assert match(told(), [theirs[0] | {"nodes": []}], "b") is None


def test_a_shortened_record_keeps_the_nodes_that_saw_the_worst() -> None:
    quiet, failing = rollout(), rollout(refused=2)
    found = merged(
        [told(quiet, node="a"), told(failing, node="b"), told(rollout(3.0, refused=1), node="c")]
    )

    assert [share["node"] for share in shortened(found, 2)["nodes"]] == ["c", "b"]
