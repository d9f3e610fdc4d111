"""What would have avoided the failures of a rollout."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from probe.core.results import Result
from probe.core.rollout_remedies import drain, raised_grace
from probe.core.rollout_reports import clean, lines, merged, news
from probe.core.workloads import UNKNOWN_LENGTH
from tests.core.records import WEB, rollout, told


def pasted(lines: list[str]) -> Any:
    """The YAML among the lines of an advice."""
    return yaml.safe_load("\n".join(line for line in lines if line.startswith(("spec:", " "))))


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


@pytest.mark.parametrize("had", [None, 15])
@pytest.mark.parametrize(
    ("unconfirmed", "ended", "why"),
    [
        (2, 112.0, "2 failed dials are not laid to their cause yet"),
        (0, None, "the rollout is not over"),
    ],
)
def test_while_a_longer_lag_may_come_in_the_drain_is_a_lower_bound_without_yaml(
    unconfirmed: int, ended: float | None, why: str, had: int | None
) -> None:
    known = rollout(10.2, refused=3)
    known.unconfirmed, known.ended = unconfirmed, ended

    found = told(known, had=had)

    line = f"a preStop.sleep of at least 12 s so far would have avoided it in {WEB}: {why}"
    assert found["advice"] == [line]
    assert f"removal lag at least 10.2 s so far ({why})" in lines(found)
    assert line in news(found)
    assert "seconds: 12" not in news(found)


def test_a_lag_that_was_cut_off_recommends_nothing_and_names_the_node() -> None:
    known = rollout(29.3, refused=3)
    known.censored = True

    found = told(known, node="node-7")

    said = f"removed endpoints of {WEB} were still sent to after 29 s: look at kube-proxy on node-7"
    assert found["recommended_drain_seconds"] is None
    assert found["advice"] == [said]
    assert lines(found)[2:] == ["removal lag 29.3 s or longer (cut off)", said]
    assert said in news(found)
    assert "preStop" not in " ".join(lines(found))


def test_of_many_nodes_the_ones_that_sent_for_longest_are_named() -> None:
    records = []
    for number in range(7):
        known = rollout(20.0 + number, refused=1)
        known.censored = True
        records.append(told(known, node=f"node-{number}"))

    (said,) = merged(records)["advice"]

    assert said.endswith(
        "still sent to after 26 s: look at kube-proxy on "
        "node-6, node-5, node-4, node-3, node-2 and 2 more"
    )


@pytest.mark.parametrize("result", [Result.TIMEOUT, Result.UNREACHABLE, Result.REJECTED])
def test_what_the_path_did_to_new_endpoints_is_no_matter_of_readiness(result: Result) -> None:
    known = rollout()
    known.failed_new[result] = 4
    known.managed = "Flux"

    assert told(known, readiness=True)["advice"] == [
        f"the network of new pods of {WEB} was ready after they were (4 {result}): look at the "
        "CNI agent on their nodes"
    ]


def test_of_new_endpoints_both_are_told_each_with_its_own_failures() -> None:
    known = rollout()
    known.failed_new.update({Result.REFUSED: 2, Result.RESET: 1, Result.TIMEOUT: 4})

    first, *_, last = told(known)["advice"]

    assert "before they listened (2 refused, 1 reset)" in first
    assert "was ready after they were (4 timeout)" in last
