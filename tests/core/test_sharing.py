"""Who dials what in large clusters: each daemon asked alone, all of them compared."""

from collections.abc import Iterable
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.core.edges import Edge, EndpointSlice, Scope, implied
from probe.core.ledger import PortBook
from probe.core.rounds import Config
from probe.core.schedule import leaders
from probe.core.sharing import GROUP, Sharing, groups, speaks_for
from tests.core.facts import endpoint, service, slice_of
from tests.core.facts import port as servers

SOURCES = 20
"""What the cap of two dials a second leaves at the default interval."""


def daemons(count: int) -> list[str]:
    return [f"node-{i}" for i in range(count)]


def address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def pods(*numbers: int, on: int = 10**9) -> EndpointSlice:
    """Pods that are not on a daemon's node, unless `on` says how many nodes take turns."""
    return slice_of(*(endpoint(address(n), node=f"node-{n % on}" if on else "") for n in numbers))


def port(held: EndpointSlice, name: str = "backend-v1") -> PortBook:
    return PortBook(implied(service(name=name), [held], Scope()).ports[0])


def sharing(node: str, nodes: Iterable[str]) -> Sharing:
    found = Sharing(Config(node))
    found.meet(nodes, ())
    return found


def dialed(nodes: list[str], *books: PortBook) -> dict[str, set[Edge]]:
    """The endpoints that each node dials, its own among them."""
    found: dict[str, set[Edge]] = {}
    for node in nodes:
        own = sharing(node, nodes)
        mine = (own.mine(PortBook(book.implied)) for book in books)
        found[node] = {edge for edges in mine for edge in edges}
    return found


def sources(nodes: list[str], book: PortBook) -> dict[Edge, set[str]]:
    found = dialed(nodes, book)
    return {edge: {n for n in nodes if edge in found[n]} for edge in book.implied.edges}


def test_as_many_daemons_as_the_cap_allows_all_dial_everything() -> None:
    found = sources(daemons(SOURCES), port(pods(*range(2000, 2040))))

    assert {len(nodes) for nodes in found.values()} == {SOURCES}


@pytest.mark.parametrize(("count", "endpoints"), [(100, 1), (100, 2), (100, 15), (500, 2)])
def test_the_same_daemons_dial_all_endpoints_of_a_small_service(count: int, endpoints: int) -> None:
    found = sources(daemons(count), port(pods(*range(2000, 2000 + endpoints))))

    assert {len(nodes) for nodes in found.values()} == {SOURCES}
    assert len({*map(frozenset, found.values())}) == 1


@pytest.mark.parametrize("endpoints", [16, 100])
def test_of_a_large_service_each_of_them_dials_a_few(endpoints: int) -> None:
    found = dialed(daemons(100), port(pods(*range(2000, 2000 + endpoints))))
    mine = [len(edges) for edges in found.values() if edges]

    assert sum(mine) == endpoints * SOURCES
    assert min(mine) >= 2
    assert mean(mine) < max(16, endpoints / 2)


def test_an_endpoint_is_dialed_from_its_own_node_too() -> None:
    found = sources(daemons(100), port(pods(7, 8, on=100)))

    assert all(f"node-{edge.address[-1]}" in nodes for edge, nodes in found.items())
    assert {len(nodes) for nodes in found.values()} <= {SOURCES, SOURCES + 1}


@pytest.mark.parametrize("count", [100, 1000])
@pytest.mark.parametrize("endpoints", [2, 100])
def test_who_is_the_first_to_tell_of_a_service_dials_some_of_it(count: int, endpoints: int) -> None:
    """As probe.core.announcements has it, so that the Event names the cause."""
    nodes = daemons(count)
    for number in range(20):
        held = port(pods(*range(2000, 2000 + endpoints)), f"service-{number}")
        (first,) = leaders(nodes, f"demo-app/service-{number}", 1)

        assert len(sharing(first, nodes).mine(held)) >= 2


@pytest.mark.parametrize("endpoints", [0, 2, 100])
def test_three_speak_for_a_service_that_nobody_dials_and_each_would_dial_some(
    endpoints: int,
) -> None:
    held, speaking = port(pods(*range(2000, 2000 + endpoints))), 0
    for node in daemons(100):
        book = PortBook(held.implied)
        mine = sharing(node, daemons(100)).mine(book)
        speaking += speaks_for(book)
        assert mine or not speaks_for(book) or not endpoints

    assert speaking == 3


def test_where_each_dials_everything_each_speaks_for_every_service() -> None:
    book = port(pods())
    sharing("node-1", daemons(5)).mine(book)

    assert speaks_for(book)


def test_all_ports_of_a_service_are_dialed_from_the_same_nodes() -> None:
    held, two = pods(*range(2000, 2040)), service(servers(80), servers(81))
    ports = [PortBook(found) for found in implied(two, [held], Scope()).ports]
    first, second = (
        {edge.address: nodes for edge, nodes in sources(daemons(60), found).items()}
        for found in ports
    )

    assert first == second


def test_no_daemon_has_much_more_to_dial_than_the_others() -> None:
    """Sixty Services of ten endpoints, and one of six hundred: of each 300 edges on average."""
    nodes = daemons(40)
    many = [port(pods(*range(n, n + 10)), f"service-{n}") for n in range(1000, 1600, 10)]
    small = [len(edges) for edges in dialed(nodes, *many).values()]
    large = [len(edges) for edges in dialed(nodes, port(pods(*range(2000, 2600)))).values()]

    for shares in (small, large):
        assert mean(shares) == 300
        assert max(shares) < 1.6 * mean(shares)


@given(st.integers(0, 10_000))
def test_groups_are_of_eight_to_fifteen_and_their_number_a_power_of_two(endpoints: int) -> None:
    count = groups(endpoints)

    assert count.bit_count() == 1
    assert count == 1 or GROUP <= endpoints / count < 2 * GROUP


@settings(max_examples=20)
@given(st.sets(st.integers(0, 5000), min_size=1, max_size=60), st.integers(0, 5000))
def test_an_endpoint_that_comes_moves_no_other_but_where_groups_split(
    numbers: set[int], new: int
) -> None:
    nodes = daemons(25)
    before = sources(nodes, port(pods(*numbers, on=0)))
    after = sources(nodes, port(pods(*{*numbers, new}, on=0)))
    moved = [edge for edge in before if before[edge] != after[edge]]

    if groups(len(numbers)) == groups(len(after)):
        assert not moved
    else:
        assert len(moved) < len(before)


@settings(max_examples=20)
@given(st.integers(22, 40), st.sets(st.integers(0, 5000), min_size=1, max_size=40))
def test_a_daemon_that_leaves_moves_its_own_share_only(count: int, numbers: set[int]) -> None:
    nodes = daemons(count)
    held = port(pods(*numbers, on=0))
    before, after = sources(nodes, held), sources(nodes[:-1], held)

    for edge in before:
        left = before[edge] - after[edge]
        assert left <= {nodes[-1]}
        assert len(after[edge] - before[edge]) == len(left)


@given(st.lists(st.sets(st.sampled_from(daemons(30)), min_size=21), min_size=1, max_size=5))
def test_who_met_the_others_one_after_the_other_dials_what_a_newcomer_would(
    met: list[set[str]],
) -> None:
    held = port(pods(*range(2000, 2050)))
    own = Sharing(Config("node-0"))
    for nodes in met:
        own.meet(nodes, [held])
        own.mine(held)

    assert own.mine(held) == sharing("node-0", met[-1]).mine(port(pods(*range(2000, 2050))))
