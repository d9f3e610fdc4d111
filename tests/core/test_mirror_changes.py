"""What a Mirror tells of all that is not a Service or an endpoint."""

from dataclasses import replace

import pytest

from probe.core import kube
from probe.core.changes import Change
from probe.core.labels import Requirement
from probe.core.mirror import CHANGES_KEPT, Mirror
from probe.core.nodes import Node
from probe.core.policies import NetworkPolicy
from probe.core.workloads import Workload
from tests.core.facts import endpoint, service, slice_of, workload

PEERS = ("probe", "edgeprobe")
NODE = Node("node-b")
DENY = NetworkPolicy("demo-app", "deny", (Requirement("app", "In", ("web",)),), ())


def told(found: list[Change]) -> list[tuple[str, str, str]]:
    return [(str(c.kind), c.object, c.detail) for c in found if c.kind != "endpoint"]


def mirror(*workloads: Workload, nodes: tuple[Node, ...] = (NODE,)) -> Mirror:
    found = Mirror(30.0, peers=PEERS)
    found.apply(kube.Listed("nodes", nodes), 0.0)
    found.apply(kube.Listed("networkpolicies", ()), 0.0)
    found.apply(kube.Listed("services", (service(),)), 0.0)
    for name, kind in (("deployments", "Deployment"), ("daemonsets", "DaemonSet")):
        listed = tuple(w for w in workloads if w.kind == kind)
        found.apply(kube.Listed(name, listed), 0.0)
    return found


def store(held: Mirror, new: Workload, now: float) -> list[Change]:
    resource = "daemonsets" if new.kind == "DaemonSet" else "deployments"
    return held.apply(kube.Stored(resource, new), now)


def test_what_the_first_lists_hold_is_no_news() -> None:
    held = Mirror(30.0)
    first = (
        kube.Listed("nodes", (replace(NODE, ready=False, schedulable=False),)),
        kube.Listed("networkpolicies", (DENY,)),
        kube.Listed("deployments", (workload(stuck=True, paused=True),)),
    )

    assert [change for event in first for change in held.apply(event, 1.0)] == []
    assert not held.rollouts


def test_a_later_list_tells_the_net_change_once() -> None:
    held = mirror(workload())
    later = (
        kube.Listed("nodes", (replace(NODE, schedulable=False), Node("node-c"))),
        kube.Listed("networkpolicies", (DENY,)),
        kube.Listed("deployments", (workload(image="app:3", revision="3"),)),
    )
    found = [change for event in later for change in held.apply(event, 9.0)]

    assert [text for _, _, text in told(found)] == [
        "cordoned",
        "added",
        "created for pods app=web: ingress from nobody",
        "image app:1 -> app:3",
        "complete before we heard of it, revision 3",
    ]
    assert [change for event in later for change in held.apply(event, 10.0)] == []


def test_an_undone_rollout_names_the_revision_that_it_goes_back_to() -> None:
    held = mirror(workload(revision="4"))
    store(held, workload(image="app:2", revision="4"), 1.0)
    store(held, workload(image="app:2", revision="5"), 1.1)  # the controller's annotation
    found = store(held, workload(revision="5"), 9.0)

    assert told(found)[0][2] == "rolled back to revision 4: image app:2 -> app:1"


def test_a_deployment_that_is_created_again_has_no_earlier_templates() -> None:
    held = mirror(workload())
    store(held, workload(image="app:2"), 1.0)
    held.apply(kube.Removed("deployments", "demo-app", "backend-v1"), 2.0)
    created = store(held, workload(image="app:3"), 3.0)
    found = store(held, workload(), 4.0)

    assert told(created) == [
        ("scale", "Deployment demo-app/backend-v1", "created, replicas: 0 -> 2")
    ]
    assert told(found)[0][2] == "image app:3 -> app:1"


def test_a_paused_deployment_rolls_once_it_is_resumed() -> None:
    held = mirror(workload())
    store(held, workload(paused=True), 1.0)
    store(held, workload(paused=True, image="app:2", rolling=True, complete=False), 2.0)
    assert not held.rollouts
    store(held, workload(image="app:2", rolling=True, complete=False), 9.0)

    (rollout,) = held.rollouts.values()
    assert (rollout.started, rollout.detail) == (9.0, "resumed")


def test_a_rollout_that_is_paused_midway_ends_so() -> None:
    held = mirror(workload())
    store(held, workload(image="app:2", rolling=True, complete=False), 1.0)
    found = store(held, workload(image="app:2", rolling=True, complete=False, paused=True), 5.0)

    assert [text for _, _, text in told(found)] == ["paused", "paused after 4 s"]


def test_a_stuck_rollout_is_told_and_its_recovery_begins_another() -> None:
    held = mirror(workload())
    store(held, workload(image="app:2", complete=False), 1.0)
    stuck = store(held, workload(image="app:2", complete=False, stuck=True), 601.0)
    held.tick(700.0)
    found = store(held, workload(image="app:2", complete=False), 900.0)

    assert told(stuck) == [("rollout_end", "Deployment demo-app/backend-v1", "stuck after 600 s")]
    assert [text for _, _, text in told(found)] == ["progresses again after it was stuck"]
    assert [r.started for r in held.rollouts.values()] == [900.0]


