from ipaddress import ip_network

import pytest

from probe.core import kube, wire
from probe.core.edges import (
    EndpointSlice,
    Implied,
    Kind,
    PortKey,
    Scope,
    Service,
    Skip,
    SlicePort,
    implied,
)
from tests.core.facts import VIP, edge, endpoint, leaving, port, service, slice_of

ANY = Scope()
VIP6 = "fd00::10"


def addresses(found: Implied) -> list[tuple[str, int]]:
    return [(e.address, e.dial_port) for p in found.ports for e in p.edges]


def skips(*slices: EndpointSlice, scope: Scope = ANY, of: Service | None = None) -> list[Skip]:
    return list(implied(of or service(), slices, scope).skipped)


def test_a_service_implies_its_cluster_ip_and_its_endpoints() -> None:
    found = implied(service(port(80, 8080)), [slice_of("10.0.0.1", "10.0.0.2")], ANY).ports[0]
    key = PortKey("demo-app", "backend-v1", 80)

    assert (edge(VIP, 80, kind=Kind.SERVICE, key=key),) == found.cluster_ips
    assert [edge("10.0.0.1", key=key), edge("10.0.0.2", key=key)] == [*found.edges]


def test_of_an_ipv6_edge_people_see_the_address_in_brackets() -> None:
    four, six = edge("10.0.0.1"), edge("fd00::1")

    assert (four.place, six.place) == ("10.0.0.1:8080", "[fd00::1]:8080")


def test_a_service_that_is_not_there_implies_nothing() -> None:
    assert Implied((), ()) == implied(None, [slice_of("10.0.0.1")], ANY)


def test_15_endpoints_of_several_slices_are_united_by_address_and_port() -> None:
    slices = [slice_of("10.0.0.1", name="a"), slice_of("10.0.0.1", "10.0.0.2", name="b")]

    assert addresses(implied(service(), slices, ANY)) == [("10.0.0.1", 8080), ("10.0.0.2", 8080)]


def test_15_of_two_copies_the_one_that_takes_traffic_counts() -> None:
    slices = [slice_of(leaving("10.0.0.1"), name="a"), slice_of("10.0.0.1", name="b")]
    kept, *_ = implied(service(), slices, ANY).ports[0].endpoints

    assert kept.ready


def test_35_where_an_address_was_given_on_before_its_pod_was_gone_the_new_pod_counts() -> None:
    """As in kube-proxy's cache of slices, though the old one still serves."""
    old, new = leaving("10.0.0.1"), endpoint("10.0.0.1", ready=False, pod="new")
    slices = [slice_of(old, name="a"), slice_of(new, name="b")]
    kept, *_ = implied(service(), slices, ANY).ports[0].endpoints

    assert kept == new


def test_15_a_slice_without_port_numbers_or_with_names_is_skipped_and_counted() -> None:
    no_ports = EndpointSlice("demo-app", "x", "backend-v1", "IPv4", (), (endpoint("10.0.0.1"),))

    assert skips(slice_of("10.0.0.1", number=None)) == [Skip.NO_PORT]
    assert skips(slice_of("db.example.com", address_type="FQDN")) == [Skip.FQDN]
    assert addresses(implied(service(), [no_ports], ANY)) == []


def test_16_a_headless_service_has_endpoints_only() -> None:
    found = implied(service(ips=()), [slice_of("10.0.0.1")], ANY).ports[0]

    assert service(ips=()).headless
    assert found.cluster_ips == ()
    assert len(found.edges) == 1


def test_17_an_external_name_is_skipped() -> None:
    assert skips(of=service(kind="ExternalName", ips=())) == [Skip.EXTERNAL_NAME]


def test_17_endpoints_without_a_pod_are_dialed_only_where_the_administrator_said_so() -> None:
    manual = slice_of(endpoint("192.0.2.1", pod=""), endpoint("198.51.100.1", pod=""))
    listed = Scope(manual_targets=(ip_network("192.0.2.0/24"), ip_network("fd00::/8")))
    found = implied(service(), [manual], listed)

    assert skips(manual) == [Skip.MANUAL, Skip.MANUAL]
    assert found.skipped == (Skip.MANUAL,)
    assert {"198.51.100.1"} == {e.address for e in found.ports[0].barred}


