from collections.abc import Collection
from dataclasses import replace

import pytest

from probe.core.advice import FROM_OUTSIDE, LINES, advice
from probe.core.edges import PortEdges, Service
from probe.core.ledger import PortBook
from probe.core.ports import Declared
from probe.core.rollouts import Rollout
from probe.core.verdicts import Judgement, Verdict
from probe.core.workloads import Workload
from tests.core.facts import DECLARED_8080, KEY, port, service, workload


def told(
    verdict: Verdict,
    *rollouts: Rollout,
    of: Service | None = None,
    at: int = 0,
    behind: Collection[Workload] = (),
) -> tuple[str, ...]:
    held = of or service()
    book = PortBook(PortEdges(KEY, held.ports[at], (), (), (), frozenset(), ()))
    book.judgement = Judgement(verdict, "", 8081 if verdict is Verdict.PORT_MISMATCH else None)
    return advice(held, book, rollouts, behind)


def rollout(name: str, lag: float | None, *, grace: int = 30) -> Rollout:
    key = ("Deployment", "demo-app", name)
    return Rollout(key, ("backend-v1",), 0.0, 600.0, grace_seconds=grace, lag=lag)


def test_a_port_mismatch_is_mended_by_a_patch_and_in_the_manifest() -> None:
    assert told(Verdict.PORT_MISMATCH) == (
        "set targetPort to 8081: kubectl patch service backend-v1 -n demo-app "
        '-p \'{"spec":{"ports":[{"port":8080,"targetPort":8081}]}}\'',
        "if the manifest is managed (Argo CD, Flux, Helm), change it there too",
    )


def test_where_udp_shares_the_number_the_patch_names_the_place_of_the_tcp_port() -> None:
    held = service(
        port(53, name="dns", protocol="UDP"), port(9153, name="metrics"), port(53, name="dns-tcp")
    )

    assert told(Verdict.PORT_MISMATCH, of=held, at=2)[0] == (
        "set targetPort to 8081: kubectl patch service backend-v1 -n demo-app --type=json "
        '-p \'[{"op":"replace","path":"/spec/ports/2/targetPort","value":8081}]\''
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


PROBED = Declared(9090, "containerPort metrics", True, "app")


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ((), ""),
        ((PROBED, DECLARED_8080), " (the pods declare 8080)"),
        ((PROBED,), " (the pods declare 9090)"),
        (
            (DECLARED_8080, replace(DECLARED_8080, port=443)),
            " (the pods declare 443, 8080)",
        ),
    ],
)
def test_a_target_port_whose_name_nobody_declares_is_to_be_named_or_numbered(
    declared: tuple[Declared, ...], said: str
) -> None:
    held = service(port(80, "http"))
    behind = replace(workload(*declared), named_ports=(("web", 8080),))

    assert told(Verdict.NO_ENDPOINTS, of=held, behind=[behind]) == (
        f"name the container's port http, or set targetPort to its number{said}: "
        "kubectl edit service backend-v1 -n demo-app",
    )


@pytest.mark.parametrize(
    ("target", "behind"),
    [
        (8080, [workload()]),
        ("http", []),
        ("http", [replace(workload(), named_ports=(("http", 1),))]),
    ],
)
def test_the_selector_is_looked_at_where_the_target_port_is_not_what_is_missing(
    target: int | str, behind: list[Workload]
) -> None:
    (line,) = told(Verdict.NO_ENDPOINTS, of=service(port(80, target)), behind=behind)

    assert line.startswith("compare the selector with the pods: ")


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
