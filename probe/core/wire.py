"""The fields that are kept of each Kubernetes object, in the API's own names.

Whoever decodes JSON builds these; every other field of an object is dropped unread. Optional
fields are what the API documents as optional, or what a broken object may lack.
"""

from dataclasses import dataclass, field
from typing import TypedDict

from probe.core.wire_managers import Manager
from probe.core.wire_selectors import Affinity, Expression


@dataclass(frozen=True, slots=True)
class Meta:
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""
    generation: int = 0
    deletionTimestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    managedFields: list[Manager] | None = None


@dataclass(frozen=True, slots=True)
class ServicePort:
    port: int
    name: str | None = None
    protocol: str | None = None
    targetPort: int | str | None = None


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    type: str = "ClusterIP"
    clusterIP: str | None = None
    clusterIPs: list[str] | None = None
    ports: list[ServicePort] | None = None
    selector: dict[str, str] | None = None
    publishNotReadyAddresses: bool | None = None
    internalTrafficPolicy: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    metadata: Meta
    spec: ServiceSpec | None = None


@dataclass(frozen=True, slots=True)
class SlicePort:
    name: str | None = None
    port: int | None = None
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    kind: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Hint:
    name: str = ""


@dataclass(frozen=True, slots=True)
class Hints:
    forZones: list[Hint] | None = None
    forNodes: list[Hint] | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    addresses: list[str] | None = None
    conditions: Conditions | None = None
    nodeName: str | None = None
    targetRef: Ref | None = None
    hints: Hints | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    metadata: Meta
    addressType: str = ""
    ports: list[SlicePort] | None = None
    endpoints: list[Endpoint] | None = None


@dataclass(frozen=True, slots=True)
class PortAction:
    port: int | str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    tcpSocket: PortAction | None = None
    httpGet: PortAction | None = None
    grpc: PortAction | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Hook:
    """A lifecycle hook: a sleep (KEP-3960), or something that takes we do not know how long."""

    sleep: Sleep | None = None


@dataclass(frozen=True, slots=True)
class Lifecycle:
    preStop: Hook | None = None


@dataclass(frozen=True, slots=True)
class Env:
    name: str = ""
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ContainerPort:
    containerPort: int = 0
    name: str | None = None
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class Container:
    name: str = ""
    image: str = ""
    ports: list[ContainerPort] | None = None
    env: list[Env] | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    readinessProbe: Probe | None = None
    livenessProbe: Probe | None = None
    startupProbe: Probe | None = None
    lifecycle: Lifecycle | None = None
    restartPolicy: str | None = None


@dataclass(frozen=True, slots=True)
class PodSpec:
    containers: list[Container] | None = None
    initContainers: list[Container] | None = None
    terminationGracePeriodSeconds: int | None = None
    hostNetwork: bool | None = None
    nodeSelector: dict[str, str] | None = None
    affinity: Affinity | None = None


@dataclass(frozen=True, slots=True)
class TemplateMeta:
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Template:
    metadata: TemplateMeta = field(default_factory=TemplateMeta)
    spec: PodSpec | None = None


@dataclass(frozen=True, slots=True)
class RollingUpdate:
    partition: int | None = None
    maxSurge: int | str | None = None
    maxUnavailable: int | str | None = None


@dataclass(frozen=True, slots=True)
class UpdateStrategy:
    type: str = ""
    rollingUpdate: RollingUpdate | None = None


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    replicas: int | None = None
    strategy: UpdateStrategy | None = None
    updateStrategy: UpdateStrategy | None = None
    paused: bool | None = None
    progressDeadlineSeconds: int | None = None
    template: Template | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    type: str = ""
    status: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WorkloadStatus:
    observedGeneration: int | None = None
    replicas: int | None = None
    updatedReplicas: int | None = None
    availableReplicas: int | None = None
    readyReplicas: int | None = None
    currentRevision: str | None = None
    updateRevision: str | None = None
    desiredNumberScheduled: int | None = None
    updatedNumberScheduled: int | None = None
    numberAvailable: int | None = None
    conditions: list[Condition] | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    metadata: Meta
    spec: WorkloadSpec | None = None
    status: WorkloadStatus | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    kind: str = ""
    controller: bool | None = None


@dataclass(frozen=True, slots=True)
class OwnedMeta(Meta):
    ownerReferences: list[Owner] | None = None


@dataclass(frozen=True, slots=True)
class ReplicaSet(Workload):
    metadata: OwnedMeta


@dataclass(frozen=True, slots=True)
class Taint:
    key: str = ""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    unschedulable: bool | None = None
    taints: list[Taint] | None = None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    conditions: list[Condition] | None = None


@dataclass(frozen=True, slots=True)
class Node:
    metadata: Meta
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


@dataclass(frozen=True, slots=True)
class PodMeta:
    name: str = ""
    namespace: str = ""
    resourceVersion: str = ""
    deletionTimestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Terminated:
    exitCode: int = 0
    signal: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ContainerState:
    waiting: Waiting | None = None
    running: dict[str, str | None] | None = None
    terminated: Terminated | None = None


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    name: str = ""
    ready: bool = False
    restartCount: int = 0
    state: ContainerState | None = None
    lastState: ContainerState | None = None


@dataclass(frozen=True, slots=True)
class RunningPodSpec(PodSpec):
    nodeName: str | None = None


@dataclass(frozen=True, slots=True)
class PodStatus:
    phase: str = ""
    podIP: str | None = None
    reason: str | None = None
    conditions: list[Condition] | None = None
    containerStatuses: list[ContainerStatus] | None = None
    initContainerStatuses: list[ContainerStatus] | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    metadata: PodMeta
    spec: RunningPodSpec | None = None
    status: PodStatus | None = None


@dataclass(frozen=True, slots=True)
class Namespace:
    metadata: Meta


@dataclass(frozen=True, slots=True)
class LabelSelector:
    matchLabels: dict[str, str] | None = None
    matchExpressions: list[Expression] | None = None


# Two of the API's names are words of Python.
IPBlock = TypedDict("IPBlock", {"cidr": str, "except": list[str] | None}, total=False)


@dataclass(frozen=True, slots=True)
class PolicyPeer:
    podSelector: LabelSelector | None = None
    namespaceSelector: LabelSelector | None = None
    ipBlock: IPBlock | None = None


@dataclass(frozen=True, slots=True)
class PolicyPort:
    port: int | str | None = None
    endPort: int | None = None
    protocol: str | None = None


IngressRule = TypedDict(
    "IngressRule",
    {"from": list[PolicyPeer] | None, "ports": list[PolicyPort] | None},
    total=False,
)


@dataclass(frozen=True, slots=True)
class NetworkPolicySpec:
    podSelector: LabelSelector | None = None
    policyTypes: list[str] | None = None
    ingress: list[IngressRule] | None = None


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    metadata: Meta
    spec: NetworkPolicySpec | None = None
