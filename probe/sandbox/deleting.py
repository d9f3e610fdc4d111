"""Deletion: at once, by grace, by finalizers, and of whole namespaces.

A pod that runs somewhere is only marked: its kubelet removes it when its grace period is over.
What an object owned is for the garbage collector, whatever propagation was asked for. A namespace
stays, Terminating, until the last of its pods is gone.
"""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

from probe.sandbox.asking import DeleteOptions, Target
from probe.sandbox.resources import RESOURCES, Resource
from probe.sandbox.statuses import Conflicting, Forbidden
from probe.sandbox.store import NotFound, Store, timestamp

Obj = dict[str, Any]

DEFAULT_GRACE_SECONDS = 30
"""terminationGracePeriodSeconds of a pod that says nothing, as the API server fills it in."""

KEPT_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
"""Namespaces that the real server's lifecycle admission does not let go either."""

OWNERS_FIRST = ("deployments", "statefulsets", "daemonsets", "jobs", "replicasets")
"""So that no controller replaces what a namespace's deletion removes."""


class Deleter:
    """The deleting half of the API server."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def delete(self, asked: Target, options: DeleteOptions, *, dry_run: bool = False) -> Obj:
        """Deletes or marks the object and returns its last form. Raises StoreError."""
        plural = asked.resource.plural
        obj = self._store.get(plural, asked.namespace, asked.name)
        _check_preconditions(asked.resource, obj, options)
        if plural == "namespaces":
            return self._terminate(obj, dry_run=dry_run)
        grace = _grace(obj, options) if plural == "pods" else 0
        if grace or obj["metadata"].get("finalizers"):
            return self._mark(asked.resource, obj, grace, dry_run=dry_run)
        return self._store.delete(plural, asked.namespace, asked.name, dry_run=dry_run)

    def finish_namespace(self, name: str) -> None:
        """Removes a terminating namespace, and what is left in it, once its pods are gone."""
        try:
            namespace = self._store.get("namespaces", "", name)
        except NotFound:
            return
        if not namespace["metadata"].get("deletionTimestamp") or self._store.list("pods", name):
            return
        self._sweep(name)
        if not any(self._store.list(r.plural, name) for r in RESOURCES if r.namespaced):
            self._store.delete("namespaces", "", name)

    def _terminate(self, namespace: Obj, *, dry_run: bool) -> Obj:
        name = namespace["metadata"]["name"]
        if name in KEPT_NAMESPACES:
            raise Forbidden(
                f'namespaces "{name}" is forbidden: this namespace may not be deleted',
                {"name": name, "kind": "namespaces"},
            )
        if not namespace["metadata"].get("deletionTimestamp"):
            namespace["metadata"]["deletionTimestamp"] = timestamp()
        namespace["status"] = {**namespace.get("status", {}), "phase": "Terminating"}
        marked = self._store.update("namespaces", namespace, manager=None, dry_run=dry_run)
        if not dry_run:
            self._sweep(name)
            self.finish_namespace(name)
        return marked

    def _sweep(self, namespace: str) -> None:
        kinds = {r.plural: r for r in RESOURCES if r.namespaced}
        order = [*OWNERS_FIRST, *(p for p in kinds if p not in (*OWNERS_FIRST, "pods")), "pods"]
        for plural in order:
            for obj in self._store.list(plural, namespace):
                gone = Target(kinds[plural], namespace, obj["metadata"]["name"])
                # A controller may have been quicker.
                with contextlib.suppress(NotFound):
                    self.delete(gone, DeleteOptions())

    def _mark(self, resource: Resource, obj: Obj, grace: int, *, dry_run: bool) -> Obj:
        meta = obj["metadata"]
        standing = meta.get("deletionGracePeriodSeconds")
        if standing is not None and standing <= grace:
            return obj  # a grace period may be shortened, never prolonged
        ends = datetime.now(UTC) + timedelta(seconds=grace)
        meta["deletionTimestamp"] = ends.strftime("%Y-%m-%dT%H:%M:%SZ")
        meta["deletionGracePeriodSeconds"] = grace
        return self._store.update(resource.plural, obj, manager=None, dry_run=dry_run)


def _grace(pod: Obj, options: DeleteOptions) -> int:
    """Seconds a pod is given. None for one that was never bound, or has ended: nobody would wait
    for it and remove it."""
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    if ended or not pod["spec"].get("nodeName"):
        return 0
    if options.grace is not None:
        return max(options.grace, 0)
    return int(pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS))


def _check_preconditions(resource: Resource, obj: Obj, options: DeleteOptions) -> None:
    meta = obj["metadata"]
    for what, wanted, held in (
        ("UID", options.uid, meta["uid"]),
        ("ResourceVersion", options.version, meta["resourceVersion"]),
    ):
        if wanted not in (None, held):
            raise Conflicting(
                f'Operation cannot be fulfilled on {resource.kind} "{meta["name"]}": the {what} '
                f"in the precondition ({wanted}) does not match the {what} in record ({held}). "
                "The object might have been deleted and then recreated",
                {"name": meta["name"], "kind": resource.kind},
            )
