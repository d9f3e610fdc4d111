from probe.core.candidates import candidate_plan
from probe.core.edges import Kind, Scope, implied
from probe.core.health import Level
from probe.core.ledger import (
    CandidatePlan,
    PortBook,
    Track,
)
from probe.core.ports import CANDIDATES_MAX, Declared
from tests.core.books import NOW, PODS, VIEW, book, gathered, refused, track
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    REFUSED,
    TIMEOUT,
    edge,
    port,
    service,
    slice_of,
    workload,
)


def test_candidates_are_planned_when_every_endpoint_in_use_refuses() -> None:
    declared = workload(
        DECLARED_8080, Declared(8081, "containerPort", False), Declared(9, "", True)
    )
    record, found = refused()
    found.tracks = {t.edge: t for t in (track(p, Level.DOWN, REFUSED) for p in PODS)}

    assert candidate_plan(record, found, VIEW, [declared]) == CandidatePlan(
        refused=(edge("10.0.0.1"), edge("10.0.0.2")),
        declared=((8081, False), (9, True)),  # 8080 is what these endpoints refuse
    )


def test_a_port_that_one_workload_has_for_its_metrics_is_none_that_all_serve_on() -> None:
    record, found = refused()
    pair = [workload(Declared(9090, "", aside)) for aside in (True, False)]

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


def test_no_more_candidates_than_the_design_allows_over_all_workloads() -> None:
    record, found = refused()
    many = [workload(*(Declared(i + 100 * w, "", False) for i in range(1, 6))) for w in range(4)]
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
