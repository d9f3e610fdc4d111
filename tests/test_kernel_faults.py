"""What the kernel says of every failure, each by its real mechanism, in network namespaces.

near, where we dial, -- node, a router with a firewall -- pod. Each for IPv4 and IPv6.
"""

import errno
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from probe.core.results import Icmp, Outcome, Result
from tests.desk import PATIENCE, RESET, Desk, bound, fill
from tests.namespaces import FAMILIES, firewall, inside, links, namespaces, sysctls

pytestmark = pytest.mark.slow

LINK, PODS, FAR, UNREACHABLE, PROHIBIT, BLACKHOLE, NOWHERE = range(1, 8)
SERVICES, OWN_SERVICES = 96, 97
NEAR, NODE, GATEWAY, POD, DEAD = (LINK, 1), (LINK, 2), (PODS, 1), (PODS, 2), 99


def at(version: int, net: int, host: int) -> str:
    return f"10.213.{net}.{host}" if version == 4 else f"fd13:{net}::{host}"


REJECTS: dict[int, dict[str, tuple[Result, int, int, int]]] = {
    4: {
        "icmp-port-unreachable": (Result.REJECTED, errno.ECONNREFUSED, 3, 3),
        "icmp-admin-prohibited": (Result.REJECTED, errno.EHOSTUNREACH, 3, 13),
        "icmp-host-prohibited": (Result.REJECTED, errno.EHOSTUNREACH, 3, 10),
        "icmp-net-prohibited": (Result.REJECTED, errno.ENETUNREACH, 3, 9),
        "icmp-host-unreachable": (Result.UNREACHABLE, errno.EHOSTUNREACH, 3, 1),
        "icmp-net-unreachable": (Result.UNREACHABLE, errno.ENETUNREACH, 3, 0),
        "icmp-proto-unreachable": (Result.UNREACHABLE, errno.ENOPROTOOPT, 3, 2),
    },
    6: {
        "icmp6-port-unreachable": (Result.REJECTED, errno.ECONNREFUSED, 1, 4),
        "icmp6-adm-prohibited": (Result.REJECTED, errno.EACCES, 1, 1),
        "icmp6-policy-fail": (Result.REJECTED, errno.EACCES, 1, 5),
        "icmp6-reject-route": (Result.REJECTED, errno.EACCES, 1, 6),
        "icmp6-no-route": (Result.UNREACHABLE, errno.ENETUNREACH, 1, 0),
        "icmp6-addr-unreachable": (Result.UNREACHABLE, errno.EHOSTUNREACH, 1, 3),
    },
}
"""What iptables(8) offers as --reject-with: result, errno, type and code."""

PORT_UNREACHABLE = {4: (3, 3), 6: (1, 4)}
HOST_UNREACHABLE = {4: (3, 1), 6: (1, 3)}
TTL_EXCEEDED = {4: (11, 0), 6: (3, 0)}


class Met(NamedTuple):
    """What a dial of `host`:`port` in `net` meets, and who answers: (net, host)."""

    net: int
    host: int
    port: int
    result: Result
    errno: int = 0
    icmp: dict[int, tuple[int, int]] | None = None
    offender: tuple[int, int] | None = None


def rejected(net: int, host: int, port: int, offender: tuple[int, int]) -> Met:
    return Met(net, host, port, Result.REJECTED, errno.ECONNREFUSED, PORT_UNREACHABLE, offender)


def unreachable(
    net: int, host: int, offender: tuple[int, int], icmp: dict[int, tuple[int, int]]
) -> Met:
    return Met(net, host, 80, Result.UNREACHABLE, errno.EHOSTUNREACH, icmp, offender)


