"""DaemonSets that carry the cluster's traffic: while one of them rolls, any dial may fail."""

from collections.abc import Iterable

from probe.core.words import Word


class Part(Word):
    """PROXY programs Services on its node, NETWORK the way between pods."""

    PROXY = "proxy"
    NETWORK = "network"


PARTS = {
    # kube-proxy as kubeadm, EKS, AKS and kind install it.
    "kube-proxy": Part.PROXY,
    "kube-proxy-windows": Part.PROXY,
    # Always their own Service proxy: kube-router's manifests with --run-service-proxy,
    # OVN-Kubernetes (its architecture has no kube-proxy), OpenShift SDN (kube-proxy inside).
    "kube-router": Part.PROXY,
    "ovnkube-node": Part.PROXY,
    "sdn": Part.PROXY,
    # CNIs. Some may be told to replace kube-proxy too (Cilium, Calico's eBPF, Antrea's proxyAll);
    # whether they were is in a ConfigMap that we do not read.
    "cilium": Part.NETWORK,
    "anetd": Part.NETWORK,  # GKE Dataplane V2
    "calico-node": Part.NETWORK,
    "canal": Part.NETWORK,
    "kube-flannel": Part.NETWORK,
    "kube-flannel-ds": Part.NETWORK,
    "flannel": Part.NETWORK,
    "antrea-agent": Part.NETWORK,
    "aws-node": Part.NETWORK,
    "weave-net": Part.NETWORK,
    "kindnet": Part.NETWORK,
    "kindnetd": Part.NETWORK,
    "kube-ovn-cni": Part.NETWORK,
    "ovs-ovn": Part.NETWORK,
    "terway": Part.NETWORK,
    "terway-eniip": Part.NETWORK,
}
"""Names that these projects' own manifests give to the DaemonSet, its k8s-app label or its image
(cilium, flannel, kindnetd). Sidecars of theirs that carry no traffic of Services (cilium-envoy,
multus) are not among them."""

NAME_LABELS = ("k8s-app", "app.kubernetes.io/name", "app")


def part(name: str, labels: Iterable[tuple[str, str]], images: Iterable[str]) -> Part | None:
    """What a DaemonSet of this name, with these labels and images of its pods, carries."""
    told = dict(labels)
    names = (name, *(told.get(label, "") for label in NAME_LABELS), *map(_repository, images))
    return next((PARTS[n] for n in names if n in PARTS), None)


def _repository(image: str) -> str:
    """`quay.io/cilium/cilium:v1.17@sha256:...` -> `cilium`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
