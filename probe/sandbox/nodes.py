"""The sandbox's machines: names on loopback, and the scheduler that puts pods on them in turn."""

import itertools

from probe.sandbox.index import Index, Key, key_of
from probe.sandbox.store import Event, NotFound, Obj, Store, timestamp
from probe.sandbox.workqueue import WorkQueue


def node(name: str, address: str) -> Obj:
    """A Ready Node at this address."""
    now = timestamp()
    conditions = [
        ("Ready", "True", "KubeletReady"),
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID"),
    ]
    resources = {"cpu": "16", "memory": "32Gi", "pods": "10000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                    "reason": reason,
                }
                for kind, status, reason in conditions
            ],
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {"kubeletVersion": "v1.36.2", "operatingSystem": "linux"},
        },
    }


def address_of(node: Obj) -> str:
    """The node's InternalIP, or "" if it has none."""
    for address in node.get("status", {}).get("addresses", ()):
        if address.get("type") == "InternalIP":
            return str(address.get("address", ""))
    return ""


class Scheduler:
    """Binds pods to the nodes that are not cordoned, in turn. Selectors and taints are ignored."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self._turn = itertools.count()
        self.queue: WorkQueue[Key] = WorkQueue(self._bind)
        index.follow(self._on_event)
        for pod in index.all("pods"):
            self._consider(pod)

    def _on_event(self, event: Event) -> None:
        if event.resource == "pods" and event.type != "DELETED":
            self._consider(event.object)
        elif event.resource == "nodes" and event.type != "DELETED":
            for pod in self._index.all("pods"):
                self._consider(pod)

    def _consider(self, pod: Obj) -> None:
        if not pod["spec"].get("nodeName"):
            self.queue.add(key_of(pod))

    def _bind(self, key: Key) -> None:
        try:
            pod = self._store.get("pods", *key)
        except NotFound:
            return
        if pod["spec"].get("nodeName"):
            return
        if "deletionTimestamp" in pod["metadata"]:
            self._store.delete("pods", *key)  # no kubelet has it, so nothing is to be ended
            return
        open_nodes = [n for n in self._index.all("nodes") if not n["spec"].get("unschedulable")]
        if not open_nodes:
            return
        chosen = open_nodes[next(self._turn) % len(open_nodes)]
        pod["spec"]["nodeName"] = chosen["metadata"]["name"]
        status = pod.setdefault("status", {"phase": "Pending"})
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "True",
                "lastProbeTime": None,
                "lastTransitionTime": timestamp(),
            }
        ]
        self._store.update("pods", pod, manager=None)  # a binding is owned by nobody
