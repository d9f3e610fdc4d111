"""Deployments: a new ReplicaSet for every new template, and the steps from the old to the new.

In the order a real controller writes them: ReplicaSet, revision, status. Not played: the
rollbackTo of old API versions, and names made unique after a hash collision.
"""

import asyncio
from typing import Any

from probe.sandbox import progress, rolling
from probe.sandbox.index import Index, Key, alive, controller_of, key_of, owner_reference
from probe.sandbox.replicasets import MANAGER, is_over, revision_hash
from probe.sandbox.rolling import DESIRED, MAXIMUM, size
from probe.sandbox.store import Event, NotFound, Obj, Store
from probe.sandbox.workqueue import WorkQueue

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"


class DeploymentController:
    """One step per change, as the real one: it scales one thing, reports, and waits to be told."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self._loop = asyncio.get_running_loop()
        self._moved: dict[str, tuple[Any, float]] = {}
        self.queue: WorkQueue[Key] = WorkQueue(self._reconcile)
        index.follow(self._on_event)
        for deployment in index.all("deployments"):
            self.queue.add(key_of(deployment))

    def _on_event(self, event: Event) -> None:
        if event.resource == "deployments":
            if event.type == "DELETED":
                self._moved.pop(event.object["metadata"]["uid"], None)
            else:
                self.queue.add(key_of(event.object))
        elif event.resource == "replicasets":
            if owner := controller_of(event.object, "Deployment"):
                self.queue.add(owner)
        elif event.resource == "pods" and event.type == "DELETED":
            # Recreate waits for the last old pod, of which no ReplicaSet tells.
            rs = controller_of(event.object, "ReplicaSet")
            held = self._index.get("replicasets", rs) if rs else None
            if held and (owner := controller_of(held, "Deployment")):
                self.queue.add(owner)

    def _reconcile(self, key: Key) -> None:
        try:
            deployment = self._store.get("deployments", *key)
        except NotFound:
            return
        if "deletionTimestamp" in deployment["metadata"]:
            return
        sets = alive(self._index.owned(deployment["metadata"]["uid"], "replicasets"))
        sets.sort(key=_revision)
        new = next((rs for rs in sets if _template_of(rs) == deployment["spec"]["template"]), None)
        paused = bool(deployment["spec"].get("paused"))
        self._note_pause(deployment, paused)
        if paused or self._scaled(deployment, sets):
            self._scale(deployment, sets, new)
            self._report(deployment, None if paused else new)
        elif rolling.is_recreate(deployment):
            self._recreate(deployment, sets, new)
        else:
            self._roll(deployment, sets, new)

    def _roll(self, deployment: Obj, sets: list[Obj], new: Obj | None) -> None:
        limits = rolling.bounds(deployment)
        room = rolling.new_size(new, sets, limits, recreate=False)
        if new is None:
            new = self._create(deployment, sets, room)
            sets = [*sets, new]
        else:
            new = self._adopt(deployment, sets, new)
            if room != size(new):
                self._resize(new, room, limits)
                return self._report(deployment, new)
        old = [rs for rs in sets if rs["metadata"]["uid"] != new["metadata"]["uid"]]
        for rs, wanted in zip(old, rolling.old_sizes(new, old, limits), strict=True):
            if wanted != size(rs):
                self._resize(rs, wanted, limits)
        return self._report(deployment, new)

    def _recreate(self, deployment: Obj, sets: list[Obj], new: Obj | None) -> None:
        limits = rolling.bounds(deployment)
        old = [rs for rs in sets if rs is not new]
        for rs in old:
            if size(rs):
                self._resize(rs, 0, limits)
        pods = [p for rs in old for p in self._index.owned(rs["metadata"]["uid"], "pods")]
        if not all(map(is_over, pods)):
            return self._report(deployment, new)
        if new is None:
            new = self._create(deployment, sets, limits.replicas)
        else:
            new = self._adopt(deployment, sets, new)
            if size(new) != limits.replicas:
                self._resize(new, limits.replicas, limits)
        return self._report(deployment, new)

    def _create(self, deployment: Obj, sets: list[Obj], replicas: int) -> Obj:
        template = deployment["spec"]["template"]
        label = {HASH: revision_hash(deployment)}
        meta = template.get("metadata") or {}
        labels = (meta.get("labels") or {}) | label
        revision = max(map(_revision, sets), default=0) + 1
        limits = rolling.bounds(deployment)
        annotations = {
            name: value
            for name, value in (deployment["metadata"].get("annotations") or {}).items()
            if name not in (REVISION, HISTORY, "kubectl.kubernetes.io/last-applied-configuration")
        }
        name = f"{deployment['metadata']['name']}-{label[HASH]}"
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": _match_labels(deployment) | label},
            "template": template | {"metadata": meta | {"labels": labels}},
        }
        if wait := deployment["spec"].get("minReadySeconds"):
            spec["minReadySeconds"] = wait
        new = {
            "kind": "ReplicaSet",
            "apiVersion": "apps/v1",
            "metadata": {
                "name": name,
                "namespace": deployment["metadata"]["namespace"],
                "labels": labels,
                "annotations": annotations
                | {
                    DESIRED: str(limits.replicas),
                    MAXIMUM: str(limits.most),
                    REVISION: str(revision),
                },
                "ownerReferences": [owner_reference(deployment, "apps/v1", "Deployment")],
            },
            "spec": spec,
            "status": {"replicas": 0},
        }
        created = self._store.create("replicasets", new, manager=MANAGER)
        self._announce(deployment, created, "NewReplicaSetCreated", "Created new replica set")
        return created

    def _adopt(self, deployment: Obj, sets: list[Obj], new: Obj) -> Obj:
        """Gives the ReplicaSet of the wanted template the newest revision, if it has it not yet."""
        newest = max((_revision(rs) for rs in sets if rs is not new), default=0)
        if _revision(new) <= newest:
            new = self._store.get("replicasets", *key_of(new))
            annotations = new["metadata"].setdefault("annotations", {})
            history = [h for h in (annotations.get(HISTORY), annotations.get(REVISION)) if h]
            annotations[HISTORY] = ",".join(history)
            annotations[REVISION] = str(newest + 1)
            new = self._store.update("replicasets", new, manager=MANAGER)
        self._announce(deployment, new, "FoundNewReplicaSet", "Found new replica set")
        return new

    def _announce(self, deployment: Obj, new: Obj, reason: str, sentence: str) -> None:
        """The Deployment carries its ReplicaSet's revision, and says where it came from."""
        annotations = deployment["metadata"].setdefault("annotations", {})
        annotations[REVISION] = new["metadata"]["annotations"][REVISION]
        status = deployment.setdefault("status", {})
        conditions = status.get("conditions", [])
        if reason == "NewReplicaSetCreated" or not progress.find(conditions, "Progressing"):
            status["conditions"] = progress.with_condition(
                conditions,
                ("Progressing", "True", reason),
                f'{sentence} "{new["metadata"]["name"]}"',
            )
        deployment.update(self._write(deployment))

    def _resize(self, rs: Obj, replicas: int, limits: rolling.Bounds) -> None:
        rs = self._store.get("replicasets", *key_of(rs))
        rs["spec"]["replicas"] = replicas
        annotations = rs["metadata"].setdefault("annotations", {})
        annotations |= {DESIRED: str(limits.replicas), MAXIMUM: str(limits.most)}
        self._store.update("replicasets", rs, manager=MANAGER)

    def _scaled(self, deployment: Obj, sets: list[Obj]) -> bool:
        """Whether `replicas` has changed since the ReplicaSets were last sized."""
        wanted = str(deployment["spec"].get("replicas", 1))
        known = [(rs["metadata"].get("annotations") or {}).get(DESIRED) for rs in sets if size(rs)]
        return any(count is not None and count != wanted for count in known)

    def _scale(self, deployment: Obj, sets: list[Obj], new: Obj | None) -> None:
        limits = rolling.bounds(deployment)
        newest = new or (sets[-1] if sets else None)
        for rs, wanted in zip(sets, rolling.scaled_sizes(sets, newest, limits), strict=True):
            if wanted != size(rs) or (wanted and self._scaled(deployment, [rs])):
                self._resize(rs, wanted, limits)

    def _note_pause(self, deployment: Obj, paused: bool) -> None:
        conditions = deployment.get("status", {}).get("conditions", [])
        now = progress.find(conditions, "Progressing")
        was = now is not None and now["reason"] == "DeploymentPaused"
        if paused == was or (now and now["reason"] == "ProgressDeadlineExceeded"):
            return
        word = "Paused" if paused else "Resumed"
        deployment.setdefault("status", {})["conditions"] = progress.with_condition(
            conditions,
            ("Progressing", "Unknown", f"Deployment{word}"),
            f"Deployment is {word.lower()}",
        )
        deployment.update(self._write(deployment))

    def _report(self, deployment: Obj, new: Obj | None) -> None:
        """Writes the status; without `new`, Progressing stays as it is."""
        sets = alive(self._index.owned(deployment["metadata"]["uid"], "replicasets"))
        wanted = deployment["spec"]["template"]
        current = next((rs for rs in sets if _template_of(rs) == wanted), None)
        status = progress.counts(deployment, current, sets)
        limits = rolling.bounds(deployment)
        conditions = deployment.get("status", {}).get("conditions", [])
        conditions = progress.available(conditions, status, limits.fewest_available)
        if new is not None:
            overdue = self._overdue(deployment, status)
            name = new["metadata"]["name"]
            conditions = progress.progressing(deployment, status, conditions, name, overdue)
        if progress.is_complete(deployment, status):
            self._clean_up(deployment, sets, current)
        deployment["status"] = status | {"conditions": conditions}
        self._write(deployment)

    def _write(self, deployment: Obj) -> Obj:
        """A real one writes all it has to say by UpdateStatus, the annotations too."""
        return self._store.update("deployments", deployment, manager=MANAGER, subresource="status")

    def _overdue(self, deployment: Obj, status: Obj) -> bool:
        """Whether nothing has moved for progressDeadlineSeconds; comes back when that will be."""
        uid, now = deployment["metadata"]["uid"], self._loop.time()
        seen = (deployment["metadata"]["generation"], status.get("updatedReplicas"))
        old = deployment.get("status", {})
        known, since = self._moved.get(uid, (None, now))
        if known != seen or progress.is_progressing(old, status):
            since = now
        self._moved[uid] = (seen, since)
        left = since + deployment["spec"].get("progressDeadlineSeconds", 600) - now
        if left > 0 and not progress.is_complete(deployment, status):
            self.queue.add_later(key_of(deployment), left)
        return bool(left <= 0)

    def _clean_up(self, deployment: Obj, sets: list[Obj], current: Obj | None) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        old = [rs for rs in sets if rs is not current and size(rs) == 0]
        old = [rs for rs in old if rs.get("status", {}).get("replicas", 0) == 0]
        for rs in sorted(old, key=_revision)[: max(0, len(old) - limit)]:
            self._store.delete("replicasets", *key_of(rs))


def _revision(rs: Obj) -> int:
    return int((rs["metadata"].get("annotations") or {}).get(REVISION, 0))


def _match_labels(deployment: Obj) -> dict[str, str]:
    return deployment["spec"]["selector"].get("matchLabels") or {}


def _template_of(rs: Obj) -> Obj:
    """The ReplicaSet's template as the Deployment wrote it."""
    template: Obj = rs["spec"]["template"]
    meta = template.get("metadata") or {}
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH}
    return template | {"metadata": meta | {"labels": labels}}
