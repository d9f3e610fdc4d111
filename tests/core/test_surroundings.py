from dataclasses import replace

import pytest

from probe.core import kube
from probe.core.nodes import Node
from probe.core.policies import NetworkPolicy
from probe.core.surroundings import REMOVED_KEPT, Altered, Surroundings

NODE_A, NODE_B = Node("node-a", "zone-a"), Node("node-b", "zone-b")
GONE = replace(NODE_A, leaving="somebody removes it")


def around(*nodes: Node) -> Surroundings:
    found = Surroundings()
    found.apply(kube.Listed("nodes", nodes))
    return found


def judged(held: Surroundings, event: kube.Event) -> Altered:
    """What is judged anew by the event; that nodes changed is told besides."""
    return held.apply(event)._replace(changed_nodes=())


def store(held: Surroundings, node: Node) -> Altered:
    return judged(held, kube.Stored("nodes", node))


def remove(held: Surroundings, name: str) -> Altered:
    return judged(held, kube.Removed("nodes", "", name))


def test_a_node_is_found_by_its_name() -> None:
    held = around(NODE_A, NODE_B)

    assert held.nodes["node-a"] == NODE_A
    assert held.zone_of("node-b") == "zone-b"


def test_of_a_node_that_is_not_known_nothing_is_said() -> None:
    for held in (Surroundings(), around(NODE_A)):
        assert (held.zone_of("node-x"), held.doubtful("node-x")) == ("", "")
        assert not held.leaving("node-x")


def test_the_first_list_tells_whose_zone_is_known_and_whom_not_to_believe() -> None:
    held = Surroundings()
    found = judged(held, kube.Listed("nodes", (NODE_A, Node("node-b", ready=False))))

    assert found == Altered(nodes=frozenset({"node-b"}), zones=frozenset({"node-a"}))


def test_a_node_that_is_told_again_alters_nothing() -> None:
    held = around(NODE_A, NODE_B)

    assert not any(store(held, replace(NODE_A)))
    assert not any(store(held, replace(NODE_A, schedulable=False)))
    assert not any(judged(held, kube.Listed("nodes", (replace(NODE_A), NODE_B))))
    assert not any(remove(held, "node-x"))


def test_nodes_and_policies_that_changed_are_told_with_what_they_were() -> None:
    held, cordoned = around(NODE_A), replace(NODE_A, schedulable=False)
    policy = NetworkPolicy("demo-app", "deny", (), ())

    assert held.apply(kube.Stored("nodes", cordoned)).changed_nodes == ((NODE_A, cordoned),)
    assert held.apply(kube.Stored("nodes", cordoned)).changed_nodes == ()
    assert held.apply(kube.Removed("nodes", "", "node-a")).changed_nodes == ((cordoned, None),)
    stored = held.apply(kube.Stored("networkpolicies", policy))
    assert (stored.changed_nodes, stored.changed_policies) == ((), ((None, policy),))


def test_a_node_that_moves_to_another_zone_is_told() -> None:
    held = around(NODE_A)

    assert store(held, replace(NODE_A, zone="zone-b")) == Altered(zones=frozenset({"node-a"}))
    assert store(held, replace(NODE_A, zone="")) == Altered(zones=frozenset({"node-a"}))


def test_36_a_node_that_is_not_ready_is_told_when_it_falls_and_when_it_rises() -> None:
    held = around(NODE_A)
    fallen = store(held, replace(NODE_A, ready=False))

    assert held.doubtful("node-a") == "node node-a is not ready"
    assert not held.leaving("node-a")
    assert fallen == store(held, NODE_A) == Altered(nodes=frozenset({"node-a"}))
    assert held.doubtful("node-a") == ""


def test_36_a_node_that_somebody_removes_leaves() -> None:
    held = around(GONE)

    assert held.leaving("node-a")
    assert held.doubtful("node-a") == "node node-a is being removed: somebody removes it"


@pytest.mark.parametrize(
    "event", [kube.Removed("nodes", "", "node-a"), kube.Listed("nodes", (NODE_B,))]
)
def test_36_a_node_that_was_removed_while_we_looked_is_gone_until_it_is_back(
    event: kube.Event,
) -> None:
    held = around(NODE_A, NODE_B)

    name = frozenset({"node-a"})

    assert judged(held, event) == Altered(nodes=name, zones=name)
    assert (held.leaving("node-a"), held.doubtful("node-a")) == (True, "node node-a is gone")
    assert store(held, NODE_A).nodes == {"node-a"}
    assert (held.leaving("node-a"), held.doubtful("node-a")) == (False, "")


def test_no_more_removed_nodes_are_remembered_than_a_cluster_has() -> None:
    names = [f"node-{number}" for number in range(REMOVED_KEPT + 1)]
    held = around(*map(Node, names))
    for name in names:
        remove(held, name)

    assert not held.leaving(names[0])
    assert all(held.leaving(name) for name in names[1:])


def test_only_what_is_not_a_service_of_its_own_is_held_here() -> None:
    assert Surroundings().holds("nodes")
    assert not Surroundings().holds("services")
