"""What a NetworkPolicy keeps from us: on the pods' network, and on the nodes' own."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network

import pytest

from probe.core import kube
from probe.core.edges import EndpointSlice, Kind
from probe.core.incident import Standing, standing
from probe.core.labels import EVERYTHING, Requirement
from probe.core.meshes import HOST_NETWORK
from probe.core.policies import Block, NetworkPolicy, Peer, Rule
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from probe.core.verdicts import Verdict
from probe.core.workloads import Workload
from tests.core.facts import (
    CONNECTED,
    NODE,
    REFUSED,
    TIMEOUT,
    Answer,
    Story,
    endpoint,
    everything_connects,
    service,
    slice_of,
    workload,
)

OURS = (("app.kubernetes.io/name", "edgeprobe"),)
PEERS = service(name="edgeprobe", namespace="edgeprobe", ips=(), selector=OURS, opted_out=True)
POD_NETWORK = workload(name="edgeprobe", namespace="edgeprobe", kind="DaemonSet", labels=OURS)
NODE_NETWORK = replace(POD_NETWORK, mesh=HOST_NETWORK)
HERE, NEXT, LAST = (
    endpoint("10.0.1.1", node=NODE),
    endpoint("10.0.2.1", node="node-b"),
    endpoint("10.0.3.1", node="node-c"),
)
FRONTEND = Peer(pods=(Requirement("app", "In", ("frontend",)),))
PROBER = Peer(
    pods=(Requirement("app.kubernetes.io/name", "In", ("edgeprobe",)),), namespaces=EVERYTHING
)


def policy(*peers: Peer) -> NetworkPolicy:
    return NetworkPolicy("demo-app", "only-frontend", EVERYTHING, (Rule(peers),))


def enforced(dial: Dial, now: float) -> Outcome:
    """A CNI that drops what no policy admits, but nothing of a pod's own node."""
    if dial.edge.kind is Kind.SERVICE:
        return CONNECTED if int(now) % 2 else TIMEOUT
    return CONNECTED if dial.edge.address == HERE.address else TIMEOUT


def daemon(
    *found: NetworkPolicy,
    of: Workload = NODE_NETWORK,
    pods: EndpointSlice,
    answer: Answer = enforced,
    once: bool = False,
) -> Story:
    story = Story(Config(NODE, peers=("edgeprobe", "edgeprobe"), once=once), answer=answer)
    ours = [endpoint("192.168.0.1", node=NODE), endpoint("192.168.0.2", node="node-b")]
    peers = slice_of(*ours, service="edgeprobe", namespace="edgeprobe")
    story.listed([PEERS, service()], [peers, pods], [workload()])
    story.world.apply(kube.Listed("daemonsets", (of,)), story.now)
    story.world.apply(kube.Listed("networkpolicies", tuple(found)), story.now)
    return story


@pytest.mark.parametrize("peers", [(FRONTEND,), (PROBER,), (FRONTEND, PROBER)])
def test_27_on_its_nodes_network_no_selector_of_pods_admits_a_daemon(
    peers: Iterable[Peer],
) -> None:
    story = daemon(policy(*peers), pods=slice_of(NEXT, LAST)).run(60)

    assert story.verdict() == "denied"
    assert "NetworkPolicy only-frontend" in story.summary()


@pytest.mark.parametrize(
    ("cidr", "verdict"), [("192.168.0.0/16", "blackholed"), ("203.0.113.0/24", "denied")]
)
def test_27_a_block_of_addresses_may_admit_it(cidr: str, verdict: str) -> None:
    block = Peer(block=Block(ip_network(cidr)))

    assert daemon(policy(block), pods=slice_of(NEXT, LAST)).run(60).verdict() == verdict


@pytest.mark.parametrize("pods", [slice_of(HERE, NEXT), slice_of(HERE, NEXT, LAST)])
def test_27_the_pods_of_our_own_node_admit_us_and_the_others_are_denied_all_the_same(
    pods: EndpointSlice,
) -> None:
    story = daemon(policy(FRONTEND), pods=pods).run(60)

    assert story.verdicts() == ["denied"]


def test_27_a_pod_on_our_own_node_that_is_silent_is_no_policys_doing() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return TIMEOUT

    story = daemon(policy(FRONTEND), pods=slice_of(HERE, NEXT), answer=answer).run(60)
    assert story.verdict() == "blackholed"


def test_27_where_another_nodes_pod_answers_nobody_enforces_the_policy() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return TIMEOUT if dial.edge.address == LAST.address else CONNECTED

    story = daemon(policy(FRONTEND), pods=slice_of(HERE, NEXT, LAST), answer=answer).run(60)
    assert story.verdict() == "endpoint_down"


def test_27_a_stale_kube_proxy_is_named_where_every_pod_answers() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return TIMEOUT if dial.edge.kind is Kind.SERVICE else CONNECTED

    story = daemon(policy(FRONTEND), pods=slice_of(HERE), answer=answer).run(90)
    assert story.verdict() == "proxy_stale"


def test_in_the_pods_network_a_selector_admits_as_ever() -> None:
    pods = slice_of(NEXT, LAST)

    assert daemon(policy(PROBER), of=POD_NETWORK, pods=pods).run(60).verdict() == "blackholed"
    assert daemon(policy(FRONTEND), of=POD_NETWORK, pods=pods).run(60).verdict() == "denied"


# A statement, or an incident.


@pytest.mark.parametrize("of", [POD_NETWORK, NODE_NETWORK])
@pytest.mark.parametrize("pods", [slice_of(NEXT, LAST), slice_of(HERE, NEXT)])
def test_what_is_denied_from_the_first_sight_on_is_no_incident(
    of: Workload, pods: EndpointSlice
) -> None:
    if of is POD_NETWORK:
        pods = slice_of(NEXT, LAST)
    story = daemon(policy(FRONTEND), of=of, pods=pods).run(60)

    assert story.judged().verdict is Verdict.DENIED
    assert standing(story.judged()) is Standing.QUIET


def test_what_answered_and_is_denied_is_an_incident() -> None:
    story = daemon(of=POD_NETWORK, pods=slice_of(NEXT, LAST), answer=everything_connects).run(60)
    story.world.apply(kube.Stored("networkpolicies", policy(FRONTEND)), story.now)
    story.answer = enforced
    story.run(60)

    assert story.verdicts()[-1] == "denied"
    assert standing(story.judged()) is Standing.FAILING


def test_it_is_one_too_where_something_else_failed_in_between() -> None:
    story = daemon(of=POD_NETWORK, pods=slice_of(NEXT, LAST), answer=everything_connects).run(60)
    story.answer = lambda dial, now: REFUSED
    story.run(60)
    story.world.apply(kube.Stored("networkpolicies", policy(FRONTEND)), story.now)
    story.answer = enforced
    story.run(60)

    assert story.verdicts()[-2:] == ["not_listening", "denied"]
    assert standing(story.judged()) is Standing.FAILING


def test_27_that_the_pods_of_our_own_node_answered_is_no_admission() -> None:
    story = daemon(policy(FRONTEND), pods=slice_of(HERE)).run(60)
    story.store(slice_of(NEXT))
    story.answer = lambda dial, now: TIMEOUT
    story.run(90)

    assert story.verdict() == "denied"
    assert standing(story.judged()) is Standing.QUIET
