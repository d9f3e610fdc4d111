"""The network of a cluster on one machine: namespaces that lead nowhere else.

One for the control plane, with a bridge and the API server on 172.30.0.1; one per node, node N
being 172.30.0.1N; one per pod of node N, with an address in 10.244.N.0/24 (the kubelet makes
those). All but the API server has IPv6 as well. The node namespaces have a default route to the
control plane's, which forwards nothing: what no rule translates is a SYN that nobody answers. An
address of a pod that is gone meets the same, as where a cloud's own network routes pods.

The names hold the process that made them. What a crash left behind, the next cluster removes.
"""

import contextlib
import ipaddress
import itertools
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cgroups
from tests.namespaces import links, run, sysctls

PREFIX = "edgeprobe"
"""As tests/namespaces.py names its own, so that those are reaped, too."""

_numbers = itertools.count(1)


SERVICES = "10.96.0.0/16"
"""Where ClusterIPs come from."""
API_SERVICE = "10.96.0.1"
"""That of `default/kubernetes`: always the first."""
SERVICES6 = "fd00:10:96::/112"
PODS = "10.244.0.0/16"
PODS6 = "fd00:10:244::/48"
CONTROL_PLANE = "172.30.0.1"
CONTROL_PLANE6 = "fd00:172:30::1"

SYSCTLS = {
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv6/conf/all/forwarding": "1",
}
"""Of a node: it routes for its pods, and answers may come another way than questions went."""


@dataclass(frozen=True)
class NodeNetwork:
    """Node number `number` of a cluster: its name in Kubernetes, its namespace and addresses."""

    number: int
    namespace: str

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def address(self) -> str:
        return f"172.30.0.{10 + self.number}"

    @property
    def address6(self) -> str:
        return f"fd00:172:30::1{self.number}"

    @property
    def pods(self) -> str:
        return f"10.244.{self.number}.0/24"

    @property
    def pods6(self) -> str:
        return f"fd00:10:244:{self.number}::/64"

    @property
    def gateway(self) -> str:
        """Its pods' next hop, and its own address towards them."""
        return str(ipaddress.ip_network(self.pods)[1])


class Network:
    """The namespaces of one cluster: `make` them once, and `remove` them."""

    def __init__(self, nodes: int) -> None:
        self.prefix = f"{PREFIX}-{os.getpid()}-c{next(_numbers)}"
        self.control_plane = f"{self.prefix}-cp"
        self.nodes = [NodeNetwork(n, f"{self.prefix}-node{n}") for n in range(1, nodes + 1)]

    def make(self) -> None:
        for name in (self.control_plane, *(node.namespace for node in self.nodes)):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        links(
            self.control_plane,
            (
                "link add br0 type bridge",
                f"addr add {CONTROL_PLANE}/24 dev br0",
                f"addr add {CONTROL_PLANE6}/64 dev br0 nodad",
                "link set br0 up",
            ),
        )
        for node in self.nodes:
            self._join(node)

    def _join(self, node: NodeNetwork) -> None:
        links(
            self.control_plane,
            (
                f"link add {node.name} type veth peer name eth0 netns {node.namespace}",
                f"link set {node.name} master br0 up",
                f"route add {node.pods} via {node.address}",
            ),
        )
        others = [other for other in self.nodes if other is not node]
        links(
            node.namespace,
            (
                f"addr add {node.address}/24 dev eth0",
                f"addr add {node.address6}/64 dev eth0 nodad",
                f"addr add {node.gateway}/32 dev lo",
                "link set eth0 up",
                f"route add default via {CONTROL_PLANE}",
                f"route add default via {CONTROL_PLANE6}",
                *(f"route add {other.pods} via {other.address}" for other in others),
                *(f"route add {other.pods6} via {other.address6}" for other in others),
            ),
        )
        sysctls(node.namespace, SYSCTLS)

    def cut_off(self, node: NodeNetwork) -> None:
        """Pulls the node's cable."""
        links(self.control_plane, (f"link set {node.name} down",))

    def rejoin(self, node: NodeNetwork) -> None:
        links(self.control_plane, (f"link set {node.name} up",))

    def pod(self, uid: str) -> str:
        """The namespace of the pod with that uid."""
        return f"{self.prefix}-{uid[:8]}"

    def namespaces(self) -> list[str]:
        """Those that exist, pods' included."""
        return [name for name in existing() if name.startswith(f"{self.prefix}-")]

    def remove(self) -> None:
        """Ends what still runs in the namespaces and removes them."""
        for name in self.namespaces():
            _remove(name)


def existing() -> list[str]:
    return [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line]


def inside_of(name: str) -> list[int]:
    """The processes in that namespace; none once it is gone."""
    with contextlib.suppress(RuntimeError):
        return [int(pid) for pid in run("ip", "netns", "pids", name).split()]
    return []


def reap() -> None:
    """Removes the namespaces and cgroups of processes that are no more."""
    for name in existing():
        if _orphan(name):
            _remove(name)
    for name in cgroups.existing(PREFIX):
        if _orphan(name):
            cgroups.remove(name)


def _orphan(name: str) -> bool:
    found = re.match(rf"{PREFIX}-(\d+)-", name)
    return found is not None and not Path("/proc", found[1]).exists()


def _remove(name: str) -> None:
    with contextlib.suppress(RuntimeError):  # it went by itself meanwhile
        for pid in inside_of(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        run("ip", "netns", "del", name)


@contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder whose name says whose it is. Those of dead owners are removed first."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}-*"):
        if _orphan(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=f"{PREFIX}-{os.getpid()}-", ignore_cleanup_errors=True
    ) as own:
        yield Path(own)
