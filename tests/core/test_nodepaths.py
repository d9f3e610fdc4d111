from hypothesis import given
from hypothesis import strategies as st

from probe.core.health import Level
from probe.core.ledger import Track
from probe.core.nodepaths import WITNESSES, NodePaths
from probe.core.results import Outcome
from tests.core.facts import CONNECTED, NODE, REFUSED, TIMEOUT, UNREACHABLE, endpoint
from tests.core.ways import QUIET, begun, dead, meets, track


def test_a_node_is_dead_when_pods_of_two_services_are_silent_for_a_round() -> None:
    web, api = track("web", "10.0.0.1"), track("api", "10.0.0.2")
    paths = begun(web, api)
    meets(paths, web, CONNECTED, 90.0)
    meets(paths, web, TIMEOUT, 100.0)
    meets(paths, api, UNREACHABLE, 101.0)

    assert dead(paths, 90.0 + QUIET - 0.1) == set()
    assert set(paths.review(90.0 + QUIET)) == {("shop", "web"), ("shop", "api")}
    assert set(paths.dead) == {"b"}
    assert paths.services("b") == 2
    assert list(paths.review(120.0)) == []


def test_a_node_that_never_answered_is_dead_a_round_after_the_first_silence() -> None:
    web, api = track("web", "10.0.0.1"), track("api", "10.0.0.2")
    paths = begun(web, api)
    meets(paths, web, TIMEOUT, 100.0)
    meets(paths, api, TIMEOUT, 100.0)

    assert dead(paths, 99.9 + QUIET) == set()
    assert dead(paths, 100.0 + QUIET) == {"b"}


def test_silence_of_one_service_alone_or_of_one_address_accuses_no_node() -> None:
    pods = [track("web", "10.0.0.1"), track("web", "10.0.0.2")]
    ports = [track("web", "10.0.0.1"), track("api", "10.0.0.1", number=81)]
    for tracks in (pods, ports):
        paths = begun(*tracks)
        for held in tracks:
            meets(paths, held, TIMEOUT, 100.0)

        assert dead(paths, 200.0) == set()


def test_a_dead_node_stays_so_while_its_pods_are_removed_one_by_one() -> None:
    web, api = track("web", "10.0.0.1"), track("api", "10.0.0.2")
    paths = begun(web, api)
    meets(paths, web, TIMEOUT, 100.0)
    meets(paths, api, TIMEOUT, 100.0)
    assert dead(paths, 120.0) == {"b"}
    api.gone = True
    assert dead(paths, 121.0) == {"b"}
    meets(paths, web, CONNECTED, 122.0)

    assert dead(paths, 123.0) == set()


def test_two_services_that_lead_to_the_same_pods_accuse_no_node() -> None:
    tracks = [track(n, f"10.0.0.{i}") for i in (1, 2) for n in ("web", "web-headless")]
    nameless = [track(n, "10.0.0.1", pod="") for n in ("web", "api")]
    dual = [track("web", "10.0.0.1", pod="p"), track("web-6", "fd00::1", pod="p")]
    for held in (tracks, nameless, dual):
        paths = begun(*held)
        for each in held:
            meets(paths, each, TIMEOUT, 100.0)

        assert dead(paths, 200.0) == set()


def test_28_several_pods_at_the_address_of_their_node_accuse_it() -> None:
    tracks = [track(n, "10.0.0.1", pod=n, number=i) for i, n in enumerate(("etcd", "exporter"))]
    paths = begun(*tracks)
    for held in tracks:
        meets(paths, held, TIMEOUT, 100.0)

    assert dead(paths, 200.0) == {"b"}


def test_any_answer_clears_the_node_a_refusal_too() -> None:
    web, api, other = (track(n, f"10.0.0.{i}") for i, n in enumerate(("web", "api", "other")))
    paths = begun(web, api, other)
    meets(paths, web, TIMEOUT, 100.0)
    meets(paths, api, TIMEOUT, 100.0)
    meets(paths, other, TIMEOUT, 100.0)
    assert dead(paths, 120.0) == {"b"}

    meets(paths, other, REFUSED, 121.0)

    assert set(paths.review(122.0)) == {("shop", "web"), ("shop", "api")}
    assert not paths.dead
    for held in (web, api):
        meets(paths, held, CONNECTED, 125.0)
    assert paths.services("b") == 0


