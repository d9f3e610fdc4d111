"""The pods behind a Service as they are now, read once by a check; the daemon watches none.

A document of a Service (see report.py) gets what they tell beside the dials: "pods", each with the
state of its containers, the sidecars that something injected and the ports that it declares.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from probe.core import ports, wire
from probe.core.advice import LINES
from probe.core.kube import Resource
from probe.core.labels import Labels
from probe.core.meta import BadObject
from probe.core.policies import NetworkPolicy, selecting
from probe.core.verdicts import Verdict
from probe.core.workloads import containers_of

Json = dict[str, Any]

SIDECARS = {
    "istio-proxy": "istio",
    "linkerd-proxy": "linkerd",
    "kuma-sidecar": "kuma",
    "consul-dataplane": "consul",
    "osm-proxy": "openservicemesh",
}
"""Containers by which a mesh takes a pod's connections, by the names that their injectors give."""

AMBIENT = "ambient.istio.io/redirection"
"""What istio-cni writes on a pod whose connections the node's ztunnel takes
(istio.io/api/annotation AmbientRedirection); its value is then "enabled"."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the kubelet reports it.

    `state` is running, waiting, terminated, or "" while nothing is reported; `reason` why it waits
    or ended; `last_exit` how it ended before, as `137 OOMKilled`, "" if it did not.
    """

    name: str
    state: str
    reason: str
    ready: bool
    restarts: int
    last_exit: str


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod. `phase` is the API's; `reason` why it is in it, where the API says so.

    `mesh` takes its connections ("" for none) by `sidecars` of its own, or without. `declared` are
    the ports that an application might listen on, in order.
    """

    namespace: str
    name: str
    node: str
    phase: str
    reason: str
    ready: bool
    deleting: bool
    labels: tuple[tuple[str, str], ...]
    containers: tuple[Container, ...]
    sidecars: tuple[str, ...]
    mesh: str
    declared: tuple[int, ...]


def pod(obj: wire.Pod) -> Pod:
    """Raises BadObject without a name or a spec."""
    meta, spec, status = obj.metadata, obj.spec, obj.status or wire.PodStatus()
    if not meta.name or not meta.namespace:
        raise BadObject("metadata.name or metadata.namespace is missing")
    if spec is None:
        raise BadObject("spec is null")
    templates = containers_of(spec)
    sidecars = tuple(c.name for c in templates if c.name in SIDECARS)
    ambient = (meta.annotations or {}).get(AMBIENT) == "enabled"
    declared = ports.declared(c for c in templates if c.name not in SIDECARS)
    side_by_side = {c.name for c in templates}
    reported = [*(status.containerStatuses or ()), *(status.initContainerStatuses or ())]
    return Pod(
        namespace=meta.namespace,
        name=meta.name,
        node=spec.nodeName or "",
        phase=status.phase,
        reason=status.reason or _unscheduled(status.conditions or ()),
        ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions or ()),
        deleting=meta.deletionTimestamp is not None,
        labels=tuple(sorted((meta.labels or {}).items())),
        containers=tuple(_container(c) for c in reported if _tells(c, side_by_side)),
        sidecars=sidecars,
        mesh=SIDECARS[sidecars[0]] if sidecars else "istio-ambient" if ambient else "",
        declared=tuple(dict.fromkeys(d.port for d in declared if not d.auxiliary)),
    )


def _unscheduled(conditions: Iterable[wire.Condition]) -> str:
    found = (c for c in conditions if c.type == "PodScheduled" and c.status == "False")
    return next((c.reason for c in found), "")


def _tells(status: wire.ContainerStatus, side_by_side: set[str]) -> bool:
    """Init containers that have done their work tell nothing; one that hangs tells everything."""
    if status.name in side_by_side:
        return True
    ended = status.state.terminated if status.state else None
    return not (ended is not None and ended.exitCode == 0)


def _container(status: wire.ContainerStatus) -> Container:
    state, last = status.state or wire.ContainerState(), status.lastState
    before = _ended(last.terminated) if last and last.terminated else ""
    word, reason = "", ""
    if state.waiting is not None:
        word, reason = "waiting", state.waiting.reason or ""
    elif state.terminated is not None:
        word, reason = "terminated", _ended(state.terminated)
    elif state.running is not None:
        word = "running"
    return Container(status.name, word, reason, status.ready, status.restartCount, before)


def _ended(how: wire.Terminated) -> str:
    """`137 OOMKilled`: reason Error says no more than the code."""
    reason = how.reason if how.reason not in (None, "", "Error", "Completed") else ""
    return f"{how.exitCode} {reason}".rstrip()


PODS = Resource("pods", "v1", wire.Pod, pod)
"""Listed by a check only, by the selector of a Service."""


def trouble(pod: Pod) -> str:
    """What is wrong with the pod, as half a sentence; "" if nothing is."""
    if pod.deleting:
        return "is being deleted"
    for container in pod.containers:
        if said := _container_trouble(container):
            return f"{container.name} {said}"
    if pod.phase not in ("Running", ""):
        return f"is {pod.phase}" + (f" ({pod.reason})" if pod.reason else "")
    return "" if pod.ready else "is running and not ready"


def _container_trouble(container: Container) -> str:
    times = container.restarts
    again = f", restarted {times} time{'s' * (times != 1)}" if times else ""
    last = f" (last exit {container.last_exit})" if container.last_exit else ""
    if container.state == "waiting" and container.reason not in ("PodInitializing", ""):
        return f"waits: {container.reason}{last}{again}"
    if container.state == "terminated":
        return f"has ended (exit {container.reason}){again}"
    if times and not container.ready:
        return f"is not ready{last}{again}"
    return ""


def _document(pod: Pod) -> Json:
    """The pod in the JSON document of a check."""
    return {
        "name": pod.name,
        "node": pod.node or None,
        "phase": pod.phase,
        "ready": pod.ready,
        "deleting": pod.deleting,
        "trouble": trouble(pod) or None,
        "mesh": pod.mesh or None,
        "sidecars": list(pod.sidecars),
        "declared_ports": list(pod.declared),
        "containers": [
            {
                "name": c.name,
                "state": c.state or None,
                "reason": c.reason or None,
                "ready": c.ready,
                "restarts": c.restarts,
                "last_exit": c.last_exit or None,
            }
            for c in pod.containers
        ],
    }


def tell(document: Json, found: Iterable[Pod], policies: Iterable[NetworkPolicy] = ()) -> None:
    """Puts the Service's pods into its document, and the names of those of its namespace's
    NetworkPolicies that select one of them.

    Where pods are in a mesh, a port that is healthy by its dials alone becomes masked: the mesh
    accepts for the pods, and our watches do not see what was injected into them.
    """
    pods = sorted(found, key=lambda pod: pod.name)
    held, labels = tuple(policies), {pod.labels: dict(pod.labels) for pod in pods}
    names = {name for each in labels.values() for name in selecting(held, Labels(each))}
    document["pods"] = [_document(pod) for pod in pods]
    document["policies"] = sorted(names)
    if document["verdict"] == Verdict.NO_ENDPOINTS:
        _explain(document, pods)
    mesh = next((pod.mesh for pod in pods if pod.mesh and not pod.deleting), "")
    if mesh:
        _mask(document, mesh)


def _explain(document: Json, pods: list[Pod]) -> None:
    """The selector finds pods, so what helps is to look at those, not at it."""
    first = next((pod for pod in pods if trouble(pod)), None)
    if first is not None:
        unasked, better = _advice(document, Verdict.NO_ENDPOINTS), _next_step(first)
        document["advice"] = [better if each == unasked else each for each in document["advice"]]


def _next_step(pod: Pod) -> str:
    crashed = next((c for c in pod.containers if c.last_exit and not c.ready), None)
    shell = f"describe pod {pod.name} -n {pod.namespace}"
    if crashed is not None:
        shell = f"logs {pod.name} -n {pod.namespace} -c {crashed.name} --previous"
    return f"see why the pods are not ready: kubectl {shell}"


def _advice(document: Json, verdict: Verdict) -> str:
    service = document["service"]
    return LINES[verdict].format(ns=service["namespace"], name=service["name"], node="")


def _mask(document: Json, mesh: str) -> None:
    for port in document["ports"]:
        if port["verdict"] == Verdict.HEALTHY and port["edges"]:
            port["verdict"] = str(Verdict.MASKED)
            port["summary"] += f", but the {mesh} mesh accepts every port: that proves nothing"
    masked = [port for port in document["ports"] if port["verdict"] == Verdict.MASKED]
    if masked and document["verdict"] == Verdict.HEALTHY:
        document["verdict"], document["summary"] = str(Verdict.MASKED), masked[0]["summary"]
        document["advice"].append(_advice(document, Verdict.MASKED))
