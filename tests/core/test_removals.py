"""Endpoints that come and go, as the Mirror's events tell of them."""

from math import inf

import pytest

from probe.core import kube, removals, rollouts
from probe.core.edges import Endpoint
from probe.core.ledger import ServiceRecord
from probe.core.mirror import Mirror
from tests.core.facts import endpoint, leaving, slice_of, workload


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


def test_an_endpoint_that_is_back_at_once_has_only_moved_and_is_no_new_one() -> None:
    record = ServiceRecord()
    held, none = by_address("10.0.0.1", "10.0.0.2"), by_address()
    record.endpoint_since["10.0.0.1"] = 3.0
    removals.follow(record, held, none, 8.0, 8.0)
    removals.follow(record, none, held, 10.0, 10.0)

    assert record.endpoint_since == {"10.0.0.1": 3.0, "10.0.0.2": -inf}
    assert record.removals == []


@pytest.mark.parametrize(
    ("back", "later"),
    [
        (endpoint("10.0.0.1"), 10.1),
        (endpoint("10.0.0.1", pod="other"), 8.1),
        (endpoint("10.0.0.1", ready=False), 8.1),
    ],
    ids=["late", "another pod", "not ready"],
)
def test_an_endpoint_that_may_have_been_made_anew_is_a_new_one(
    back: Endpoint, later: float
) -> None:
    record, held = ServiceRecord(), by_address("10.0.0.1")
    removals.follow(record, held, {}, 8.0, 8.0)
    removals.follow(record, {}, by_address(back), later, later)

    assert record.endpoint_since == {"10.0.0.1": later}


def test_a_list_of_the_same_endpoints_in_other_slices_is_no_news() -> None:
    held = Mirror(30.0)
    held.apply(kube.Listed("endpointslices", (slice_of("10.0.0.1", name="old"),)), 1.0)
    found = held.apply(kube.Listed("endpointslices", (slice_of("10.0.0.1", name="new"),)), 9.0)

    record = held.services["demo-app", "backend-v1"]
    assert found == []
    assert (list(record.slices), record.removals, record.endpoint_since) == (["new"], [], {})


def test_a_slice_is_replaced_and_only_what_is_at_its_addresses_is_compared() -> None:
    record = ServiceRecord()
    one, other = slice_of("10.0.0.1", "10.0.0.2", name="one"), slice_of("10.0.0.3", name="other")
    assert removals.replace_slice(record, "one", one) == ({}, by_address("10.0.0.1", "10.0.0.2"))
    removals.replace_slice(record, "other", other)

    shorter = slice_of("10.0.0.2", name="one")
    before, after = removals.replace_slice(record, "one", shorter)
    assert (set(before), set(after)) == ({"10.0.0.1", "10.0.0.2"}, {"10.0.0.2"})
    assert removals.replace_slice(record, "other", None) == (by_address("10.0.0.3"), {})
    assert record.slices == {"one": shorter}


def test_a_removal_is_closed_after_its_window_and_only_a_seen_lag_is_kept() -> None:
    record = ServiceRecord()
    removals.follow(record, by_address("10.0.0.1", "10.0.0.2"), {}, 5.0, 5.0)
    record.removals[0].last_failure = 15.0
    assert removals.close(record, 64.9) == []
    assert len(record.removals) == 2

    assert removals.close(record, 65.0) == [10.0]
    assert record.removals == []


def test_a_removed_endpoint_is_gone_once_no_slice_holds_its_pod() -> None:
    """Until then it may answer those that a late proxy sends to it."""
    record, here = ServiceRecord(), by_address("10.0.0.1")
    ends, other = by_address(leaving("10.0.0.1")), by_address(endpoint("10.0.0.1", pod="other"))
    removals.follow(record, here, ends, 5.0, 5.0)
    (removal,) = record.removals
    assert removal.gone_at == inf

    removals.follow(record, ends, {}, 17.0, 17.0)
    assert removal.gone_at == 17.0
    removals.follow(record, {}, other, 20.0, 20.0)
    assert removal.gone_at == 17.0


@pytest.mark.parametrize("after", [(), (endpoint("10.0.0.1", pod="other"),)], ids=["none", "other"])
def test_one_that_goes_without_terminating_is_gone_at_once(after: tuple[Endpoint, ...]) -> None:
    record = ServiceRecord()
    removals.follow(record, by_address("10.0.0.1"), by_address(*after), 5.0, 5.0)

    assert [removal.gone_at for removal in record.removals] == [5.0]
