"""StatefulSets: pods with numbers, made in order and replaced from the last to the first.

Simple and truthful: OrderedReady or Parallel, RollingUpdate with a partition or OnDelete. Not
played: volumes, start ordinals, maxUnavailable and ControllerRevisions, so `kubectl rollout undo`
has nothing to go back to.
"""

from probe.sandbox.garbage import delete
from probe.sandbox.index import Index, Key, alive, controller_of, key_of
from probe.sandbox.replicasets import MANAGER, create_pod, is_over, is_ready, revision_hash
from probe.sandbox.store import Event, NotFound, Obj, Store
from probe.sandbox.workqueue import WorkQueue

REVISION = "controller-revision-hash"
POD_NAME = "statefulset.kubernetes.io/pod-name"


class StatefulSetController:
    """Takes one step per change: one pod made or ended, unless management is Parallel."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self.queue: WorkQueue[Key] = WorkQueue(self._reconcile)
        index.follow(self._on_event)
        for stateful_set in index.all("statefulsets"):
            self.queue.add(key_of(stateful_set))

    def _on_event(self, event: Event) -> None:
        if event.resource == "statefulsets" and event.type != "DELETED":
            self.queue.add(key_of(event.object))
        elif event.resource == "pods" and (owner := controller_of(event.object, "StatefulSet")):
            self.queue.add(owner)

    def _reconcile(self, key: Key) -> None:
        try:
            stateful_set = self._store.get("statefulsets", *key)
        except NotFound:
            return
        if "deletionTimestamp" in stateful_set["metadata"]:
            return
        name = key[1]
        revision = f"{name}-{revision_hash(stateful_set)}"
        owned = self._index.owned(stateful_set["metadata"]["uid"], "pods")
        pods = {int(pod["metadata"]["name"].rpartition("-")[2]): pod for pod in owned}
        self._step(stateful_set, pods, revision)
        self._report(stateful_set, pods, revision)

    def _step(self, stateful_set: Obj, pods: dict[int, Obj], revision: str) -> None:
        spec = stateful_set["spec"]
        wanted = spec.get("replicas", 1)
        parallel = spec.get("podManagementPolicy") == "Parallel"
        for number in range(wanted):
            if number not in pods:
                self._create(stateful_set, number, revision)
            elif is_over(pods[number]):
                delete(self._store, "pods", key_of(pods[number]))
            if not parallel and not (number in pods and is_ready(pods[number])):
                return self._replace_broken(stateful_set, pods, number, revision)
        for number in sorted(pods, reverse=True):
            if number >= wanted:
                delete(self._store, "pods", key_of(pods[number]))
                if not parallel:
                    return None
        return self._update(stateful_set, pods, revision)

    def _create(self, stateful_set: Obj, number: int, revision: str) -> None:
        name = f"{stateful_set['metadata']['name']}-{number}"
        labels = {REVISION: revision, POD_NAME: name, "apps.kubernetes.io/pod-index": str(number)}
        create_pod(self._store, stateful_set, "StatefulSet", name=name, labels=labels)

    def _replace_broken(
        self, stateful_set: Obj, pods: dict[int, Obj], number: int, revision: str
    ) -> None:
        """An outdated pod that never gets ready must not block the update that would mend it."""
        if number in pods and self._is_outdated(stateful_set, number, pods[number], revision):
            delete(self._store, "pods", key_of(pods[number]))

    def _update(self, stateful_set: Obj, pods: dict[int, Obj], revision: str) -> None:
        for number in sorted(pods, reverse=True):
            if self._is_outdated(stateful_set, number, pods[number], revision):
                return delete(self._store, "pods", key_of(pods[number]))
            if not is_ready(pods[number]) or not alive([pods[number]]):
                return None
        return None

    @staticmethod
    def _is_outdated(stateful_set: Obj, number: int, pod: Obj, revision: str) -> bool:
        strategy = stateful_set["spec"].get("updateStrategy") or {}
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        return (
            strategy.get("type") != "OnDelete"
            and number >= partition
            and pod["metadata"]["labels"].get(REVISION) != revision
        )

    def _report(self, stateful_set: Obj, pods: dict[int, Obj], revision: str) -> None:
        held = [pod for pod in pods.values() if not is_over(pod)]
        ready = sum(map(is_ready, alive(held)))
        old = stateful_set.get("status", {})
        updated = [p for p in held if p["metadata"]["labels"].get(REVISION) == revision]
        wanted = stateful_set["spec"].get("replicas", 1)
        done = len(updated) == len(held) == wanted == ready
        current = revision if done else old.get("currentRevision", revision)
        of_current = [p for p in held if p["metadata"]["labels"].get(REVISION) == current]
        stateful_set["status"] = {
            "observedGeneration": stateful_set["metadata"]["generation"],
            "replicas": len(held),
            "availableReplicas": ready,
            "collisionCount": 0,
            "currentRevision": current,
            "updateRevision": revision,
        } | {
            name: n
            for name, n in (
                ("readyReplicas", ready),
                ("currentReplicas", len(of_current)),
                ("updatedReplicas", len(updated)),
            )
            if n
        }
        self._store.update("statefulsets", stateful_set, manager=MANAGER, subresource="status")
