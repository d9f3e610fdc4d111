"""The demo's own daemon: a real one in a process of its own."""

from pathlib import Path

import pytest

from probe.demo.daemon import DaemonFailed, Watched
from probe.sandbox.cluster import Cluster
from tests.running import until

pytestmark = pytest.mark.slow


async def test_it_stands_while_the_context_lasts_and_answers(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        async with Watched(tmp_path / "kubeconfig", linger=1) as daemon:
            assert await until(daemon.services, every=0.2)  # its API takes ten a second
            assert set(await daemon.changes()) == {"changes", "rollouts"}
            assert await daemon.invalid_targets() == {}
            process = daemon._process
        assert process
        assert process.returncode == 0


async def test_the_settings_of_a_daemon_elsewhere_are_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("API_KEY", "secret"), ("namespaces", "shop"), ("CONFIG", "/none.yaml")):
        monkeypatch.setenv(f"PROBE_{name}", value)
    async with Cluster() as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        async with Watched(tmp_path / "kubeconfig", linger=1) as daemon:
            (found,) = await until(daemon.services, every=0.2)  # it sees itself

    assert found["service"] == {"namespace": "edgeprobe", "name": "edgeprobe"}


async def test_one_that_cannot_start_fails_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(
        DaemonFailed, match=r"the daemon ended: probe: kubeconfig .* does not exist"
    ):
        async with Watched(tmp_path / "nothing", linger=1):
            pass


async def test_one_that_dies_meanwhile_fails_with_its_last_words(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        async with Watched(tmp_path / "kubeconfig", linger=1) as daemon:
            assert daemon._process
            daemon._process.kill()
            await daemon._process.wait()
            with pytest.raises(DaemonFailed, match=r"/api/v1/changes: .*dialing as node node-1"):
                await daemon.changes()
