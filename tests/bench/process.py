"""A process as the kernel accounts for it (proc(5))."""

import os
import resource
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """User and system seconds so far, in steps of 10 ms (fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """Resident MiB (the second field of statm)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak(pid: int) -> float:
    """The most MiB that were ever resident (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))


def descriptors(pid: int) -> int:
    """Open ones; those of dials in flight too."""
    return len(os.listdir(f"/proc/{pid}/fd"))
