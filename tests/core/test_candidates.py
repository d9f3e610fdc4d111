from dataclasses import replace

import pytest

from probe.core.candidates import candidate_plan
from probe.core.edges import Kind, Scope, implied
from probe.core.health import Level
from probe.core.ledger import (
    CandidatePlan,
    PortBook,
    Track,
)
from probe.core.ports import CANDIDATES_MAX, Container, Declared, declared
from tests.core.books import NOW, PODS, VIEW, book, gathered, refused, track
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    REFUSED,
    TIMEOUT,
    Answer,
    Story,
    edge,
    port,
    service,
    slice_of,
    workload,
)

REDIS = (("redis", 6379),)
SIDECARS = ("istio-proxy", "metrics", "pgbouncer", "cloud-sql-proxy", "fluent-bit")


def declares(
    number: int, *, by: str = "app", said: str = "containerPort", aside: bool = False
) -> Declared:
    return Declared(number, f"{said} {number}", aside, by)


def test_candidates_are_planned_when_every_endpoint_in_use_refuses() -> None:
    declared = workload(DECLARED_8080, declares(8081), declares(9, aside=True))
    record, found = refused()
    found.tracks = {t.edge: t for t in (track(p, Level.DOWN, REFUSED) for p in PODS)}

    assert candidate_plan(record, found, VIEW, [declared]) == CandidatePlan(
        refused=(edge("10.0.0.1"), edge("10.0.0.2")),
        declared=((9, True), (8081, True)),  # 8080 is what these endpoints refuse
    )


def test_a_port_that_one_workload_has_for_its_metrics_is_none_that_all_serve_on() -> None:
    record, found = refused()
    pair = [workload(declares(9090, aside=aside)) for aside in (True, False)]

    for told in (pair, pair[::-1]):
        plan = candidate_plan(record, found, VIEW, told)
        assert plan is not None
        assert plan.declared == ((9090, True),)


def test_no_candidates_while_an_endpoint_answers_times_out_or_is_not_confirmed() -> None:
    for other in (
        track("10.0.0.2", Level.UP, CONNECTED),
        track("10.0.0.2", Level.DOWN, TIMEOUT),
        track("10.0.0.2", Level.SUSPECT, REFUSED),
    ):
        record, found = book(track("10.0.0.1", Level.DOWN, REFUSED), other)
        assert candidate_plan(record, found, VIEW, [workload(DECLARED_8080)]) is None


def test_no_more_candidates_than_may_be_over_all_workloads() -> None:
    record, found = refused()
    many = [workload(*(declares(i + 100 * w) for i in range(1, 6))) for w in range(4)]
    plan = candidate_plan(record, found, VIEW, many)

    assert plan is not None
    assert len(plan.declared) == CANDIDATES_MAX


def test_a_candidate_that_another_port_of_the_service_targets_is_not_eligible() -> None:
    record, found = refused()
    found.plan = CandidatePlan((), ((9090, False), (9091, True), (9092, False)))
    for number in (9090, 9091, 9092):
        held = Track(edge("10.0.0.1", number, kind=Kind.CANDIDATE), None, NOW, outcome=CONNECTED)
        found.tracks[held.edge] = held
    other = implied(service(port(90, 9090)), [slice_of(*PODS, number=9090)], Scope()).ports[0]
    record.books[90] = PortBook(other)
    said = gathered(record, found)

    assert [(c.port, c.eligible) for c in said.candidates] == [
        (9090, False),
        (9091, False),
        (9092, True),
    ]


# Which of several declared ports may be meant.


def meant(*declared: Declared, containers: tuple[str, ...] = ("app", "beside")) -> list[int]:
    """The ports that may be meant where all endpoints refuse 8080."""
    found = book(*(track(pod, Level.DOWN, REFUSED) for pod in PODS))
    behind = [replace(workload(*declared), containers=containers)]
    plan = candidate_plan(*found, VIEW, behind)
    assert plan is not None
    return [number for number, aside in plan.declared if not aside]


@pytest.mark.parametrize("beside", [4180, 6379, 6432, 8443])
@pytest.mark.parametrize("said", ["containerPort", "env PORT=", "probe port"])
def test_a_target_port_that_is_declared_is_right_and_no_other_is_meant(
    said: str, beside: int
) -> None:
    assert meant(declares(8080, said=said), declares(beside, by="beside")) == []
    assert meant(declares(8080, said=said), declares(beside, by="beside", said="env PORT=")) == []
    assert meant(declares(8080, said=said), declares(beside)) == []


def test_a_container_that_is_told_to_listen_elsewhere_has_a_wrong_container_port() -> None:
    assert meant(declares(8080), declares(9000, said="env LISTEN_ADDR=:")) == [9000]
    assert meant(declares(8080), declares(9000, said="argument --port=")) == [9000]
    both = declares(8080, said="env HTTP_PORT="), declares(9000, said="env GRPC_PORT=")
    assert meant(*both) == []


def test_what_one_workload_declares_is_meant_for_all_of_a_service() -> None:
    record, found = book(*(track(pod, Level.DOWN, REFUSED) for pod in PODS))
    stable, canary = workload(declares(8080)), workload(declares(9000))

    for told in ([stable, canary], [canary, stable]):
        plan = candidate_plan(record, found, VIEW, told)
        assert plan is not None
        assert plan.declared == ((9000, True),)


def test_a_port_beside_an_application_that_declares_none_is_not_meant() -> None:
    redis, metrics = declares(6379, by="beside"), declares(9090, aside=True)

    assert meant(redis) == meant(redis, metrics) == []
    assert meant(redis, declares(9000)) == [6379, 9000]
    assert meant(redis, containers=("beside", "app")) == [6379]
    assert meant(redis, containers=("config-reloader", "beside", "app")) == [6379]


def test_the_incident_keeps_its_patch_beside_sidecars_that_declare_ports() -> None:
    sidecars = [Container(name, ports=(("a", 1000 + i),)) for i, name in enumerate(SIDECARS)]
    for app in (
        Container("backend", env=(("LISTEN_ADDR", "0.0.0.0:9000"),)),
        Container("backend", ports=(("http", 9000),)),
        Container("backend", ports=(("http", 8080),), env=(("LISTEN_ADDR", "0.0.0.0:9000"),)),
    ):
        found = declared([*sidecars, app])
        assert meant(*found, containers=(*SIDECARS, "backend")) == [9000]


def test_a_slow_start_beside_a_sidecar_is_no_mismatch() -> None:
    pod = declared([Container("app", ports=(("http", 8080),)), Container("redis", ports=REDIS)])
    story = Story(answer=only(6379)).listed([service()], [slice_of(*PODS)], [workload(*pod)])
    story.run(45)

    assert story.verdict() == "not_listening"
    assert story.summary() == (
        "targetPort 8080 is refused on 2 of 2 endpoints; "
        "port 6379 accepts, but may be for something else"
    )


def only(number: int) -> Answer:
    return lambda dial, now: CONNECTED if dial.edge.dial_port == number else REFUSED
