"""Network namespaces of a test's own: made, entered, given firewalls, and removed."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000  # linux/sched.h

TOOLS = ("ip", "iptables", "ip6tables")
FAMILIES = (4, 6)

_setns = ctypes.CDLL(None, use_errno=True).setns  # os.setns came with Python 3.12


def run(*command: str, given: str = "") -> str:
    """What the command printed. Raises RuntimeError with its complaint."""
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def namespaces(*words: str) -> Iterator[list[str]]:
    """A new namespace for each word, by unique name; skips the test where there can be none."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and {', '.join(missing) or 'network namespaces'}")
    made: list[str] = []
    try:
        for word in words:
            name = f"edgeprobe-{os.getpid()}-{word}"
            try:
                run("ip", "netns", "add", name)
            except RuntimeError as failed:
                pytest.skip(f"cannot make network namespaces here: {failed}")
            made.append(name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        yield made
    finally:
        for name in made:
            run("ip", "netns", "del", name)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread in that namespace: the sockets that it opens stay there for good."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(home)
        os.close(there)
        os.close(home)


def _enter(namespace: int) -> None:
    if _setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def links(name: str, commands: Iterable[str]) -> None:
    """Runs ip(8) commands in that namespace."""
    run("ip", "-n", name, "-batch", "-", given="\n".join(commands))


def firewall(name: str, version: int, table: str, rules: Iterable[str]) -> None:
    """Adds rules, as iptables(8) writes them, to a table of that namespace."""
    given = "\n".join((f"*{table}", *rules, "COMMIT", ""))
    with inside(name):
        run("iptables-restore" if version == 4 else "ip6tables-restore", "--noflush", given=given)


def sysctls(name: str, values: dict[str, str]) -> None:
    """Sets what lies under net in sysctl(8), in that namespace."""
    with inside(name):
        for key, value in values.items():
            Path("/proc/sys/net", *key.split("/")).write_text(value)
