"""Nodes that are drained: cordoned, and then left by all endpoints but those of DaemonSets."""

from dataclasses import replace

import pytest

from probe.core.drains import Drains
from probe.core.edges import Service
from probe.core.ledger import ServiceRecord
from probe.core.nodes import Node
from probe.core.workloads import Workload
from tests.core.facts import endpoint, service, slice_of, workload

NODE = Node("node-b")
CORDONED = replace(NODE, schedulable=False)
AGENT = workload(name="agent", kind="DaemonSet")


def behind(*addresses: str, of: Service | None = None) -> ServiceRecord:
    """A Service with these endpoints on node-b."""
    held = slice_of(*(endpoint(address, node="node-b") for address in addresses))
    return ServiceRecord(service=of, slices={held.name: held})


def told(
    drains: Drains, *records: ServiceRecord, workloads: tuple[Workload, ...] = ()
) -> list[str]:
    return [c.detail for c in drains.look(records, lambda service: workloads, 31.0)]


def cordoned(*left: str) -> Drains:
    """Node-b was cordoned at second 10, and these have left it since then."""
    drains = Drains()
    drains.follow(NODE, CORDONED, 10.0)
    for address in left:
        drains.left("node-b", address)
    return drains


def test_a_cordoned_node_is_drained_once_the_last_endpoint_has_left_it() -> None:
    drains = cordoned("10.0.0.1")
    assert told(drains, behind("10.0.0.2", of=service())) == []
    drains.left("node-b", "10.0.0.2")

    assert told(drains, behind(of=service())) == ["drained: 2 endpoints left within 21 s"]


def test_a_cordoned_node_that_nothing_leaves_is_not_drained() -> None:
    assert told(cordoned(), behind(of=service())) == []


def test_it_is_told_once_for_a_cordon_and_again_for_the_next() -> None:
    drains = cordoned("10.0.0.1")
    assert len(told(drains)) == 1
    drains.follow(CORDONED, CORDONED, 40.0)  # what tolerates the cordon may come and go
    drains.left("node-b", "10.0.0.3")
    assert told(drains) == []

    drains.follow(CORDONED, NODE, 50.0)
    drains.follow(NODE, CORDONED, 30.0)
    drains.left("node-b", "10.0.0.3")
    assert told(drains) == ["drained: 1 endpoint left within 1 s"]


@pytest.mark.parametrize(
    ("workloads", "expected"),
    [((AGENT,), 1), ((), 0), ((workload(),), 0), ((AGENT, workload()), 0)],
)
def test_endpoints_of_daemon_sets_alone_may_stay(
    workloads: tuple[Workload, ...], expected: int
) -> None:
    found = told(cordoned("10.0.0.1"), behind("10.0.0.9", of=service()), workloads=workloads)

    assert len(found) == expected


def test_endpoints_of_a_service_that_nobody_knows_count_as_there() -> None:
    assert told(cordoned("10.0.0.1"), behind("10.0.0.9"), workloads=(AGENT,)) == []


@pytest.mark.parametrize("now", [NODE, None])
def test_a_node_that_is_cordoned_no_longer_or_gone_is_not_drained(now: Node | None) -> None:
    drains = cordoned("10.0.0.1")
    drains.follow(CORDONED, now, 20.0)
    drains.follow(None, NODE, 21.0)
    drains.left("node-b", "10.0.0.2")

    assert told(drains) == []
