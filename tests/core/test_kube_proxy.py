"""When the kube-proxy of our node is to blame, as a table: how its Services stand."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from probe.core.edges import Edge, Kind, Scope, ServiceKey, implied
from probe.core.expect import Place
from probe.core.health import Level
from probe.core.kube_proxy import ASK_AGAIN, LOOK_AGAIN, MANY, WITNESSES, KubeProxy
from probe.core.ledger import PortBook, ServiceRecord, Track
from probe.core.results import Outcome
from probe.core.verdicts import PROXY_PATIENCE, Judgement, Verdict
from tests.core.books import NOW, VIEW
from tests.core.facts import CONNECTED, NODE, REFUSED, TIMEOUT, endpoint, service, slice_of

THAT = "as does that of a Service whose endpoints all answer"
MOST = "as most do from here"
VIPS = iter(range(10**6))


def book(
    vip: Outcome = CONNECTED,
    *pods: Outcome,
    of: int = 2,
    verdict: Verdict = Verdict.HEALTHY,
    answered: bool = True,
    at: float = NOW - 1,
) -> PortBook:
    """A port whose ClusterIP gave this, and as many of its endpoints as are dialed gave these."""
    number = next(VIPS)
    held = service(name=f"service-{number}", ips=(f"10.96.{number >> 8 & 255}.{number & 255}",))
    found = PortBook(
        implied(held, [slice_of(*(endpoint(f"10.0.0.{i}") for i in range(of)))], Scope()).ports[0]
    )
    found.expect(Place(NODE), local=False)
    found.judgement = Judgement(verdict, "")
    if answered:
        found.last_success[Kind.SERVICE] = NOW - 100
    edges = (*found.implied.cluster_ips, *found.implied.edges)
    for edge, outcome in zip(edges, (vip, *pods), strict=False):
        found.tracks[edge] = _track(edge, outcome, at)
    return found


def _track(edge: Edge, outcome: Outcome, at: float) -> Track:
    level = Level.UP if outcome is CONNECTED else Level.DOWN
    return Track(edge, None, 0.0, level=level, outcome=outcome, dialed_at=at, sent=at)


def services(*books: PortBook) -> Mapping[ServiceKey, ServiceRecord]:
    return {b.implied.key[:2]: ServiceRecord(books={8080: b}) for b in books}


def whole(verdict: Verdict = Verdict.PROXY_STALE, *, answered: bool = True) -> PortBook:
    """One of which we dial every endpoint, and they answer."""
    return book(TIMEOUT, CONNECTED, CONNECTED, verdict=verdict, answered=answered)


def said(*others: PortBook, answered: bool = True) -> str:
    """Why it is kube-proxy's that a ClusterIP fails whose endpoints we do not dial."""
    blind = book(TIMEOUT, answered=answered)
    return KubeProxy(services(blind, *others)).explains(blind, VIEW)


def test_a_service_whose_endpoints_all_answer_accuses_it() -> None:
    assert said(whole()) == THAT
    assert said(whole(), book()) == THAT


@pytest.mark.parametrize(
    "other",
    [
        book(),
        book(TIMEOUT, CONNECTED, CONNECTED),
        book(TIMEOUT, CONNECTED, verdict=Verdict.PROXY_STALE),
        book(TIMEOUT, CONNECTED, REFUSED, verdict=Verdict.ENDPOINT_DOWN),
        whole(Verdict.ENDPOINT_DOWN),
        whole(answered=False),
        book(TIMEOUT, CONNECTED, CONNECTED, verdict=Verdict.PROXY_STALE, at=NOW - 1000),
    ],
    ids=["answers", "unsure", "in part", "its own", "another", "never answered", "long ago"],
)
def test_without_one_that_is_sure_nobody_accuses_it(other: PortBook) -> None:
    assert said(other) == ""


def test_what_has_never_answered_may_never_have_worked() -> None:
    assert said(whole(), answered=False) == ""


