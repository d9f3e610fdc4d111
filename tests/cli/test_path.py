"""The path as people think it: what is the same is said once, what fails comes first."""

from probe.cli.path import FEW, SHOWN, Mark, Row, called, mark, names, path
from tests.cli.documents import MISMATCH, NODES, edge, port, vip


def told(rows: list[Row]) -> list[tuple[str, str, str, str]]:
    return [(row.role, row.address, row.result, row.sources) for row in rows]


def test_a_mismatch_is_the_clusterip_the_endpoints_and_the_declared_port() -> None:
    rows = path(MISMATCH["ports"][0], 1)

    assert told(rows) == [
        ("ClusterIP", "10.96.1.2:8080", "refused", ""),
        ("endpoints", "10.244.1.5:8081", "refused", ""),
        ("", "10.244.2.7:8081", "refused", ""),
        ("declared", "10.244.1.5:8080", "connected", ""),
        ("", "10.244.2.7:8080", "connected", ""),
    ]
    assert [row.mark for row in rows] == [Mark.BAD, Mark.BAD, Mark.BAD, Mark.GOOD, Mark.GOOD]
    assert (rows[1].pod, rows[1].node, rows[3].note) == (
        "backend-v1-6946cbff4c-5xcdz",
        "node-1",
        "0.40 ms",
    )


def test_what_all_nodes_see_is_said_once() -> None:
    seen = [vip(**{"from": node}, connect_seconds=0.001 * n) for n, node in enumerate(NODES, 1)]

    (row,) = path(port(*seen), 3)

    assert (row.sources, row.note) == ("", "1.00-3.00 ms")


def test_nodes_that_see_another_thing_are_named_the_failing_ones_first() -> None:
    seen = [vip(**{"from": node}) for node in NODES[:2]]
    seen.append(vip("timeout", **{"from": NODES[2]}, syn_retransmits=3))

    bad, good = path(port(*seen), 3)

    assert told([bad, good]) == [
        ("ClusterIP", "10.96.1.2:8080", "timeout", "node-c"),
        ("", "", "connected", "node-a, node-b"),
    ]
    assert bad.note == "3 SYNs sent again"


def test_many_nodes_that_see_it_well_are_counted_and_those_that_do_not_are_named() -> None:
    nodes = [f"node-{n}.eu-west-1.compute.internal" for n in range(6)]
    seen = [vip(**{"from": node}) for node in nodes[2:]]
    seen += [vip("timeout", **{"from": nodes[0]}), vip("refused", **{"from": nodes[1]})]

    rows = path(port(*seen[:5]), 5, called(nodes))
    assert [row.sources for row in rows] == ["node-0", "the other 4"]
    rows = path(port(*seen), 6, called(nodes))
    assert [row.sources for row in rows] == ["node-0", "node-1", "4 others"]


def test_nodes_are_called_by_their_host_where_that_tells_them_apart() -> None:
    assert called(["a.x", "b.x"]) == {"a.x": "a", "b.x": "b"}
    assert called(["a.x", "a.y"]) == {"a.x": "a.x", "a.y": "a.y"}
    (row,) = path(port(edge(node="a.x")), 1, called(["a.x"]))
    assert row.node == "a"


def test_an_endpoint_that_few_nodes_dial_says_from_where_it_fails() -> None:
    rows = path(port(edge("10.0.0.1", "timeout"), edge("10.0.0.2")), 3)

    assert [row.sources for row in rows] == ["node-a", ""]


def test_of_many_endpoints_the_healthy_ones_are_counted() -> None:
    edges = [edge(f"10.244.1.{n}") for n in range(48)]
    bad = [edge("10.244.2.1", "timeout"), edge("10.244.2.2", "refused")]

    assert told(path(port(*edges), 1)) == [("endpoints", "48 of them", "connected", "")]
    assert told(path(port(*edges, *bad), 1)) == [
        ("endpoints", "10.244.2.1:8080", "timeout", ""),
        ("", "10.244.2.2:8080", "refused", ""),
        ("", "48 more", "connected", ""),
    ]


def test_few_endpoints_are_all_told_and_a_single_rest_by_its_name() -> None:
    few = [edge(f"10.244.1.{n}") for n in range(FEW)]
    many = [edge(f"10.244.2.{n}", "refused") for n in range(FEW)]

    assert len(path(port(*few), 1)) == FEW
    assert path(port(*many, few[0]), 1)[-1].address == "10.244.1.0:8080"


def test_of_very_many_failing_endpoints_the_first_are_told() -> None:
    edges = [edge(f"10.244.1.{n}", "refused") for n in range(40)]
    edges += [edge(f"10.244.2.{n}", "timeout") for n in range(10)]

    rows = path(port(*edges), 1)

    assert told(rows)[SHOWN:] == [
        ("", "32 more", "refused", ""),
        ("", "10 more", "timeout", ""),
    ]


def test_a_mark_is_the_state_or_what_little_is_known() -> None:
    assert mark(edge(result=None)) is Mark.NONE
    assert mark(edge(result="refused", state="failing")) is Mark.DOUBTFUL
    assert mark(edge(result="refused", state="unknown")) is Mark.DOUBTFUL
    assert mark(edge(state="unknown")) is Mark.GOOD
    assert mark(edge(result="refused", state="excluded")) is Mark.NONE
    (row,) = path(port(edge(result="refused", state="excluded")), 1)
    assert row.result == "refused, not counted"
    (row,) = path(port(edge(result=None)), 1)
    assert row.result == "not dialed"


def test_an_icmp_is_told_once_with_its_sender() -> None:
    icmp = {"type": 3, "code": 1, "offender": "10.244.1.1"}
    seen = [edge(result="unreachable", icmp=icmp, **{"from": node}) for node in NODES]

    (row,) = path(port(*seen), 3)

    assert row.note == "ICMP 3/1 from 10.244.1.1"


def test_of_many_nodes_some_are_named() -> None:
    assert names(["a", "b", "a"]) == "a, b"
    assert names("abcd") == "a, b, c, d"
    assert names("abcde") == "a, b, c and 2 more"
