"""Who is judged when: in turn, a bounded share in each step, the large ones seldom."""

from probe.core.docket import EDGES, PORT, SPACING, Docket
from probe.core.edges import Edge, Family, Kind, PortEdges, PortKey
from probe.core.ledger import PortBook, ServiceRecord, Track
from tests.core.facts import port


def book(number: int, edges: int = 1) -> PortBook:
    key = PortKey("demo-app", "backend-v1", number)
    found = PortBook(PortEdges(key, port(number), (), (), (), frozenset(), ()))
    for i in range(edges):
        edge = Edge(key, Kind.ENDPOINT, Family.IPV4, f"10.0.{i // 250}.{i % 250}", 80)
        found.tracks[edge] = Track(edge, None, 0.0)
    return found


def docket(*books: PortBook, once: bool = False) -> Docket:
    found = Docket(once=once)
    for each in books:
        found.add(ServiceRecord(), each)
    return found


def taken(held: Docket, now: float) -> list[int]:
    found = []
    for _, each in held.take(now):
        each.judged_at = now
        found.append(each.implied.key.port)
    return found


def test_ports_are_taken_once_in_the_order_in_which_they_came() -> None:
    first, second = book(2), book(1)
    held = docket(first, second)
    held.add(ServiceRecord(), first)

    assert taken(held, 1.0) == [2, 1]
    assert taken(held, 2.0) == []


def test_a_step_looks_at_so_many_edges_and_the_rest_waits_its_turn() -> None:
    books = [book(i, EDGES // 2) for i in range(1, 6)]
    held = docket(*books)

    assert taken(held, 1.0) == [1, 2]
    held.add(ServiceRecord(), books[0])
    assert taken(held, 2.0) == [3, 4]
    assert taken(held, 3.0) == [5, 1]


def test_a_port_without_edges_takes_its_time_too() -> None:
    """In a cluster with 2,000 empty headless Services one step judged them all, in 0.2 s."""
    held = docket(*(book(i, 0) for i in range(1, 200)))

    assert len(taken(held, 1.0)) == EDGES // PORT


def test_one_larger_than_a_step_is_taken_all_the_same() -> None:
    assert taken(docket(book(1, 3 * EDGES), book(2)), 1.0) == [1]


def test_a_large_one_is_put_off_and_holds_nobody_up() -> None:
    large, small = book(1, 1000), book(2)
    held = docket(large)
    assert taken(held, 1.0) == [1]
    held.add(ServiceRecord(), large)
    held.add(ServiceRecord(), small)

    assert taken(held, 1.0 + 999 * SPACING) == [2]
    assert taken(held, 1.0 + 1001 * SPACING) == [1]


def test_the_restless_come_by_themselves_and_those_gone_do_not() -> None:
    restless, calm, gone = book(1), book(2), book(3)
    held = docket(restless, calm, gone)
    held.drop(gone)
    assert taken(held, 1.0) == [1, 2]
    held.rest(ServiceRecord(), restless, restless=True)
    held.rest(ServiceRecord(), gone, restless=True)
    held.rest(ServiceRecord(), calm, restless=False)
    held.drop(gone)
    held.stir()

    assert taken(held, 2.0) == [1]
    held.rest(ServiceRecord(), restless, restless=False)
    held.stir()
    assert taken(held, 3.0) == []


def test_a_single_run_puts_nothing_off() -> None:
    large = book(1, 10 * EDGES)
    held = docket(large, book(2), once=True)
    assert taken(held, 1.0) == [1, 2]
    held.add(ServiceRecord(), large)

    assert taken(held, 1.0) == [1]


def test_the_restless_do_not_starve_those_who_wait() -> None:
    """More of them than a second's steps can look at: each comes in its turn all the same."""
    books = [book(i, EDGES) for i in range(1, 101)]
    held = docket(*books)
    seen: list[int] = []
    for step in range(200):
        if step % 50 == 0:
            held.stir()
        for _, each in held.take(float(step)):
            each.judged_at = float(step)
            held.rest(ServiceRecord(), each, restless=True)
            seen.append(each.implied.key.port)

    assert set(seen) == set(range(1, 101))
