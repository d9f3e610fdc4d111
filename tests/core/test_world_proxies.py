"""What each proxy of the field gives a ClusterIP, and what is said of it: iptables, nftables, IPVS
and Cilium, by the numbers of docs/edge-cases.md. Nobody tells the daemon which of them runs on its
node."""

import pytest

from probe.core import kube
from probe.core.edges import Endpoint, Hints, Kind, Service
from probe.core.nodes import Node
from probe.core.results import Icmp, Outcome, Result
from probe.core.rounds import Config
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    KEY,
    NODE,
    REFUSED,
    REJECTED,
    TIMEOUT,
    VIP,
    Story,
    answers,
    endpoint,
    port,
    service,
    slice_of,
    standing,
    workload,
)

AT_VIP = "at_10_96_0_10"
UNREACHABLE_AT_ONCE = Outcome(Result.UNREACHABLE, errno=113)
EPERM = Outcome(Result.LOCAL_FAULT, errno=1)
SIX = Outcome(Result.REJECTED, icmp=Icmp(6, 1, 4, "fd00::fe"))

LEADS_NOWHERE = [
    pytest.param(REJECTED, id="1 iptables rejects"),
    pytest.param(TIMEOUT, id="2 the kernel's ICMP rate is used up"),
    pytest.param(REJECTED, id="3 nftables rejects"),
    pytest.param(SIX, id="3 nftables rejects IPv6"),
    pytest.param(REJECTED, id="5 IPVS rejects"),
    pytest.param(CONNECTED, id="5 IPVS: a process of the host accepts"),
    pytest.param(REFUSED, id="5 IPVS: the host has the address and nobody listens"),
    pytest.param(UNREACHABLE_AT_ONCE, id="7 Cilium fails the connect"),
    pytest.param(EPERM, id="7 Cilium fails the connect, in some versions"),
    pytest.param(TIMEOUT, id="8 Cilium per packet drops"),
    pytest.param(REJECTED, id="8 Cilium per packet rejects"),
]


@pytest.mark.parametrize("outcome", LEADS_NOWHERE)
def test_whatever_a_proxy_gives_without_endpoints_there_are_none(outcome: Outcome) -> None:
    story = standing(
        slice_of(endpoint("10.0.0.1", ready=False)), answer=answers(**{AT_VIP: outcome})
    )
    story.run(90)

    assert story.verdicts() == ["no_endpoints"]


def results_at_vip(story: Story) -> set[Result]:
    (book,) = story.world.mirror.services["demo-app", "backend-v1"].books.values()
    return {result for kind, _, result, _ in book.counts if kind is Kind.SERVICE}


@pytest.mark.parametrize("of", [service(), service(local=True)], ids=["empty", "none here"])
def test_a_reset_of_a_cluster_ip_that_leads_nowhere_is_the_load_balancers_rejection(
    of: Service,
) -> None:
    """OVN's option `reject`, and IPVS where nobody listens on the host."""
    there = slice_of(endpoint("10.0.0.1", node="node-b")) if of.internal_traffic_local else None
    story = standing(there or slice_of(), answer=answers(**{AT_VIP: REFUSED}), of=of).run(60)

    assert results_at_vip(story) == {Result.REJECTED}


def test_a_reset_of_a_cluster_ip_that_may_lead_to_a_pod_stays_the_pods() -> None:
    unready = slice_of(endpoint("10.0.0.1", ready=True, serving=False))
    published = service(publish_not_ready=True)
    story = standing(unready, answer=answers(**{AT_VIP: REFUSED}), of=published).run(60)

    assert results_at_vip(story) == {Result.REFUSED}


LOCAL_DROPS = [
    pytest.param(TIMEOUT, id="3 nftables drops"),
    pytest.param(TIMEOUT, id="10 iptables drops"),
    pytest.param(REJECTED, id="5 IPVS rejects"),
    pytest.param(REFUSED, id="OVN rejects"),
    pytest.param(UNREACHABLE_AT_ONCE, id="7 Cilium fails the connect"),
    pytest.param(EPERM, id="7 Cilium fails the connect, in some versions"),
]


