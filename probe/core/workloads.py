"""Workloads: what their pod templates declare, and how far their rollouts are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from sys import intern

from probe.core import meshes, networking, ports, templates, wire
from probe.core.edges import Author
from probe.core.labels import Pairs, pairs
from probe.core.meta import BadObject, author, managed, named, scaler, teller
from probe.core.placement import ANYWHERE, Placement, placement

CHANGE_CAUSE = "kubernetes.io/change-cause"
REVISION = "deployment.kubernetes.io/revision"

REPLICA_SET = "ReplicaSet"
DAEMON_SET = "DaemonSet"

UNKNOWN_LENGTH = -1
"""How long a preStop hook takes that runs a command or asks over HTTP."""

NOBODY: Mapping[tuple[str, str], Author] = {}
"""The same one for all workloads whose addresses can be dialed: nearly every one."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet, as far as rollouts and declared ports go.

    `template` is the pod template's print, `images` are its containers' in the order of
    `containers`, their names. `complete` is what `kubectl rollout status` calls successfully rolled
    out; `rolling` that old pods are still being replaced; `stuck` that its deadline passed. `mesh`
    is what the template wishes of each mesh, `named_ports` are those that its containers call by a
    name. `readiness` is whether one of its containers has a readinessProbe. `pre_stop` is its
    longest preStop sleep in seconds, UNKNOWN_LENGTH if a hook does something else, None without any
    hook. `scaler` is who wrote the replicas through the scale subresource. `tellers` has who wrote
    each of `invalid`, as far as that is known. `unplaced` is whether it is a DaemonSet that fits no
    node, `available` whether a pod of it is available, `fresh` whether it is a Deployment whose
    very first rollout goes on. `placement` is a DaemonSet's: on which nodes its pods belong.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int
    replicas: int
    labels: Pairs
    template: bytes
    images: tuple[str, ...]
    declared: tuple[ports.Declared, ...]
    invalid: tuple[tuple[str, str], ...]
    complete: bool
    rolling: bool
    stuck: bool
    paused: bool
    progress_deadline_seconds: int
    grace_seconds: int
    revision: str
    change_cause: str
    author: Author | None
    tellers: Mapping[tuple[str, str], Author] = field(default_factory=lambda: NOBODY, compare=False)
    mesh: meshes.Wishes = meshes.NOTHING_WISHED
    named_ports: tuple[tuple[str, int], ...] = ()
    readiness: bool = False
    pre_stop: int | None = None
    containers: tuple[str, ...] = ()
    managed: str = ""
    scaler: str = ""
    unplaced: bool = False
    available: bool = False
    fresh: bool = False
    placement: Placement = ANYWHERE

    @property
    def idle(self) -> bool:
        """Whether no pod of it is wanted: it is scaled to zero, or fits no node."""
        return not self.replicas or self.unplaced

    @property
    def host_network(self) -> bool:
        """Whether its pods are on their node's own network."""
        return self.mesh == meshes.HOST_NETWORK

    @property
    def application(self) -> str:
        """The container that is the application: the first one, as kubectl takes it, that is no
        well-known sidecar."""
        own = (name for name in self.containers if not ports.stands_aside(name))
        return next(own, "".join(self.containers[:1]))

    @property
    def part(self) -> networking.Part | None:
        """What of the cluster's network it carries, if it is such a DaemonSet."""
        if self.kind != DAEMON_SET:
            return None
        return networking.part(self.name, self.labels, self.images)


