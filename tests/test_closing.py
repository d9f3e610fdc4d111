"""What dials leave behind on the node that made them: counted in a network namespace whose loopback
passes conntrack, closed by FIN and by RST, refused and unanswered."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from probe.addresses import check_addresses
from probe.core.closing import CONNTRACK_SECONDS
from probe.core.results import Outcome, Result
from probe.core.targets import Target
from probe.demo.manifests import NAMESPACE, deployment, namespace, service
from probe.dialer import SPARE
from probe.sandbox.cluster import Cluster
from probe.sysctl import bounds
from tests.desk import PATIENCE, Desk, closed, listener, port_of
from tests.namespaces import firewall, inside, namespaces, sysctls
from tests.running import daemon, until

pytestmark = pytest.mark.slow

DIALS = 2 * SPARE + 44
"""More at once than the dialer keeps sockets of."""

DROPPED = 7001

PROC = Path("/proc/thread-self/net")
TIME_WAIT = "06"  # include/net/tcp_states.h, as /proc/net/tcp prints it

CLOSE_SECONDS = 10
"""net/netfilter/nf_conntrack_proto_tcp.c: tcp_timeouts[TCP_CONNTRACK_CLOSE]."""

NOTHING: dict[str, int] = {}


class Behind(NamedTuple):
    """Sockets in TIME_WAIT, local ports that any socket holds, conntrack entries by state, and
    the seconds until the last of them goes."""

    time_wait: int
    ports: int
    entries: dict[str, int]
    seconds: int


@pytest.fixture
def node() -> Iterator[None]:
    """A namespace with conntrack that drops what goes to one port; this thread is inside."""
    rules = (
        "-A INPUT -m conntrack --ctstate INVALID -j DROP",
        f"-A INPUT -p tcp --dport {DROPPED} -j DROP",
    )
    with namespaces("close") as (name,):
        firewall(name, 4, "filter", rules)
        with inside(name):
            if not (PROC / "nf_conntrack").exists():
                pytest.skip("needs /proc/net/nf_conntrack (CONFIG_NF_CONNTRACK_PROCFS)")
            yield


def behind(port: int) -> Behind:
    """What stands here of the connections to this port."""
    rows = [line.split() for line in (PROC / "tcp").read_text().splitlines()[1:]]
    sockets = [row for row in rows if int(row[2].rpartition(":")[2], 16) == port]
    entries = [entry.split() for entry in tracked(port)]
    return Behind(
        time_wait=sum(row[3] == TIME_WAIT for row in sockets),
        ports=len({row[1] for row in sockets}),
        entries=dict(Counter(entry[5] for entry in entries)),
        seconds=max((int(entry[4]) for entry in entries), default=0),
    )


def in_the_end(port: int, time_wait: int) -> Behind:
    """The same once so many sockets wait: the kernel may be late with the last."""
    until = time.monotonic() + PATIENCE
    while (left := behind(port)).time_wait < time_wait and time.monotonic() < until:
        time.sleep(0.01)
    return left


def tracked(port: int) -> list[str]:
    """The entries: both protocols by name and number, seconds to live, state, addresses."""
    lines = (PROC / "nf_conntrack").read_text().splitlines()
    return [line for line in lines if f" dport={port} " in line]


def dial(port: int, *, abort: bool, count: int = DIALS, seconds: float = 4.0) -> set[Result]:
    """So many dials of the port at once, all closed."""
    with Desk(abort=abort, seconds=seconds) as desk:
        outcomes: list[Outcome] = desk.dial(*[("127.0.0.1", port)] * count)
    return {outcome.result for outcome in outcomes}


def served(stack: ExitStack, *, abort: bool) -> int:
    """Dials a listener that closes each connection once the prober has; its port."""
    held = listener(stack)
    assert dial(port_of(held), abort=abort) == {Result.CONNECTED}
    for _ in range(DIALS):
        taken, _ = held.accept()
        taken.settimeout(PATIENCE)
        with taken, suppress(ConnectionResetError):
            assert taken.recv(1) == b""
    return port_of(held)


def test_fin_leaves_a_socket_and_a_long_entry_of_each_connection(node: None) -> None:
    with ExitStack() as stack:
        left = in_the_end(served(stack, abort=False), DIALS)

    assert (left.time_wait, left.ports) == (DIALS, DIALS)
    assert left.entries == {"TIME_WAIT": DIALS}
    assert CONNTRACK_SECONDS - PATIENCE <= left.seconds <= CONNTRACK_SECONDS


def test_rst_leaves_no_socket_no_port_and_a_short_entry_of_each_connection(node: None) -> None:
    with ExitStack() as stack:
        left = behind(served(stack, abort=True))

    assert (left.time_wait, left.ports) == (0, 0)
    assert left.entries.keys() <= {"CLOSE"}
    assert left.seconds <= CLOSE_SECONDS


@pytest.mark.parametrize("abort", [True, False])
def test_a_refused_dial_leaves_nothing(node: None, abort: bool) -> None:
    with ExitStack() as stack:
        port = closed(stack)
        assert dial(port, abort=abort) == {Result.REFUSED}
        assert behind(port) == Behind(0, 0, NOTHING, 0)


@pytest.mark.parametrize("abort", [True, False])
def test_an_unanswered_dial_leaves_its_entry_and_no_socket(node: None, abort: bool) -> None:
    assert dial(DROPPED, abort=abort, seconds=0.2) == {Result.TIMEOUT}
    left = behind(DROPPED)

    assert (left.time_wait, left.ports) == (0, 0)
    assert left.entries == {"SYN_SENT": DIALS}


def test_32_what_is_dialed_again_comes_from_a_new_port_and_has_an_entry_of_its_own(
    node: None,
) -> None:
    """An entry without the proxy's DNAT holds a first SYN and its retransmits for ever."""
    with ExitStack() as stack:
        refused, accepting = closed(stack), port_of(listener(stack))
        with Desk(seconds=0.2) as desk:
            for _ in range(5):  # between them the dialer's spare socket is used for others
                desk.dial(("127.0.0.1", DROPPED))
                desk.dial(("127.0.0.1", refused), ("127.0.0.1", accepting))
            desk.dial(("127.0.0.1", accepting))
    sources = {entry.partition("sport=")[2].split()[0] for entry in tracked(DROPPED)}

    assert len(sources) == 5


