"""A real etcd and a real kube-apiserver, for as long as a test wants them.

Alone they store, list and watch, and nothing else moves: `real_cluster` starts them on loopback,
which needs no root. Without the binaries or openssl the test is skipped and says what is missing.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import UNAVAILABLE, Api
from tests.cluster.binaries import SIMPLE, binary, need
from tests.cluster.credentials import Credentials
from tests.cluster.network import API_SERVICE, SERVICES, own_folder
from tests.cluster.processes import Program
from tests.ports import reserved

START_SECONDS = 60.0
"""For /readyz; 3 to 6 s on an idle machine of two cores."""

ISSUER = "https://kubernetes.default.svc"


@dataclass(frozen=True)
class Place:
    """Where etcd and the API server listen, in which network namespace, and for which ClusterIPs:
    ranges with commas."""

    address: str
    port: int
    etcd_port: int
    peer_port: int
    namespace: str | None = None
    services: str = SERVICES

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def etcd(self) -> str:
        return f"http://127.0.0.1:{self.etcd_port}"


class ApiServer:
    """etcd and kube-apiserver. `url` is where the test reaches it: `place.url` unless given."""

    def __init__(self, folder: Path, place: Place, url: str | None = None) -> None:
        self.folder = folder
        self.place = place
        self.url = url or place.url
        self.credentials = Credentials(folder / "keys")
        self.etcd = self._program("etcd", self._etcd_flags())
        self.program = self._program("kube-apiserver", self._flags())

    def write_kubeconfig(self, user: str) -> Path:
        """A kubeconfig for the test's side, for one of credentials.TOKENS."""
        return self.credentials.kubeconfig(self.url, user)

    @property
    def kubeconfig(self) -> Path:
        """That of `admin`, who may do everything."""
        return self.write_kubeconfig("admin")

    async def start(self, nodes: tuple[str, ...] = ()) -> None:
        """Starts both, with keys that are new; ready when it returns. `nodes` may have kubelets."""
        self.etcd.start()
        self.credentials.make(("127.0.0.1", self.place.address, API_SERVICE), nodes)
        await self.start_api_server()

    async def start_api_server(self) -> None:
        """Starts kube-apiserver, on the same port each time; ready, and its own Service stands."""
        self.program.start()
        async with asyncio.timeout(START_SECONDS):
            while not await self._ready():
                self.program.check()
                await asyncio.sleep(0.1)

    async def kill_api_server(self) -> None:
        """Ends it with SIGKILL, as a crash would."""
        self.program.kill()

    async def stop(self) -> None:
        self.program.kill()
        self.etcd.kill()

    async def request(self, method: str, path: str, body: object = None, patch: str = "") -> Any:
        """One request by admin; `patch` is application/merge-patch+json and the like."""
        async with Api(self.kubeconfig) as api:
            return await api.request(method, path, body, patch)

    async def _ready(self) -> bool:
        """`default/kubernetes` comes up to seconds after /readyz says ok."""
        with suppress(*UNAVAILABLE):
            ready = await self.request("GET", "/readyz") == "ok"
            return ready and bool(
                await self.request("GET", "/api/v1/namespaces/default/services/kubernetes")
            )
        return False

    def _program(self, name: str, flags: list[str]) -> Program:
        command = [binary(name), *flags]
        return Program(name, command, folder=self.folder, namespace=self.place.namespace)

    def _etcd_flags(self) -> list[str]:
        etcd, peer = self.place.etcd, f"http://127.0.0.1:{self.place.peer_port}"
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        ]

    def _flags(self) -> list[str]:
        keys = self.credentials
        return [
            f"--etcd-servers={self.place.etcd}",
            f"--bind-address={self.place.address}",
            f"--advertise-address={self.place.address}",
            f"--secure-port={self.place.port}",
            f"--tls-cert-file={keys.certificate}",
            f"--tls-private-key-file={keys.key}",
            f"--token-auth-file={keys.tokens}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged",
            "--kubelet-preferred-address-types=InternalIP",  # nobody resolves node names
            f"--service-cluster-ip-range={self.place.services}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={keys.service_account_key}",
            f"--service-account-signing-key-file={keys.service_account_key}",
            *self._admission(),
        ]

    def _admission(self) -> list[str]:
        return ["--enable-admission-plugins=NodeRestriction"]


class Cluster(ApiServer):
    """A control plane without controllers, on loopback."""

    def __init__(self, folder: Path, port: int, etcd_port: int, peer_port: int) -> None:
        super().__init__(folder, Place("127.0.0.1", port, etcd_port, peer_port))

    def _admission(self) -> list[str]:
        # Nobody makes the service accounts that pods would be given.
        return ["--disable-admission-plugins=ServiceAccount"]


@asynccontextmanager
async def real_cluster() -> AsyncIterator[Cluster]:
    """A running control plane, which a test may also kill and start again."""
    need(*SIMPLE)
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    with own_folder() as folder, ExitStack() as ports:
        cluster = Cluster(folder, *(ports.enter_context(reserved()) for _ in range(3)))
        try:
            await cluster.start()
            yield cluster
        finally:
            await cluster.stop()