def workload(kind: str, obj: wire.Workload) -> Workload:
    spec, meta = obj.spec, obj.metadata
    if spec is None or spec.template is None or spec.template.spec is None:
        raise BadObject("spec.template.spec is null")
    named(meta)
    pod, template_meta = spec.template.spec, spec.template.metadata
    containers = containers_of(pod)
    invalid = ports.invalid_destinations(containers)
    annotations = meta.annotations or {}
    return Workload(
        kind=kind,
        namespace=intern(meta.namespace),
        name=intern(meta.name),
        uid=meta.uid,
        generation=meta.generation,
        replicas=1 if spec.replicas is None else spec.replicas,
        labels=pairs(template_meta.labels),
        template=templates.print_of(template_meta, pod),
        images=tuple(w.image for w in pod.containers or ()),
        declared=ports.declared(containers),
        invalid=tuple((found.source, found.sentence) for found in invalid),
        complete=_complete(kind, obj),
        rolling=_rolling(obj),
        stuck=_stuck(obj),
        paused=bool(spec.paused),
        progress_deadline_seconds=spec.progressDeadlineSeconds or 600,
        grace_seconds=30
        if pod.terminationGracePeriodSeconds is None
        else pod.terminationGracePeriodSeconds,
        revision=annotations.get(REVISION, ""),
        change_cause=annotations.get(CHANGE_CAUSE, ""),
        author=author(meta),
        tellers=_tellers(meta, invalid),
        mesh=meshes.of_template(
            template_meta.labels or {},
            template_meta.annotations or {},
            (c.name for c in pod.initContainers or ()),
            host_network=bool(pod.hostNetwork),
        ),
        named_ports=_named_ports(tuple(p for c in containers for p in c.ports if p[0])),
        readiness=any(c.readinessProbe is not None for c in pod.containers or ()),
        pre_stop=_pre_stop([*(pod.containers or ()), *_sidecars(pod)]),
        containers=_names(tuple(c.name for c in pod.containers or ())),
        managed=managed(meta),
        scaler=scaler(meta),
        unplaced=kind == DAEMON_SET and _unplaced(obj),
        available=_available(kind, obj) > 0,
        fresh=_fresh(obj),
        placement=placement(pod) if kind == DAEMON_SET else ANYWHERE,
    )


def _tellers(meta: wire.Meta, invalid: Iterable[ports.Invalid]) -> Mapping[tuple[str, str], Author]:
    """Who wrote each of them, as far as that is known."""
    found = {(i.source, i.sentence): teller(meta, i.container, i.variable) for i in invalid}
    return {said: author for said, author in found.items() if author is not None} or NOBODY


def _pre_stop(running: Iterable[wire.Container]) -> int | None:
    hooks = [c.lifecycle.preStop for c in running if c.lifecycle is not None]
    lengths = [
        h.sleep.seconds if h.sleep is not None else UNKNOWN_LENGTH for h in hooks if h is not None
    ]
    return UNKNOWN_LENGTH if UNKNOWN_LENGTH in lengths else max(lengths, default=None)


