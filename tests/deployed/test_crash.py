"""A test that crashes leaves nothing of its kubelets, containers and mounts."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.cluster import cgroups
from tests.cluster.binaries import WHOLE, need, need_kubelets, need_namespaces
from tests.cluster.machine import TUNABLES
from tests.cluster.network import PREFIX, existing, own_folder, reap
from tests.cluster.processes import ROOT
from tests.running import until

pytestmark = [
    *(pytest.mark.slow, pytest.mark.nightly, pytest.mark.kubelet, pytest.mark.timeout(300)),
]

CRASHING = """
import asyncio
from tests.cluster.cluster import booted
from tests.deployed.shipped import deploy
async def main():
    async with booted("iptables", nodes=1, kubelets=True) as cluster:
        await deploy(cluster)
        print(cluster.folder, flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""


async def test_a_crash_leaves_nothing_that_the_next_start_does_not_remove() -> None:
    need(*WHOLE)
    need_namespaces("iptables")
    need_kubelets()
    tunables = machine_wide()
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CRASHING),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    prefix = f"{PREFIX}-{owner.pid}-"
    try:
        assert owner.stdout is not None
        folder = Path((await owner.stdout.readline()).decode().strip())
        (cgroup,) = cgroups.existing(prefix)
        containers = cgroups.processes(cgroup)
        assert len(containers) == 2  # the daemon, and the one that holds its pod's namespaces
        assert machine_wide() == tunables
    finally:
        owner.send_signal(signal.SIGKILL)
        await owner.wait()

    await until(lambda: not cgroups.processes(cgroup))
    reap()
    with own_folder():
        await until(lambda: not exists(folder))  # another start may be removing it
    assert cgroups.existing(prefix) == set()
    assert [name for name in existing() if name.startswith(prefix)] == []


def machine_wide() -> dict[str, str]:
    """What a kubelet would change for everybody."""
    return {name: Path("/proc/sys", name).read_text() for name in TUNABLES}


def exists(path: Path) -> bool:
    return path.exists()
