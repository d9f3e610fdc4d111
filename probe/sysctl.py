"""What this node's kernel bounds, read from /proc/sys: no privilege is needed, in a pod neither."""

from pathlib import Path

from probe.core.closing import Bounds

PROC_SYS = Path("/proc/sys")


def bounds(root: Path = PROC_SYS) -> Bounds:
    """The bounds on what closed connections leave behind, in 0.1 ms (measured).

    nf_conntrack_max is the whole node's, and every pod sees it. Where it is missing we take it
    that the node tracks no connections; 0 means no bound (net/netfilter/nf_conntrack_core.c).
    tcp_max_tw_buckets is the network namespace's own.
    """
    conntrack = _number(root / "net/netfilter/nf_conntrack_max")
    return Bounds(conntrack or None, _number(root / "net/ipv4/tcp_max_tw_buckets"))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