def test_it_is_accused_for_a_while_after_the_last_proof() -> None:
    """When it is back, ClusterIPs come round one after the other."""
    blind, proof = book(TIMEOUT), whole()
    proxy = KubeProxy(services(blind, proof))
    assert proxy.explains(blind, VIEW) == THAT
    (vip,) = (t for t in proof.tracks.values() if t.edge.kind is Kind.SERVICE)
    vip.outcome, vip.level = CONNECTED, Level.UP

    later = replace(VIEW, now=NOW + LOOK_AGAIN)
    assert proxy.explains(blind, later) == THAT
    (failing,) = blind.tracks.values()
    failing.dialed_at = NOW + PROXY_PATIENCE + 0.1
    assert proxy.explains(blind, later) == ""


@pytest.mark.parametrize(
    ("failing", "answering", "seen", "explained", "found"),
    [
        (MANY, 0, 1, 0, MOST),
        (MANY - 1, 0, 1, 0, ""),
        (MANY, MANY, 1, 0, MOST),
        (MANY, MANY + 1, 1, 0, ""),
        (MANY, 0, 0, 0, ""),
        (MANY, 0, 2, 1, MOST),
        (MANY, 0, 1, 1, ""),
        (10, 7, 4, 3, MOST),
        (10, 8, 4, 3, ""),
    ],
)
def test_most_cluster_ips_accuse_it_where_what_is_seen_behind_them_answers(
    failing: int, answering: int, seen: int, explained: int, found: str
) -> None:
    others = [
        *(book(TIMEOUT, CONNECTED) for _ in range(seen)),
        *(book(TIMEOUT) for _ in range(failing - seen - 1)),
        *(book(TIMEOUT, REFUSED) for _ in range(explained)),
        *(book() for _ in range(answering)),
        PortBook(implied(service(ips=()), [slice_of("10.0.0.1")], Scope()).ports[0]),
    ]

    assert said(*others, answered=False) == found


def test_a_cluster_ip_that_may_still_follow_a_change_tells_nothing() -> None:
    moving = [book(TIMEOUT, CONNECTED) for _ in range(MANY)]
    assert said(*moving) == MOST
    for held in moving:
        held.moved(NOW)

    assert said(*moving) == ""


def test_a_service_about_to_be_sure_puts_off_what_is_said_of_the_others() -> None:
    for verdict, doubt in {
        Verdict.HEALTHY: True,
        Verdict.DRAIN_RACE: True,
        Verdict.ENDPOINT_DOWN: False,
    }.items():
        assert KubeProxy(services(whole(verdict))).in_doubt(VIEW) is doubt


@pytest.mark.parametrize(
    ("held", "doubt"), [(whole(Verdict.HEALTHY), True), (book(TIMEOUT), False)]
)
def test_39_so_does_one_that_may_be_late_where_it_would_be_sure(
    held: PortBook, doubt: bool
) -> None:
    held.moved(NOW)

    assert KubeProxy(services(held)).in_doubt(VIEW) is doubt


def test_asked_cluster_ips_put_it_off_until_they_were_dialed() -> None:
    proxy = KubeProxy(services(book()))
    assert not proxy.in_doubt(VIEW)
    (asked,) = proxy.witnesses(NOW)

    assert proxy.in_doubt(VIEW)
    asked.sent, asked.in_flight = NOW + 1, True
    assert proxy.in_doubt(VIEW)
    asked.in_flight = False
    assert not proxy.in_doubt(VIEW)
    asked.sent = NOW - 1
    asked.gone = True
    assert not proxy.in_doubt(VIEW)


def test_those_that_we_dial_whole_and_that_changed_last_are_asked_first() -> None:
    plain = [book() for _ in range(WITNESSES)]
    known = [book(CONNECTED, CONNECTED, CONNECTED) for _ in range(WITNESSES)]
    known[0].moved_at, plain[0].moved_at = NOW - 10, NOW - 1
    proxy = KubeProxy(services(*plain, book(TIMEOUT, CONNECTED, CONNECTED), *known))
    asked = proxy.witnesses(NOW)

    assert {t.edge.key for t in asked} == {b.implied.key for b in known}
    assert asked[0].edge.key == known[0].implied.key
    assert proxy.witnesses(NOW + ASK_AGAIN - 0.1) == []
    assert proxy.witnesses(NOW + ASK_AGAIN) == asked
