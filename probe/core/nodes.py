"""Nodes: in which zone they are, and whether failures of what runs there still mean something.

A Node object is large and changes often; of it only what is read here is kept, so that two forms
of a Node that differ in nothing else are equal.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern

from probe.core import wire
from probe.core.edges import Author
from probe.core.labels import Pairs, pairs
from probe.core.meta import author

ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `leaving` says why it will not stay ("" if it does), as a phrase; `trouble` is the
    Ready condition's reason while it is not. Its writer makes no other node of it."""

    name: str
    zone: str = ""
    ready: bool = True
    schedulable: bool = True
    leaving: str = ""
    trouble: str = ""
    labels: Pairs = ()
    author: Author | None = field(default=None, compare=False)

    @property
    def namespace(self) -> str:
        """Nodes are in none."""
        return ""


LEAVING = {
    # Those that kubernetes-mixin's KubeNodeUnreachable passes over (kubeNodeUnreachableIgnoreKeys).
    "ToBeDeletedByClusterAutoscaler": "the cluster autoscaler removes it",
    "cloud.google.com/impending-node-termination": "Google Cloud ends it",
    "aws-node-termination-handler/spot-itn": "AWS takes the spot instance back",
    # README of aws/aws-node-termination-handler, TAINT_NODE.
    "aws-node-termination-handler/scheduled-maintenance": "AWS maintains it",
    "aws-node-termination-handler/asg-lifecycle-termination": "its autoscaling group ends it",
    # karpenter's docs on disruption; the second is that of v1beta1.
    "karpenter.sh/disrupted": "Karpenter removes it",
    "karpenter.sh/disruption": "Karpenter removes it",
    # k8s.io/cloud-provider/api TaintNodeShutdown, k8s.io/api/core/v1 TaintNodeOutOfService.
    "node.cloudprovider.kubernetes.io/shutdown": "its machine is shut down",
    "node.kubernetes.io/out-of-service": "it is out of service",
}
"""Taints of a node that somebody takes away. A candidate (DeletionCandidateOfClusterAutoscaler)
and a cordoned node may stay for weeks, and what runs there should answer."""


def node(obj: wire.Node) -> Node:
    """What is kept of a Node."""
    meta, spec = obj.metadata, obj.spec or wire.NodeSpec()
    conditions = (obj.status.conditions or ()) if obj.status is not None else ()
    told = next((c for c in conditions if c.type == "Ready"), wire.Condition())
    ready = told.status == "True"
    return Node(
        name=intern(meta.name),
        zone=intern((meta.labels or {}).get(ZONE, "")),
        ready=ready,
        schedulable=not spec.unschedulable,
        leaving=_leaving(meta, spec.taints or ()),
        trouble="" if ready else intern(told.reason),
        labels=tuple(map(_shared, pairs(meta.labels))),
        author=author(meta),
    )


@lru_cache(maxsize=1024)
def _shared(label: tuple[str, str]) -> tuple[str, str]:
    """The same one for all who have it: most labels of a node are those of its kind of machine."""
    return label


def _leaving(meta: wire.Meta, taints: Iterable[wire.Taint]) -> str:
    if meta.deletionTimestamp:
        return "its object is being deleted"
    return next((LEAVING[t.key] for t in taints if t.key in LEAVING), "")


def doubtful(node: Node) -> str:
    """Why failures of what runs on the node accuse nobody, as a sentence; "" if they do."""
    if node.leaving:
        return f"node {node.name} is being removed: {node.leaving}"
    return "" if node.ready else f"node {node.name} is not ready"