FAULTS: dict[str, Met] = {
    "a closed port": Met(*NODE, 7999, Result.REFUSED, errno.ECONNREFUSED),
    "a closed port behind a router": Met(*POD, 7999, Result.REFUSED, errno.ECONNREFUSED),
    "REJECT with tcp-reset": Met(*NODE, 7101, Result.REFUSED, errno.ECONNREFUSED),
    "DROP at the target": Met(*NODE, 7102, Result.TIMEOUT),
    "DROP on the way": Met(*POD, 7103, Result.TIMEOUT),
    "REJECT on the way": rejected(*POD, 7104, NODE),
    "REJECT in the pod": rejected(*POD, 7105, POD),
    "DROP in our own OUTPUT": Met(*NODE, 7106, Result.TIMEOUT),
    "REJECT in our own OUTPUT": rejected(*NODE, 7107, NEAR),
    "a full accept queue": Met(*NODE, 7201, Result.TIMEOUT),
    "RST right after accept": Met(*NODE, 7202, Result.RESET, errno.ECONNRESET),
    "a SYN lost once": Met(*NODE, 7203, Result.CONNECTED),
    "a SYN lost twice": Met(*NODE, 7204, Result.CONNECTED),
    "a dead neighbour": unreachable(LINK, DEAD, NEAR, HOST_UNREACHABLE),
    "a dead pod behind a router": unreachable(PODS, DEAD, NODE, HOST_UNREACHABLE),
    "a hop too many": unreachable(FAR, 2, NODE, TTL_EXCEEDED),
    "no route": Met(NOWHERE, 1, 80, Result.UNREACHABLE, errno.ENETUNREACH),
    "an unreachable route": Met(UNREACHABLE, 1, 80, Result.UNREACHABLE, errno.EHOSTUNREACH),
    "a prohibit route": Met(PROHIBIT, 1, 80, Result.REJECTED, errno.EACCES),
    "a blackhole route": Met(BLACKHOLE, 1, 80, Result.UNREACHABLE, errno.EINVAL),
    "a Service": Met(SERVICES, 1, 80, Result.CONNECTED),
    "a Service's wrong targetPort": Met(SERVICES, 2, 80, Result.REFUSED, errno.ECONNREFUSED),
    "a Service without endpoints": rejected(SERVICES, 3, 80, NODE),
    "a Service whose pod rejects": rejected(SERVICES, 4, 80, (SERVICES, 4)),
    "our node's Service": Met(OWN_SERVICES, 1, 80, Result.CONNECTED),
    "our node's Service's wrong targetPort": Met(
        OWN_SERVICES, 2, 80, Result.REFUSED, errno.ECONNREFUSED
    ),
    "our node's Service without endpoints": rejected(OWN_SERVICES, 3, 80, NEAR),
    "our node's Service whose pod rejects": rejected(OWN_SERVICES, 4, 80, (OWN_SERVICES, 4)),
}

OPEN, CLOSED = 7200, 7999
"""A port of the pod that listens, and one that does not."""

LOST = "-m statistic --mode nth --every 1000000 --packet 0"
"""Matches the first packet that comes to the rule."""

REJECT_PORT = 7000
"""Of the first of REJECTS; the others follow."""


def faults() -> Iterator[tuple[str, int, Met]]:
    """Every mechanism in words, by IP version."""
    for version in FAMILIES:
        yield from ((what, version, met) for what, met in FAULTS.items())
        for port, (how, row) in enumerate(REJECTS[version].items(), REJECT_PORT):
            result, error, *icmp = row
            icmps = {version: (icmp[0], icmp[1])}
            yield f"REJECT with {how}", version, Met(*NODE, port, result, error, icmps, NODE)


@pytest.fixture(scope="module")
def namespaced() -> Iterator[tuple[str, str, str]]:
    with namespaces("near", "node", "pod") as (near, node, pod):
        wire(near, node, pod)
        for version in FAMILIES:
            route(near, node, pod, version)
            firewall(near, version, "filter", rules_of_near(version))
            firewall(near, version, "nat", services(version, OWN_SERVICES, "OUTPUT"))
            firewall(node, version, "filter", rules_of_node(version))
            firewall(node, version, "nat", services(version, SERVICES, "PREROUTING"))
            firewall(pod, version, "filter", ["-A INPUT -p tcp --dport 7105 -j REJECT"])
        with inside(near), Desk(seconds=5.0) as desk:
            # A new link drops packets until its carrier is known, for up to 1 s (linkwatch).
            desk.dial(*((at(version, *POD), CLOSED) for version in FAMILIES))
        yield near, node, pod


