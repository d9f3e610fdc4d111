"""Where `probe check` finds itself: daemons and an API server that answer it there, or do not."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from probe import reach
from probe.demo.manifests import service
from probe.reach import reach_pods
from probe.reflector import ApiError, Unreachable, connect
from probe.sandbox.cluster import Cluster
from probe.settings import load
from tests.front import HERE, Front, alive, answering, front, says
from tests.hostile import Server, connected, page, refuse, serving
from tests.running import PATIENCE


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of those asked here is silent: who is late has waited for the machine."""
    monkeypatch.setattr(reach, "REACH_SECONDS", PATIENCE)
    monkeypatch.setattr(reach, "ALONE_SECONDS", PATIENCE)


@dataclass
class Ground:
    """Where a command stands: what daemons and the API server's ClusterIP answer it there."""

    front: Front

    async def reached(self) -> bool:
        return await reach_pods(self.front.connection, self.front.settings)

    def cluster_ip(self, port: int) -> None:
        """default/kubernetes is 127.0.0.1 with that port."""
        made = service("kubernetes", namespace="default")
        made["spec"] |= {"clusterIP": HERE, "clusterIPs": [HERE]}
        made["spec"]["ports"] = [{"name": "https", "port": port, "protocol": "TCP"}]
        self.front.store.create("services", made, manager="kube-apiserver")


async def test_here_is_chosen_where_pods_and_cluster_ips_answer(tmp_path: Path) -> None:
    async with (
        front(tmp_path) as ahead,
        answering(alive) as daemon,
        answering(alive, says({}, 400)) as api,
    ):
        ground = Ground(ahead)
        ahead.pod("near", daemon)
        assert not await ground.reached(), "there is no ClusterIP to try"
        ground.cluster_ip(api)
        assert await ground.reached()
        ahead.pod("away", 1)
        assert await ground.reached(), "one pod suffices"


async def accepts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What a network says that takes every connection, and has nobody to hand it to."""
    writer.close()


async def test_a_connection_alone_proves_nothing(tmp_path: Path) -> None:
    server = await asyncio.start_server(accepts, HERE, 0)
    taken = server.sockets[0].getsockname()[1]
    async with (
        server,
        answering(alive) as daemon,
        answering(alive, says({}, 400)) as api,
        answering(alive, says({}, 503)) as gateway,
    ):
        for number, (pod, vip) in enumerate(
            ((taken, api), (gateway, api), (1, api), (daemon, taken), (daemon, gateway))
        ):
            (folder := tmp_path / str(number)).mkdir()
            async with front(folder) as ahead:
                ground = Ground(ahead)
                ground.cluster_ip(vip)
                ahead.pod("near", pod)
                assert not await ground.reached()


async def test_a_daemon_on_the_hosts_network_proves_nothing_of_pods(tmp_path: Path) -> None:
    async with front(tmp_path) as ahead, answering(alive) as port:
        ground = Ground(ahead)
        ground.cluster_ip(port)
        ahead.pod("near", port)
        assert await ground.reached()
        pod = ahead.store.get("pods", "edgeprobe", "edgeprobe-near")
        pod["spec"]["hostNetwork"] = True
        ahead.store.update("pods", pod, manager="kubectl")
        assert not await ground.reached()


async def test_without_daemons_the_api_servers_cluster_ip_decides(tmp_path: Path) -> None:
    server = await asyncio.start_server(accepts, HERE, 0)
    async with server, front(tmp_path) as ahead, answering(alive, says({}, 400)) as api:
        ground = Ground(ahead)
        with pytest.raises(
            Unreachable, match=r"^nothing tells whether we can reach pods and there"
        ):
            await ground.reached()
        ground.cluster_ip(server.sockets[0].getsockname()[1])
        silent = (
            r"^this machine reaches no pod and there is no daemon to ask: install .* --from here$"
        )
        with pytest.raises(Unreachable, match=silent):
            await ground.reached()
        ahead.store.delete("services", "default", "kubernetes")
        ground.cluster_ip(api)
        assert await ground.reached()


async def test_daemons_whose_pods_do_not_run_yet_are_as_good_as_none(tmp_path: Path) -> None:
    """Who has just installed them, and the image cannot be pulled."""
    async with front(tmp_path) as ahead, answering(alive, says({}, 400)) as api:
        ground = Ground(ahead)
        ahead.pod("near", 1, phase="Pending")
        fault = "no daemon can be asked: its pod edgeprobe-near is Pending; .* --from here$"
        with pytest.raises(Unreachable, match=fault):
            await ground.reached()
        ground.cluster_ip(api)
        assert await ground.reached()


async def test_who_may_not_look_for_daemons_is_told_so_where_no_pod_is_reached(
    tmp_path: Path,
) -> None:
    server = Server([refuse(403, "Forbidden")])
    ours = load({"vantage": "local"})
    async with serving(server), connected(server.url, tmp_path) as connection:
        with pytest.raises(
            Unreachable,
            match=r"^nothing tells .* no daemon can be asked: .*forbids us to list pods .*--from h",
        ):
            await reach_pods(connection, ours)
        server.lists = [refuse(401, "Unauthorized")]
        with pytest.raises(ApiError, match="credentials"):
            await reach_pods(connection, ours)


async def test_who_may_not_look_for_daemons_dials_from_here_where_pods_are_reached(
    tmp_path: Path,
) -> None:
    async with answering(alive, says({}, 400)) as api:
        kubernetes = {
            "metadata": {"name": "kubernetes", "namespace": "default", "resourceVersion": "1"},
            "spec": {"clusterIP": HERE, "ports": [{"port": api}]},
        }
        server = Server([refuse(403, "Forbidden"), page([kubernetes])])
        async with serving(server), connected(server.url, tmp_path) as connection:
            assert await reach_pods(connection, load({"vantage": "local"}))


async def test_a_pod_and_a_sandbox_stand_where_pods_stand(tmp_path: Path) -> None:
    """The sandbox has neither daemons nor the Service `kubernetes`; the pod may list nothing."""
    ours = load({"vantage": "local"})
    async with Cluster() as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        connection = await connect(str(tmp_path / "kubeconfig"), None, user_agent="test")
        assert await reach_pods(connection, ours)
        await connection.close()

    server = Server([refuse(403, "Forbidden")])
    async with serving(server), connected(server.url, tmp_path) as connection:
        connection._access.cluster = replace(connection._access.cluster, in_pod=True)
        assert await reach_pods(connection, ours)