def test_a_witness_that_answered_last_time_keeps_its_node_alive() -> None:
    web, api, other = (track(n, f"10.0.0.{i}") for i, n in enumerate(("web", "api", "other")))
    paths = begun(web, api, other)
    meets(paths, other, CONNECTED, 90.0)
    meets(paths, web, TIMEOUT, 100.0)
    meets(paths, api, TIMEOUT, 100.0)

    assert dead(paths, 200.0) == set()
    other.gone = True
    assert dead(paths, 200.0) == {"b"}


def test_a_silent_edge_is_in_doubt_until_somebody_there_has_answered_or_the_node_is_dead() -> None:
    web, api = track("web", "10.0.0.1"), track("api", "10.0.0.2")
    paths = begun(web, api)
    meets(paths, api, CONNECTED, 99.0)
    assert not paths.in_doubt(web)
    meets(paths, web, TIMEOUT, 100.0)

    assert paths.in_doubt(web)
    assert paths.witnesses(web) == [api]
    meets(paths, api, CONNECTED, 100.0)
    assert not paths.in_doubt(web)
    meets(paths, api, TIMEOUT, 102.0)
    assert paths.in_doubt(api)
    assert dead(paths, 100.0 + QUIET) == {"b"}
    assert not paths.in_doubt(api)


def test_an_edge_dialed_before_its_node_came_back_is_in_doubt_until_it_is_dialed_again() -> None:
    web, api, db = (track(n, f"10.0.0.{i}") for i, n in enumerate(("web", "api", "db")))
    paths = begun(web, api, db)
    for held in (web, api, db):
        meets(paths, held, TIMEOUT, 100.0)
    assert dead(paths, 120.0) == {"b"}
    assert list(paths.outrun()) == []

    meets(paths, api, CONNECTED, 130.0)
    assert dead(paths, 131.0) == set()
    assert [paths.in_doubt(held) for held in (web, api, db)] == [True, False, True]
    assert list(paths.outrun()) == [web, db]
    web.sent = 132.0
    assert list(paths.outrun()) == [db], "the one that is being dialed is not asked twice"
    meets(paths, web, TIMEOUT, 132.0)
    meets(paths, db, CONNECTED, 132.0)

    assert not paths.in_doubt(web), "it is alone now"
    assert list(paths.outrun()) == []
    meets(paths, api, CONNECTED, 140.0)
    assert not paths.in_doubt(web), "and stays so, whoever answers there"


def test_one_more_dial_decides_where_others_on_the_node_answer_all_the_time() -> None:
    web, api = track("web", "10.0.0.1"), track("api", "10.0.0.2")
    paths = begun(web, api)
    for held in (web, api):
        meets(paths, held, TIMEOUT, 100.0)
    meets(paths, api, CONNECTED, 130.0)
    assert list(paths.outrun()) == [web]
    meets(paths, web, TIMEOUT, 129.0)
    assert paths.in_doubt(web), "this dial was under way before"
    assert list(paths.outrun()) == [web]
    meets(paths, api, CONNECTED, 133.0)
    meets(paths, web, TIMEOUT, 131.0)

    assert not paths.in_doubt(web)


def test_an_edge_that_fails_while_others_there_answer_is_not_waited_for() -> None:
    web, api = track("web", "10.0.0.1"), track("api", "10.0.0.2")
    paths = begun(web, api)
    for at in (100.0, 105.0, 110.0):
        meets(paths, web, TIMEOUT, at)
        meets(paths, api, CONNECTED, at + 1)
        assert paths.in_doubt(web) is (at == 100.0)