def daemons(held: Mirror) -> None:
    held.apply(kube.Stored("services", service(name=PEERS[1], namespace=PEERS[0])), 0.0)


@pytest.mark.parametrize(
    ("name", "namespace", "kind"),
    [
        ("kube-proxy", "kube-system", "proxy_rollout"),
        ("calico-node", "calico-system", "network_rollout"),
        ("edgeprobe", "probe", "prober"),
        ("agent", "demo-app", "rollout"),
    ],
)
def test_rollouts_of_daemon_sets_tell_what_stands_still_while_they_last(
    name: str, namespace: str, kind: str
) -> None:
    old = workload(name=name, namespace=namespace, kind="DaemonSet")
    held = mirror(old)
    daemons(held)
    new = workload(name=name, namespace=namespace, kind="DaemonSet", image="app:2")
    found = store(held, new, 1.0)

    assert told(found)[0] == (kind, f"DaemonSet {namespace}/{name}", "image app:1 -> app:2")


WEB = (("app", "web"),)


def test_a_policy_concerns_the_services_whose_pods_it_selected_or_selects() -> None:
    held = mirror(workload(name="web", labels=WEB), workload())
    held.apply(kube.Stored("services", service(name="web", selector=WEB)), 0.0)
    held.apply(kube.Stored("services", service(name="web", namespace="shop", selector=WEB)), 0.0)
    (made,) = held.apply(kube.Stored("networkpolicies", DENY), 1.0)
    (widened,) = held.apply(kube.Stored("networkpolicies", replace(DENY, pods=())), 2.0)
    (gone,) = held.apply(kube.Removed("networkpolicies", "demo-app", "deny"), 3.0)

    assert made.services == ("web",)
    assert widened.services == gone.services == ("backend-v1", "web")


def test_a_service_without_a_known_workload_is_concerned_if_it_may_be() -> None:
    held = mirror()
    held.apply(kube.Stored("endpointslices", slice_of("10.0.0.9", service="gone")), 0.0)
    tiered = replace(DENY, pods=(Requirement("tier", "In", ("a",)),))
    (other,) = held.apply(kube.Stored("networkpolicies", DENY), 1.0)
    (maybe,) = held.apply(kube.Stored("networkpolicies", tiered), 2.0)

    assert (other.services, maybe.services) == ((), ("backend-v1",))


# Drains.

CORDONED = replace(NODE, schedulable=False)


def on(*addresses: str, service: str = "backend-v1") -> kube.Stored:
    held = (endpoint(address, node="node-b") for address in addresses)
    return kube.Stored("endpointslices", slice_of(*held, service=service))


def drained(held: Mirror, now: float) -> list[str]:
    return [change.detail for change in held.tick(now)]


def test_a_node_is_drained_when_the_last_endpoint_has_left_it_after_its_cordon() -> None:
    held = mirror(workload())
    held.apply(on("10.0.0.1", "10.0.0.2"), 0.0)
    held.apply(kube.Stored("nodes", CORDONED), 10.0)
    assert drained(held, 11.0) == []
    held.apply(on("10.0.0.1"), 20.0)
    assert drained(held, 21.0) == []
    held.apply(on(), 30.0)

    assert drained(held, 31.0) == ["drained: 2 endpoints left within 21 s"]
    held.apply(on("10.0.0.3"), 40.0)  # what tolerates it
    held.apply(on(), 41.0)
    assert drained(held, 42.0) == []


def test_a_node_that_was_cordoned_before_us_may_be_drained_before_our_eyes() -> None:
    held = mirror(workload(), nodes=(CORDONED,))
    held.apply(on("10.0.0.1"), 1.0)
    held.apply(on(), 30.0)

    assert drained(held, 31.0) == ["drained: 1 endpoint left within 31 s"]


def test_a_rollout_of_what_no_service_selects_is_ended_and_not_reported() -> None:
    agent = workload(name="agent", labels=())
    held = mirror(agent)
    store(held, workload(name="agent", labels=(), image="app:2"), 1.0)
    found = [*held.tick(2.0), *held.tick(100.0)]

    assert [str(c.kind) for c in found] == ["rollout_end"]
    assert [r.outcome for r in held.finished] == ["complete"]


def test_the_loss_of_many_nodes_does_not_push_out_the_edit_before_it() -> None:
    held = mirror(workload())
    store(held, workload(image="app:2"), 1.0)
    for number in range(CHANGES_KEPT + 1):
        held.apply(kube.Stored("nodes", Node(f"node-{number}")), 2.0 + number)
    store(held, workload(image="app:3"), 5000.0)

    causes = list(held.causes())
    details = [change.detail for change in causes if change.kind == "rollout"]
    assert details == ["image app:2 -> app:3", "image app:1 -> app:2"]
    assert sum(change.kind == "node" for change in causes) == CHANGES_KEPT
    assert held.newest_changes() == causes


def test_the_daemon_s_start_is_remembered() -> None:
    held = Mirror(30.0, node="node-a")
    held.start(7.0)

    assert told(list(held.changes)) == [("prober", "Node node-a", "edgeprobe started on node-a")]
