"""What controllers know of the cluster: the store's objects, findable by owner and by label.

Kept from the store's own events, so a look costs no copy and no search. Everything handed out is
shared and must not be changed: to change an object, take it from the store.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from probe.sandbox import shapes
from probe.sandbox.store import Event, Obj, Store

log = logging.getLogger(__name__)

_K = TypeVar("_K")
_V = TypeVar("_V")

Key = tuple[str, str]
"""Namespace and name."""

SERVICE_NAME = "kubernetes.io/service-name"
"""The label by which an EndpointSlice names its Service."""

WATCHED = (
    "namespaces", "nodes", "services", "pods", "endpointslices",
    "deployments", "replicasets", "statefulsets", "daemonsets", "jobs",
)  # fmt: skip
"""What the controllers start from, owners first."""


class Index:
    """A mirror of the store. Those who follow are told after it has changed.

    An object that a client of the real API could not decode is not learnt: whoever follows sees
    its last form that was sound, or nothing.
    """

    def __init__(self, store: Store) -> None:
        self._objects: dict[str, dict[Key, Obj]] = defaultdict(dict)
        self._owned: dict[str, set[tuple[str, Key]]] = defaultdict(set)
        self._labelled: dict[tuple[str, str, str], set[Key]] = defaultdict(set)
        self._selecting: dict[tuple[str, str, str], set[Key]] = defaultdict(set)
        self._slices: dict[Key, set[Key]] = defaultdict(set)
        self._followers: list[Callable[[Event], None]] = []
        for resource in WATCHED:
            for obj in store.list(resource):
                if shapes.sound(resource, obj):
                    self._learn(resource, obj)
        self._unsubscribe = store.subscribe(self._on_event)

    def follow(self, callback: Callable[[Event], None]) -> None:
        """Calls back for every change from now on."""
        self._followers.append(callback)

    def close(self) -> None:
        """Hears of no further change."""
        self._unsubscribe()
        self._followers.clear()

    def get(self, resource: str, key: Key) -> Obj | None:
        return self._objects[resource].get(key)

    def all(self, resource: str) -> list[Obj]:
        return list(self._objects[resource].values())

    def keys(self, resource: str, namespace: str) -> list[Key]:
        return [key for key in self._objects[resource] if key[0] == namespace]

    def resources(self) -> list[str]:
        """The resources that have, or had, objects."""
        return list(self._objects)

    def owned(self, uid: str, resource: str | None = None) -> list[Obj]:
        """What names the uid among its owners; of one resource if given. Ordered by name."""
        found = sorted(pair for pair in self._owned.get(uid, ()) if resource in (None, pair[0]))
        return [self._objects[kind][key] for kind, key in found]

    def owned_keys(self, uid: str) -> list[tuple[str, Key]]:
        return sorted(self._owned.get(uid, ()))

    def pods_selected(self, namespace: str, selector: dict[str, str]) -> list[Obj]:
        """The pods of a namespace that carry all these labels; none for an empty selector."""
        if not selector:
            return []
        sets = [self._labelled.get((namespace, k, v), set()) for k, v in selector.items()]
        found = min(sets, key=len).intersection(*sets)
        return [self._objects["pods"][key] for key in sorted(found)]

    def slices(self, service: Key) -> list[Obj]:
        """The EndpointSlices that name the Service, whoever manages them."""
        return [
            self._objects["endpointslices"][key] for key in sorted(self._slices.get(service, ()))
        ]

    def services_selecting(self, pod: Obj) -> Iterator[Key]:
        """The Services whose selector fits the pod's labels."""
        namespace, labels = key_of(pod)[0], labels_of(pod)
        for label, value in labels.items():
            for key in self._selecting.get((namespace, label, value), ()):
                selector = self._objects["services"][key]["spec"]["selector"]
                if selector.items() <= labels.items():
                    yield key

    def _on_event(self, event: Event) -> None:
        known = self._objects[event.resource].get(key_of(event.object))
        if not shapes.sound(event.resource, event.object):
            if event.type != "DELETED":
                log.warning("%s %s/%s is malformed: ignored", event.resource, *key_of(event.object))
                return
            if known is None:
                return
            event = replace(event, object=known)
        if known is not None:
            self._forget(event.resource, known)
        if event.type != "DELETED":
            self._learn(event.resource, event.object)
        for callback in list(self._followers):
            try:
                callback(event)
            except Exception as error:
                # One controller that stumbles must not keep the others from being told.
                log.error("a controller failed on %s %s: %r", event.resource, event.type, error)
                log.debug("where it failed", exc_info=error)

    def _learn(self, resource: str, obj: Obj) -> None:
        key = key_of(obj)
        self._objects[resource][key] = obj
        for owner in owners(obj):
            self._owned[owner.get("uid", "")].add((resource, key))
        for label in self._labels(resource, obj):
            self._labelled[label].add(key)
        for label in self._first_selected(resource, obj):
            self._selecting[label].add(key)
        if resource == "endpointslices" and (service := service_of(obj)):
            self._slices[service].add(key)

    def _forget(self, resource: str, obj: Obj) -> None:
        key = key_of(obj)
        del self._objects[resource][key]
        for owner in owners(obj):
            _drop(self._owned, owner.get("uid", ""), (resource, key))
        for label in self._labels(resource, obj):
            _drop(self._labelled, label, key)
        for label in self._first_selected(resource, obj):
            _drop(self._selecting, label, key)
        if resource == "endpointslices" and (service := service_of(obj)):
            _drop(self._slices, service, key)

    @staticmethod
    def _labels(resource: str, obj: Obj) -> Iterator[tuple[str, str, str]]:
        if resource == "pods":
            for label, value in labels_of(obj).items():
                yield obj["metadata"]["namespace"], label, value

    @staticmethod
    def _first_selected(resource: str, obj: Obj) -> Iterator[tuple[str, str, str]]:
        # One label of a selector is enough to find the candidates; the rest is compared.
        if resource == "services":
            for label, value in list((obj["spec"].get("selector") or {}).items())[:1]:
                yield obj["metadata"]["namespace"], label, value


def key_of(obj: Obj) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def labels_of(obj: Obj) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def service_of(endpoint_slice: Obj) -> Key | None:
    """The Service that an EndpointSlice belongs to, by its label."""
    name = labels_of(endpoint_slice).get(SERVICE_NAME)
    return (key_of(endpoint_slice)[0], name) if name else None


def owners(obj: Obj) -> list[Obj]:
    return obj["metadata"].get("ownerReferences") or []


def controller_of(obj: Obj, kind: str) -> Key | None:
    """Where the owner of this kind that manages the object lives."""
    for owner in owners(obj):
        if owner.get("controller") and owner.get("kind") == kind:
            return key_of(obj)[0], owner.get("name", "")
    return None


def owner_reference(owner: Obj, api_version: str, kind: str) -> Obj:
    """What a controller writes into the objects it makes for `owner`."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def alive(objects: Iterable[Obj]) -> list[Obj]:
    """Those that nobody has asked to be deleted."""
    return [obj for obj in objects if "deletionTimestamp" not in obj["metadata"]]


def _drop(sets: dict[_K, set[_V]], key: _K, value: _V) -> None:
    sets[key].discard(value)
    if not sets[key]:
        del sets[key]