@pytest.mark.parametrize("outcome", LOCAL_DROPS)
def test_whatever_a_proxy_gives_without_a_local_endpoint_nobody_is_accused(
    outcome: Outcome,
) -> None:
    there = slice_of(endpoint("10.0.0.1", node="node-b"))
    story = standing(there, answer=answers(**{AT_VIP: outcome}), of=service(local=True))
    story.run(90)

    assert story.verdicts() == ["healthy"]


def test_10_a_local_endpoint_that_terminates_and_serves_must_still_answer() -> None:
    """Others are ready elsewhere; nobody is led there."""
    ending = endpoint("10.0.0.1", ready=False, serving=True, terminating=True, node=NODE)
    story = standing(slice_of(ending, "10.0.0.2"), of=service(local=True))
    story.run(40)
    assert story.summary() == "1 of 1 endpoints answer, the ClusterIP answers"

    story.answer = answers(**{AT_VIP: TIMEOUT})
    story.run(40)
    assert story.verdict() == "proxy_stale"


def test_4_5_9_ports_that_a_service_does_not_have_are_dialed_on_pods_only() -> None:
    """On a ClusterIP each proxy does something else with them, even let another's accept."""
    story = Story(answer=lambda dial, now: CONNECTED if dial.edge.dial_port == 8080 else REFUSED)
    story.listed(
        [service(port(80, 8081))], [slice_of("10.0.0.1", number=8081)], [workload(DECLARED_8080)]
    )
    story.run(40)

    assert story.verdict(KEY._replace(port=80)) == "port_mismatch"
    assert {d.edge.dial_port for d in story.dials if d.edge.address == VIP} == {80}
    assert {d.edge.dial_port for d in story.dials if d.edge.kind is Kind.CANDIDATE} == {8080}


def test_4_9_a_port_that_a_service_has_lost_is_dialed_no_more() -> None:
    story = standing(slice_of("10.0.0.1"), of=service(port(), port(9090, name="more")))
    story.run(40)
    story.store(service())
    edited = story.now
    story.run(40)

    assert {d.edge.dial_port for d in story.dials_since(edited)} == {8080}


# Topology.


def near(address: str, node: str, zone: str) -> Endpoint:
    """As the EndpointSlice controller hints it for trafficDistribution PreferSameNode."""
    return endpoint(address, node=node, hints=Hints((zone,), (node,)))


def of_zone(address: str, zone: str) -> Endpoint:
    """As for PreferSameZone."""
    return endpoint(address, hints=Hints(zones=(zone,)))


def hinted(story: Story) -> set[str]:
    """The endpoints that the ClusterIP leads to."""
    (book,) = (book for _, book in story.world.books())
    return {edge.address for edge in book.usable}


def test_11_the_zone_of_our_node_decides_as_soon_as_it_is_known() -> None:
    slices = [slice_of(of_zone("10.0.0.1", "zone-a"), of_zone("10.0.0.2", "zone-b"))]
    story = Story().listed([service()], slices)
    assert hinted(story) == {"10.0.0.1", "10.0.0.2"}

    story.world.apply(kube.Listed("nodes", (Node(NODE, "zone-a"), Node("node-b"))), story.now)
    assert hinted(story) == {"10.0.0.1"}
    story.world.apply(kube.Stored("nodes", Node(NODE, "zone-b")), story.now)
    assert hinted(story) == {"10.0.0.2"}
    story.world.apply(kube.Removed("nodes", "", NODE), story.now)
    assert hinted(story) == {"10.0.0.1", "10.0.0.2"}


def test_11_a_cluster_ip_that_leads_elsewhere_is_judged_anew() -> None:
    """What it met at the endpoints of before says nothing of those of now."""
    story = standing(slice_of(near("10.0.0.1", NODE, "z"), near("10.0.0.2", "node-b", "z")))
    story.run(40)
    story.answer = answers(**{AT_VIP: TIMEOUT, "at_10_0_0_1": TIMEOUT})
    story.run(40)
    assert story.verdict() == "endpoint_down"

    moved = story.now
    story.store(slice_of(near("10.0.0.2", "node-b", "z")))
    story.answer = answers()
    assert hinted(story) == {"10.0.0.2"}
    story.run(20)
    assert story.verdict() == "healthy"
    assert story.dials_since(moved, Kind.SERVICE)[0].at < moved + 2


