"""A daemon's dials stay apart from each other, whenever it learns how many others there are."""

from itertools import pairwise
from typing import Any

import pytest

from probe.core import kube
from probe.core.docket import EDGES
from probe.core.edges import EndpointSlice, Kind, Service
from probe.core.rounds import Config
from tests.core.facts import NODE, Story, endpoint, service, slice_of

PEERS = ("edgeprobe", "edgeprobe")
SERVICES = 300
DAEMONS = 200
PERIOD = DAEMONS / 2
"""Seconds between two dials of one ClusterIP from here that leave each other daemon its share."""


def daemons(count: int) -> EndpointSlice:
    nodes = (NODE, *(f"node-{i}" for i in range(1, count)))
    held = (endpoint(f"10.9.{i // 250}.{i % 250}", node=node) for i, node in enumerate(nodes))
    return slice_of(*held, service=PEERS[1], namespace=PEERS[0])


def services() -> list[Service]:
    return [
        service(name=f"s{i}", uid=f"u{i}", ips=(f"10.96.{i // 250}.{1 + i % 250}",))
        for i in range(SERVICES)
    ]


def slices() -> list[EndpointSlice]:
    return [slice_of(f"10.3.{i // 250}.{1 + i % 250}", service=f"s{i}") for i in range(SERVICES)]


def listed(story: Story, resource: str) -> None:
    """What a first list of it tells, and the moment until the next one."""
    facts: dict[str, list[Any]] = {
        "services": services(),
        "endpointslices": [daemons(DAEMONS), *slices()],
        "deployments": [],
    }
    story.world.apply(kube.Listed(resource, tuple(facts[resource])), story.now)
    story.run(0.4)


def longest_pause(story: Story, since: float) -> float:
    """Seconds for which no ClusterIP was dialed from here."""
    times = [d.at for d in story.dials if d.edge.kind is Kind.SERVICE and d.at >= since]
    return max(later - earlier for earlier, later in pairwise([since, *times, story.now]))


@pytest.mark.parametrize(
    "order",
    [
        ("services", "endpointslices", "deployments"),
        ("endpointslices", "services", "deployments"),
    ],
    ids=" first, ".join,
)
def test_cluster_ips_are_dialed_all_through_a_round_whatever_was_listed_first(
    order: tuple[str, ...],
) -> None:
    """Else nothing would be seen of a kube-proxy that fails between two heaps of dials."""
    story = Story(Config(NODE, peers=PEERS))
    began = story.now
    for resource in order:
        listed(story, resource)
    story.run(4 * PERIOD, step=0.25)

    assert longest_pause(story, began) < PERIOD / 10


def test_when_many_daemons_join_the_dials_are_spread_over_the_longer_round() -> None:
    story = Story(Config(NODE, peers=PEERS))
    story.listed(services(), [daemons(1), *slices()]).run(30)
    story.store(daemons(DAEMONS))
    story.run(2 * PERIOD, step=0.25)
    spread = story.now
    story.run(2 * PERIOD, step=0.25)

    assert longest_pause(story, spread) < PERIOD / 10


def test_the_dials_are_shared_anew_by_steps() -> None:
    """With 2,000 Services to look through at once, no dial would be made for a quarter second."""
    story = Story(Config(NODE, peers=PEERS))
    story.listed(services(), [daemons(1), *slices()]).run(30)
    held = [book for _, book in story.world.books()]
    assert all(len(book.tracks) == 2 for book in held)

    story.store(daemons(DAEMONS))
    left = [sum(len(book.tracks) == 2 for book in held)]
    for _ in range(SERVICES):
        story.run(0.02)
        left.append(sum(len(book.tracks) == 2 for book in held))

    assert left[0] == SERVICES
    assert left[-1] < SERVICES / 4  # of 200 daemons, 20 dial an endpoint
    assert max(before - after for before, after in pairwise(left)) <= EDGES / 10


def test_one_that_is_gone_before_its_turn_comes_is_forgotten() -> None:
    story = Story(Config(NODE, peers=PEERS))
    story.listed(services(), [daemons(1), *slices()]).run(30)
    story.store(daemons(DAEMONS))
    for gone in services():
        story.remove(gone)
    story.run(5)

    assert list(story.world.books()) == []
