"""A real kubelet with a containerd of its own, instead of the stand-in of kubelet.py.

Both live in a PID namespace, whose end is the end of all that they started however we end, and in a
mount namespace, where memory stands for this machine's /run and /var/lib. Outside they leave only
cgroups.
"""

import json
from pathlib import Path

from tests.cluster import cgroups
from tests.cluster.binaries import binary, plugins
from tests.cluster.image import PAUSE
from tests.cluster.network import NodeNetwork
from tests.cluster.processes import Program

TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What a kubelet sets for a whole machine (setupKernelTunables in its container_manager_linux.go).
It finds these in files that lie over those of /proc/sys, and leaves the machine's alone."""

SCRIPT = """
set -e
folder=$1 images=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount --bind "$folder/log" /var/log
cd "$folder/sys"
find . -type f -exec mount --bind {} /proc/sys/{} \\;
containerd --config "$folder/containerd.toml" &
until ctr version &> /dev/null; do kill -0 $!; sleep 0.05; done
ctr --namespace k8s.io images import "$images"
until test -e "$folder/kubeconfig"; do sleep 0.05; done
"$@" &
wait -n
"""
"""The first process, which ends when either of the two does, and takes everything along."""

UNSHARED = ("unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child")

CONTAINERD = """
version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true  # it may not be lowered without CAP_SYS_RESOURCE
disable_apparmor = true  # its profiles would be the machine's
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/cni"
"""


class Machine:
    """One node's. The end of `program` is a power cut."""

    def __init__(self, place: NodeNetwork, images: Path, folder: Path) -> None:
        self.cgroup = place.namespace
        self._place = place
        self._folder = folder / place.name
        self._kubeconfig = self._folder / "kubeconfig"
        self.program = Program(
            f"kubelet-{place.name}",
            [
                *UNSHARED,
                *("bash", "-c", SCRIPT, "machine", str(self._folder), str(images)),
                binary("kubelet"),
                f"--config={self._folder / 'kubelet.json'}",
                f"--kubeconfig={self._kubeconfig}",
                f"--hostname-override={place.name}",
                f"--node-ip={place.address}",
            ],
            folder=folder,
            namespace=place.namespace,
        )

    def start(self) -> None:
        """Starts containerd and imports the images. Nothing is left of an earlier life."""
        self.remove()
        cgroups.make(self.cgroup)
        self._write("kubelet.json", json.dumps(self._kubelet()))
        self._write("cni/pods.conflist", json.dumps(self._network()))
        said = CONTAINERD.format(pause=PAUSE, plugins=plugins(), folder=self._folder)
        self._write("containerd.toml", said)
        for name, value in TUNABLES.items():
            self._write(f"sys/{name}", value)
        (self._folder / "log").mkdir(exist_ok=True)
        self.program.start()

    def start_kubelet(self, kubeconfig: Path) -> None:
        """It comes up as soon as the images are there. Starts the machine, too, if need be."""
        if self.program.pid is None:
            self.start()
        self._kubeconfig.symlink_to(kubeconfig)

    def remove(self) -> None:
        """Ends everything, and leaves nothing but files in its folder."""
        self.program.kill()
        self._kubeconfig.unlink(missing_ok=True)
        cgroups.remove(self.cgroup)

    def processes(self, uid: str = "") -> set[int]:
        """Those of the pod with that uid or of all pods, by the numbers that they have out here."""
        return cgroups.processes(self.cgroup, f"pod{uid}")

    def _kubelet(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            # Only the API server comes here, for logs.
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            # However full this machine is, nobody is evicted and no image removed.
            "evictionHard": dict.fromkeys(
                ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"),
                "0%",
            ),
            "imageGCHighThresholdPercent": 100,
        }

    def _network(self) -> dict[str, object]:
        """As podnet.py does it."""
        ipam = {
            "type": "host-local",
            "ranges": [[{"subnet": self._place.pods, "gateway": self._place.gateway}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        return {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}],
        }

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
