"""What a node tells its kubelet stand-in, as JSON in a file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """`prefix` begins the names of the pods' network namespaces; `pods` is the node's pod CIDR and
    `gateway` its own address there; `service` is the ClusterIP of the API server. What ends with a
    6 is the same in IPv6."""

    kubeconfig: str
    node: str
    address: str
    address6: str
    pods: str
    pods6: str
    gateway: str
    prefix: str
    service: str
    folder: str
