"""A World that is new itself: what fails already, and what only comes up beside it."""

import pytest

from probe.core import kube
from probe.core.edges import Kind, PortKey
from probe.core.nodes import Node
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    NODE,
    REFUSED,
    REJECTED,
    TIMEOUT,
    Story,
    endpoint,
    port,
    service,
    slice_of,
    workload,
)

SERVICES = ("web", "api", "db")
NODES = (NODE, "node-b", "node-c")


def shop(*nodes: str, config: Config | None = None) -> Story:
    """Three Services with a pod on each of these nodes; all were there before us."""
    services, slices = [], []
    for i, name in enumerate(SERVICES):
        services.append(service(port(80), name=name, uid=name, ips=(f"10.96.0.{i}",)))
        pods = [endpoint(f"10.{ord(node[-1])}.0.{i}", node=node) for node in nodes]
        slices.append(slice_of(*pods, service=name))
    story = Story(config).listed(services, slices)
    story.world.apply(kube.Listed("nodes", tuple(map(Node, NODES))), story.now)
    return story


def unreached(story: Story, *nodes: str) -> None:
    """Nothing on these nodes answers, nor the ClusterIPs in front of them."""
    heads = {f"10.{ord(node[-1])}" for node in nodes} | {"10.96"}

    def answer(dial: Dial, now: float) -> Outcome:
        silent = dial.edge.address.rsplit(".", 2)[0] in heads
        return TIMEOUT if silent else CONNECTED

    story.answer = answer


def verdicts(story: Story) -> dict[str, str]:
    return {name: story.verdict(PortKey("demo-app", name, 80)) for name in SERVICES}


def told(story: Story) -> set[str]:
    return {str(turn.new.verdict) for turn in story.turns}


@pytest.mark.parametrize("nodes", [NODES, NODES[1:]], ids=["here too", "elsewhere"])
@pytest.mark.parametrize("late", [16, 25, 29])
def test_37_routes_that_come_after_us_on_a_new_node_accuse_nobody(
    nodes: tuple[str, ...], late: float
) -> None:
    story = shop(*nodes)
    unreached(story, "node-b", "node-c")
    story.run(late)
    story.answer = lambda dial, now: CONNECTED
    story.run(40)

    assert told(story) == {"healthy"}


def test_37_routes_that_never_come_are_told_once_we_have_settled() -> None:
    story = shop(*NODES[1:])
    unreached(story, "node-b", "node-c")
    story.run(29)
    assert told(story) == set()

    story.run(15)
    assert verdicts(story) == dict.fromkeys(SERVICES, "node_path")
    assert story.judged(PortKey("demo-app", "web", 80)).cause == f"node/{NODE}"


def test_37_a_silent_pod_on_a_node_that_answers_is_told_while_we_are_new() -> None:
    story = shop("node-b")
    story.answer = lambda dial, now: TIMEOUT if dial.edge.address == "10.98.0.0" else CONNECTED
    story.run(10)

    assert verdicts(story) == {"web": "blackholed", "api": "healthy", "db": "healthy"}


@pytest.mark.parametrize("outcome", [TIMEOUT, REFUSED, REJECTED])
def test_37_a_kube_proxy_that_comes_after_us_is_not_stale_and_one_that_never_comes_is(
    outcome: Outcome,
) -> None:
    """How long before us it was told what the first list tells is not known."""
    story = shop("node-b")
    story.answer = lambda dial, now: outcome if dial.edge.kind is Kind.SERVICE else CONNECTED
    story.run(29)
    assert told(story) <= {"healthy", "unknown"}

    story.run(16)
    assert verdicts(story) == dict.fromkeys(SERVICES, "proxy_stale")


def test_37_a_single_run_waits_for_no_routes() -> None:
    story = shop("node-b", config=Config(NODE, once=True))
    story.answer = lambda dial, now: TIMEOUT
    story.confirmed(2)

    assert verdicts(story) == dict.fromkeys(SERVICES, "node_path")


def test_37_a_wrong_target_port_that_was_there_before_us_is_named_at_once() -> None:
    story = Story().listed(
        [service(port(80, 9090))],
        [slice_of("10.0.0.1", "10.0.0.2", number=9090)],
        [workload(DECLARED_8080)],
    )
    story.answer = lambda dial, now: REFUSED if dial.edge.dial_port == 9090 else CONNECTED
    story.run(8)

    assert story.verdict(PortKey("demo-app", "backend-v1", 80)) == "port_mismatch"
