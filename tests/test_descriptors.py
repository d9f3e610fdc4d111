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
