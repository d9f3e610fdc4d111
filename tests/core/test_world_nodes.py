"""Nodes and proxies that fail, told to a World: one cause, and only those whom it concerns."""

import pytest

from probe.core import kube, wire
from probe.core.edges import Kind, PortKey
from probe.core.judging import Turn
from probe.core.nodes import Node
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from tests.core.facts import (
    CONNECTED,
    NODE,
    REFUSED,
    REJECTED,
    TIMEOUT,
    Story,
    endpoint,
    leaving,
    port,
    service,
    slice_of,
)

SHOP = ("web", "api", "db")
ROUND = 10.0 + 3 * (4.0 + 1.0)
"""Seconds in which a failure is confirmed on every edge, and that for which a verdict waits."""


def shop(*nodes: str, config: Config | None = None) -> Story:
    """Three Services, each with a pod on each of these nodes, that were there before us."""
    services, slices = [], []
    for i, name in enumerate(SHOP):
        services.append(
            service(port(80), name=name, uid=name, ips=(f"10.96.0.{i}",), selector=(("app", name),))
        )
        pods = [endpoint(address(node, i), node=node) for node in nodes]
        slices.append(slice_of(*pods, service=name))
    story = Story(config).listed(services, slices)
    story.world.apply(kube.Listed("nodes", tuple(Node(node) for node in nodes)), story.now)
    return story


def address(node: str, service: int) -> str:
    return f"10.{ord(node[-1])}.0.{service}"


def key(name: str) -> PortKey:
    return PortKey("demo-app", name, 80)


def silence(story: Story, *nodes: str, but: tuple[str, ...] = ()) -> None:
    """Nothing on these nodes answers any more, except at these addresses."""
    silent = {address(node, i) for node in nodes for i in range(len(SHOP))} - set(but)

    def answer(dial: Dial, now: float) -> Outcome:
        return TIMEOUT if dial.edge.address in silent else CONNECTED

    story.answer = answer


def turns(story: Story, since: float) -> list[Turn]:
    return [turn for turn in story.turns if turn.at >= since]


def verdicts(story: Story) -> dict[str, str]:
    return {name: story.verdict(key(name)) for name in SHOP}


def test_a_dead_node_is_one_cause_for_all_services_on_it() -> None:
    story = shop("node-b", "node-c").run(15)
    at = story.now
    silence(story, "node-b")
    story.run(2 * ROUND)

    assert verdicts(story) == dict.fromkeys(SHOP, "node_path")
    assert {t.new.cause for t in turns(story, at)} == {"node/node-b"}
    assert len(turns(story, at)) == len(SHOP), "one of them was blamed first"
    assert story.summary(key("web")) == (
        "1 of 2 endpoints fail (1 timeout): nothing on node node-b answers, for 3 Services"
    )

    silence(story)
    story.run(ROUND)
    assert verdicts(story) == dict.fromkeys(SHOP, "healthy")


@pytest.mark.parametrize("cut", [("node-b",), ("node-b", "node-c")], ids=["theirs", "ours"])
@pytest.mark.parametrize("seconds", [12, 20, 70])
def test_no_service_is_blamed_for_a_node_that_comes_back(
    cut: tuple[str, ...], seconds: float
) -> None:
    """Until they are dialed again, its pods have been silent for longer than it has been back."""
    story = shop("node-b", "node-c").run(15)
    at = story.now
    silence(story, *cut)
    story.run(seconds)
    silence(story)
    story.run(2 * ROUND)

    told = {str(turn.new.verdict) for turn in turns(story, at)}
    assert told <= {"node_path", "healthy"}
    assert verdicts(story) == dict.fromkeys(SHOP, "healthy")


def test_a_pod_that_stays_silent_when_its_node_comes_back_is_its_own_trouble_soon() -> None:
    story = shop("node-b").run(15)
    silence(story, "node-b")
    story.run(70)
    silence(story, "node-b", but=(address("node-b", 1), address("node-b", 2)))
    story.run(ROUND)

    assert verdicts(story) == {"web": "blackholed", "api": "healthy", "db": "healthy"}


