"""deploy/probe.yaml on a cluster of real kubelets, and its pods as vantages."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.api import Api
from tests.cluster.binaries import binary
from tests.cluster.cluster import Cluster, Manifest
from tests.cluster.inside import Inside
from tests.cluster.node import Node
from tests.cluster.processes import ROOT
from tests.cluster.relay import relay
from tests.running import Daemon

MANIFEST = str(ROOT / "deploy" / "probe.yaml")
SPACE = NAME = "edgeprobe"
LABEL = "app.kubernetes.io/name=edgeprobe"
PORT = 9797


@dataclass(frozen=True)
class DaemonPod:
    """One of the DaemonSet's."""

    manifest: Manifest
    node: Node

    @property
    def name(self) -> str:
        name: str = self.manifest["metadata"]["name"]
        return name

    @property
    def restarts(self) -> int:
        return sum(each["restartCount"] for each in self.manifest["status"]["containerStatuses"])

    def read(self, file: str) -> str:
        """A file of its process in this machine's /proc."""
        assert self.node.machine is not None
        pids = self.node.machine.processes(self.manifest["metadata"]["uid"])
        folders = [Path("/proc", str(pid)) for pid in pids]
        (ours,) = (each for each in folders if b"probe\0run" in (each / "cmdline").read_bytes())
        return (ours / file).read_text()


async def deploy(cluster: Cluster) -> None:
    """Returns once the DaemonSet is rolled out."""
    await cluster.kubectl("apply", "-f", MANIFEST)
    try:
        await cluster.rolled_out(f"daemonset/{NAME}", SPACE)
    except AssertionError as failed:
        failed.add_note(await cluster.kubectl("get", "events", "-n", SPACE))
        failed.add_note(await cluster.kubectl("logs", "-n", SPACE, "-l", LABEL, "--prefix"))
        raise


async def last_words(cluster: Cluster, pod: DaemonPod) -> str:
    """The log of the life before this one."""
    return await cluster.kubectl("logs", "--previous", pod.name, "-n", SPACE)


async def pods(cluster: Cluster) -> list[DaemonPod]:
    """Those that are not being deleted, by node."""
    nodes = {node.name: node for node in cluster.nodes}
    async with Api(cluster.kubeconfig) as api:
        found = (await api.request("GET", f"/api/v1/namespaces/{SPACE}/pods"))["items"]
    running = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
    return sorted(
        (DaemonPod(pod, nodes[pod["spec"]["nodeName"]]) for pod in running),
        key=lambda pod: pod.node.name,
    )


@asynccontextmanager
async def vantages(cluster: Cluster, pods: Iterable[DaemonPod]) -> AsyncIterator[list[Daemon]]:
    """Each with its HTTP out here, and its log from the beginning."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(_vantage(cluster, pod)) for pod in pods]


@asynccontextmanager
async def _vantage(cluster: Cluster, pod: DaemonPod) -> AsyncIterator[Daemon]:
    logs = (
        f"{binary('kubectl')} --kubeconfig {cluster.inner_kubeconfig} logs -f -n {SPACE} {pod.name}"
    )
    control_plane = Inside(cluster.network.control_plane, cluster.folder)
    address = pod.manifest["status"]["podIP"]
    async with control_plane.running("sh", "-c", f"exec {logs} >&2") as log:
        with relay(pod.node.namespace, address, PORT, cluster.folder) as port:
            yield Daemon(log, port)
