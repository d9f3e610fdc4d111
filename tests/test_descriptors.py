"""The descriptor limit: raised where it may be, respected where it may not."""

import subprocess
import sys

import pytest

from tests.running import environment

CLOSED = [f"127.1.{i // 250}.{1 + i % 250}:1" for i in range(300)]


@pytest.mark.parametrize("limit", ["ulimit -n 256", "ulimit -S -n 256"])
def test_more_addresses_than_descriptors_are_all_dialed(limit: str) -> None:
    command = f'{limit} && exec "$@"'
    found = subprocess.run(
        ("sh", "-c", command, "sh", sys.executable, "-m", "probe", "check", "addr", *CLOSED),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 1
    assert found.stdout.count("refused by RST") == len(CLOSED), found.stdout + found.stderr


def test_what_clients_may_open_is_kept_from_the_dials() -> None:
    code = (
        "from probe.descriptors import affordable; print(affordable(1000), affordable(1000, 300))"
    )
    found = subprocess.run(
        ("sh", "-c", 'ulimit -n 512 && exec "$@"', "sh", sys.executable, "-c", code),
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.split() == ["384", "84"]
