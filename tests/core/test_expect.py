from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.edges import Endpoint, Hints
from probe.core.expect import Backend, Expectation, Expected, Place, answers, expected
from tests.core.facts import edge, endpoint, leaving

HERE = Place("node-a", "zone-a")


def backends(*endpoints: Endpoint) -> list[Backend]:
    return [(edge(e.address), e) for e in endpoints]


def seen(*endpoints: Endpoint, here: Place = HERE, local: bool = False) -> Expected:
    return expected(backends(*endpoints), here, local=local)


def led_to(*endpoints: Endpoint, here: Place = HERE, local: bool = False) -> list[str]:
    return [e.address for _, e in seen(*endpoints, here=here, local=local).led]


def zoned(address: str, *zones: str, ready: bool = True) -> Endpoint:
    return endpoint(address, ready=ready, hints=Hints(zones=zones))


def noded(address: str, *nodes: str, zones: tuple[str, ...] = ()) -> Endpoint:
    return endpoint(address, hints=Hints(zones, nodes))


# Which endpoints are in use.


def test_1_without_endpoints_the_cluster_ip_rejects() -> None:
    unready = endpoint("10.0.0.1", ready=False)

    assert seen().expectation is Expectation.REJECT
    assert seen(unready).expectation is Expectation.REJECT
    assert seen(leaving("10.0.0.1", serving=False), local=True).expectation is Expectation.REJECT


def test_ready_endpoints_take_the_traffic() -> None:
    found = seen(endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False))

    assert [e.address for _, e in found.usable] == ["10.0.0.1"]
    assert (found.expectation, found.led, found.anywhere) == (Expectation.CONNECT, found.usable, 1)


def test_13_with_some_terminating_new_connections_go_to_the_ready_ones() -> None:
    assert led_to(endpoint("10.0.0.1"), leaving("10.0.0.2")) == ["10.0.0.1"]


def test_12_with_all_terminating_those_that_still_serve_take_over() -> None:
    assert led_to(leaving("10.0.0.1", serving=False), leaving("10.0.0.2")) == ["10.0.0.2"]


# publishNotReadyAddresses.


def test_14_published_endpoints_take_traffic_and_nobody_knows_whether_they_answer() -> None:
    unready = endpoint("10.0.0.1", serving=False)
    found = seen(unready, endpoint("10.0.0.2"))

    assert found.expectation is Expectation.NOTHING
    assert len(found.led) == 2
    assert not answers(unready)


def test_14_a_published_endpoint_takes_traffic_while_it_terminates_and_need_not_answer() -> None:
    forced = endpoint("10.0.0.1", ready=True, serving=True, terminating=True)
    found = seen(forced, endpoint("10.0.0.2"))

    assert found.expectation is Expectation.CONNECT
    assert len(found.led) == 2
    assert not answers(forced)


def test_14_published_endpoints_are_used_before_serving_ones() -> None:
    forced = endpoint("10.0.0.1", ready=True, serving=False, terminating=True)

    assert led_to(forced, leaving("10.0.0.2")) == ["10.0.0.1"]


def test_ready_endpoints_and_those_that_took_over_should_answer() -> None:
    assert answers(endpoint("10.0.0.1"))
    assert answers(leaving("10.0.0.1"))


# internalTrafficPolicy Local.


def test_10_local_traffic_stays_on_this_node() -> None:
    here, there = endpoint("10.0.0.1", node="node-a"), endpoint("10.0.0.2", node="node-b")

    assert led_to(here, there, local=True) == ["10.0.0.1"]


def test_10_local_traffic_without_a_local_endpoint_is_dropped_as_expected() -> None:
    found = seen(endpoint("10.0.0.2", node="node-b"), local=True)

    assert found == Expected(Expectation.DROP, (), (), 1)


def test_10_local_traffic_goes_to_a_local_endpoint_that_terminates_though_others_are_ready() -> (
    None
):
    """The fallback is this node's own: topology.go looks for it among local endpoints alone."""
    ending = endpoint("10.0.0.1", ready=False, serving=True, terminating=True, node="node-a")

    assert led_to(ending, endpoint("10.0.0.2"), local=True) == ["10.0.0.1"]


def test_10_local_traffic_ignores_hints() -> None:
    here = endpoint("10.0.0.1", node="node-a", hints=Hints(("zone-b",), ("node-b",)))
    there = endpoint("10.0.0.2", node="node-b", hints=Hints(("zone-a",), ("node-a",)))

    assert led_to(here, there, local=True) == ["10.0.0.1"]


def test_42_an_external_policy_local_says_nothing_of_the_cluster_ip() -> None:
    """externalTrafficPolicy is not even read: a ClusterIP follows the internal one."""
    assert led_to(endpoint("10.0.0.2", node="node-b")) == ["10.0.0.2"]


# Hints.


def test_11_the_cluster_ip_leads_to_the_endpoints_hinted_for_our_zone() -> None:
    found = seen(zoned("10.0.0.1", "zone-a"), zoned("10.0.0.2", "zone-b"))

    assert [e.address for _, e in found.led] == ["10.0.0.1"]
    assert (len(found.usable), found.anywhere) == (2, 2)


def test_11_an_endpoint_may_be_hinted_for_several_zones() -> None:
    assert led_to(zoned("10.0.0.1", "zone-b", "zone-a"), zoned("10.0.0.2", "zone-b")) == [
        "10.0.0.1"
    ]


