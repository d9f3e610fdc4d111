"""Writes on their way into the store: defaults, rules, addresses, owners of fields, dry runs.

What a client may not decide (uid, times, status outside /status, deletionTimestamp) is taken from
the object as it stands. Everything is one step of the event loop, so a patch meets no other write.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from probe.sandbox import defaults, ownership, shapes, validation
from probe.sandbox.asking import Target
from probe.sandbox.resources import Resource
from probe.sandbox.statuses import BadRequest, Conflicting, Forbidden, Refusal
from probe.sandbox.store import Conflict, NotFound, Store, timestamp

Obj = dict[str, Any]

NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Of generated names: k8s.io/apimachinery/pkg/util/rand, which spells no words with them."""

STATUS_ON_CREATE = frozenset({"nodes"})
"""Resources whose status may come with the object: a kubelet registers its node that way."""

FIXED_META = ("deletionTimestamp", "deletionGracePeriodSeconds")


class Unallocatable(Refusal):
    code, reason = 500, "InternalError"


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, as managedFields will name them, and whether only to see what would happen."""

    manager: str
    dry_run: bool = False


class Writer:
    """The writing half of the API server. Methods raise StoreError and return what is stored."""

    def __init__(
        self, store: Store, cluster_ip: Callable[[], str], node_port: Callable[[], int]
    ) -> None:
        self._store = store
        self._cluster_ip = cluster_ip
        self._node_port = node_port

    def create(self, asked: Target, obj: Obj, author: Author) -> Obj:
        resource = asked.resource
        obj = _addressed(asked, obj)
        meta = obj["metadata"]
        if meta.pop("resourceVersion", None):
            raise BadRequest("resourceVersion should not be set on objects to be created")
        for field in (*FIXED_META, "uid", "generation", "managedFields", "selfLink"):
            meta.pop(field, None)
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + "".join(random.choices(NAME_LETTERS, k=5))
        self._check_namespace(asked, meta.get("name", ""))
        given = obj.pop("status", None) if resource.status else None
        self._complete(resource, obj, None)
        ownership.note_update(None, obj, author.manager, now=timestamp())
        # From here on it is the server's own doing, and nobody's field.
        self._give_addresses(resource, obj)
        if resource.status:
            keep = given and resource.plural in STATUS_ON_CREATE
            initial = _copy(defaults.INITIAL_STATUS.get(resource.plural, {}))
            obj["status"] = given if keep else initial
        return self._store.create(resource.plural, obj, manager=None, dry_run=author.dry_run)

    def patch(self, asked: Target, change: Callable[[Obj], Obj], author: Author) -> Obj:
        """Stores what `change` makes of the object, or of its status only for /status."""
        old = self._store.get(asked.resource.plural, asked.namespace, asked.name)
        new = self._changed(asked, old, change(_copy(old)))
        ownership.note_update(
            old, new, author.manager, now=timestamp(), subresource=asked.subresource
        )
        return self._update(asked, new, author)

    def apply(
        self, asked: Target, applied: Obj, author: Author, *, force: bool
    ) -> tuple[Obj, bool]:
        """Server-side apply; and whether it created the object. Raises Conflicting."""
        applied = _addressed(asked, applied)
        if applied["metadata"].get("managedFields"):
            raise BadRequest("metadata.managedFields must be nil")
        if asked.resource.status and not asked.subresource:
            applied.pop("status", None)
        now = timestamp()
        try:
            old = self._store.get(asked.resource.plural, asked.namespace, asked.name)
        except NotFound:
            if asked.subresource:
                raise
            return self._create_applied(asked, applied, author, now), True
        if not force and (clashes := ownership.conflicts(old, applied, author.manager)):
            raise _conflicting(clashes)
        new = ownership.apply(old, applied, author.manager, now=now, subresource=asked.subresource)
        return self._update(asked, self._changed(asked, old, new), author), False

    def _create_applied(self, asked: Target, applied: Obj, author: Author, now: str) -> Obj:
        owned = ownership.apply(None, applied, author.manager, now=now)
        created = self.create(asked, applied, Author(author.manager, dry_run=True))
        created["metadata"]["managedFields"] = owned["metadata"]["managedFields"]
        return self._store.create(
            asked.resource.plural, created, manager=None, dry_run=author.dry_run
        )

    def _changed(self, asked: Target, old: Obj, new: Obj) -> Obj:
        """What may become of `old` by this request, complete and valid. Raises StoreError."""
        new = _addressed(asked, new)
        meta, old_meta = new["metadata"], old["metadata"]
        if meta.get("uid", old_meta["uid"]) != old_meta["uid"]:
            raise Conflict(
                f'Operation cannot be fulfilled on {asked.resource.plural} "{asked.name}": '
                f"Precondition failed: UID in precondition: {meta['uid']}, "
                f"UID in object meta: {old_meta['uid']}",
                asked.resource.plural,
                asked.name,
            )
        for field in FIXED_META:
            meta.pop(field, None)
            if field in old_meta:
                meta[field] = old_meta[field]
        if not _are_entries(meta.get("managedFields")):
            meta["managedFields"] = old_meta.get("managedFields", [])
        if asked.subresource == "status":
            kept = {"managedFields": meta["managedFields"]}
            if version := meta.get("resourceVersion"):
                kept["resourceVersion"] = version
            return {**old, "metadata": {**old_meta, **kept}, "status": new.get("status", {})}
        if asked.resource.status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        self._complete(asked.resource, new, old)
        return new

    def _complete(self, resource: Resource, obj: Obj, old: Obj | None) -> None:
        defaults.fill(resource.plural, obj)
        if resource.plural == "services" and old:
            defaults.keep_addresses(obj, old)
        validation.check(resource, obj, old)

    def _give_addresses(self, resource: Resource, obj: Obj) -> None:
        if resource.plural == "services":
            try:
                defaults.give_addresses(obj, self._cluster_ip, self._node_port)
            except (RuntimeError, OSError) as error:
                raise Unallocatable(str(error)) from error

    def _update(self, asked: Target, new: Obj, author: Author) -> Obj:
        plural = asked.resource.plural
        self._give_addresses(asked.resource, new)
        stored = self._store.update(plural, new, manager=None, dry_run=author.dry_run)
        meta = stored["metadata"]
        # The last finalizer is gone, and nothing else keeps the object.
        waits = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
        if meta.get("deletionTimestamp") and not waits and plural != "namespaces":
            return self._store.delete(plural, asked.namespace, asked.name, dry_run=author.dry_run)
        return stored

    def _check_namespace(self, asked: Target, name: str) -> None:
        if not asked.resource.namespaced:
            return
        namespace = self._store.get("namespaces", "", asked.namespace)
        if namespace["metadata"].get("deletionTimestamp"):
            raise Forbidden(
                f'{asked.resource.qualified} "{name}" is forbidden: unable to create new content '
                f"in namespace {asked.namespace} because it is being terminated",
                {"name": name, "kind": asked.resource.plural},
            )


def _addressed(asked: Target, obj: Obj) -> Obj:
    """The object as one of the target's kind, namespace and name. Raises BadRequest."""
    resource = asked.resource
    if not isinstance(obj, dict):
        raise BadRequest(f"the object provided is unrecognized (must be of type {resource.kind})")
    kind, version = obj.get("kind"), obj.get("apiVersion")
    if (kind or resource.kind, version or resource.api_version) != (
        resource.kind,
        resource.api_version,
    ):
        raise BadRequest(
            f'{kind} in version "{version}" cannot be handled as a {resource.kind}: '
            f"expected {resource.kind} in version {resource.api_version}"
        )
    obj = shapes.fit(resource, obj)
    meta = dict(obj.get("metadata") or {})
    if asked.namespace and meta.get("namespace", asked.namespace) != asked.namespace:
        raise BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if asked.name and (name := meta.get("name", asked.name)) != asked.name:
        raise BadRequest(
            f"the name of the object ({name}) does not match the name on the URL ({asked.name})"
        )
    if asked.name:
        meta["name"] = asked.name
    meta.pop("namespace", None)
    if asked.namespace:
        meta["namespace"] = asked.namespace
    head = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
    return {**head, **{k: v for k, v in _copy(obj).items() if k not in head}}


def _conflicting(clashes: list[tuple[str, str]]) -> Conflicting:
    count = f"{len(clashes)} conflict" + ("s" if len(clashes) > 1 else "")
    told = [f'conflict with "{manager}": {field}' for manager, field in clashes]
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": field}
        for manager, field in clashes
    ]
    return Conflicting(f"Apply failed with {count}: {', '.join(told)}", {"causes": causes})


def _are_entries(entries: Any) -> bool:
    return bool(entries) and all(
        isinstance(e, dict) and e.get("manager") and e.get("operation") for e in entries
    )


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(child) for name, child in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
