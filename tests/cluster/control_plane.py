"""etcd, API server, controller-manager and scheduler in a network namespace of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.cluster.apiserver import ApiServer, Place
from tests.cluster.binaries import binary
from tests.cluster.network import CONTROL_PLANE, PODS, PODS6, SERVICES, SERVICES6
from tests.cluster.processes import Program
from tests.cluster.relay import Relay

QPS = ("--kube-api-qps=500", "--kube-api-burst=1000")
"""So high that a controller never waits for its own client."""

IMPATIENT = ("--node-monitor-grace-period=10s", "--node-monitor-period=1s")
"""Three heartbeats of the kubelet stand-in, instead of 50 s."""


class ControlPlane(ApiServer):
    """Reached from the test through a relay on 127.0.0.1, from the nodes at `place.url`."""

    def __init__(self, folder: Path, namespace: str) -> None:
        place = Place(CONTROL_PLANE, 6443, 2379, 2380, namespace, f"{SERVICES},{SERVICES6}")
        self._relay = Relay(namespace, place.address, place.port, folder)
        super().__init__(folder, place, f"https://127.0.0.1:{self._relay.port}")
        self.controller_manager = self._component("kube-controller-manager", "controller-manager")
        self.scheduler = self._component("kube-scheduler", "scheduler")

    async def start(self, nodes: tuple[str, ...] = ()) -> None:
        await super().start(nodes)
        for user in ("controller-manager", "scheduler"):
            self.credentials.kubeconfig(self.place.url, user)
        self.controller_manager.start()
        self.scheduler.start()

    async def stop(self) -> None:
        self.controller_manager.kill()
        self.scheduler.kill()
        await super().stop()
        self._relay.close()

    @asynccontextmanager
    async def impatient(self) -> AsyncIterator[None]:
        """Meanwhile a node that says nothing is given up after seconds: its Ready turns Unknown,
        and its pods are not ready."""
        usual, name = self.controller_manager, "controller-manager"
        self.controller_manager = self._component("kube-controller-manager", name, *IMPATIENT)
        await usual.stop()
        self.controller_manager.start()
        try:
            yield
        finally:
            await self.controller_manager.stop()
            self.controller_manager = usual
            usual.start()

    def _component(self, name: str, user: str, *more: str) -> Program:
        flags = [
            f"--kubeconfig={self.credentials.folder / f'kubeconfig-{user}'}",
            "--leader-elect=false",
            *QPS,
            *more,
        ]
        if name == "kube-controller-manager":
            flags += [
                f"--service-account-private-key-file={self.credentials.service_account_key}",
                f"--root-ca-file={self.credentials.ca}",
                "--use-service-account-credentials",
                f"--cluster-cidr={PODS},{PODS6}",
                f"--service-cluster-ip-range={self.place.services}",
                "--horizontal-pod-autoscaler-sync-period=1s",
            ]
        command = [binary(name), *flags]
        return Program(name, command, folder=self.folder, namespace=self.place.namespace)