def test_11_the_cluster_ip_leads_to_the_endpoints_hinted_for_our_node() -> None:
    assert led_to(noded("10.0.0.1", "node-a"), noded("10.0.0.2", "node-b")) == ["10.0.0.1"]


def test_11_a_hint_for_our_node_is_nearer_than_one_for_our_zone() -> None:
    one = noded("10.0.0.1", "node-a", zones=("zone-a",))
    other = noded("10.0.0.2", "node-b", zones=("zone-a",))

    assert led_to(one, other) == ["10.0.0.1"]


def test_11_without_an_endpoint_for_our_node_those_for_our_zone_are_used() -> None:
    one = noded("10.0.0.1", "node-b", zones=("zone-a",))
    other = noded("10.0.0.2", "node-c", zones=("zone-b",))

    assert led_to(one, other) == ["10.0.0.1"]


@pytest.mark.parametrize(
    ("here", "endpoints"),
    [
        pytest.param(HERE, (zoned("1", "zone-a"), zoned("2")), id="an endpoint without a hint"),
        pytest.param(Place("node-a"), (zoned("1", "zone-a"), zoned("2", "zone-b")), id="no zone"),
        pytest.param(HERE, (zoned("1", "zone-b"), zoned("2", "zone-c")), id="none for our zone"),
        pytest.param(HERE, (noded("1", "node-a"), noded("2")), id="one without a hint for nodes"),
        pytest.param(HERE, (noded("1", "node-b"), noded("2", "node-c")), id="none for our node"),
        pytest.param(Place(), (noded("1", "node-a"), noded("2", "node-b")), id="from outside"),
    ],
)
def test_11_hints_that_do_not_hold_here_are_ignored(
    here: Place, endpoints: tuple[Endpoint, ...]
) -> None:
    assert led_to(*endpoints, here=here) == ["1", "2"]


def test_11_only_ready_endpoints_need_hints_and_can_give_them() -> None:
    bare, far = zoned("2", ready=False), zoned("1", "zone-b")

    assert led_to(far, zoned("3", "zone-a", ready=False)) == ["1"]
    assert led_to(bare, far, zoned("3", "zone-a")) == ["3"]


def test_11_where_all_terminate_hints_are_ignored() -> None:
    ending = [
        endpoint(name, ready=False, serving=True, terminating=True, hints=Hints((zone,), (node,)))
        for name, zone, node in (("1", "zone-a", "node-a"), ("2", "zone-b", "node-b"))
    ]

    assert led_to(*ending) == ["1", "2"]


def test_11_a_proxy_that_ignores_hints_may_lead_to_an_endpoint_that_need_not_answer() -> None:
    near = endpoint("10.0.0.1", hints=Hints(("zone-a",)))
    far = endpoint("10.0.0.2", serving=False, hints=Hints(("zone-b",)))
    found = seen(near, far)

    assert [e.address for _, e in found.led] == ["10.0.0.1"]
    assert found.expectation is Expectation.NOTHING


# The rules against those of kube-proxy, word by word.

names = st.sampled_from(("a", "b", "c", ""))
hints = st.lists(names.filter(bool), max_size=2).map(tuple)
endpoints = st.builds(
    Endpoint,
    address=st.integers(1, 9).map("10.0.0.{}".format),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
    node=names,
    pod=st.just("p"),
    hints=st.builds(Hints, zones=hints, nodes=hints),
)


@given(st.lists(endpoints, max_size=6), st.builds(Place, names, names), st.booleans())
def test_the_rules_are_those_of_categorize_endpoints(
    given_: list[Endpoint], here: Place, local: bool
) -> None:
    held = list({e.address: e for e in given_}.values())
    usable, has_any = categorized(held, here, local)
    found = expected(backends(*held), here, local=local)

    assert [e for _, e in found.led] == usable
    assert bool(found.anywhere) == has_any
    assert (found.expectation is Expectation.REJECT) == (not has_any)
    assert (found.expectation is Expectation.DROP) == (has_any and not usable)
    assert set(found.led) <= set(found.usable)


def categorized(
    held: list[Endpoint], here: Place, internal_local: bool
) -> tuple[list[Endpoint], bool]:
    """pkg/proxy/topology.go's CategorizeEndpoints of 1.35, for a ClusterIP that is reached only
    from inside: the endpoints behind it at this node, and hasAnyEndpoints."""

    def is_local(e: Endpoint) -> bool:
        return bool(here.node) and e.node == here.node

    def ending(e: Endpoint) -> bool:
        return e.serving and e.terminating

    if not internal_local:
        mode = topology_mode(held, here)
        available: dict[str, Callable[[Endpoint], bool]] = {
            "": lambda e: True,
            "PreferSameNode": lambda e: here.node in e.hints.nodes,
            "PreferSameZone": lambda e: here.zone in e.hints.zones,
        }
        cluster = [e for e in held if e.ready and available[mode](e)]
        cluster = cluster or [e for e in held if ending(e)]
        return cluster, bool(cluster)
    has_any = any(e.ready or ending(e) for e in held)
    if any(e.ready and is_local(e) for e in held):
        return [e for e in held if e.ready and is_local(e)], has_any
    return [e for e in held if is_local(e) and ending(e)], has_any


def topology_mode(held: list[Endpoint], here: Place) -> str:
    ready = [e for e in held if e.ready]
    if not ready:
        return ""
    if all(e.hints.nodes for e in ready) and any(here.node in e.hints.nodes for e in ready):
        return "PreferSameNode"
    if all(e.hints.zones for e in ready) and any(here.zone in e.hints.zones for e in ready):
        return "PreferSameZone"
    return ""