def test_11_the_endpoints_of_other_nodes_are_judged_too() -> None:
    """Some proxies ignore hints (Cilium, and kube-proxy before 1.34 those for nodes), and all do
    once the near ones are gone."""
    story = standing(
        slice_of(near("10.0.0.1", NODE, "z"), near("10.0.0.2", "node-b", "z")),
        answer=answers(at_10_0_0_2=REFUSED),
    )
    story.run(60)
    assert "1 of 2 endpoints fail (1 refused)" in story.summary()

    story.answer = answers(**{"at_10_0_0_2": REFUSED, AT_VIP: REFUSED})
    story.run(60)
    assert set(story.verdicts()) == {"endpoint_down"}


def test_11_from_outside_of_the_cluster_no_hint_holds() -> None:
    story = Story(Config("node-a", on_node=False))
    story.listed([service()], [slice_of(near("10.0.0.1", NODE, "z"), near("10.0.0.2", "n", "z"))])

    assert hinted(story) == {"10.0.0.1", "10.0.0.2"}


# Pods.


def test_14_a_published_endpoint_that_terminates_may_refuse_by_itself() -> None:
    """The slices call it ready until it is gone, and it takes traffic so long."""
    forced = endpoint("10.0.0.1", terminating=True)
    story = standing(
        slice_of(forced, "10.0.0.2"),
        answer=answers(at_10_0_0_1=REFUSED),
        of=service(publish_not_ready=True),
    )
    story.run(60)

    assert story.verdicts() == ["healthy"]
    assert story.summary() == "1 of 1 endpoints answer, the ClusterIP answers"


def test_25_an_application_that_accepts_no_more_connects_until_its_queue_is_full() -> None:
    story = standing(slice_of("10.0.0.1", "10.0.0.2"))
    story.run(60)
    assert story.verdicts() == ["healthy"]

    full = TIMEOUT._replace(syn_retransmits=3)
    story.answer = answers(at_10_0_0_1=full)
    story.run(60)
    assert story.verdict() == "endpoint_down"
    assert "1 of 2 endpoints fail (1 timeout)" in story.summary()


def test_28_an_endpoint_on_its_nodes_network_is_dialed_at_the_nodes_address() -> None:
    """Its port may be taken for the node's own: what is told is that address and that port."""
    story = standing(
        slice_of(endpoint("192.168.0.2", node="node-b"), number=18080),
        answer=answers(at_192_168_0_2=TIMEOUT),
    )
    story.run(60)

    assert story.verdict() == "blackholed"
    assert "192.168.0.2:18080" in story.summary()


@pytest.mark.parametrize("offender", ["10.0.0.254", "10.96.0.10", "10.0.0.1", "192.168.0.1"])
def test_44_who_rejects_is_told(offender: str) -> None:
    """The node for the proxy, the pod or the ClusterIP for a policy, we ourselves, a router."""
    said = Outcome(
        Result.REJECTED, icmp=Icmp(4, 3, 13, offender), detail=f"ICMP 3/13 from {offender}"
    )
    story = standing(slice_of("10.0.0.1"), answer=answers(at_10_0_0_1=said))
    story.run(60)

    assert story.verdict() == "denied"
    assert f"ICMP 3/13 from {offender}" in story.summary()


def test_what_a_late_proxy_gave_is_not_held_against_it_once_the_patience_is_over() -> None:
    """Endpoints that come and go for longer than any proxy is waited for, and a ClusterIP that
    failed once, in the midst of it: only what is dialed later tells of a proxy that is behind."""
    pods = [f"10.0.0.{number}" for number in range(1, 9)]
    story = standing(slice_of(*pods[:2]))
    story.run(40)
    for count in range(3, 7):
        story.store(slice_of(*pods[:count]))
        story.run(6)
    story.answer = answers(**{AT_VIP: REFUSED})
    story.store(slice_of(*pods[:7]))
    story.run(4)
    story.store(slice_of(*pods))
    story.run(1)
    story.answer = answers()
    story.run(60)

    assert story.verdicts() == ["healthy"]
