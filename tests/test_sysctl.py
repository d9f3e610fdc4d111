"""What the kernel bounds: from files as /proc/sys has them, and from this machine's own."""

from pathlib import Path

import pytest

from probe.core.closing import Limits
from probe.sysctl import limits

CONNTRACK = "net/netfilter/nf_conntrack_max"
TIME_WAIT = "net/ipv4/tcp_max_tw_buckets"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({CONNTRACK: "262144\n", TIME_WAIT: "131072\n"}, Limits(262_144, 131_072)),
        ({TIME_WAIT: "131072\n"}, Limits(None, 131_072)),
        ({CONNTRACK: "0\n", TIME_WAIT: "0\n"}, Limits(None, 0)),
        ({CONNTRACK: "what\n"}, Limits()),
        ({}, Limits()),
    ],
    ids=["both", "no conntrack here", "unbounded, and no TIME_WAIT at all", "no number", "nothing"],
)
def test_a_bound_is_what_its_file_says(
    tmp_path: Path, files: dict[str, str], found: Limits
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    assert found == limits(tmp_path)


def test_this_machine_tells_its_bound_on_time_wait() -> None:
    assert (limits().time_wait or 0) > 0