def test_what_a_person_has_dialed_ends_by_fin(node: None) -> None:
    with ExitStack() as stack:
        port = port_of(listener(stack))
        (outcome,) = check_addresses([Target("127.0.0.1", port)], 2.0)

        assert outcome.result is Result.CONNECTED
        assert behind(port).entries.keys() <= {"CLOSE_WAIT", "FIN_WAIT"}  # not CLOSE, as by RST


def test_a_namespace_of_its_own_sees_the_bounds_of_the_node(node: None) -> None:
    found = bounds()

    assert found.conntrack is not None
    assert found.time_wait is not None


async def test_the_daemon_goes_over_to_rst_where_fin_would_leave_too_much(tmp_path: Path) -> None:
    """Six dials a second, where a tenth of the bound is ten."""
    with namespaces("auto") as (name,), inside(name):
        sysctls(name, {"ipv4/tcp_max_tw_buckets": "100"})
        async with Cluster() as cluster:
            for each in (namespace(NAMESPACE), deployment("web"), service("web")):
                cluster.apply(each)
            await cluster.settled(within=20)
            cluster.write_kubeconfig(tmp_path / "kubeconfig")
            async with daemon(tmp_path / "kubeconfig", "--interval", "0.5") as found:
                await until(lambda: found.value("edgeprobe_close_mode", mode="rst"))
                assert await found.value("edgeprobe_close_mode") == 1
                assert await found.value("edgeprobe_dials_total", result="connected") > 10
            told = [record for record in found.command.records if "close" in record]

    assert [record["close"] for record in told] == ["rst"]
    assert "over 10% of nf_conntrack_max" in told[0]["message"]
