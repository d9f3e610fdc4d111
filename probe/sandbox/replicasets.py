"""ReplicaSets: as many pods of one template as asked for, and how many of them there are."""

import asyncio
import copy
import json
import random
import zlib
from typing import Any

from probe.sandbox import defaults
from probe.sandbox.garbage import delete
from probe.sandbox.index import Index, Key, alive, controller_of, key_of, owner_reference
from probe.sandbox.store import AlreadyExists, Event, NotFound, Obj, Store
from probe.sandbox.workqueue import WorkQueue

MANAGER = "kube-controller-manager"
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Of generated names: k8s.io/apimachinery/pkg/util/rand, which leaves out vowels and 0, 1, 3."""


class ReplicaSetController:
    """Makes and ends pods, one step per change; the status tells of the pods before that step."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self._loop = asyncio.get_running_loop()
        self._ready_since: dict[str, float] = {}
        self.queue: WorkQueue[Key] = WorkQueue(self._reconcile)
        index.follow(self._on_event)
        for rs in index.all("replicasets"):
            self.queue.add(key_of(rs))

    def _on_event(self, event: Event) -> None:
        if event.resource == "replicasets" and event.type != "DELETED":
            self.queue.add(key_of(event.object))
        elif event.resource == "pods":
            self._note_ready(event)
            if owner := controller_of(event.object, "ReplicaSet"):
                self.queue.add(owner)

    def _note_ready(self, event: Event) -> None:
        uid = event.object["metadata"]["uid"]
        if event.type == "DELETED" or not is_ready(event.object):
            self._ready_since.pop(uid, None)
        else:
            self._ready_since.setdefault(uid, self._loop.time())

    def _reconcile(self, key: Key) -> None:
        try:
            rs = self._store.get("replicasets", *key)
        except NotFound:
            return
        if "deletionTimestamp" in rs["metadata"]:
            return
        owned = self._index.owned(rs["metadata"]["uid"], "pods")
        active = [pod for pod in alive(owned) if not is_over(pod)]
        self._manage(rs, active)
        ending = len([pod for pod in owned if pod not in active and not is_over(pod)])
        self._report(rs, active, ending)

    def _manage(self, rs: Obj, active: list[Obj]) -> None:
        missing = rs["spec"].get("replicas", 1) - len(active)
        for _ in range(missing):
            create_pod(self._store, rs, "ReplicaSet")
        if missing < 0:
            for pod in sorted(active, key=_worth)[:-missing]:
                delete(self._store, "pods", key_of(pod))

    def _report(self, rs: Obj, active: list[Obj], ending: int) -> None:
        ready = [pod for pod in active if is_ready(pod)]
        counts = {
            "replicas": len(active),
            "fullyLabeledReplicas": len(active),
            "readyReplicas": len(ready),
            "availableReplicas": self._available(rs, ready),
        }
        # Go's omitempty: zero is left out, but for the two that are always written.
        status = {name: n for name, n in counts.items() if n or name == "replicas"}
        status["terminatingReplicas"] = ending
        status["observedGeneration"] = rs["metadata"]["generation"]
        rs["status"] = status
        self._store.update("replicasets", rs, manager=MANAGER, subresource="status")

    def _available(self, rs: Obj, ready: list[Obj]) -> int:
        """How many have been ready for minReadySeconds; comes back when the next one will be."""
        wait = rs["spec"].get("minReadySeconds", 0)
        now = self._loop.time()
        ages = [now - self._ready_since.get(pod["metadata"]["uid"], now) for pod in ready]
        if young := [age for age in ages if age < wait]:
            self.queue.add_later(key_of(rs), wait - max(young))
        return len(ages) - len(young)


def create_pod(
    store: Store,
    owner: Obj,
    kind: str,
    *,
    name: str = "",
    node: str = "",
    labels: dict[str, str] | None = None,
) -> None:
    """Makes a pod from the owner's template, with more labels, and bound to `node` if given.

    It is named after its owner unless `name` says otherwise; if that is taken, nothing is made.
    """
    template = owner["spec"]["template"]
    template_meta = template.get("metadata") or {}
    meta: dict[str, Any] = {
        "namespace": owner["metadata"]["namespace"],
        "labels": (template_meta.get("labels") or {}) | (labels or {}),
        "ownerReferences": [owner_reference(owner, "apps/v1", kind)],
    }
    if annotations := template_meta.get("annotations"):
        meta["annotations"] = annotations
    spec = copy.deepcopy(template["spec"])
    pod = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": meta,
        "spec": spec | ({"nodeName": node} if node else {}),
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }
    defaults.fill("pods", pod)
    prefix = f"{owner['metadata']['name']}-"
    names = {"name": name} if name else {"name": prefix + suffix(), "generateName": prefix}
    try:
        store.create("pods", pod | {"metadata": names | meta}, manager=MANAGER)
    except AlreadyExists:
        if not name:
            create_pod(store, owner, kind, node=node, labels=labels)


def suffix() -> str:
    """Five random characters, as the API server appends to a generateName."""
    return "".join(random.choices(ALPHABET, k=5))


def revision_hash(workload: Obj) -> str:
    """The hash of a workload's template: looks like the real one, but has another value."""
    canonical = json.dumps(workload["spec"]["template"], sort_keys=True).encode()
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(zlib.crc32(canonical)))


def is_ready(pod: Obj) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_over(pod: Obj) -> bool:
    """Its containers have ended for good."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _worth(pod: Obj) -> tuple[bool, bool, bool, int]:
    """Sorts those to be ended first: unbound, not running, not ready, then the youngest.

    kubernetes/pkg/controller: ActivePodsWithRanks, without its ranks by node.
    """
    bound = bool(pod["spec"].get("nodeName"))
    running = pod.get("status", {}).get("phase") == "Running"
    created = "".join(filter(str.isdigit, pod["metadata"]["creationTimestamp"]))
    return bound, running, is_ready(pod), -int(created)
