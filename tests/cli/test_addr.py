"""`probe check addr`: what a person may dial, and what nobody may."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from typer.testing import CliRunner, Result

from probe.cli.commands import app
from tests.desk import full
from tests.ports import reserved

UNSPECIFIED = "is the unspecified address and would dial the caller itself"
MULTICAST = "is a multicast or broadcast address and has no TCP"
LINK_LOCAL = "is link-local and means another host on every node"

INVALID = {
    "0:80": UNSPECIFIED,
    "00:80": UNSPECIFIED,
    "010:80": UNSPECIFIED,
    "010.0.0.1:80": "010.0.0.1 is 8.0.0.1 in octal and 10.0.0.1 in decimal: write the one meant",
    "0x0:80": UNSPECIFIED,
    "0.0:80": UNSPECIFIED,
    "0.0.0.0:80": UNSPECIFIED,
    "[::]:80": UNSPECIFIED,
    "[::ffff:0.0.0.0]:80": UNSPECIFIED,
    ":80": "has no host",
    "*:80": "has no host: it means every address of the dialer itself",
    "": "has no host",
    "10.0.0.1": "has no port",
    "10.0.0.1:": "has no port",
    "10.0.0.1:0": "port 0 is no port",
    "10.0.0.1:65536": "out of range 1-65535",
    "10.0.0.1:99999999999999999999999": "out of range 1-65535",
    "224.0.0.1:80": MULTICAST,
    "[ff02::1]:80": MULTICAST,
    "255.255.255.255:80": MULTICAST,
    "169.254.1.1:80": LINK_LOCAL,
    "[fe80::1]:80": LINK_LOCAL,
    "[fe80::1%lo]:80": LINK_LOCAL,
    "10.0.0.1:http": "port 'http' is not a number",
    "10.0.0.1:-5": "port '-5' is not a number",
    "::1:80": "write IPv6 as [ADDRESS]:PORT",
    "[::1:80": "write IPv6 as [ADDRESS]:PORT",
    "10.0.0.1:80:90": "ambiguous",
    "http://10.0.0.1:80": "without a scheme",
    "10.0.0.1 :80": "is not an address",
    f"{'a' * 300}:80": "does not resolve",
    "256.1.1.1:80": "does not resolve",
}


def addr(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", "addr", "--timeout", "0.5", *arguments])


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A listener that notices everybody who comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        yield server


@pytest.fixture
def silent() -> Iterator[str]:
    """A port whose backlog is full: the kernel drops further SYNs."""
    with ExitStack() as stack:
        yield f"127.0.0.1:{full(stack)}"


def at(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refusing() -> Iterator[str]:
    with reserved() as port:
        yield f"127.0.0.1:{port}"


def came(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("text", INVALID)
def test_an_invalid_target_ends_with_its_reason_and_nobody_is_dialed(
    text: str, listening: socket.socket
) -> None:
    found = addr("--", at(listening), text, at(listening))

    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith(f"probe: {text!r}")
    assert INVALID[text] in found.stderr
    assert len(found.stderr.splitlines()) == 1
    assert not came(listening)


def test_every_invalid_target_is_named_not_only_the_first() -> None:
    found = addr("0:80", "127.0.0.1:1", "1.2.3.4")

    assert [line.split()[1] for line in found.stderr.splitlines()] == ["'0:80':", "'1.2.3.4'"]


def test_invalid_targets_as_json_are_one_document_that_names_each() -> None:
    found = addr("-o", "json", "0:80", "10.0.0.1")

    assert found.exit_code == 2
    assert [
        (r["address"], r["port"], r["result"]) for r in json.loads(found.stdout)["results"]
    ] == [
        ("0", 80, "invalid_target"),
        ("10.0.0.1", None, "invalid_target"),
    ]


def test_a_password_in_an_argument_is_not_repeated() -> None:
    found = addr("-o", "json", "postgres://app:hunter2@0:5432/db", "app:hunter2@db:80")

    assert (found.exit_code, found.stdout.count('"invalid_target"')) == (2, 2)
    assert "hunter2" not in found.stdout + found.stderr


def test_valid_targets_beside_invalid_ones_are_in_the_document_but_not_dialed(
    listening: socket.socket,
) -> None:
    port = listening.getsockname()[1]

    found = addr("-o", "json", at(listening), "0:80", f"0x7f.1:{port}")

    first, wrong, last = json.loads(found.stdout)["results"]
    assert (found.exit_code, len(found.stderr.splitlines())) == (2, 1)
    assert (wrong["address"], wrong["result"]) == ("0", "invalid_target")
    assert UNSPECIFIED in wrong["detail"]
    assert (
        first
        == last
        == {
            "address": "127.0.0.1",
            "port": port,
            "result": None,
            "connect_seconds": None,
            "syn_retransmits": 0,
            "icmp": None,
            "detail": "not dialed: other arguments are invalid",
        }
    )
    assert not came(listening)


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("[::]:80", "::", 80),
        ("[ff02::1]:80", "ff02::1", 80),
        ("[fe80::1]", "fe80::1", None),
        ("[fe80::1]:http", "fe80::1", None),
        ("::1:80", "::1:80", None),
        ("10.0.0.1:65536", "10.0.0.1", 65536),
        ("10.0.0.1:", "10.0.0.1", None),
    ],
)
def test_an_invalid_target_s_address_and_port_stand_apart(
    text: str, address: str, port: int | None
) -> None:
    (found,) = json.loads(addr("-o", "json", text).stdout)["results"]

    assert (found["address"], found["port"]) == (address, port)
    assert found["result"] == "invalid_target"
    assert repr(text) in found["detail"]


def test_loopback_is_dialed_for_a_person(listening: socket.socket) -> None:
    found = addr(at(listening), "-o", "json")

    (result,) = json.loads(found.stdout)["results"]
    assert (found.exit_code, result["result"], result["port"]) == (
        0,
        "connected",
        listening.getsockname()[1],
    )
    assert 0 < result["connect_seconds"] < 0.5
    assert came(listening)


def test_a_number_is_the_address_that_inet_aton_makes_of_it(listening: socket.socket) -> None:
    port = listening.getsockname()[1]

    found = addr(f"0x7f.1:{port}", f"2130706433:{port}", "-o", "json")

    assert [r["address"] for r in json.loads(found.stdout)["results"]] == ["127.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize("timeout", ["2s", "0.5", "1m"])
def test_the_timeout_is_a_duration_or_a_number_of_seconds(
    timeout: str, listening: socket.socket
) -> None:
    assert addr(at(listening), "--timeout", timeout).exit_code == 0


@pytest.mark.parametrize(
    ("timeout", "said"),
    [
        ("0", "--timeout '0' is not in the range of 0.1 to 60 seconds"),
        ("2m", "--timeout '2m' is not in the range of 0.1 to 60 seconds"),
        ("-1", "--timeout '-1': write a duration such as 90s"),
        ("soon", "--timeout 'soon': write a duration such as 90s"),
    ],
)
def test_another_timeout_is_refused(timeout: str, said: str, listening: socket.socket) -> None:
    found = addr(at(listening), "--timeout", timeout)

    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith(f"probe: {said}")
    assert not came(listening)


def test_a_name_is_resolved_and_each_of_its_addresses_is_dialed(listening: socket.socket) -> None:
    found = addr(f"localhost:{listening.getsockname()[1]}", "-o", "json")

    results = {r["address"]: r["result"] for r in json.loads(found.stdout)["results"]}
    assert results["127.0.0.1"] == "connected"


def test_ipv6_is_dialed_in_brackets() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on loopback here")
    with server:
        found = addr(f"[::1]:{server.getsockname()[1]}")

    assert found.exit_code == 0
    assert "[::1]:" in found.stdout


def test_one_failure_among_successes_is_a_failure(listening: socket.socket, refusing: str) -> None:
    found = addr(at(listening), refusing, "-o", "json")

    assert found.exit_code == 1
    assert [r["result"] for r in json.loads(found.stdout)["results"]] == ["connected", "refused"]


def test_silence_is_a_timeout_and_a_failure(silent: str) -> None:
    found = addr(silent)

    assert found.exit_code == 1
    assert "timeout" in found.stdout
    assert "no answer within 0.5 s" in found.stdout


def test_the_table_is_aligned_and_whole_when_piped(listening: socket.socket, refusing: str) -> None:
    found = addr(at(listening), refusing)

    lines = [line.rstrip() for line in found.stdout.splitlines()]
    assert lines[0].split() == ["ADDRESS", "RESULT", "RTT", "DETAIL"]
    assert lines[1].index("connected") == lines[2].index("refused") == lines[0].index("RESULT")
    assert lines[2].endswith("refused by RST: nothing listens on that port")