def test_what_was_heard_of_a_node_before_it_died_says_nothing_once_it_is_back() -> None:
    web, api = track("web", "10.0.0.1"), track("api", "10.0.0.2")
    paths = begun(web, api)
    for at in (100.0, 105.0):
        meets(paths, web, TIMEOUT, at)
        meets(paths, api, CONNECTED, 101.0)
    for at in (110.0, 120.0):
        meets(paths, web, TIMEOUT, at)
        meets(paths, api, TIMEOUT, at)
    assert dead(paths, 130.0) == {"b"}
    meets(paths, api, CONNECTED, 140.0)
    assert dead(paths, 141.0) == set()

    assert paths.in_doubt(web)


def test_a_single_lost_dial_accuses_no_node() -> None:
    tracks = [track(n, f"10.0.0.{i}") for i, n in enumerate(("web", "api"))]
    paths = begun(*tracks)
    for held in tracks:
        held.outcome, held.dialed_at, held.level = TIMEOUT, 100.0, Level.SUSPECT
        paths.met(held)

    assert dead(paths, 200.0) == set()


def test_in_a_single_run_nothing_is_asked_once_more() -> None:
    web, api = track("web", "10.0.0.1"), track("api", "10.0.0.2")
    paths = NodePaths(NODE, 0.0)
    meets(paths, web, TIMEOUT, 100.0)
    meets(paths, api, CONNECTED, 101.0)

    assert not paths.in_doubt(web)
    assert list(paths.outrun()) == []


def test_a_pod_that_takes_over_an_edge_begins_its_silence_anew() -> None:
    old, new, api = track("web", "10.0.0.1"), track("web", "10.0.0.1"), track("api", "10.0.0.2")
    paths = begun(old, api)
    meets(paths, old, TIMEOUT, 100.0)
    meets(paths, api, CONNECTED, 101.0)
    meets(paths, new, TIMEOUT, 110.0)

    assert paths.in_doubt(new)


def test_a_node_is_proven_by_its_first_answer_until_nothing_is_dialed_there() -> None:
    web, api = track("web", "10.0.0.1"), track("api", "10.0.0.2", node="c")
    paths = begun(web, api)
    meets(paths, web, REFUSED, 100.0)
    meets(paths, api, TIMEOUT, 100.0)
    assert paths.proven == {NODE, "", "b"}
    web.gone = True
    list(paths.review(101.0))

    assert paths.proven == {NODE, ""}


def test_without_another_service_on_the_node_nothing_is_in_doubt() -> None:
    web, twin = track("web", "10.0.0.1"), track("web", "10.0.0.2")
    paths = begun(web, twin)
    meets(paths, web, TIMEOUT, 100.0)

    assert paths.witnesses(web) == []
    assert not paths.in_doubt(web)


def test_our_own_node_and_endpoints_of_no_node_tell_nothing() -> None:
    tracks = [
        track(n, f"10.0.0.{i}", node=node)
        for i, (n, node) in enumerate([("web", NODE), ("api", NODE), ("old", ""), ("new", "")])
    ]
    paths = begun(*tracks)
    for held in tracks:
        meets(paths, held, TIMEOUT, 100.0)
        assert not paths.in_doubt(held)
        assert paths.witnesses(held) == []

    assert dead(paths, 200.0) == set()


def test_what_is_gone_is_forgotten() -> None:
    web, api = track("web", "10.0.0.1"), track("api", "10.0.0.2")
    paths = begun(web, api)
    meets(paths, web, TIMEOUT, 100.0)
    meets(paths, api, TIMEOUT, 100.0)
    assert dead(paths, 120.0) == {"b"}
    web.gone = api.gone = True

    assert dead(paths, 121.0) == set()
    assert paths.services("b") == 0


def test_when_no_other_node_answers_it_is_ours_that_is_cut_off() -> None:
    tracks = [
        track(f"{n}-{node}", f"10.0.{i}.{j}", node=node)
        for i, node in enumerate(("b", "c"))
        for j, n in enumerate(("web", "api"))
    ]
    paths = begun(*tracks)
    for held in tracks[:2]:
        meets(paths, held, TIMEOUT, 100.0)
    assert dead(paths, 120.0) == {"b"}
    assert not paths.cut_off
    for held in tracks[2:]:
        meets(paths, held, TIMEOUT, 110.0)

    assert dead(paths, 130.0) == {"b", "c"}
    assert paths.cut_off
    meets(paths, tracks[3], CONNECTED, 140.0)
    assert dead(paths, 141.0) == {"b"}
    assert not paths.cut_off