@lru_cache(maxsize=1024)
def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same ones for all who have them."""
    return names


@lru_cache(maxsize=1024)
def _named_ports(ports: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """The same ones for all who have them: mostly `http`, 8080."""
    return ports


@dataclass(frozen=True, slots=True)
class Owned:
    """A ReplicaSet that tells nothing: it has a Deployment that does."""

    namespace: str
    name: str


def replica_set(obj: wire.ReplicaSet) -> Workload | Owned:
    """A ReplicaSet that is nobody's, or somebody's whom we do not know (an Argo Rollout), is a
    workload by itself. Its pods are not replaced when its template changes: nothing rolls. One that
    is to have no pods, perhaps of an old revision, tells nothing but that."""
    named(obj.metadata)
    found = workload(REPLICA_SET, obj)
    owners = obj.metadata.ownerReferences or ()
    if any(o.controller and o.kind == "Deployment" for o in owners):
        return Owned(found.namespace, found.name)
    found = replace(found, complete=True, rolling=False, stuck=False, fresh=False)
    return replace(found, declared=(), invalid=()) if found.idle else found


def containers_of(pod: wire.PodSpec) -> list[ports.Container]:
    """The containers that run side by side, native sidecars among them (KEP-753)."""
    return [
        *(_container(w) for w in pod.containers or ()),
        *(_container(w, sidecar=True) for w in _sidecars(pod)),
    ]


def _sidecars(pod: wire.PodSpec) -> list[wire.Container]:
    return [w for w in pod.initContainers or () if w.restartPolicy == "Always"]


def _container(obj: wire.Container, *, sidecar: bool = False) -> ports.Container:
    probes = (obj.readinessProbe, obj.livenessProbe, obj.startupProbe)
    actions = [a for p in probes if p is not None for a in (p.tcpSocket, p.httpGet, p.grpc)]
    return ports.Container(
        name=obj.name,
        ports=tuple(
            (p.name or "", p.containerPort) for p in obj.ports or () if p.protocol in (None, "TCP")
        ),
        probe_ports=tuple(a.port for a in actions if a is not None and a.port is not None),
        env=tuple((e.name, e.value) for e in obj.env or () if e.value is not None),
        args=(*(obj.command or ()), *(obj.args or ())),
        sidecar=sidecar,
    )


def _unplaced(obj: wire.Workload) -> bool:
    """A new DaemonSet has the same number, before its controller has looked at the nodes."""
    status = obj.status
    return status is not None and _heeds(obj) and not status.desiredNumberScheduled


def _available(kind: str, obj: wire.Workload) -> int:
    status = obj.status or wire.WorkloadStatus()
    return (status.numberAvailable if kind == DAEMON_SET else status.availableReplicas) or 0


def _fresh(obj: wire.Workload) -> bool:
    """The Deployment controller's first revision is 1; its Progressing condition has the reason
    NewReplicaSetAvailable from the first time that a rollout is complete, whatever becomes of the
    pods later (k8s.io/kubernetes/pkg/controller/deployment/progress.go)."""
    conditions = (obj.status.conditions if obj.status is not None else None) or ()
    progressing = (c.reason for c in conditions if c.type == "Progressing" and c.status == "True")
    first = (obj.metadata.annotations or {}).get(REVISION) == "1"
    return first and any(reason != "NewReplicaSetAvailable" for reason in progressing)


def _heeds(obj: wire.Workload) -> bool:
    """Whether the status is of this spec, not of an earlier one."""
    status = obj.status
    return status is not None and (status.observedGeneration or 0) >= obj.metadata.generation


def _complete(kind: str, obj: wire.Workload) -> bool:
    """As kubectl's rollout status judges it (k8s.io/kubectl/pkg/polymorphichelpers)."""
    spec, status = obj.spec, obj.status
    if spec is None or status is None or not _heeds(obj):
        return False
    if kind == DAEMON_SET:
        wanted = status.desiredNumberScheduled or 0
        moved = wanted if _on_delete(spec) else status.updatedNumberScheduled or 0
        return min(moved, status.numberAvailable or 0) >= wanted
    wanted = 1 if spec.replicas is None else spec.replicas
    updated = status.updatedReplicas or 0
    if kind == "StatefulSet":
        settled = not status.updateRevision or status.updateRevision == status.currentRevision
        moved = settled or updated >= wanted - _kept_back(spec)
        return moved and (status.readyReplicas or 0) >= wanted
    return (
        updated >= wanted
        and (status.replicas or 0) <= updated
        and (status.availableReplicas or 0) >= updated
    )


def _rolling(obj: wire.Workload) -> bool:
    """Pods of another template are there; unavailable ones alone make no rollout."""
    spec, status = obj.spec, obj.status
    if spec is None or status is None or _on_delete(spec):
        return False
    if status.desiredNumberScheduled is not None:
        return (status.updatedNumberScheduled or 0) < status.desiredNumberScheduled
    return (status.updatedReplicas or 0) < (status.replicas or 0) - _kept_back(spec)


def _on_delete(spec: wire.WorkloadSpec) -> bool:
    """Whether pods get the new template only when somebody deletes them: nothing rolls."""
    return spec.updateStrategy is not None and spec.updateStrategy.type == "OnDelete"


def _kept_back(spec: wire.WorkloadSpec) -> int:
    """Pods of a StatefulSet that are meant to stay on the old template."""
    if _on_delete(spec):
        return 1 if spec.replicas is None else spec.replicas
    rolling = spec.updateStrategy.rollingUpdate if spec.updateStrategy is not None else None
    return (rolling.partition or 0) if rolling is not None else 0


def _stuck(obj: wire.Workload) -> bool:
    """Whether its deadline passed, by a status that knows the spec: what mends a stuck rollout is
    seen before the controller takes the old condition back."""
    if obj.status is None or not _heeds(obj):
        return False
    conditions = obj.status.conditions or ()
    return any(
        c.type == "Progressing" and c.reason == "ProgressDeadlineExceeded" for c in conditions
    )
