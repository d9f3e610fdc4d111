"""What the kernel bounds: from files as /proc/sys has them, and from this machine's own."""

from pathlib import Path

import pytest

from probe.core.closing import Bounds
from probe.sysctl import bounds

CONNTRACK = "net/netfilter/nf_conntrack_max"
TIME_WAIT = "net/ipv4/tcp_max_tw_buckets"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({CONNTRACK: "262144\n", TIME_WAIT: "131072\n"}, Bounds(262_144, 131_072)),
        ({TIME_WAIT: "131072\n"}, Bounds(None, 131_072)),
        ({CONNTRACK: "0\n", TIME_WAIT: "0\n"}, Bounds(None, 0)),
        ({CONNTRACK: "what\n"}, Bounds()),
        ({}, Bounds()),
    ],
    ids=["both", "no conntrack here", "unbounded, and no TIME_WAIT at all", "no number", "nothing"],
)
def test_a_bound_is_what_its_file_says(
    tmp_path: Path, files: dict[str, str], found: Bounds
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    assert found == bounds(tmp_path)


def test_this_machine_tells_its_bound_on_time_wait() -> None:
    assert (bounds().time_wait or 0) > 0