def test_what_was_silent_alone_is_asked_once_more_when_another_node_comes_back() -> None:
    web, api, far = track("web", "10.0.0.1"), track("api", "10.0.0.2"), track("web", "10.0.1.1")
    far.endpoint = endpoint("10.0.1.1", node="far")
    paths = begun(web, api, far)
    assert not paths.unheard(far)
    for held in (web, api, far):
        meets(paths, held, TIMEOUT, 100.0)
    assert dead(paths, 120.0) == {"b"}
    assert paths.unheard(far)
    assert not paths.in_doubt(far)

    meets(paths, api, CONNECTED, 130.0)
    assert dead(paths, 131.0) == set()
    assert paths.in_doubt(far)
    assert far in list(paths.outrun())
    meets(paths, far, TIMEOUT, 132.0)
    assert not paths.in_doubt(far)
    meets(paths, far, REFUSED, 140.0)
    assert not paths.unheard(far)


def test_one_witness_a_service_and_not_more_than_a_few() -> None:
    tracks = [track(f"s{i}", f"10.0.0.{i}") for i in range(WITNESSES + 3)]
    paths = begun(*tracks, track("s1", "10.0.9.9"))

    assert len(paths.witnesses(tracks[0])) == WITNESSES - 1
    tracks[1].gone = True
    paths.begun(fresh := track("fresh", "10.0.8.8"))
    assert fresh in paths.witnesses(tracks[0])


def test_where_all_witnesses_went_one_that_was_too_many_takes_their_place() -> None:
    tracks = [track(f"s{i}", f"10.0.0.{i}") for i in range(WITNESSES + 2)]
    paths = begun(*tracks)
    for held in tracks[:WITNESSES]:
        held.gone = True
    list(paths.review(100.0))
    *_, first, second = tracks
    meets(paths, first, CONNECTED, 101.0)

    assert paths.witnesses(second) == [first]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("bcd"), st.integers(0, 3), st.sampled_from([CONNECTED, TIMEOUT, None])
        )
    )
)
def test_of_nodes_that_went_nothing_is_kept(steps: list[tuple[str, int, Outcome | None]]) -> None:
    """Where spot instances come and go all day, their names never end."""
    paths, tracks = begun(), dict[tuple[str, int], Track]()
    for now, (node, i, outcome) in enumerate(steps, start=100):
        held = tracks.get((node, i))
        if held is None:
            held = tracks[node, i] = track(f"s{i}", f"10.0.{i}.{ord(node)}", node=node)
            paths.begun(held)
        if outcome is None:
            tracks.pop((node, i)).gone = True
        else:
            meets(paths, held, outcome, float(now))
        list(paths.review(now + 0.5))
        left = {node for node, _ in tracks}
        assert paths.proven <= left | {NODE, ""}
        assert paths._ways.keys() <= left
        edges = {t.edge for (node, _), t in tracks.items()}
        assert {
            e for ways in paths._ways.values() for w in ways.values() for e in w.silent
        } <= edges


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([CONNECTED, REFUSED, TIMEOUT, UNREACHABLE])),
        max_size=40,
    )
)
def test_a_node_is_never_dead_within_a_round_of_an_answer(dials: list[tuple[int, Outcome]]) -> None:
    tracks = [track(f"s{i}", f"10.0.0.{i}", node="bc"[i % 2]) for i in range(6)]
    paths = begun(*tracks)
    answered = {"b": 0.0, "c": 0.0}
    for now, (which, outcome) in enumerate(dials, start=100):
        meets(paths, tracks[which], outcome, float(now))
        if outcome in (CONNECTED, REFUSED):
            answered["bc"[which % 2]] = float(now)
        for node in dead(paths, now + 0.5):
            assert now + 0.5 - answered[node] >= QUIET