def test_one_silent_service_on_a_node_is_its_own_trouble() -> None:
    story = shop("node-b", "node-c").run(15)
    silence(story, "node-b", but=(address("node-b", 1), address("node-b", 2)))
    story.run(ROUND)

    assert verdicts(story) == {"web": "endpoint_down", "api": "healthy", "db": "healthy"}


def test_when_no_other_node_answers_our_own_is_named() -> None:
    story = shop("node-b", "node-c").run(15)
    silence(story, "node-b", "node-c")
    story.run(2 * ROUND)

    assert verdicts(story) == dict.fromkeys(SHOP, "node_path")
    assert story.judged(key("web")).cause == f"node/{NODE}"


def test_a_service_of_which_nothing_fails_is_healthy_while_our_node_is_cut_off() -> None:
    story, own = shop("node-b", "node-c"), address(NODE, 3)
    mine = service(port(80), name="mine", uid="m", ips=("10.96.0.9",), selector=(("app", "mine"),))
    story.store(mine, slice_of(endpoint(own, node=NODE), service="mine"))
    story.run(60)
    silence(story, "node-b", "node-c")
    story.run(2 * ROUND)
    assert verdicts(story) == dict.fromkeys(SHOP, "node_path")
    story.store(
        slice_of(endpoint(own, node=NODE), endpoint("10.97.0.4", node=NODE), service="mine")
    )
    story.run(5)

    assert "node_path" not in story.verdicts(key("mine"))
    assert story.verdict(key("mine")) == "healthy"


def test_28_a_dead_node_of_pods_on_its_own_network_is_one_cause() -> None:
    """They all have the node's address, and each its own port."""
    names, nodes = ("node-exporter", "kube-proxy", "etcd", "cni"), ("node-b", "node-c", "node-d")
    services = [service(port(9100), name=n, ips=(), selector=(("app", n),)) for n in names]
    slices = [
        slice_of(
            *(endpoint(address(node, 0), node=node, pod=f"{name}-{node}") for node in nodes),
            service=name,
            number=9100 + number,
        )
        for number, name in enumerate(names)
    ]
    story = Story().listed(services, slices).run(30)
    at = story.now
    silence(story, "node-b")
    story.run(2 * ROUND)

    told = turns(story, at)
    assert {turn.key.service for turn in told} == {*names}
    assert {(str(turn.new.verdict), turn.new.cause) for turn in told} == {
        ("node_path", "node/node-b")
    }


def spread_over_zones() -> Story:
    """The shop, and a Service that has a pod on node-b and one on node-d, where no other is."""
    story = shop("node-b", "node-c")
    wide = service(port(80), name="wide", uid="w", ips=("10.96.0.9",), selector=(("app", "wide"),))
    pods = [endpoint(f"10.{ord(node[-1])}.0.9", node=node) for node in ("node-b", "node-c")]
    story.store(wide, slice_of(*pods, endpoint("10.100.0.0", node="node-d"), service="wide"))
    return story.run(60)


@pytest.mark.parametrize("seconds", [20, 70])
def test_a_node_with_one_pod_that_falls_silent_with_others_shares_their_cause(
    seconds: float,
) -> None:
    story, at = spread_over_zones(), 0.0
    at = story.now
    lost = {"10.98.0.9", "10.100.0.0", *(address("node-b", i) for i in range(len(SHOP)))}
    story.answer = lambda dial, now: TIMEOUT if dial.edge.address in lost else CONNECTED
    story.run(seconds)
    judged = story.judged(key("wide"))
    if seconds > ROUND:
        assert (judged.verdict, judged.cause) == ("node_path", "node/node-b")
        assert judged.summary == (
            "2 of 3 endpoints fail (2 timeout): nothing on node node-b answers, for 4 Services "
            "and nothing that is dialed on 1 more node does"
        )

    silence(story)
    story.run(2 * ROUND)
    assert {str(turn.new.verdict) for turn in turns(story, at)} <= {"node_path", "healthy"}
    assert story.verdict(key("wide")) == "healthy"


def test_a_pod_alone_on_its_node_is_its_own_trouble_once_the_other_nodes_are_back() -> None:
    story = spread_over_zones()
    lost = {"10.98.0.9", "10.100.0.0", *(address("node-b", i) for i in range(len(SHOP)))}
    story.answer = lambda dial, now: TIMEOUT if dial.edge.address in lost else CONNECTED
    story.run(2 * ROUND)
    lost = {"10.100.0.0"}
    story.run(ROUND)

    assert story.verdict(key("wide")) == "endpoint_down"


