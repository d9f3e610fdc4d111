"""A real etcd and a real kube-apiserver on loopback, for as long as a test wants them.

Binaries are looked for in $KUBEBUILDER_ASSETS, in /usr/local/kubebuilder/bin (envtest's default)
and in $PATH. Without them, or without openssl, the test is skipped and says what is missing.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

ASSETS = "/usr/local/kubebuilder/bin"
START_SECONDS = 40.0
"""For /readyz; 3 to 6 s on an idle machine of two cores."""

TOKENS = {"admin": "system:masters", "nobody": "probe:nobody"}
"""Users, whose names are their tokens, and their groups; `nobody` may do nothing."""


def binary(name: str) -> str:
    """The binary's path; skips the test where there is none."""
    folders = (os.environ.get("KUBEBUILDER_ASSETS"), ASSETS, os.environ.get("PATH"))
    found = shutil.which(name, path=os.pathsep.join(folder for folder in folders if folder))
    if found is None:
        pytest.skip(f"{name} is not in $KUBEBUILDER_ASSETS, {ASSETS} or $PATH")
    return found


class Cluster:
    """A control plane without controllers: it stores, lists and watches, and nothing else moves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etcd_port, self.peer_port, self.port = free_ports(3)
        self.url = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = self.write_kubeconfig("admin")
        self._running: dict[str, asyncio.subprocess.Process] = {}

    def write_kubeconfig(self, user: str) -> Path:
        """A kubeconfig for one of TOKENS."""
        ca = str(self.folder / "certs" / "apiserver.crt")
        config = {
            "current-context": user,
            "contexts": [{"name": user, "context": {"cluster": "real", "user": user}}],
            "clusters": [
                {"name": "real", "cluster": {"server": self.url, "certificate-authority": ca}}
            ],
            "users": [{"name": user, "user": {"token": user}}],
        }
        path = self.folder / f"kubeconfig-{user}"
        path.write_text(yaml.safe_dump(config))
        return path

    async def start(self) -> None:
        etcd = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{self.peer_port}"
        await self._run(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )
        await self._make_keys()
        await self.start_api_server()

    async def start_api_server(self) -> None:
        """Starts kube-apiserver, on the same port each time; ready, and its own Service stands."""
        key = self.folder / "service-account.key"
        await self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={self.folder / 'certs'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--disable-admission-plugins=ServiceAccount",
        )
        async with asyncio.timeout(START_SECONDS):
            while await self._readyz() != 200 or not await self._has_its_own_service():
                self._check_alive("kube-apiserver")
                await asyncio.sleep(0.1)

    async def kill_api_server(self) -> None:
        """Ends it with SIGKILL, as a crash would."""
        process = self._running.pop("kube-apiserver")
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async def stop(self) -> None:
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._running.clear()

    async def request(self, method: str, path: str, body: object = None, patch: str = "") -> Any:
        """One request by admin; `patch` is application/merge-patch+json and the like."""
        tls = ssl.create_default_context(cafile=str(self.folder / "certs" / "apiserver.crt"))
        headers = {"Authorization": "Bearer admin", "Content-Type": patch or "application/json"}
        data = None if body is None else json.dumps(body).encode()
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.request(method, self.url + path, data=data, headers=headers, ssl=tls) as answer,
        ):
            text = await answer.text()
            assert answer.ok, f"{method} {path}: {answer.status} {text}"
            return json.loads(text) if text.startswith("{") else text

    async def _readyz(self) -> int:
        try:
            return 200 if await self.request("GET", "/readyz") == "ok" else 0
        except (aiohttp.ClientError, OSError, AssertionError):
            return 0

    async def _has_its_own_service(self) -> bool:
        """Whether `default/kubernetes` stands: it comes up to seconds after /readyz says ok."""
        with suppress(aiohttp.ClientError, OSError, AssertionError):
            return bool(await self.request("GET", "/api/v1/namespaces/default/services/kubernetes"))
        return False

    async def _make_keys(self) -> None:
        lines = [f'{user},{user},{user},"{group}"\n' for user, group in TOKENS.items()]
        (self.folder / "tokens.csv").write_text("".join(lines))
        key = str(self.folder / "service-account.key")
        making = await asyncio.create_subprocess_exec(
            *(binary("openssl"), "genrsa", "-out", key, "2048"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await making.wait() == 0

    async def _run(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                binary(name), *arguments, stdout=log, stderr=log, cwd=self.folder
            )

    def _check_alive(self, name: str) -> None:
        if self._running[name].returncode is not None:
            log = (self.folder / f"{name}.log").read_text()
            pytest.fail(f"{name} ended: {log[-2000:]}")


@asynccontextmanager
async def real_cluster() -> AsyncIterator[Cluster]:
    """A running control plane, which a test may also kill and start again."""
    for name in ("etcd", "kube-apiserver", "openssl"):
        binary(name)
    with tempfile.TemporaryDirectory(prefix="probe-cluster-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder))
        try:
            await cluster.start()
            yield cluster
        finally:
            await cluster.stop()


@asynccontextmanager
async def real_api_server() -> AsyncIterator[tuple[str, Path]]:
    """The URL of a running API server, and a kubeconfig that may do everything there."""
    async with real_cluster() as cluster:
        yield cluster.url, cluster.kubeconfig


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
