"""What stands around a Service, as the World hears of it: namespaces, policies, and who we are."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from probe.core import kube
from probe.core.edges import Service
from probe.core.labels import EVERYTHING, Labels, Requirement
from probe.core.meshes import HOST_NETWORK, Wish, Wishes
from probe.core.namespaces import NAME, Namespace
from probe.core.policies import NOBODY, NetworkPolicy, Peer, Ports, Prober, Rule
from probe.core.rounds import Config
from probe.core.surroundings import LEFT_OUT_KEPT, Altered, Surroundings
from probe.core.workloads import Workload
from tests.core.facts import (
    NODE,
    TIMEOUT,
    Story,
    answers,
    endpoint,
    everything_connects,
    service,
    slice_of,
    workload,
)

OURS = (("app.kubernetes.io/name", "edgeprobe"),)
PEERS = service(name="edgeprobe", namespace="edgeprobe", ips=(), selector=OURS, opted_out=True)
DAEMONS = workload(
    name="edgeprobe", namespace="edgeprobe", kind="DaemonSet", labels=(*OURS, ("team", "sre"))
)
WEB = service()
PODS = replace(workload(), named_ports=(("http", 8080),))

MESHED: Wishes = (("istio", Wish.IN),)
DENY_ALL = NetworkPolicy("demo-app", "deny-all", EVERYTHING, ())


def allow(*peers: Peer, ports: tuple[Ports, ...] = (), name: str = "allow") -> NetworkPolicy:
    return NetworkPolicy("demo-app", name, EVERYTHING, (Rule(peers, ports),))


def around(*facts: Namespace | NetworkPolicy) -> Surroundings:
    found = Surroundings()
    for fact in facts:
        found.apply(stored(fact))
    return found


def stored(fact: Namespace | NetworkPolicy) -> kube.Stored:
    resource = kube.NAMESPACES if isinstance(fact, Namespace) else kube.NETWORK_POLICIES
    return kube.Stored(resource.name, fact)


# A mesh.


@pytest.mark.parametrize(
    ("of", "behind", "mesh"),
    [
        (WEB, (PODS,), "istio"),
        (WEB, (), "istio"),
        (WEB, (replace(PODS, mesh=(("istio", Wish.OUT),)),), ""),
        (replace(WEB, selector=()), (), ""),
        (None, (), ""),
    ],
)
def test_23_the_mesh_of_a_service_is_that_of_its_pods(
    of: Service | None, behind: tuple[Workload, ...], mesh: str
) -> None:
    held = around(Namespace("demo-app", mesh=MESHED))

    assert held.mesh_of_service(of, behind) == mesh
    assert Surroundings().mesh_of_service(of, behind) == ""


def test_23_a_namespace_that_joins_a_mesh_has_its_services_judged_anew() -> None:
    story = Story().listed([WEB], [slice_of("10.0.0.1")], [PODS]).run(15)
    assert story.verdict() == "healthy"

    story.world.apply(stored(Namespace("demo-app", mesh=MESHED)), story.now)
    assert story.run(0.1).verdict() == "masked"

    story.world.apply(kube.Removed("namespaces", "", "demo-app"), story.now)
    assert story.run(0.1).verdict() == "healthy"


# Policies.


def test_an_event_alters_the_namespace_that_it_is_about_and_a_repeated_one_nothing() -> None:
    held, here = Surroundings(), Altered(namespaces=frozenset({"demo-app"}))
    labelled = Namespace("demo-app", (("team", "a"),))

    def judged(event: kube.Event) -> Altered:
        return held.apply(event)._replace(changed_policies=())

    assert judged(stored(labelled)) == judged(stored(DENY_ALL)) == here
    assert judged(stored(labelled)) == judged(stored(DENY_ALL)) == Altered()
    assert judged(kube.Removed("networkpolicies", "demo-app", "deny-all")) == here
    assert judged(kube.Listed("namespaces", ())) == here
    assert (held.policies, held.namespaces) == ({}, {})


def test_a_list_of_one_namespaces_policies_leaves_those_of_others() -> None:
    other = replace(DENY_ALL, namespace="other")
    held = around(DENY_ALL, other)

    assert held.apply(kube.Listed("networkpolicies", (), "other")).namespaces == {"other"}
    assert held.policies == {"demo-app": {"deny-all": DENY_ALL}}


def test_26_a_policy_is_named_if_it_leaves_us_out_of_the_port() -> None:
    held = around(DENY_ALL, allow(ports=(Ports(80, 80),)))

    assert held.policies_leaving_out(WEB, [PODS], 8080) == ("allow", "deny-all")
    assert held.policies_leaving_out(WEB, [PODS], 80) == ()
    assert held.policies_leaving_out(replace(WEB, namespace="other"), [PODS], 8080) == ()
    assert held.policies_leaving_out(None, [], 8080) == ()
    assert held.policies_leaving_out(replace(WEB, selector=()), [], 8080) == ()


def test_a_named_port_is_found_by_the_names_that_the_containers_give() -> None:
    held = around(allow(ports=(Ports(name="http"),)))
    without = replace(PODS, named_ports=(("http", 8081),))

    assert held.policies_leaving_out(WEB, [PODS], 8080) == ()
    assert held.policies_leaving_out(WEB, [without], 8080) == ("allow",)
    assert held.policies_leaving_out(WEB, [], 8080) == (), "nobody knows what the pods declare"


def test_where_one_workload_of_two_admits_us_no_policy_explains_all() -> None:
    canary = replace(PODS, name="canary", labels=(*PODS.labels, ("track", "canary")))
    only = NetworkPolicy("demo-app", "only", (Requirement("track", "In", ("canary",)),), ())
    held = around(only)

    assert held.policies_leaving_out(WEB, [PODS, canary], 8080) == ()
    assert held.policies_leaving_out(WEB, [canary], 8080) == ("only",)
    assert held.policies_leaving_out(WEB, [], 8080) == ()


def test_28_policies_say_nothing_of_pods_on_their_nodes_network() -> None:
    on_node = replace(PODS, mesh=HOST_NETWORK)

    assert around(DENY_ALL).policies_leaving_out(WEB, [on_node], 8080) == ()


def test_what_a_policy_says_of_nobody_in_particular_is_not_held_against_us() -> None:
    held = around(allow(Peer(pods=EVERYTHING, namespaces=EVERYTHING)))

    assert held.prober == NOBODY
    assert held.policies_leaving_out(WEB, [PODS], 8080) == ()


def test_answers_are_kept_until_something_changes_and_not_without_end() -> None:
    held = around(DENY_ALL)
    for port in (*range(1, LEFT_OUT_KEPT + 3), 1):
        assert held.policies_leaving_out(WEB, [PODS], port) == ("deny-all",)

    held.apply(stored(allow()))
    assert held.policies_leaving_out(WEB, [PODS], 1) == ()
    held.apply(kube.Listed("networkpolicies", (allow(Peer(pods=EVERYTHING)),)))
    assert held.policies_leaving_out(WEB, [PODS], 1) == ()
    held.meet(PEERS, [DAEMONS], [])
    assert held.policies_leaving_out(WEB, [PODS], 1) == ("allow",), "we are of another namespace"


# Who dials.


def daemon(*behind: Workload) -> Story:
    """A daemon beside another one; the peers' Service tells where both are."""
    story = Story(
        Config(NODE, peers=("edgeprobe", "edgeprobe")), answer=answers(at_10_0_0_1=TIMEOUT)
    )
    ours = [endpoint("10.9.0.1", node=NODE), endpoint("10.9.0.2", node="node-z")]
    peers = slice_of(*ours, service="edgeprobe", namespace="edgeprobe")
    story.listed([PEERS, WEB], [peers, slice_of("10.0.0.1")], [PODS])
    story.world.apply(kube.Listed("daemonsets", behind), story.now)
    return story


