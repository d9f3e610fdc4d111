from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from probe.core import report
from probe.core.edges import Author
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from probe.core.targets import Target
from probe.core.verdicts import Verdict
from tests.core.facts import (
    CONNECTED,
    LOCAL_FAULT,
    NODE,
    REFUSED,
    REJECTED,
    Story,
    answers,
    endpoint,
    port,
    service,
    slice_of,
    workload,
)

KEY = ("demo-app", "backend-v1")
EPOCH = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def clock(at: float) -> datetime:
    return EPOCH + timedelta(seconds=at - 1000)


def told(story: Story) -> report.Json:
    return report.service(story.world, KEY, story.now, clock, "pod")


def test_a_service_is_told_as_its_interface_says() -> None:
    story = Story(
        answer=lambda dial, now: REJECTED if dial.edge.address == "10.0.0.2" else CONNECTED
    )
    story.listed(
        [service(port(80, 8080))], [slice_of("10.0.0.1", endpoint("10.0.0.2", node="", pod="p"))]
    )
    story.run(30)
    found = told(story)

    assert {k: found[k] for k in ("service", "sources", "verdict", "dialed", "expected")} == {
        "service": {"namespace": "demo-app", "name": "backend-v1"},
        "sources": [{"node": NODE, "vantage": "pod"}],
        "verdict": "endpoint_down",
        "dialed": 3,
        "expected": 3,
    }
    (told_port,) = found["ports"]
    assert told_port["summary"] == found["summary"]
    assert (told_port["name"], told_port["port"], told_port["target_port"]) == ("http", 80, 8080)
    assert [e["kind"] for e in told_port["edges"]] == ["service", "endpoint", "endpoint"]
    assert told_port["edges"][2] == {
        "from": NODE,
        "kind": "endpoint",
        "address": "10.0.0.2",
        "port": 8080,
        "family": "ipv4",
        "pod": "p",
        "node": None,
        "state": "down",
        "result": "rejected",
        "connect_seconds": None,
        "syn_retransmits": 0,
        "icmp": {"type": 3, "code": 3, "offender": "10.0.0.254"},
    }
    assert told_port["edges"][0]["connect_seconds"] == 0.0004
    assert found["advice"] == [
        "look at the failing pods: kubectl get pods -n demo-app -o wide; "
        "a readinessProbe would take them out of the Service"
    ]


def test_what_explains_a_failure_is_told_with_the_seconds_between() -> None:
    story = Story(answer=answers(at_10_0_0_1=REFUSED, at_10_0_0_2=REFUSED))
    story.answer, refusing = answers(), story.answer
    story.listed([service()], [slice_of("10.0.0.1", "10.0.0.2")]).run(30)
    assert (told(story)["change"], told(story)["seconds_before"]) == (None, None)
    story.answer = refusing
    story.store(service(port(8080, 8081)), slice_of("10.0.0.1", "10.0.0.2", number=8081))
    story.run(20)
    found = told(story)

    assert found["change"] in found["changes"]
    assert found["change"]["detail"] == "port 8080: targetPort 8080 -> 8081"
    assert 0 <= found["seconds_before"] < 2


def test_a_single_run_has_seen_no_change() -> None:
    story = Story(Config(NODE, once=True), answer=answers(at_10_0_0_1=REFUSED))
    story.listed([service()], [slice_of("10.0.0.1")]).confirmed(5)

    assert (told(story)["verdict"], told(story)["change"]) == ("not_listening", None)


def test_an_edge_that_was_not_dialed_has_no_result_and_our_own_fault_is_shown() -> None:
    story = Story().listed([service()], [slice_of("10.0.0.1")])
    (fresh, *_) = told(story)["ports"][0]["edges"]
    story.answer = lambda dial, now: LOCAL_FAULT
    story.run(10)
    (faulty, *_) = told(story)["ports"][0]["edges"]

    assert (fresh["state"], fresh["result"], fresh["icmp"]) == ("unknown", None, None)
    assert (faulty["state"], faulty["result"]) == ("unknown", "local_fault")


def test_a_service_of_which_nothing_is_dialed_says_why() -> None:
    story = Story().listed([service(port(53, protocol="UDP"))])
    assert told(story)["summary"] == "nothing of it is dialed: udp"

    story.store(service(kind="ExternalName", ips=()))
    assert told(story)["summary"] == "nothing of it is dialed: external_name"
    assert (told(story)["verdict"], told(story)["on_purpose"]) == ("unknown", True)


def test_a_service_scaled_to_zero_is_so_on_purpose() -> None:
    story = Story().listed([service()], [slice_of()], [workload(replicas=0)]).run(40)
    (shown,) = told(story)["ports"]

    assert (shown["verdict"], shown["on_purpose"], shown["starting"]) == (
        "no_endpoints",
        True,
        False,
    )
    assert told(story).items() >= {"verdict": "no_endpoints", "on_purpose": True}.items()


