import pytest

from probe.core.advice import FROM_OUTSIDE, LINES, advice
from probe.core.edges import PortEdges, Service
from probe.core.ledger import PortBook
from probe.core.rollouts import Rollout
from probe.core.verdicts import Judgement, Verdict
from tests.core.facts import KEY, port, service


def told(verdict: Verdict, *rollouts: Rollout, of: Service | None = None) -> tuple[str, ...]:
    held = of or service()
    book = PortBook(PortEdges(KEY, held.ports[0], (), (), (), frozenset(), ()))
    book.judgement = Judgement(verdict, "", 8081 if verdict is Verdict.PORT_MISMATCH else None)
    return advice(held, book, rollouts)


def rollout(name: str, lag: float | None, *, grace: int = 30) -> Rollout:
    key = ("Deployment", "demo-app", name)
    return Rollout(key, ("backend-v1",), 0.0, 600.0, grace_seconds=grace, lag=lag)


def test_a_port_mismatch_is_mended_by_a_patch_and_in_the_manifest() -> None:
    assert told(Verdict.PORT_MISMATCH) == (
        "set targetPort to 8081: kubectl patch service backend-v1 -n demo-app "
        '-p \'{"spec":{"ports":[{"port":8080,"targetPort":8081}]}}\'',
        "if the manifest is managed (Argo CD, Flux, Helm), change it there too",
    )


def test_the_patch_names_the_protocol_where_the_port_stands_twice() -> None:
    twice = service(port(8080), port(8080, name="udp", protocol="UDP"))

    assert (
        '{"port":8080,"protocol":"TCP","targetPort":8081}'
        in told(Verdict.PORT_MISMATCH, of=twice)[0]
    )


def test_a_drain_race_asks_for_the_longest_measured_drain() -> None:
    found = told(Verdict.DRAIN_RACE, rollout("a", 3.0), rollout("b", 10.2), rollout("c", None))

    assert found == (
        "add to the container of Deployment demo-app/b: "
        "lifecycle: {preStop: {sleep: {seconds: 12}}}, and set terminationGracePeriodSeconds: 42",
    )


def test_the_grace_period_is_raised_by_the_drain_so_that_the_application_keeps_what_it_had() -> (
    None
):
    assert told(Verdict.DRAIN_RACE, rollout("a", 10.2, grace=10))[0].endswith(
        "{preStop: {sleep: {seconds: 12}}}, and set terminationGracePeriodSeconds: 22"
    )


def test_a_drain_race_without_a_measure_asks_for_a_usual_drain() -> None:
    assert "preStop.sleep.seconds: 15" in told(Verdict.DRAIN_RACE)[0]


def test_what_concerns_a_node_names_it() -> None:
    held = service()
    book = PortBook(PortEdges(KEY, held.ports[0], (), (), (), frozenset(), ()))
    for verdict, cause in ((Verdict.NODE_PATH, "node/b"), (Verdict.PROXY_STALE, "proxy/b")):
        book.judgement = Judgement(verdict, "", cause=cause)

        assert "spec.nodeName=b" in advice(held, book)[0]


@pytest.mark.parametrize("verdict", LINES)
def test_every_other_line_is_filled_in(verdict: Verdict) -> None:
    (line,) = told(verdict)

    assert "{ns}" not in line
    assert "{{" not in line


def test_43_not_listening_thinks_of_an_application_bound_to_loopback() -> None:
    assert "127.0.0.1" in told(Verdict.NOT_LISTENING)[0]


def test_a_healthy_service_needs_no_advice() -> None:
    assert told(Verdict.HEALTHY) == ()


@pytest.mark.parametrize("verdict", FROM_OUTSIDE)
def test_from_outside_of_the_cluster_no_node_is_blamed_and_the_nodes_are_asked(
    verdict: Verdict,
) -> None:
    (line,) = told(verdict)

    assert "--from nodes" in line
    assert "spec.nodeName" not in line