def test_18_a_named_target_port_may_be_another_number_in_each_slice() -> None:
    slices = [
        slice_of("10.0.0.1", number=8080, name="a"),
        slice_of("10.0.0.2", number=9090, name="b"),
    ]
    found = implied(service(port(80, "web")), slices, ANY)

    assert addresses(found) == [("10.0.0.1", 8080), ("10.0.0.2", 9090)]


def test_18_a_port_is_found_by_name_and_protocol() -> None:
    both = EndpointSlice(
        "demo-app",
        "x",
        "backend-v1",
        "IPv4",
        (
            SlicePort("dns", 5353, "UDP"),
            SlicePort("dns", 5354, "TCP"),
            SlicePort("http", 80, "TCP"),
        ),
        (endpoint("10.0.0.1"),),
    )

    assert addresses(implied(service(port(53, name="dns")), [both], ANY)) == [("10.0.0.1", 5354)]


def test_21_udp_and_sctp_are_not_dialed_and_counted_even_beside_tcp_on_the_same_number() -> None:
    three = service(port(53), port(53, protocol="UDP"), port(99, protocol="SCTP"))
    found = implied(three, [], ANY)

    assert found.skipped == (Skip.UDP, Skip.SCTP)
    assert [p.key.port for p in found.ports] == [53]


def test_22_dual_stack_has_an_edge_for_each_family() -> None:
    slices = [slice_of("10.0.0.1"), slice_of("fd00::1", address_type="IPv6", name="six")]
    found = implied(service(ips=(VIP, VIP6)), slices, ANY).ports[0]

    assert {
        ("service", "ipv4"),
        ("service", "ipv6"),
        ("endpoint", "ipv4"),
        ("endpoint", "ipv6"),
    } == {(str(e.kind), str(e.family)) for e in (*found.cluster_ips, *found.edges)}


def test_40_invalid_addresses_are_named_once_and_never_become_edges() -> None:
    slices = [slice_of("0.0.0.0", "127.0.0.1"), slice_of("0.0.0.0", name="again")]
    found = implied(service(ips=("0.0.0.0",)), slices, ANY).ports[0]

    assert (found.cluster_ips, found.edges) == ((), ())
    assert [i.source for i in found.invalid] == ["service", "endpointslice", "endpointslice"]
    assert found.invalid[1].text.startswith("endpoint 0.0.0.0:8080: 0.0.0.0 is the unspecified")


def test_40_loopback_is_an_edge_where_it_is_allowed() -> None:
    allowed = Scope(allow_targets=(ip_network("127.0.0.0/8"),))

    assert addresses(implied(service(), [slice_of("127.0.0.1")], allowed)) == [("127.0.0.1", 8080)]


def test_ports_that_block_hosts_are_skipped_unless_asked_for() -> None:
    by_number, by_target = service(port(3306)), service(port(1, 3306))
    by_name = service(port(1, name="mysql"))

    assert [skips(of=s) for s in (by_number, by_target, by_name)] == [[Skip.BLOCKS_HOSTS]] * 3
    assert skips(of=by_number, scope=Scope(dial_blocking_ports=True)) == []


@pytest.mark.parametrize("name", ["multus-proxy", ""])
def test_a_service_that_kube_proxy_leaves_to_another_proxy_is_skipped(name: str) -> None:
    """What the other one makes of it is not known: Multus' leads to pods' second interfaces."""
    labels = {"service.kubernetes.io/service-proxy-name": name}
    meta = wire.Meta(name="backend-v1", namespace="demo-app", labels=labels)
    left = kube.service(wire.Service(meta, wire.ServiceSpec(ports=[wire.ServicePort(80)])))

    assert skips(slice_of("10.0.0.1"), of=left) == [Skip.OTHER_PROXY]


def test_a_service_that_opted_out_or_lies_outside_of_the_scope_is_skipped() -> None:
    assert skips(of=service(opted_out=True)) == [Skip.OPTED_OUT]
    assert skips(scope=Scope(namespaces=frozenset({"other"}))) == [Skip.NAMESPACE]
    assert skips(scope=Scope(denied_namespaces=frozenset({"demo-app"}))) == [Skip.NAMESPACE]
    assert skips(scope=Scope(namespaces=frozenset({"demo-app"}))) == []