def test_one_whose_first_pods_start_is_not_there_on_purpose_and_says_that_it_starts() -> None:
    story = Story().listed([service()], [slice_of()], [workload(replicas=0)]).run(40)
    story.store(workload(replicas=2))
    story.run(5)
    (shown,) = told(story)["ports"]
    every = report.services(story.world, story.now, clock, "pod")

    assert (shown["verdict"], shown["on_purpose"], shown["starting"]) == (
        "no_endpoints",
        False,
        True,
    )
    assert told(story).items() >= {"on_purpose": False, "starting": True}.items()
    assert every["verdict"] == "unknown"


def test_a_healthy_service_whose_workload_was_told_an_address_that_nobody_may_dial_warns() -> None:
    mine, other = ("env", "env UPSTREAM=0:80"), ("args", "argument http://0:81")
    ada = Author("ada", "2026-11-20T09:00:00Z")
    web = replace(workload(invalid=(mine, other)), tellers={mine: ada})
    elsewhere = workload(name="other", labels=(("app", "other"),), invalid=(mine,))
    story = Story().listed([service()], [slice_of("10.0.0.1")], [web, elsewhere]).run(30)

    found = told(story)
    named = {"object": "Deployment demo-app/backend-v1"}
    assert (found["verdict"], found["advice"]) == ("healthy", [])
    assert found["warnings"] == [
        {**named, "detail": mine[1], "by": "ada", "time": ada.time},
        {**named, "detail": other[1], "by": None, "time": None},
    ]


def test_an_unknown_service_is_a_key_error() -> None:
    story = Story().listed((), [slice_of("10.0.0.1")])

    with pytest.raises(KeyError):
        told(story)  # its slices are known, the Service is not
    with pytest.raises(KeyError):
        report.service(story.world, ("demo-app", "none"), story.now, clock, "pod")


def test_all_services_come_with_the_worst_of_their_verdicts() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return REFUSED if dial.edge.key.service == "bad" else CONNECTED

    story = Story(answer=answer).listed(
        [service(), service(name="bad")],
        [slice_of("10.0.0.1"), slice_of("10.0.0.2", service="bad")],
    )
    story.run(30)
    found = report.services(story.world, story.now, clock, "pod")

    assert found["verdict"] == "not_listening"
    assert [s["service"]["name"] for s in found["services"]] == ["backend-v1", "bad"]


def test_services_that_go_while_they_are_told_are_left_out() -> None:
    story = Story().listed([service(), service(name="gone")], [slice_of("10.0.0.1")])
    found = report.services(story.world, story.now, clock, "pod")["services"]
    first = next(found)["service"]["name"]
    story.remove(service(name="gone"))

    assert (first, list(found)) == ("backend-v1", [])


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        ([], Verdict.HEALTHY),
        ([Verdict.HEALTHY, Verdict.DENIED], Verdict.DENIED),
        ([Verdict.UNKNOWN, Verdict.LOSSY], Verdict.LOSSY),
        ([Verdict.LOSSY, Verdict.PORT_MISMATCH], Verdict.PORT_MISMATCH),
    ],
)
def test_a_failure_beats_what_could_not_be_told_which_beats_healthy(
    verdicts: list[Verdict], worst: Verdict
) -> None:
    assert report.worst(verdicts) is worst


@pytest.mark.parametrize(
    ("verdict", "invalid", "code"),
    [
        (Verdict.HEALTHY, False, 0),
        (Verdict.PROXY_STALE, False, 1),
        (Verdict.INVALID_TARGET, False, 2),
        (Verdict.PROXY_STALE, True, 2),
        (Verdict.MASKED, False, 3),
        (Verdict.UNKNOWN, False, 3),
        (Verdict.DENIED, False, 3),
    ],
)
def test_exit_codes(verdict: Verdict, invalid: bool, code: int) -> None:
    assert report.exit_code(verdict, invalid=invalid) == code


def test_an_address_is_told_as_its_interface_says() -> None:
    assert report.address(Target("10.0.0.1", 80), REJECTED) == {
        "address": "10.0.0.1",
        "port": 80,
        "result": "rejected",
        "connect_seconds": None,
        "syn_retransmits": 0,
        "icmp": {"type": 3, "code": 3, "offender": "10.0.0.254"},
        "detail": "ICMP 3/3 from 10.0.0.254",
    }


def test_changes_of_a_service_are_its_own_newest_first() -> None:
    story = Story().listed([service()], [slice_of("10.0.0.1")])
    story.store(service(port(8080, 8081)), service(name="other"))
    story.run(5)
    story.store(service(port(8080, 8080), author=Author("kubectl-patch", "2026-11-20T10:00:04Z")))
    found = told(story)["changes"]

    assert [(c["detail"], c["by"], c["time"]) for c in found] == [
        ("port 8080: targetPort 8081 -> 8080", "kubectl-patch", "2026-11-20T10:00:04Z"),
        ("port 8080: targetPort 8080 -> 8081", None, "2026-11-20T10:00:00Z"),
    ]


