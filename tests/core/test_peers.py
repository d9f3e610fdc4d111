from ipaddress import ip_network

from probe.core.edges import EndpointSlice, SlicePort
from probe.core.ledger import ServiceRecord
from probe.core.peers import addresses
from tests.core.facts import endpoint, leaving, slice_of


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
