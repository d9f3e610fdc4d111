from math import inf

import pytest

from probe.core.edges import Kind, PortEdges, Scope, implied
from probe.core.health import Level, State
from probe.core.ledger import (
    FRESH_PERIODS,
    CandidatePlan,
    PortBook,
    ServiceRecord,
    Track,
    View,
    candidate_plan,
    evidence,
    fresh,
    state,
)
from probe.core.ports import CANDIDATES_MAX, Declared
from probe.core.results import Outcome
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    KEY,
    NODE,
    REFUSED,
    TIMEOUT,
    edge,
    endpoint,
    port,
    service,
    slice_of,
    workload,
)

NOW = 1000.0
VIEW = View(NOW, settle=30.0, linger=30.0, interval=10.0, timeout=4.0)
PODS = ("10.0.0.1", "10.0.0.2")


def track(address: str, level: Level, outcome: Outcome | None, *, at: float = NOW - 1) -> Track:
    return Track(edge(address), endpoint(address), -inf, level=level, outcome=outcome, dialed_at=at)


def book(*tracks: Track, target: int = 8080) -> tuple[ServiceRecord, PortBook]:
    """A Service port with both pods behind it and these tracks."""
    held = service(port(8080, target))
    found = PortBook(implied(held, [slice_of(*PODS)], Scope()).ports[0])
    found.expect(NODE, local=False)
    found.tracks = {t.edge: t for t in tracks}
    return ServiceRecord(held, books={8080: found}), found


def refused() -> tuple[ServiceRecord, PortBook]:
    return book(*(track(pod, Level.DOWN, REFUSED) for pod in PODS), target=8081)


def test_a_dial_is_fresh_for_a_few_periods_and_their_deadlines() -> None:
    lasts = FRESH_PERIODS * (10.0 + 4.0)
    held = track("10.0.0.1", Level.UP, CONNECTED, at=NOW - lasts)
    assert fresh(held, VIEW)

    held.dialed_at -= 0.1
    assert not fresh(held, VIEW)
    held.period = 20.0  # a cap binds: what is dialed less often stays fresh for longer
    assert fresh(held, VIEW)
    assert not fresh(track("10.0.0.1", Level.NEW, None), VIEW)


@pytest.mark.parametrize(
    ("level", "outcome", "stale", "found"),
    [
        (Level.UP, CONNECTED, None, State.UP),
        (Level.DOWN, TIMEOUT, None, State.DOWN),
        (Level.DOWN, TIMEOUT, 120.0, State.DOWN),
        (Level.DOWN, TIMEOUT, 121.0, State.UNKNOWN),
        (Level.UP, CONNECTED, 121.0, State.UP),
        (Level.NEW, None, None, State.UNKNOWN),
    ],
)
def test_38_the_state_of_an_edge_and_a_silent_api_server(
    level: Level, outcome: Outcome | None, stale: float | None, found: State
) -> None:
    held = track("10.0.0.1", level, outcome)
    record, of = book(held)
    view = View(NOW, 30.0, 30.0, 10.0, 4.0, stale)

    assert state(held, record, of, view) is found


def test_a_failure_of_a_new_endpoint_is_excluded_and_its_success_is_not() -> None:
    held = track("10.0.0.1", Level.DOWN, REFUSED)
    record, of = book(held)
    held.since = NOW - 20
    assert state(held, record, of, VIEW) is State.EXCLUDED

    held.outcome, held.level = CONNECTED, Level.UP
    assert state(held, record, of, VIEW) is State.UP


def test_a_candidate_has_a_state_whatever_its_service_does() -> None:
    held = Track(edge("10.0.0.9", kind=Kind.CANDIDATE), None, NOW, level=Level.UP)
    held.outcome, held.dialed_at = CONNECTED, NOW
    record, of = book(held)

    assert state(held, record, of, VIEW) is State.UP


def test_evidence_of_a_port_without_edges_is_empty() -> None:
    found = PortBook(PortEdges(KEY, port(), (), (), (), frozenset(), ()))
    said = evidence(ServiceRecord(), found, VIEW, scaled_to_zero=False)

    assert (said.usable, said.expected, said.vips, said.has_selector) == (0, 0, 0, False)


def test_candidates_are_planned_when_every_endpoint_in_use_refuses() -> None:
    declared = workload(
        DECLARED_8080, Declared(8081, "containerPort", False), Declared(9, "", True)
    )
    record, found = refused()
    found.tracks = {t.edge: t for t in (track(p, Level.DOWN, REFUSED) for p in PODS)}

    assert candidate_plan(record, found, VIEW, [declared]) == CandidatePlan(
        refused=(edge("10.0.0.1"), edge("10.0.0.2")),
        declared=((9, True), (8081, False)),  # 8080 is what these endpoints refuse
    )


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
    said = evidence(record, found, VIEW, scaled_to_zero=False)

    assert [(c.port, c.eligible) for c in said.candidates] == [
        (9090, False),
        (9091, False),
        (9092, True),
    ]


def test_old_connects_count_for_less_and_less() -> None:
    _, found = book()
    for i in range(1000):
        found.count_recent(retransmitted=i < 10)

    assert 100 <= found.recent_dials < 200
    assert found.recent_retransmits == 0
