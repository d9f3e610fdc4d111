"""The rounds by themselves: lanes, and what changes while a track waits in one."""

from collections import Counter

from probe.core.edges import Kind
from probe.core.ledger import Track
from probe.core.rounds import RETRY_RATE, Config, Rounds
from probe.core.schedule import SLOT
from tests.core.facts import NODE, Story, edge, service, slice_of, standing

NOW = 1000.0


def waiting(count: int) -> tuple[Rounds, list[Track]]:
    """So many ClusterIPs whose time has come, for which there was no room yet."""
    rounds = Rounds(Config(NODE), NOW)
    tracks = [Track(edge(f"10.96.0.{i}", kind=Kind.SERVICE), None, NOW) for i in range(count)]
    for track in tracks:
        rounds.put(track, NOW + SLOT / 2)
    assert rounds.take(NOW, 0, lambda track: False) == []
    assert rounds.waiting == count
    return rounds, tracks


def test_2_those_that_lose_their_endpoints_while_they_wait_are_sampled_from_then_on() -> None:
    rounds, tracks = waiting(50)
    empty = set(map(id, tracks[:40]))

    def taken(now: float) -> list[Track]:
        return rounds.take(now, 1000, lambda track: id(track) in empty)

    assert taken(NOW + SLOT) == tracks[40:]
    assert rounds.waiting == 0
    assert [taken(NOW + 1.5 + second) for second in range(3)] == [[t] for t in tracks[:3]]


def test_2_one_that_gets_endpoints_while_it_waits_to_be_sampled_is_dialed_soon() -> None:
    """Also one whose time is not quite there, since the wheel's slots are not exact."""
    rounds = Rounds(Config(NODE), NOW - 100)
    tracks = [Track(edge(f"10.96.0.{i}", kind=Kind.SERVICE), None, NOW) for i in range(100)]
    for number, track in enumerate(tracks):
        rounds.put(track, NOW + number * SLOT / 100)
    (sampled,) = rounds.take(NOW + SLOT / 10, 1000, lambda track: True)

    for track in tracks:
        rounds.soon(track, NOW + SLOT / 10, 0.0)
    found = rounds.take(NOW + 1.5, 1000, lambda track: False)
    assert set(map(id, found)) == set(map(id, tracks)) - {id(sampled)}


def test_what_goes_while_it_waits_is_not_dialed() -> None:
    rounds, tracks = waiting(2)
    tracks[0].gone = True

    assert rounds.take(NOW + SLOT, 1000, lambda track: False) == tracks[1:]


def test_34_so_many_are_made_again_soon_and_no_more() -> None:
    rounds = Rounds(Config(NODE), NOW)
    granted = sum(rounds.may_retry(NOW + i / 10_000) for i in range(10_000))

    assert RETRY_RATE <= granted <= 2 * RETRY_RATE


def test_after_the_first_round_the_edges_are_all_over_the_interval() -> None:
    """The first one takes a quarter of it: without more ado that would stay a burst for ever."""
    pods = [f"10.0.{i // 250}.{1 + i % 250}" for i in range(1000)]
    story = standing(slice_of(*pods))
    began = story.now
    story.run(42)
    seconds = Counter(int(dial.at - began) for dial in story.dials)

    assert sum(seconds[i] for i in range(3)) >= 1000
    assert all(60 <= seconds[i] <= 140 for i in range(12, 42))


def test_the_services_in_front_of_one_pod_do_not_dial_it_all_at_once() -> None:
    names = [f"s{i}" for i in range(30)]
    story = Story().listed(
        [service(name=name, ips=(f"10.96.1.{i}",)) for i, name in enumerate(names)],
        [slice_of("10.0.0.1", service=name) for name in names],
    )
    story.run(60)
    ticks = Counter(d.at for d in story.dials if d.edge.address == "10.0.0.1")

    assert sum(ticks.values()) >= 150
    assert max(ticks.values()) <= 4


def test_a_dial_that_is_due_keeps_its_place_however_often_it_is_asked_for() -> None:
    """In a rollout events come faster than a short budget lets dials through."""
    rounds, tracks = waiting(3)
    for i in range(1, 20):
        rounds.soon(tracks[0], NOW + i / 10, 0.05)

    assert rounds.take(NOW + 2, 1, lambda track: False) == [tracks[0]]


def test_two_dials_of_an_edge_keep_their_distance_after_a_stall() -> None:
    rounds, (track,) = waiting(1)
    (track,) = rounds.take(NOW + 9, 1, lambda track: False)
    track.in_flight = False
    rounds.again(track, NOW + 9.1, 10.0, 8.0, unsure=False)

    assert track.due >= NOW + 9 + 8
