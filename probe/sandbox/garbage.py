"""Deletion: of a pod with its grace period, and of what is left when an owner or namespace goes."""

from datetime import UTC, datetime, timedelta

from probe.sandbox.index import Index, Key
from probe.sandbox.store import Event, NotFound, Obj, Store
from probe.sandbox.workqueue import WorkQueue

GRACE = 30
"""Seconds: the API's default of terminationGracePeriodSeconds."""


def delete(store: Store, resource: str, key: Key) -> None:
    """Deletes an object as a controller would: a pod that runs is only asked to end.

    Nothing happens if the object is gone, or is ending already.
    """
    try:
        obj = store.get(resource, *key)
    except NotFound:
        return
    if resource == "pods" and _runs(obj):
        if "deletionTimestamp" not in obj["metadata"]:
            store.update("pods", _ending(obj), manager="kube-controller-manager")
    else:
        store.delete(resource, *key)


def _runs(pod: Obj) -> bool:
    """Whether a kubelet must end it; a pod without a node, or one that is over, just goes."""
    over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return bool(pod["spec"].get("nodeName")) and not over


def _ending(pod: Obj) -> Obj:
    grace = pod["spec"].get("terminationGracePeriodSeconds", GRACE)
    end = datetime.now(UTC) + timedelta(seconds=grace)
    pod["metadata"]["deletionTimestamp"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    pod["metadata"]["deletionGracePeriodSeconds"] = grace
    return pod


class GarbageCollector:
    """Deletes what a deleted owner owned and what a deleted namespace held.

    Always in the background: finalizers, and so foreground deletion and orphans, are not played.
    """

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self.queue: WorkQueue[tuple[str, Key]] = WorkQueue(self._collect)
        index.follow(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.type != "DELETED":
            return
        for held in self._index.owned_keys(event.object["metadata"]["uid"]):
            self.queue.add(held)
        if event.resource == "namespaces":
            name = event.object["metadata"]["name"]
            for resource in self._index.resources():
                for key in self._index.keys(resource, name):
                    self.queue.add((resource, key))

    def _collect(self, held: tuple[str, Key]) -> None:
        delete(self._store, *held)
