from probe.core.edges import Endpoint
from probe.core.expect import Backend, Expectation, expected
from tests.core.facts import edge, endpoint, leaving


def backends(*endpoints: Endpoint) -> list[Backend]:
    return [(edge(e.address), e) for e in endpoints]


def led_to(*endpoints: Endpoint, node: str = "node-a", local: bool = False) -> list[str]:
    return [e.address for _, e in expected(backends(*endpoints), node, local=local).usable]


def test_1_without_endpoints_the_cluster_ip_rejects() -> None:
    unready = endpoint("10.0.0.1", ready=False)

    assert Expectation.REJECT is expected([], "node-a", local=False).expectation
    assert Expectation.REJECT is expected(backends(unready), "node-a", local=False).expectation


def test_ready_endpoints_take_the_traffic() -> None:
    assert led_to(endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False)) == ["10.0.0.1"]


def test_13_with_some_terminating_new_connections_go_to_the_ready_ones() -> None:
    assert led_to(endpoint("10.0.0.1"), leaving("10.0.0.2")) == ["10.0.0.1"]


def test_12_with_all_terminating_those_that_still_serve_take_over() -> None:
    assert led_to(leaving("10.0.0.1", serving=False), leaving("10.0.0.2")) == ["10.0.0.2"]


def test_14_endpoints_forced_ready_while_terminating_are_used_before_serving_ones() -> None:
    forced = endpoint("10.0.0.1", ready=True, serving=False, terminating=True)

    assert led_to(forced, leaving("10.0.0.2")) == ["10.0.0.1"]


def test_10_local_traffic_stays_on_this_node() -> None:
    here, there = endpoint("10.0.0.1", node="node-a"), endpoint("10.0.0.2", node="node-b")

    assert led_to(here, there, local=True) == ["10.0.0.1"]


def test_10_local_traffic_without_a_local_endpoint_is_dropped_as_expected() -> None:
    found = expected(backends(endpoint("10.0.0.2", node="node-b")), "node-a", local=True)

    assert Expectation.DROP is found.expectation
    assert found.usable == ()
    assert found.anywhere == 1
