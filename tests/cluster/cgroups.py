"""The cgroups of a node's pods: a folder in every hierarchy, below which its kubelet works.

The names hold the process that made them, as those of the namespaces do.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")

CONTROLLERS = frozenset(("cpu", "cpuset", "memory", "pids"))
"""Without which a kubelet does not start: its cgroup manager's own list, hugetlb apart."""

PATIENCE = 60.0
"""Seconds until the kernel has taken the last process out of a cgroup: arbitrary."""


def missing() -> str:
    """What a kubelet lacks here, in a few words; empty where it lacks nothing."""
    if (ROOT / "cgroup.controllers").exists():
        passed_on = (ROOT / "cgroup.subtree_control").read_text().split()
    else:
        passed_on = [path.name for path in ROOT.glob("*") if path.is_dir()]
    return ", ".join(sorted(CONTROLLERS.difference(passed_on)))


def make(name: str) -> None:
    """Makes them. The kernel gives a new cpuset of version 1 no processors: it gets all here."""
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / file).exists():
                (hierarchy / name / file).write_text((hierarchy / file).read_text())


def remove(name: str) -> None:
    """Removes them and all below, as soon as the last process is gone. Raises OSError if that takes
    longer than PATIENCE."""
    ending = time.monotonic() + PATIENCE
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            while True:
                try:
                    Path(folder).rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > ending:
                        raise
                    time.sleep(0.02)


def existing(prefix: str) -> set[str]:
    """The names that begin so, in whatever hierarchy."""
    return {path.name for each in _hierarchies() for path in each.glob(f"{prefix}*")}


def processes(name: str, below: str = "") -> set[int]:
    """Those in the cgroups of that name, or of the folders below whose names hold `below`."""
    found = set()
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / name):
            if below in folder:
                found |= set(_members(Path(folder)))
    return found


def _members(folder: Path) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError, OSError):
        yield from map(int, (folder / "cgroup.procs").read_text().split())


def _hierarchies() -> list[Path]:
    """One of version 2, or all of version 1 with an empty one of version 2 beside them."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return sorted({path.resolve() for path in ROOT.glob("*") if (path / "cgroup.procs").exists()})