def test_a_daemon_knows_its_labels_its_namespace_and_its_addresses_by_its_peers_service() -> None:
    story = daemon(DAEMONS)
    name = {NAME: "edgeprobe"}
    known = Prober(
        "edgeprobe",
        Labels(name, complete=False),
        Labels(dict(DAEMONS.labels)),
        (ip_address("10.9.0.1"),),
    )
    assert story.world.mirror.surroundings.prober == known

    story.world.apply(stored(Namespace("edgeprobe", (("team", "sre"),))), story.now)
    assert story.world.mirror.surroundings.prober == known._replace(
        namespace_labels=Labels({**name, "team": "sre"})
    )


def test_its_pods_carry_at_least_what_its_service_selects() -> None:
    assert daemon().world.mirror.surroundings.prober.pod == Labels(dict(OURS), complete=False)


def test_27_on_its_nodes_network_it_is_no_pod_to_any_policy() -> None:
    on_node = replace(DAEMONS, mesh=HOST_NETWORK)

    assert daemon(on_node).world.mirror.surroundings.prober.pod is None


def test_23_behind_a_mesh_of_our_own_no_success_proves_anything() -> None:
    story = daemon(DAEMONS)
    story.answer = everything_connects
    assert story.run(15).verdict() == "healthy"

    meshed = replace(DAEMONS, mesh=(("linkerd", Wish.INJECTED),))
    story.store(meshed)
    assert story.run(0.1).verdict() == "masked"
    assert "linkerd" in story.summary()

    story.store(DAEMONS)
    assert story.run(0.1).verdict() == "healthy"


def test_whoever_has_no_peers_is_nobody() -> None:
    story = daemon(DAEMONS)
    story.remove(PEERS)

    assert story.world.mirror.surroundings.prober == NOBODY


def test_26_dials_that_a_policy_leaves_out_are_denied_until_one_lets_us_in() -> None:
    story = daemon(DAEMONS)
    story.world.apply(stored(DENY_ALL), story.now)

    assert story.run(60).verdict() == "denied"
    assert "deny-all" in story.summary()

    ours = Peer(pods=(Requirement("team", "In", ("sre",)),), namespaces=EVERYTHING)
    story.world.apply(stored(allow(ours)), story.now)
    assert story.run(1).verdict() == "blackholed"
