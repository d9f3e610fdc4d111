"""EndpointSlices: which addresses stand behind each Service that has a selector.

IPv4 only. Left out: topology hints, zones, and pods' hostnames. Slices that others manage are
never touched.
"""

import itertools
import json
from collections.abc import Iterator

from probe.sandbox.index import (
    SERVICE_NAME,
    Index,
    Key,
    key_of,
    labels_of,
    owner_reference,
    service_of,
)
from probe.sandbox.replicasets import is_over, is_ready, suffix
from probe.sandbox.store import AlreadyExists, Event, Obj, Store
from probe.sandbox.workqueue import WorkQueue

MANAGER = "kube-controller-manager"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"
MOST = 100
"""Endpoints per slice: kube-controller-manager's --max-endpoints-per-slice."""


class SliceController:
    """Keeps the slices of every Service in step with its pods."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self._triggers: dict[Key, dict[str, str]] = {}
        self._members: dict[Key, set[Key]] = {}
        self.queue: WorkQueue[Key] = WorkQueue(self._reconcile)
        index.follow(self._on_event)
        for service in index.all("services"):
            self.queue.add(key_of(service))

    def _on_event(self, event: Event) -> None:
        if event.resource == "services":
            self.queue.add(key_of(event.object))
        elif event.resource == "pods":
            self._on_pod(event.object)
        elif event.resource == "endpointslices" and event.type == "DELETED":
            self._on_lost_slice(event.object)

    def _on_lost_slice(self, lost: Obj) -> None:
        if service := service_of(lost):
            self.queue.add(service)

    def _on_pod(self, pod: Obj) -> None:
        key = key_of(pod)
        services = set(self._index.services_selecting(pod))
        # A pod whose labels changed has left Services that select it no more.
        left = self._members.get(key, set()) - services
        for service in services | left:
            self.queue.add(service)
        if services:
            self._members[key] = services
        else:
            self._members.pop(key, None)

    def _reconcile(self, key: Key) -> None:
        service = self._index.get("services", key)
        held = [s for s in self._index.slices(key) if labels_of(s).get(MANAGED_BY) == CONTROLLER]
        if service is None or not _has_endpoints(service):
            self._triggers.pop(key, None)
            for unwanted in held:
                self._store.delete("endpointslices", *key_of(unwanted))
            return
        pods = self._index.pods_selected(key[0], service["spec"]["selector"])
        pods = [pod for pod in pods if _address(pod) and not is_over(pod)]
        changed_at = self._trigger_time(service, pods)
        spare = {s["metadata"]["name"]: s for s in held}
        for ports, endpoints, old in _plan(service, pods, held):
            reused = spare.pop(old["metadata"]["name"]) if old else None
            self._write(service, reused, ports, endpoints, changed_at)
        for name in spare:
            self._store.delete("endpointslices", key[0], name)

    def _write(
        self, service: Obj, old: Obj | None, ports: list[Obj], endpoints: list[Obj], at: str
    ) -> None:
        labels = labels_of(service) | {MANAGED_BY: CONTROLLER, SERVICE_NAME: key_of(service)[1]}
        if service["spec"].get("clusterIP") == "None":
            labels[HEADLESS] = ""
        fields = {"endpoints": endpoints or None, "ports": ports or None}
        same = old and all(old.get(name) == value for name, value in fields.items())
        if old and same and labels_of(old) == labels:
            return
        annotations = {"annotations": {TRIGGER_TIME: at}} if at else {}
        meta = {"labels": labels} | annotations
        if old:
            new = self._store.get("endpointslices", *key_of(old))
            new["metadata"].pop("annotations", None)
            new["metadata"] |= meta
            self._store.update("endpointslices", new | fields, manager=MANAGER)
        else:
            self._create(service, meta, fields)

    def _create(self, service: Obj, meta: Obj, fields: Obj) -> None:
        namespace, name = key_of(service)
        while True:
            names = {"name": f"{name}-{suffix()}", "generateName": f"{name}-"}
            owned = {"ownerReferences": [owner_reference(service, "v1", "Service")]}
            new = {
                "kind": "EndpointSlice",
                "apiVersion": "discovery.k8s.io/v1",
                "metadata": names | {"namespace": namespace} | meta | owned,
                "addressType": "IPv4",
            }
            try:
                self._store.create("endpointslices", new | fields, manager=MANAGER)
            except AlreadyExists:
                continue
            return

    def _trigger_time(self, service: Obj, pods: list[Obj]) -> str:
        """When the oldest of the changes since the last look happened; "" if none has a time.

        As endpointslice/trigger_time_tracker.go: changes of readiness and the Service's creation
        have one, deletions do not.
        """
        before = self._triggers.get(key_of(service), {})
        now = {"": service["metadata"]["creationTimestamp"]}
        now |= {pod["metadata"]["uid"]: _ready_changed(pod) for pod in pods}
        self._triggers[key_of(service)] = now
        return min((time for of, time in now.items() if time > before.get(of, "")), default="")


def _plan(
    service: Obj, pods: list[Obj], held: list[Obj]
) -> Iterator[tuple[list[Obj], list[Obj], Obj | None]]:
    """The slices there should be: ports, endpoints, and the held slice to turn into each.

    Endpoints stay in the slice where they are; a slice keeps its ports if it can.
    """
    groups: dict[str, tuple[list[Obj], dict[str, Obj]]] = {}
    for pod in pods:
        ports = _ports(service, pod)
        members = groups.setdefault(json.dumps(ports), (ports, {}))[1]
        members[pod["metadata"]["uid"]] = _endpoint(service, pod)
    if not groups:
        yield [], [], held[0] if held else None
        return
    same = {
        text: [s for s in held if s.get("ports") == (ports or None)]
        for text, (ports, _) in groups.items()
    }
    others = [s for s in held if not any(s in kept for kept in same.values())]
    for text, (ports, members) in groups.items():
        kept = [[uid for uid in _uids(old) if uid in members] for old in same[text]]
        staying = set(itertools.chain.from_iterable(kept))
        new = [uid for uid in members if uid not in staying]
        for uids in sorted(kept, key=len, reverse=True):  # fullest first, to leave few slices
            room = MOST - len(uids)
            uids += new[:room]
            del new[:room]
        for old, uids in zip(same[text], kept, strict=True):
            if uids:
                yield ports, [members[uid] for uid in uids], old
        for start in range(0, len(new), MOST):
            more = [members[uid] for uid in new[start : start + MOST]]
            yield ports, more, others.pop() if others else None


def _uids(held: Obj) -> list[str]:
    return [(e.get("targetRef") or {}).get("uid", "") for e in held.get("endpoints") or ()]


def _endpoint(service: Obj, pod: Obj) -> Obj:
    serving, terminating = is_ready(pod), "deletionTimestamp" in pod["metadata"]
    unready_too = service["spec"].get("publishNotReadyAddresses", False)
    namespace, name = key_of(pod)
    return {
        "addresses": [_address(pod)],
        "conditions": {
            "ready": bool(unready_too or (serving and not terminating)),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace,
            "name": name,
            "uid": pod["metadata"]["uid"],
        },
        "nodeName": pod["spec"]["nodeName"],
    }


def _ports(service: Obj, pod: Obj) -> list[Obj]:
    """The Service's ports on this pod; one whose name the pod does not know is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol", "TCP")
        target = port.get("targetPort", port.get("port", 0))
        number = target if isinstance(target, int) else named_port(pod["spec"], target, protocol)
        if number is not None:
            entry = {"name": port.get("name", ""), "protocol": protocol, "port": number}
            if "appProtocol" in port:
                entry["appProtocol"] = port["appProtocol"]
            found.append(entry)
    return found


def named_port(spec: Obj, name: str, protocol: str = "TCP") -> int | None:
    """The number of a container port; sidecars (restartable init containers) have ports too."""
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for port in container.get("ports") or ():
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return None


def _has_endpoints(service: Obj) -> bool:
    return bool(service["spec"].get("selector")) and service["spec"].get("type") != "ExternalName"


def _address(pod: Obj) -> str:
    return str(pod.get("status", {}).get("podIP", ""))


def _ready_changed(pod: Obj) -> str:
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == "Ready":
            return str(condition["lastTransitionTime"])
    return ""