def test_the_last_write_stands_in_for_an_edit_that_was_not_seen() -> None:
    author = Author("helm", "2026-11-01T00:00:00Z")
    story = Story().listed([service(author=author)], [slice_of("10.0.0.1")])
    story.store(slice_of("10.0.0.1", "10.0.0.2"))

    assert [(c["kind"], c["by"]) for c in told(story)["changes"]] == [
        ("endpoint", None),
        ("service_edit", "helm"),
    ]


def test_rollouts_are_told_with_what_they_cost() -> None:
    story = Story().listed([service()], [slice_of("10.0.0.1")], [workload()])
    story.store(workload(image="app:2", complete=False))
    (rollout,) = report.changes(story.world, clock)["rollouts"]
    assert (rollout["outcome"], rollout["ended"]) == ("running", None)
    assert (rollout["removal_lag_seconds"], rollout["removal_lag_error_seconds"]) == (None, None)

    story.run(10)
    story.store(workload(image="app:2"))
    story.world.mirror.rollouts_of(KEY)[0].saw_lag(10.23456, 0.45)
    story.run(40)
    found = report.changes(story.world, clock)
    (rollout,) = found["rollouts"]

    assert {
        k: rollout[k] for k in ("workload", "detail", "started", "ended", "outcome", "failed")
    } == {
        "workload": "Deployment demo-app/backend-v1",
        "detail": "image app:1 -> app:2",
        "started": "2026-11-20T10:00:00Z",
        "ended": "2026-11-20T10:00:10Z",
        "outcome": "complete",
        "failed": {},
    }
    assert rollout["dials"] > 100
    assert (rollout["removal_lag_seconds"], rollout["removal_lag_error_seconds"]) == (10.235, 0.45)
    assert rollout["recommended_drain_seconds"] == 12
    assert [c["kind"] for c in found["changes"]] == [
        *("rollout_report", "rollout_end", "rollout"),
        "prober",
    ]


def test_a_rollouts_record_names_the_ports_dialed_and_what_the_pods_declare_now() -> None:
    story = Story().listed([service(port(80, 8081))], [slice_of("10.0.0.1", number=8081)])
    story.store(workload())
    story.store(workload(image="app:2", complete=False))
    story.run(1)
    (known,) = story.world.mirror.rollouts.values()
    known.services = (*known.services, "gone")
    (found,) = report.rollouts(story.world, clock, workload=("Deployment", "backend-v1"))

    assert found["template"]["ports"] == [8081]
    assert found["template"]["readiness_probe"] is False
    assert [share["node"] for share in found["nodes"]] == [NODE]
    assert not list(report.rollouts(story.world, clock, workload=("StatefulSet", "backend-v1")))

    story.remove(workload())
    (found,) = report.rollouts(story.world, clock)
    assert found["template"]["readiness_probe"] is None


def test_changes_and_rollouts_are_told_of_a_time_a_namespace_or_a_service() -> None:
    story = Story().listed([service()], [slice_of("10.0.0.1")], [workload()])
    story.store(workload(image="app:2", complete=False))
    story.run(10)
    story.store(workload(image="app:2"))
    story.run(40)
    story.store(service(port(8080, 8081)))
    story.run(10)

    def found(**scope: Any) -> tuple[list[str], int]:
        document = report.changes(story.world, clock, **scope)
        return [c["kind"] for c in document["changes"]], len(list(document["rollouts"]))

    every = (["service_edit", "rollout_report", "rollout_end", "rollout"], 1)
    assert found(namespace="demo-app", service="backend-v1") == every
    assert found() == ([*every[0], "prober"], 1)
    assert found(after=story.now - 11) == (["service_edit"], 0)
    assert found(after=story.now - 59) == (every[0][:-1], 1)
    assert found(namespace="other") == found(service="other") == ([], 0)


def test_changes_and_rollouts_are_told_one_by_one_as_they_are_asked_for() -> None:
    story = Story().listed([service()], [slice_of("10.0.0.1")], [workload()])
    story.store(workload(image="app:2", complete=False))
    found = report.changes(story.world, clock)
    story.store(workload(image="app:3", complete=False))

    assert next(found["changes"])["detail"] == "image app:1 -> app:2"
    assert next(found["rollouts"])["outcome"] == "running"


def test_services_are_told_of_all_namespaces_or_one() -> None:
    healthy, refused = slice_of("10.0.0.1"), slice_of("10.0.0.2", namespace="shop")
    story = Story(answer=answers(at_10_0_0_2=REFUSED))
    story.listed([service(), service(namespace="shop", ips=())], [healthy, refused]).run(30)

    def found(namespace: str) -> tuple[list[str], str]:
        document = report.services(story.world, story.now, clock, "pod", namespace)
        return [d["service"]["namespace"] for d in document["services"]], document["verdict"]

    assert found("") == (["demo-app", "shop"], "not_listening")
    assert found("demo-app") == (["demo-app"], "healthy")
    assert found("nowhere") == ([], "healthy")


def test_a_single_run_tells_all_it_dialed() -> None:
    story = Story(Config(NODE, once=True)).listed([service()], [slice_of("10.0.0.1")])
    story.run(1)

    assert (told(story)["dialed"], told(story)["expected"]) == (2, 2)
