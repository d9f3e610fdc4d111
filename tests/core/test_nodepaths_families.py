"""Nodes that are dead in one address family only."""

from probe.core.edges import Family
from probe.core.ledger import Track
from tests.core.facts import CONNECTED, TIMEOUT
from tests.core.ways import QUIET, begun, dead, meets, track

FOUR, SIX = Family.IPV4, Family.IPV6


def dual(*names: str, nodes: str = "b") -> list[Track]:
    """Pods of these Services on each of these nodes, each in both families: the IPv4 ones first."""
    prefixes = ("10.{}.0.{}", "fd00:{}::{}")
    return [
        track(name, prefix.format(ord(node), i), node=node, pod=f"{name}-{node}")
        for prefix in prefixes
        for node in nodes
        for i, name in enumerate(names)
    ]


def test_22_a_node_may_be_dead_in_one_family_and_only_that_one_answers_for_it() -> None:
    web4, api4, web6, api6 = tracks = dual("web", "api")
    paths = begun(*tracks)
    for held in tracks:
        meets(paths, held, CONNECTED, 90.0)
    for held in (web6, api6):
        meets(paths, held, TIMEOUT, 100.0)
        meets(paths, web4, CONNECTED, 101.0)
        assert paths.in_doubt(held)
    assert [paths.witnesses(held) for held in (web4, web6)] == [[api4], [api6]]
    assert dead(paths, 90.0 + QUIET) == {"b"}
    assert paths.dead == {"b": {SIX}}
    assert not paths.whole
    assert paths.services("b") == 2
    assert not paths.in_doubt(web6)

    meets(paths, api4, CONNECTED, 110.0)
    assert dead(paths, 111.0) == {"b"}
    meets(paths, api6, CONNECTED, 112.0)
    assert dead(paths, 113.0) == set()
    assert paths.in_doubt(web6)
    assert list(paths.outrun()) == [web6]


def test_22_a_node_without_silence_enough_in_a_family_is_dead_by_both_together() -> None:
    web4, api4, web6, _ = dual("web", "api")
    paths = begun(web4, api4, web6)
    for held in (web4, api4, web6):
        meets(paths, held, CONNECTED, 90.0)
        meets(paths, held, TIMEOUT, 100.0)
    assert dead(paths, 110.0) == {"b"}
    assert paths.whole == {"b"}
    assert paths.dead == {"b": {FOUR, SIX}}

    meets(paths, web4, CONNECTED, 120.0)
    dead(paths, 121.0)
    assert paths.dead == {"b": {SIX}}, "nothing has answered there since"
    assert list(paths.outrun()) == [api4]
    meets(paths, web6, CONNECTED, 130.0)
    assert dead(paths, 131.0) == set()


def test_22_one_silent_pod_of_a_family_is_asked_once_more_when_the_other_one_answers() -> None:
    web4, api4, web6, _ = dual("web", "api")
    paths = begun(web4, api4, web6)
    meets(paths, web6, TIMEOUT, 100.0)
    assert paths.in_doubt(web6)
    assert paths.witnesses(web6) == [api4]
    meets(paths, api4, CONNECTED, 101.0)

    assert list(paths.outrun()) == [web6]
    meets(paths, web6, TIMEOUT, 102.0)
    assert not paths.in_doubt(web6)
    assert dead(paths, 200.0) == set()


def test_22_where_no_other_node_answers_in_a_family_our_own_is_cut_off_in_it() -> None:
    tracks = dual("web", "api", nodes="bc")
    paths = begun(*tracks)
    for held in tracks:
        meets(paths, held, CONNECTED, 90.0)
    for held in tracks[4:6]:
        meets(paths, held, TIMEOUT, 100.0)
    assert dead(paths, 110.0) == {"b"}
    assert not paths.cut_off
    for held in tracks[6:]:
        meets(paths, held, TIMEOUT, 110.0)
    assert dead(paths, 120.0) == {"b", "c"}
    assert paths.cut_off == {SIX}

    third = dual("web", nodes="d")
    for held in third:
        paths.begun(held)
    dead(paths, 121.0)
    assert not paths.cut_off
    third[1].gone = True
    dead(paths, 122.0)
    assert paths.cut_off == {SIX}
    for held in (*tracks[:4], third[0]):
        meets(paths, held, TIMEOUT, 122.0)
    dead(paths, 150.0)
    assert paths.whole == {"b", "c"}
    assert not paths.cut_off, "one Service accuses no node"
