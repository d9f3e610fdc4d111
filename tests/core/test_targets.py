from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.core.targets import (
    InvalidTarget,
    Target,
    address_fault,
    fault,
    numeric,
    parse,
    port_fault,
)

LOOPBACK = ip_network("127.0.0.0/8")


def part(value: int, style: str) -> str:
    return {"decimal": str(value), "octal": f"0{value:o}", "hex": f"0x{value:X}"}[style]


@st.composite
def notations(draw: st.DrawFn, address: IPv4Address) -> str:
    """Any way in which inet_aton lets this address be written."""
    octets = list(address.packed)
    dots = draw(st.integers(0, 3))
    values = [*octets[:dots], int.from_bytes(bytes(octets[dots:]), "big")]
    return ".".join(part(v, draw(st.sampled_from(["decimal", "octal", "hex"]))) for v in values)


@given(st.data())
def test_every_notation_of_zero_is_refused_for_everyone(data: st.DataObject) -> None:
    text = data.draw(notations(IPv4Address(0)))

    assert IPv4Address(0) == numeric(text)
    assert address_fault(text, person=True) is not None
    assert fault(text, 80, [ip_network("0.0.0.0/0")]) is not None


@given(st.integers(0, 2**24 - 1), st.data())
def test_every_notation_of_loopback_is_refused_for_the_daemon(
    host: int, data: st.DataObject
) -> None:
    text = data.draw(notations(IPv4Address(0x7F000000 + host)))

    assert fault(text, 80) is not None
    assert fault(text, 80, [LOOPBACK]) is None
    assert address_fault(text, person=True) is None


@given(st.text())
def test_arbitrary_text_is_a_target_or_an_invalid_one(text: str) -> None:
    try:
        target = parse(text)
    except InvalidTarget:
        return
    assert target == parse(str(target))


@given(st.from_regex(r"[0-9a-fx.:\[\]]{0,20}:[0-9]{0,6}", fullmatch=True))
def test_text_that_looks_like_an_address_is_a_target_or_an_invalid_one(text: str) -> None:
    try:
        target = parse(text)
    except InvalidTarget:
        return
    assert target == parse(str(target))


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(1, 65535))
def test_an_address_survives_being_written_and_read(
    address: IPv4Address | IPv6Address, number: int
) -> None:
    if isinstance(address, IPv6Address) and address.scope_id:
        return
    target = Target(str(address), number)

    assert target == parse(str(target))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no host"),
        (":80", "has no host"),
        ("*:80", "has no host"),
        ("010.0.0.1:80", "010.0.0.1 is 8.0.0.1 in octal and 10.0.0.1 in decimal"),
        ("10.0.010:80", "10.0.010 is 10.0.0.8 in octal and 10.0.0.10 in decimal"),
        ("0x0a.0.0.010:80", "0x0a.0.0.010 is 10.0.0.8 in octal and 10.0.0.10 in decimal"),
        ("10.0.0.1", "has no port"),
        ("10.0.0.1:", "has no port"),
        ("10.0.0.1:http", "'http' is not a number"),
        ("10.0.0.1:٣", "is not a number"),
        ("10.0.0.1:0", "port 0 is no port"),
        ("10.0.0.1:65536", "out of range"),
        ("10.0.0.1:" + "9" * 5000, "out of range"),
        ("http://10.0.0.1:80", "without a scheme"),
        ("10.0.0.1:80/x", "without a scheme"),
        ("me@host:80", "without a scheme"),
        ("db://app:hunter2@db:80/?k=hunter2", r"^'db://...@db:80/\?...' is not an address"),
        ("app:hunter2@db:80", "^'...@db:80' is not an address"),
        ("10.0.0.1 :80", "without a scheme"),
        ("::1:80", "is ambiguous"),
        ("[::1:80", "write IPv6 as"),
        ("[::1]80", "write IPv6 as"),
        ("[10.0.0.1]:80", "write IPv6 as"),
        ("[::1]", "has no port"),
    ],
)
def test_a_target_that_cannot_be_read_says_what_is_missing(text: str, said: str) -> None:
    with pytest.raises(InvalidTarget, match=said.replace("[", r"\[")):
        parse(text)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("backend.demo-app:8080", Target("backend.demo-app", 8080)),
        ("0x7f.1:80", Target("127.0.0.1", 80)),
        ("[2001:DB8::1]:443", Target("2001:db8::1", 443)),
    ],
)
def test_a_target_is_normalised(text: str, target: Target) -> None:
    assert target == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("1.2.3.4.5", "256.1.1.1", "1.2.3.256", "4294967296", "08", "a.b"),
        pytest.param("1." + 5000 * "1", id="more digits than int() reads"),
    ],
)
def test_text_that_fits_no_notation_is_a_name(text: str) -> None:
    assert numeric(text) is None


@pytest.mark.parametrize(
    "address",
    [
        "0",
        "0.1.2.3",
        "::",
        "::ffff:0.0.0.0",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "169.254.1.1",
        "fe80::1",
        "::ffff:169.254.0.1",
        "not-an-address",
        "",
        "None",
    ],
)
def test_40_addresses_that_nobody_may_dial(address: str) -> None:
    assert address_fault(address, [ip_network("::/0"), ip_network("0.0.0.0/0")], person=True)


@pytest.mark.parametrize("address", ["::1", "::ffff:127.0.0.1", "127.1", "0177.0.0.1"])
def test_40_loopback_is_refused_unless_it_was_allowed(address: str) -> None:
    assert address_fault(address) is not None
    assert address_fault(address, [LOOPBACK, ip_network("::1/128")]) is None


def test_allowing_one_family_of_loopback_does_not_allow_the_other() -> None:
    assert address_fault("::1", [LOOPBACK]) is not None


@pytest.mark.parametrize(
    ("number", "good"), [(-1, False), (0, False), (1, True), (65535, True), (65536, False)]
)
def test_a_port_is_from_1_to_65535(number: int, good: bool) -> None:
    assert good == (port_fault(number) is None)


def test_an_ordinary_address_may_be_dialed() -> None:
    assert fault("10.0.0.1", 80) is None
    assert fault("2001:db8::1", 80) is None
    assert fault("10.0.0.1", 0) == "port 0 is no port: TCP cannot dial it"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("00:80", "0.0.0.0"),
        ("010:80", "0.0.0.8"),
        ("10.0.0.01:80", "10.0.0.1"),
        ("0377.0.0.0:80", "255.0.0.0"),
        ("0x7f.1:80", "127.0.0.1"),
    ],
)
def test_leading_zeros_are_read_where_they_leave_no_doubt(text: str, host: str) -> None:
    """Or where nothing may be dialed anyway, which is told when it is judged; no part is 377."""
    assert parse(text) == Target(host, 80)
