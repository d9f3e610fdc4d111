from ipaddress import ip_network

from probe.core.edges import EndpointSlice, SlicePort
from probe.core.ledger import ServiceRecord
from probe.core.peers import LOST_SECONDS, Membership, addresses
from tests.core.facts import endpoint, leaving, service, slice_of


def record(*slices: EndpointSlice) -> ServiceRecord:
    return ServiceRecord(slices={held.name: held for held in slices})


def test_the_other_nodes_daemons_are_found_by_the_shared_service() -> None:
    held = slice_of(
        endpoint("10.0.0.1", node="a"),
        endpoint("10.0.0.2", node="b"),
        endpoint("10.0.0.3", node="c", ready=False),
        endpoint("10.0.0.4", node=""),
        leaving("10.0.0.5"),
        number=9797,
    )

    assert addresses(record(held), "a") == {"b": ("10.0.0.2", 9797), "c": ("10.0.0.3", 9797)}


def test_without_the_service_there_is_nobody() -> None:
    assert addresses(None, "a") == {}


def test_of_two_families_the_first_one_is_used() -> None:
    six = slice_of(
        endpoint("fd00::2", node="b"), endpoint("fd00::3", node="c"), address_type="IPv6", name="6"
    )
    four = slice_of(endpoint("10.0.0.2", node="b"), name="4")

    assert addresses(record(six, four), "a") == {"b": ("10.0.0.2", 8080), "c": ("fd00::3", 8080)}


def test_the_port_named_http_counts_else_the_first_of_tcp() -> None:
    def ports(*known: SlicePort) -> dict[str, tuple[str, int]]:
        held = slice_of(endpoint("10.0.0.2", node="b"))
        made = EndpointSlice(
            held.namespace, held.name, held.service, held.address_type, known, held.endpoints
        )
        return addresses(record(made), "a")

    http, other = SlicePort("http", 9797, "TCP"), SlicePort("", 9000, "TCP")

    assert ports(other, http) == {"b": ("10.0.0.2", 9797)}
    assert ports(SlicePort("dns", 53, "UDP"), other) == {"b": ("10.0.0.2", 9000)}
    assert ports(SlicePort("http", None, "TCP")) == {}


def test_what_may_not_be_dialed_is_asked_only_where_that_is_admitted() -> None:
    held = record(slice_of(endpoint("127.0.0.1", node="b"), endpoint("0.0.0.0", node="c")))

    assert addresses(held, "a") == {}
    assert addresses(held, "a", (ip_network("127.0.0.0/8"),)) == {"b": ("127.0.0.1", 8080)}


OURS = service(name="edgeprobe", namespace="monitoring")


def member(*nodes: str) -> ServiceRecord:
    """The daemons' Service with an endpoint on each of these nodes."""
    held = slice_of(*(endpoint(f"10.0.0.{n}", node=node) for n, node in enumerate(nodes, 1)))
    return ServiceRecord(service=OURS, slices={held.name: held})


def test_a_daemon_without_the_shared_service_says_so_once() -> None:
    membership = Membership(("monitoring", "edgeprobe"), "a")

    assert membership.review(None, 0) is None
    assert membership.review(record(), LOST_SECONDS - 1) is None  # slices without their Service
    said = membership.review(None, LOST_SECONDS)
    assert said is not None
    assert said.startswith("no Service monitoring/edgeprobe is seen (PROBE_PEERS)")
    assert membership.review(None, 2 * LOST_SECONDS) is None


def test_a_daemon_that_the_shared_service_does_not_hold_says_so_once() -> None:
    membership = Membership(("monitoring", "edgeprobe"), "a")
    others = member("b", "c")

    assert membership.review(others, 0) is None
    said = membership.review(others, LOST_SECONDS)
    assert said is not None
    assert said.startswith("Service monitoring/edgeprobe (PROBE_PEERS) has no endpoint on node a")
    assert membership.review(others, LOST_SECONDS + 1) is None


def test_a_member_has_nothing_to_say_and_is_told_of_again_when_it_is_lost_again() -> None:
    membership = Membership(("monitoring", "edgeprobe"), "a")

    for now in (0, LOST_SECONDS):
        assert membership.review(member("a", "b"), now) is None
    found = [membership.review(None, LOST_SECONDS + second) for second in range(1, 62)]
    assert [each is None for each in found] == [True] * 60 + [False]
    assert membership.review(member("a"), 200) is None
    assert membership.review(None, 201) is None
    assert membership.review(None, 201 + LOST_SECONDS) == found[-1]
