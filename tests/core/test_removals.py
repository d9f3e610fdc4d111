"""Endpoints that come and go, as the Mirror's events tell of them."""

from math import inf

from probe.core import removals, rollouts
from probe.core.edges import Endpoint
from probe.core.ledger import ServiceRecord
from tests.core.facts import endpoint, leaving, workload


def by_address(*endpoints: Endpoint | str) -> dict[str, Endpoint]:
    held = [endpoint(e) if isinstance(e, str) else e for e in endpoints]
    return {e.address: e for e in held}


def removed(record: ServiceRecord) -> list[tuple[str, float]]:
    return [(r.address, r.at) for r in record.removals]


def test_what_the_first_list_holds_is_not_new() -> None:
    record = ServiceRecord()

    assert not removals.follow(record, {}, by_address("10.0.0.1"), -inf, 5.0)
    assert record.endpoint_since == {}


def test_an_endpoint_is_new_when_its_address_or_its_pod_is() -> None:
    record, first = ServiceRecord(), by_address("10.0.0.1", "10.0.0.2")
    other = by_address(endpoint("10.0.0.1", pod="other"), "10.0.0.2")

    assert removals.follow(record, by_address("10.0.0.1"), first, 5.0, 5.0)
    assert removals.follow(record, first, other, 7.0, 7.0)
    assert record.endpoint_since == {"10.0.0.1": 7.0, "10.0.0.2": 5.0}
    removals.follow(record, other, by_address("10.0.0.2"), 8.0, 8.0)
    assert set(record.endpoint_since) == {"10.0.0.2"}


def test_an_endpoint_is_removed_when_it_terminates_goes_or_is_replaced() -> None:
    record = ServiceRecord()
    old = by_address("10.0.0.1", "10.0.0.2", "10.0.0.3", endpoint("10.0.0.4", ready=False))
    new = by_address(leaving("10.0.0.1"), endpoint("10.0.0.3", pod="other"))

    assert removals.follow(record, old, new, 5.0, 5.0)
    assert removed(record) == [("10.0.0.1", 5.0), ("10.0.0.2", 5.0), ("10.0.0.3", 5.0)]
    removals.follow(record, new, by_address(endpoint("10.0.0.3", pod="other")), 6.0, 6.0)
    assert len(record.removals) == 3
    assert not removals.follow(record, new, new, 7.0, 7.0)


def test_what_a_first_list_lacks_is_removed_when_we_heard_of_it() -> None:
    record = ServiceRecord()
    removals.follow(record, by_address("10.0.0.1"), {}, -inf, 3.0)

    assert removed(record) == [("10.0.0.1", 3.0)]


def test_a_removal_is_of_the_rollout_whose_pod_goes() -> None:
    record = ServiceRecord()
    running = [rollouts.begin(workload(name=name), (), "", 1.0) for name in ("a", "b")]
    old = by_address(endpoint("10.0.0.1", pod="b-7d4b9c6f5d-x2x5k"))
    removals.follow(record, old, {}, 5.0, 5.0, running)

    assert record.removals[0].rollouts == (running[1],)


def test_a_removal_is_void_once_its_endpoint_takes_traffic_again() -> None:
    record = ServiceRecord()
    both, one = by_address("10.0.0.1", "10.0.0.2"), by_address("10.0.0.2")
    unready = by_address(endpoint("10.0.0.1", ready=False), "10.0.0.2")
    removals.follow(record, both, one, 5.0, 5.0)
    removals.follow(record, one, unready, 6.0, 6.0)
    assert removed(record) == [("10.0.0.1", 5.0)]
    removals.follow(record, unready, both, 7.0, 7.0)

    assert record.removals == []


def test_a_removal_is_closed_after_its_window_and_only_a_seen_lag_is_kept() -> None:
    record = ServiceRecord()
    removals.follow(record, by_address("10.0.0.1", "10.0.0.2"), {}, 5.0, 5.0)
    record.removals[0].last_failure = 15.0
    assert removals.close(record, 64.9) == []
    assert len(record.removals) == 2

    assert removals.close(record, 65.0) == [10.0]
    assert record.removals == []