def test_a_check_dials_twice_and_tells_a_dead_node() -> None:
    story = shop("node-b", "node-c", config=Config("", once=True))
    silence(story, "node-b")
    story.confirmed(2)

    assert verdicts(story) == dict.fromkeys(SHOP, "node_path")


def test_a_laptop_that_reaches_no_node_is_told_so_and_no_node_is_named() -> None:
    story = shop("node-b", "node-c", config=Config("laptop", once=True, on_node=False))
    silence(story, "node-b", "node-c")
    story.confirmed(2)

    assert story.summary(key("web")).endswith(
        "nothing on the 2 nodes answers us, outside of the cluster, for 3 Services"
    )
    assert story.judged(key("web")).cause == "node/"


def test_36_a_node_that_is_not_ready_explains_a_single_silent_pod() -> None:
    story = shop("node-b", "node-c").run(15)
    silence(story, "node-b", but=(address("node-b", 1), address("node-b", 2)))
    story.world.apply(kube.Stored("nodes", Node("node-b", ready=False)), story.now)
    story.run(ROUND)

    assert story.verdict(key("web")) == "node_path"
    assert story.summary(key("web")).endswith("node node-b is not ready")


def test_36_a_node_that_is_deleted_takes_its_silent_pods_along() -> None:
    story = shop("node-b", "node-c").run(15)
    at = story.now
    story.world.apply(kube.Removed("nodes", "", "node-b"), story.now)
    silence(story, "node-b")
    story.run(2 * ROUND)

    assert turns(story, at) == []
    assert verdicts(story) == dict.fromkeys(SHOP, "healthy")


def test_2_a_reject_rule_whose_answers_are_rate_limited_stays_denied() -> None:
    """kubernetes nodes send one ICMP error a second: every third dial is answered here."""
    story = shop("node-b").run(15)
    dials = 0

    def answer(dial: Dial, now: float) -> Outcome:
        nonlocal dials
        if dial.edge.address != address("node-b", 0):
            return CONNECTED
        dials += 1
        return REJECTED if dials % 3 == 1 else TIMEOUT

    story.answer = answer
    at = story.now
    story.run(120)

    assert [str(turn.new.verdict) for turn in turns(story, at)] == ["denied"]


def test_a_kube_proxy_that_does_not_follow_a_rollout_is_stale_not_racing() -> None:
    story = shop("node-b").run(15)
    first, second = address("node-b", 0), "10.98.9.9"
    story.store(slice_of(leaving(first), endpoint(second), service="web"))
    story.store(slice_of(endpoint(second), service="web"))

    def answer(dial: Dial, now: float) -> Outcome:
        vip = dial.edge.kind is Kind.SERVICE and dial.edge.key == key("web")
        return REFUSED if vip else CONNECTED

    story.answer = answer
    story.run(20)
    assert story.verdict(key("web")) == "drain_race"

    story.run(40)
    assert story.verdict(key("web")) == "proxy_stale"
    assert story.judged(key("web")).cause == f"proxy/{NODE}"


def test_who_asks_has_every_edge_dialed_again_within_its_cap() -> None:
    story = shop("node-b", "node-c").run(25)
    at = story.now
    assert not story.world.answered(("demo-app", "web"), at)
    story.world.ask(("demo-app", "web"), at)
    story.run(2)

    assert story.world.answered(("demo-app", "web"), at)
    asked = [d for d in story.dials_since(at) if d.edge.key == key("web")]
    assert len(asked) == len({d.edge for d in asked}) == 3
    assert story.world.answered(("demo-app", "gone"), at)


def test_23_behind_a_mesh_nothing_is_healthy() -> None:
    story = shop("node-b").run(15)
    assert story.verdict(key("web")) == "healthy"
    meshed = wire.Namespace(wire.Meta(name="demo-app", labels={"istio-injection": "enabled"}))
    story.world.apply(kube.Stored("namespaces", kube.namespace(meshed)), story.now)
    story.run(1)

    assert verdicts(story) == dict.fromkeys(SHOP, "masked")
    assert "the istio mesh accepts every port" in story.summary(key("web"))
