"""Finds what real Kubernetes on one machine is made of, or skips the test and names what lacks.

Kubernetes' own binaries are looked for in $KUBEBUILDER_ASSETS, in /usr/local/kubebuilder/bin
(envtest's default) and in $PATH. `setup-envtest use` brings etcd, kube-apiserver and kubectl; the
server tarball of a Kubernetes release brings all but etcd, for which any of 3.4 to 3.6 will do, a
distribution's etcd-server package among them.
"""

import os
import shutil

import pytest

from tests.cluster import cgroups, image

ASSETS = "/usr/local/kubebuilder/bin"

SIMPLE = ("etcd", "kube-apiserver")
"""What an API server alone needs."""

WHOLE = (
    *SIMPLE,
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubectl",
)
"""What a cluster of nodes needs."""

TOOLS = ("ip", "nsenter", "unshare", "setpriv", "openssl")
"""What network namespaces and keys need: iproute2, util-linux and openssl."""

RUNTIME = ("containerd", "ctr", "containerd-shim-runc-v2", "runc", "bash")
"""What runs containers below a real kubelet: Debian's packages containerd and runc."""

PLUGINS = ("ptp", "host-local", "loopback")
"""CNI plugins for them; Debian's containernetworking-plugins."""

PLUGIN_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin")
"""Debian's and everybody else's."""

FIREWALLS = {
    "iptables": ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-restore"),
    "nftables": ("iptables", "ip6tables", "nft"),
}
"""What kube-proxy calls, by its mode; faults are iptables rules in either."""


def find(name: str) -> str | None:
    """The binary's path."""
    folders = (os.environ.get("KUBEBUILDER_ASSETS"), ASSETS, os.environ.get("PATH"))
    return shutil.which(name, path=os.pathsep.join(folder for folder in folders if folder))


def binary(name: str) -> str:
    """The path of one of Kubernetes' binaries; skips the test where there is none."""
    need(name)
    found = find(name)
    assert found is not None
    return found


def need(*names: str) -> None:
    """Skips the test unless all of these binaries of Kubernetes are there."""
    missing = [name for name in names if find(name) is None]
    if missing:
        pytest.skip(
            f"no {', '.join(missing)} in $KUBEBUILDER_ASSETS, {ASSETS} or $PATH: setup-envtest "
            "brings etcd, kube-apiserver and kubectl, a Kubernetes server release all but etcd"
        )


def plugins() -> str:
    """The folder that has all of PLUGINS; the first one if none has."""
    whole = (
        folder
        for folder in PLUGIN_FOLDERS
        if all(shutil.which(name, path=folder) for name in PLUGINS)
    )
    return next(whole, PLUGIN_FOLDERS[0])


def need_kubelets() -> None:
    """Skips the test unless real kubelets can run containers here."""
    need("kubelet")
    if not image.possible():
        pytest.skip(f"no package helps: the distribution's Python is not {image.VERSION}")
    lacking = [name for name in RUNTIME if shutil.which(name) is None]
    lacking += [name for name in PLUGINS if shutil.which(name, path=plugins()) is None]
    lacking += image.missing()
    if lacking:
        pytest.skip(
            f"needs containerd, runc, CNI plugins and Debian's Python: no {', '.join(lacking)}"
        )
    if cgroups.missing():
        pytest.skip(f"no package helps: a kubelet needs the cgroup controllers {cgroups.missing()}")


def need_namespaces(mode: str) -> None:
    """Skips the test unless we are root and have the tools for nodes in that kube-proxy mode."""
    missing = [tool for tool in (*TOOLS, *FIREWALLS[mode]) if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and {', '.join(missing) or 'network namespaces'}")