def wire(near: str, node: str, pod: str) -> None:
    links(near, [f"link add near type veth peer name far netns {node}"])
    links(pod, [f"link add pod type veth peer name host netns {node}"])
    ends = ((near, "near", NEAR), (node, "far", NODE), (node, "host", GATEWAY), (pod, "pod", POD))
    for name, device, end in ends:
        links(
            name,
            [
                f"addr add {at(4, *end)}/24 dev {device}",
                f"addr add {at(6, *end)}/64 dev {device} nodad",
                f"link set {device} up",
            ],
        )
    for name in (near, node, pod):  # else one client is told once per second
        sysctls(name, {"ipv4/icmp_ratelimit": "0", "ipv6/icmp/ratelimit": "0"})
    sysctls(node, {"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"})


def route(near: str, node: str, pod: str, version: int) -> None:
    nets = {net: at(version, net, 0) + ("/24" if version == 4 else "/64") for net in range(1, 100)}
    via = f"via {at(version, *NODE)}"
    links(
        near,
        [
            *(f"route add {nets[net]} {via}" for net in (PODS, SERVICES, OWN_SERVICES)),
            f"route add {nets[FAR]} {via} hoplimit 1",
            f"route add unreachable {nets[UNREACHABLE]}",
            f"route add prohibit {nets[PROHIBIT]}",
            f"route add blackhole {nets[BLACKHOLE]}",
        ],
    )
    links(node, [f"route add {nets[net]} via {at(version, *POD)}" for net in (FAR, SERVICES)])
    links(pod, [f"route add default via {at(version, *GATEWAY)}"])


def rules_of_near(version: int) -> list[str]:
    return [
        "-A OUTPUT -p tcp --dport 7106 -j DROP",
        "-A OUTPUT -p tcp --dport 7107 -j REJECT",
        f"-A OUTPUT -d {at(version, OWN_SERVICES, 3)} -p tcp -j REJECT",
    ]


def rules_of_node(version: int) -> list[str]:
    rejects = enumerate(REJECTS[version], REJECT_PORT)
    return [
        *(f"-A INPUT -p tcp --dport {port} -j REJECT --reject-with {how}" for port, how in rejects),
        "-A INPUT -p tcp --dport 7101 -j REJECT --reject-with tcp-reset",
        "-A INPUT -p tcp --dport 7102 -j DROP",
        "-A FORWARD -p tcp --dport 7103 -j DROP",
        "-A FORWARD -p tcp --dport 7104 -j REJECT",
        *(f"-A INPUT -p tcp --syn --dport {port} {LOST} -j DROP" for port in (7203, 7204, 7204)),
        f"-A FORWARD -d {at(version, SERVICES, 3)} -p tcp -j REJECT",
    ]


def services(version: int, net: int, chain: str) -> list[str]:
    """kube-proxy's DNAT for three Services: a good one, a wrong targetPort, a pod that rejects."""
    pod = at(version, *POD) if version == 4 else f"[{at(version, *POD)}]"
    return [
        f"-A {chain} -d {at(version, net, host)} -p tcp -j DNAT --to-destination {pod}:{port}"
        for host, port in ((1, OPEN), (2, CLOSED), (4, 7105))
    ]


@pytest.fixture(scope="module")
def outcomes(namespaced: tuple[str, str, str]) -> dict[tuple[str, int], Outcome]:
    """All of them at once, since their deadlines overlap."""
    near, node, pod = namespaced
    with ExitStack() as stack:
        resetting = [listeners(stack, node, pod, version) for version in FAMILIES]
        desk = stack.enter_context(Desk(seconds=4.0))
        table = list(faults())
        with inside(near):
            desk.dialer.dial((i, at(v, m.net, m.host), m.port) for i, (_, v, m) in enumerate(table))
        for held in resetting:
            peer, _ = held.accept()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
        found = desk.outcomes(len(table))
        return {(what, version): found[i] for i, (what, version, _) in enumerate(table)}


