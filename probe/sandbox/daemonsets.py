"""DaemonSets: one pod per node, simply and truthfully.

An update ends one outdated pod at a time (RollingUpdate with maxUnavailable 1, whatever is
asked for) or leaves them (OnDelete). Not played: surge, taints, node selectors and
ControllerRevisions, so `kubectl rollout undo` has nothing to go back to.
"""

from probe.sandbox.garbage import delete
from probe.sandbox.index import Index, Key, alive, controller_of, key_of
from probe.sandbox.replicasets import MANAGER, create_pod, is_over, is_ready, revision_hash
from probe.sandbox.store import Event, NotFound, Obj, Store
from probe.sandbox.workqueue import WorkQueue

REVISION = "controller-revision-hash"


class DaemonSetController:
    """Keeps a pod of every DaemonSet on every node that is not cordoned."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self.queue: WorkQueue[Key] = WorkQueue(self._reconcile)
        index.follow(self._on_event)
        for daemon_set in index.all("daemonsets"):
            self.queue.add(key_of(daemon_set))

    def _on_event(self, event: Event) -> None:
        if event.resource == "daemonsets" and event.type != "DELETED":
            self.queue.add(key_of(event.object))
        elif event.resource == "nodes":
            for daemon_set in self._index.all("daemonsets"):
                self.queue.add(key_of(daemon_set))
        elif event.resource == "pods" and (owner := controller_of(event.object, "DaemonSet")):
            self.queue.add(owner)

    def _reconcile(self, key: Key) -> None:
        try:
            daemon_set = self._store.get("daemonsets", *key)
        except NotFound:
            return
        if "deletionTimestamp" in daemon_set["metadata"]:
            return
        revision = revision_hash(daemon_set)
        owned = self._index.owned(daemon_set["metadata"]["uid"], "pods")
        pods = {p["spec"].get("nodeName"): p for p in owned if not is_over(p)}
        nodes = [n["metadata"]["name"] for n in self._index.all("nodes")]
        for node in nodes:
            if node not in pods:
                labels = {REVISION: revision}
                create_pod(self._store, daemon_set, "DaemonSet", node=node, labels=labels)
        running = alive(pods[node] for node in nodes if node in pods)
        self._update(daemon_set, running, len(nodes), revision)
        self._report(daemon_set, running, len(nodes), revision)

    def _update(self, daemon_set: Obj, pods: list[Obj], wanted: int, revision: str) -> None:
        strategy = daemon_set["spec"].get("updateStrategy") or {}
        outdated = [p for p in pods if p["metadata"]["labels"].get(REVISION) != revision]
        if strategy.get("type") == "OnDelete" or not outdated:
            return
        unready = [pod for pod in outdated if not is_ready(pod)]
        if unready or len(pods) == wanted == sum(map(is_ready, pods)):
            delete(self._store, "pods", key_of((unready or outdated)[0]))

    def _report(self, daemon_set: Obj, pods: list[Obj], wanted: int, revision: str) -> None:
        ready = sum(map(is_ready, pods))
        updated = [p for p in pods if p["metadata"]["labels"].get(REVISION) == revision]
        status = {
            "currentNumberScheduled": len(pods),
            "numberMisscheduled": 0,
            "desiredNumberScheduled": wanted,
            "numberReady": ready,
            "observedGeneration": daemon_set["metadata"]["generation"],
        }
        counts = {
            "updatedNumberScheduled": len(updated),
            "numberAvailable": ready,
            "numberUnavailable": wanted - ready,
        }
        daemon_set["status"] = status | {name: n for name, n in counts.items() if n}
        self._store.update("daemonsets", daemon_set, manager=MANAGER, subresource="status")
