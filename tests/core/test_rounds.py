"""The rounds by themselves: lanes, and what changes while a track waits in one."""

from collections import Counter

from probe.core.edges import Kind
from probe.core.ledger import Track
from probe.core.rounds import RETRY_RATE, Config, Rounds
from probe.core.schedule import SLOT
from tests.core.facts import NODE, edge, slice_of, standing

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