def listeners(stack: ExitStack, node: str, pod: str, version: int) -> socket.socket:
    """Opens the ports that listen; the one whose connections are to be reset."""
    with inside(pod):
        bound(stack, at(version, *POD), OPEN).listen()
    with inside(node):
        full, resetting, *lossy = (bound(stack, at(version, *NODE), 7201 + i) for i in range(4))
        for held in (resetting, *lossy):
            held.settimeout(PATIENCE)
            held.listen()
        full.listen(0)
        fill(stack, full)
    return resetting


@pytest.mark.parametrize(
    ("what", "version", "met"),
    [pytest.param(*row, id=f"{row[0]}, IPv{row[1]}") for row in faults()],
)
def test_every_mechanism_is_told_by_its_result_and_origin(
    outcomes: dict[tuple[str, int], Outcome], what: str, version: int, met: Met
) -> None:
    found = outcomes[what, version]
    icmp = None
    if met.icmp and met.offender:
        icmp = Icmp(version, *met.icmp[version], at(version, *met.offender))

    assert (found.result, found.errno, found.icmp) == (met.result, met.errno, icmp)
    assert (found.connect_seconds is None) == (met.result is not Result.CONNECTED)


@pytest.mark.parametrize("version", FAMILIES)
@pytest.mark.parametrize(("what", "lost"), [("a SYN lost once", 1), ("a SYN lost twice", 2)])
def test_a_lost_syn_is_counted_and_timed(
    outcomes: dict[tuple[str, int], Outcome], what: str, lost: int, version: int
) -> None:
    found = outcomes[what, version]

    assert found.syn_retransmits == lost
    assert 0.9 * lost < (found.connect_seconds or 0) < 4.0


@pytest.mark.parametrize("version", FAMILIES)
@pytest.mark.parametrize(
    "what", [what for what, met in FAULTS.items() if met.result is Result.TIMEOUT]
)
def test_a_timeout_says_that_its_syns_went_out(
    outcomes: dict[tuple[str, int], Outcome], what: str, version: int
) -> None:
    found = outcomes[what, version]

    assert found.syn_retransmits >= 2
    assert found.detail == f"no answer within 4 s, {found.syn_retransmits} SYNs sent again"


@pytest.mark.parametrize(
    ("what", "detail"),
    [
        ("a closed port", "refused by RST: nothing listens on that port"),
        ("a Service without endpoints", "ICMP 3/3 from 10.213.1.2"),
        ("RST right after accept", "connected, then reset by RST (ECONNRESET)"),
        ("no route", "no way from this node: Network is unreachable (ENETUNREACH)"),
        ("an unreachable route", "no way from this node: No route to host (EHOSTUNREACH)"),
        ("a blackhole route", "no way from this node: a blackhole route (EINVAL)"),
        ("a prohibit route", "forbidden on this node: Permission denied (EACCES)"),
    ],
)
def test_a_failure_is_told_in_one_phrase(
    outcomes: dict[tuple[str, int], Outcome], what: str, detail: str
) -> None:
    assert outcomes[what, 4].detail == detail


def test_an_icmp_rate_limit_turns_a_burst_of_rejections_into_timeouts() -> None:
    """The kernel tells one client once per second, after 6 at once (net/ipv4/route.c): why
    Services without endpoints are dialed one by one."""
    with namespaces("asking", "telling") as (asking, telling):
        links(asking, [f"link add asking type veth peer name telling netns {telling}"])
        for name, device, end in ((asking, "asking", NEAR), (telling, "telling", NODE)):
            links(name, [f"addr add {at(4, *end)}/24 dev {device}", f"link set {device} up"])
        firewall(telling, 4, "filter", ["-A INPUT -p tcp --dport 80 -j REJECT"])
        target, closed = (at(4, *NODE), 80), (at(4, *NODE), CLOSED)
        with inside(asking), Desk(seconds=5.0) as warm:
            warm.dial(closed)
        with inside(asking), Desk(seconds=0.8) as desk:
            burst = Counter(found.result for found in desk.dial(*[target] * 30))
            paced = []
            for _ in range(3):
                time.sleep(1.1)
                paced += desk.dial(target)

    assert set(burst) == {Result.REJECTED, Result.TIMEOUT}
    assert burst[Result.REJECTED] < 15
    assert {found.result for found in paced} == {Result.REJECTED}
