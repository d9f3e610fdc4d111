from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.schedule import (
    SLOT,
    Budget,
    Cadence,
    Lane,
    Wheel,
    fraction,
    leaders,
    rank,
    salt,
    spread,
)

times = st.floats(0, 100, allow_nan=False)


@given(st.lists(times), st.lists(times))
def test_a_wheel_gives_back_each_item_once_and_never_early_by_more_than_a_slot(
    dues: list[float], looks: list[float]
) -> None:
    wheel: Wheel[int] = Wheel(0.0)
    for item, due in enumerate(dues):
        wheel.put(item, due)
    taken = [(now, dues[item], item) for now in sorted(looks) for item in wheel.take(now)]
    rest = wheel.take(1e6)

    assert list(range(len(dues))) == sorted([item for _, _, item in taken] + rest)
    assert all(due - now < SLOT + 1e-9 for now, due, _ in taken)


@given(st.lists(st.tuples(times, times), max_size=30))
def test_an_item_put_into_the_past_comes_with_the_next_look(
    puts: list[tuple[float, float]],
) -> None:
    wheel: Wheel[int] = Wheel(0.0)
    found = []
    for item, (now, due) in enumerate(sorted(puts)):
        found += wheel.take(now)
        wheel.put(item, min(due, now))
    found += wheel.take(101.0)

    assert list(range(len(puts))) == sorted(found)


@given(
    st.floats(0.1, 1000),
    st.floats(1, 100),
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 500)), max_size=50),
)
def test_a_budget_never_grants_more_than_its_rate_and_one_burst(
    rate: float, burst: float, asks: list[tuple[float, int]]
) -> None:
    budget, now, granted = Budget(rate, burst), 0.0, 0
    for wait, wanted in asks:
        now += wait
        granted += budget.take(now, wanted)

    assert granted <= burst + rate * now + 1e-6


def test_a_budget_of_zero_is_no_limit_and_time_going_back_earns_nothing() -> None:
    tight = Budget(1.0, 1.0)

    assert Budget(0.0, 1.0).take(0.0, 10_000) == 10_000
    assert [tight.take(now, 5) for now in (10.0, 9.0, 10.0, 11.0)] == [1, 0, 0, 1]


def test_a_lane_serves_in_order_within_room_and_budget() -> None:
    lane: Lane[str] = Lane(Budget(1.0, 2.0))
    for due, item in enumerate("abcd"):
        lane.add(float(due), item)

    assert lane.lateness(5.0) == 5.0
    assert list(lane.take(5.0, 1)) == ["a"]
    assert list(lane.take(5.0, 9)) == ["b"]
    assert len(lane) == 2
    assert list(lane.take(7.0, 9)) == ["c", "d"]
    assert lane.lateness(9.0) == 0.0


def test_what_is_no_longer_valid_is_dropped_and_costs_nothing() -> None:
    lane: Lane[str] = Lane(Budget(1.0, 1.0))
    for item in "abc":
        lane.add(0.0, item)

    assert list(lane.take(0.0, 9, lambda due, item: item == "c")) == ["c"]
    assert len(lane) == 0


names = st.lists(st.text("abc123", min_size=1, max_size=6), min_size=1, max_size=12, unique=True)


@given(names, st.integers(1, 5), st.integers())
def test_rendezvous_picks_exactly_as_many_sources_as_asked(
    nodes: list[str], count: int, key: int
) -> None:
    chosen = [n for n in nodes if rank(n, nodes, key) < count]

    assert min(count, len(nodes)) == len(chosen)


@given(names, st.integers(1, 5), st.integers())
def test_a_leaving_node_moves_only_its_own_share(nodes: list[str], count: int, key: int) -> None:
    gone, *rest = nodes
    before = {n for n in rest if rank(n, nodes, key) < count}
    after = {n for n in rest if rank(n, rest, key) < count}

    assert before <= after
    assert len(after - before) <= (1 if rank(gone, nodes, key) < count else 0)


@given(names, names, st.integers())
def test_a_rank_adds_up_when_nodes_come_and_go(
    some: list[str], others: list[str], key: int
) -> None:
    joined, left = set(others) - set(some), set(some) - set(others)

    assert rank("me", others, key) == (
        rank("me", some, key) + rank("me", joined, key) - rank("me", left, key)
    )


def test_rendezvous_shares_fairly() -> None:
    nodes = [f"node-{i}" for i in range(30)]
    shares = Counter(n for key in range(2000) for n in nodes if rank(n, nodes, key) < 3)

    assert shares.total() == 2000 * 3
    assert 150 < min(shares.values()) <= max(shares.values()) < 250  # 200 expected, 3.6 sigma


def test_chance_is_a_hash_that_every_node_agrees_on() -> None:
    found = [fraction("edge", i) for i in range(1000)]

    assert found == [fraction("edge", i) for i in range(1000)]
    assert 0.45 < sum(found) / 1000 < 0.55
    assert all(0 <= f < 1 for f in found)


def test_jitter_is_a_tenth_and_differs_by_node_and_moment() -> None:
    found = [spread(10.0, i / 7, salt(node)) for i in range(500) for node in ("a", "b")]

    assert all(9.0 <= period <= 11.0 for period in found)
    assert len(set(found)) == 1000
    assert 9.9 < sum(found) / 1000 < 10.1


@pytest.mark.parametrize(
    ("interval", "daemons", "sources"),
    [(10.0, 1, 1), (10.0, 2, 2), (10.0, 20, 20), (10.0, 30, 20), (1.0, 30, 3), (60.0, 500, 120)],
)
def test_as_many_sources_as_the_cap_allows_and_never_fewer_than_three(
    interval: float, daemons: int, sources: int
) -> None:
    assert sources == Cadence(interval, daemons).sources


@given(st.floats(0.1, 600), st.integers(1, 2000), st.integers(1, 2), st.booleans())
def test_no_cadence_exceeds_the_caps_of_the_cluster(
    interval: float, daemons: int, addresses: int, close: bool
) -> None:
    cadence = Cadence(interval, daemons)
    service = daemons * addresses / cadence.service_period(addresses, close=close)
    sources = min(daemons, cadence.sources + 1)

    assert service <= (20.0 if close else 2.0) + 1e-9
    assert sources / cadence.endpoint_period <= 2.0 + 1e-9
    assert sources / cadence.close_endpoint_gap <= 20.0 + 1e-9
    assert sources / cadence.confirm_after(cadence.close_endpoint_gap) <= 20.0 + 1e-9


def test_a_failure_is_confirmed_after_a_second_or_an_interval_if_that_is_shorter() -> None:
    alone = Cadence(10.0, 1)

    assert alone.confirm_after(alone.service_gap(close=True)) == 1.0
    assert Cadence(0.2, 1).confirm_after(0.05) == 0.2
    assert Cadence(10.0, 30).confirm_after(Cadence(10.0, 30).service_gap(close=True)) == 1.5


@pytest.mark.parametrize(("daemons", "seconds"), [(1, 1.0), (30, 1.5), (100, 5.0), (1000, 5.0)])
def test_a_verdict_waits_for_a_confirming_dial_of_a_hundred_daemons_at_most(
    daemons: int, seconds: float
) -> None:
    assert Cadence(10.0, daemons).patience == seconds


@given(st.sets(st.text(max_size=4), max_size=12), st.integers(0, 5))
def test_leaders_are_the_first_by_rank(nodes: set[str], count: int) -> None:
    found = leaders(nodes, "Deployment/shop/web", count)

    assert [rank(node, nodes, "Deployment/shop/web") for node in found] == list(
        range(min(count, len(nodes)))
    )
