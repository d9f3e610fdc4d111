"""Where `probe check` finds itself: daemons and an API server that answer it there, or do not."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from probe.demo.manifests import service
from probe.reach import reach_pods
from tests.front import HERE, Front, alive, answering, front, says


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
        assert await ground.reached(), "there is no daemon to ask"
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
