"""The dialer against firewalls: two network namespaces, made and removed here."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
HERE, THERE = "10.213.0.1", "10.213.0.2"
HERE6, THERE6 = "fd13::1", "fd13::2"
GONE = "10.213.0.99"

RULES = {
    7001: ("iptables", "REJECT", "icmp-port-unreachable"),
    7002: ("iptables", "REJECT", "icmp-admin-prohibited"),
    7003: ("iptables", "REJECT", "icmp-host-unreachable"),
    7004: ("iptables", "REJECT", "tcp-reset"),
    7005: ("iptables", "DROP", ""),
    7006: ("ip6tables", "REJECT", "icmp6-port-unreachable"),
    7007: ("ip6tables", "REJECT", "icmp6-adm-prohibited"),
}

DIALING = """
import asyncio, json, sys
from dataclasses import asdict
from probe.dialer import Dialer

async def main(targets):
    found = {}
    dialer = Dialer(lambda batch: found.update(batch), seconds=4.0)
    dialer.dial((f"{address} {port}", address, port) for address, port in targets)
    await dialer.drain(10)
    dialer.close()
    print(json.dumps({key: asdict(outcome) for key, outcome in found.items()}))

asyncio.run(main(json.loads(sys.argv[1])))
"""


def run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=30, cwd=ROOT
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """The prober's namespace; behind a link is one with the rules above."""
    missing = [tool for tool in ("ip", "iptables", "ip6tables") if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and {', '.join(missing) or 'network namespaces'}")
    near, far = (f"edgeprobe-{os.getpid()}-{side}" for side in ("near", "far"))
    with ExitStack() as stack:
        try:
            for name in (near, far):
                run("ip", "netns", "add", name)
                stack.callback(run, "ip", "netns", "del", name)
            build(near, far)
        except RuntimeError as failed:
            pytest.skip(f"cannot make network namespaces here: {failed}")
        yield near


def build(near: str, far: str) -> None:
    link = ("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", far)
    run("ip", "-n", near, *link)
    for name, device, four, six in ((near, "near", HERE, HERE6), (far, "far", THERE, THERE6)):
        run("ip", "-n", name, "addr", "add", f"{four}/24", "dev", device)
        run("ip", "-n", name, "addr", "add", f"{six}/64", "dev", device, "nodad")
        run("ip", "-n", name, "link", "set", device, "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
    for port, (tables, target, how) in RULES.items():
        match = ("-p", "tcp", "--dport", str(port))
        answer = ("-j", target, *(("--reject-with", how) if how else ()))
        run("ip", "netns", "exec", far, tables, "-A", "INPUT", *match, *answer)


@pytest.fixture(scope="module")
def outcomes(namespace: str) -> dict[str, dict[str, Any]]:
    targets: list[tuple[str, int]] = [(THERE, port) for port in range(7000, 7006)]
    targets += [(THERE6, 7000), (THERE6, 7006), (THERE6, 7007), (GONE, 80), ("192.0.2.1", 80)]
    told = run("ip", "netns", "exec", namespace, sys.executable, "-c", DIALING, json.dumps(targets))
    found: dict[str, dict[str, Any]] = json.loads(told)
    return found


@pytest.mark.parametrize(
    ("target", "result", "icmp"),
    [
        (f"{THERE} 7000", "refused", None),
        (f"{THERE} 7001", "rejected", (4, 3, 3, THERE)),
        (f"{THERE} 7002", "rejected", (4, 3, 13, THERE)),
        (f"{THERE} 7003", "unreachable", (4, 3, 1, THERE)),
        (f"{THERE} 7004", "refused", None),
        (f"{THERE} 7005", "timeout", None),
        (f"{THERE6} 7000", "refused", None),
        (f"{THERE6} 7006", "rejected", (6, 1, 4, THERE6)),
        (f"{THERE6} 7007", "rejected", (6, 1, 1, THERE6)),
        (f"{GONE} 80", "unreachable", (4, 3, 1, HERE)),
        ("192.0.2.1 80", "unreachable", None),
    ],
    ids=[
        "a closed port sends RST",
        "kube-proxy without endpoints",
        "an administrator's rule",
        "host unreachable",
        "a rule that resets",
        "a dropped packet",
        "a closed port, IPv6",
        "port unreachable, IPv6",
        "an administrator's rule, IPv6",
        "a pod whose address is gone",
        "no route from here",
    ],
)
def test_what_stood_in_the_way_is_told_with_its_origin(
    outcomes: dict[str, dict[str, Any]],
    target: str,
    result: str,
    icmp: tuple[int, int, int, str] | None,
) -> None:
    found = outcomes[target]
    origin = found["icmp"] and tuple(found["icmp"].values())

    assert (found["result"], origin) == (result, icmp)


def test_a_dropped_packet_was_sent_again_and_a_rejected_one_was_not(
    outcomes: dict[str, dict[str, Any]],
) -> None:
    assert outcomes[f"{THERE} 7005"]["syn_retransmits"] >= 2
    assert outcomes[f"{THERE} 7001"]["syn_retransmits"] == 0
