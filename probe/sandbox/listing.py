"""Lists, whole or in pages, of the newest state or of one that the store still remembers."""

from typing import Any

from probe.sandbox.asking import ListOptions, Target, write_continue
from probe.sandbox.statuses import TooLargeVersion
from probe.sandbox.store import Gone, Store

Obj = dict[str, Any]

TOO_OLD = "The resourceVersion for the provided list is too old."
EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter, or use the continue token in this response "
    "to retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


class ExpiredPage(Gone):
    """A page of a list that is forgotten; `token` goes on where it stood, inconsistently."""

    def __init__(self, token: str) -> None:
        super().__init__(EXPIRED)
        self.token = token


def page(store: Store, asked: Target, options: ListOptions) -> tuple[list[Obj], Obj]:
    """The objects, in order of namespace and name, and the list's metadata.

    Raises Gone for a forgotten version, ExpiredPage for a forgotten page, TooLargeVersion for one
    that is not yet.
    """
    version = _version(store, options)
    objects = [o for o in _objects(store, asked, options, version) if options.keeps(o)]
    if options.start:
        objects = [o for o in objects if _position(o) > options.start]
    metadata: Obj = {"resourceVersion": str(version)}
    if options.limit and len(objects) > options.limit:
        left = len(objects) - options.limit
        objects = objects[: options.limit]
        metadata["continue"] = write_continue(version, _position(objects[-1]))
        if not options.selective:
            metadata["remainingItemCount"] = left
    return objects, metadata


def _version(store: Store, options: ListOptions) -> int:
    if options.version is not None and options.version > store.version:
        raise TooLargeVersion(options.version, store.version)
    if options.exact and options.version is not None and options.version > 0:
        return options.version
    return store.version


def _objects(store: Store, asked: Target, options: ListOptions, version: int) -> list[Obj]:
    if version == store.version:
        return store.list(asked.resource.plural, asked.namespace)
    try:
        return list(store.list_at(asked.resource.plural, asked.namespace, version))
    except Gone as error:
        if options.start:
            raise ExpiredPage(write_continue(-1, options.start)) from error
        raise Gone(TOO_OLD) from error


def _position(obj: Obj) -> str:
    """Where an object stands in a list, as text that sorts as the list does."""
    meta = obj["metadata"]
    return f"{meta.get('namespace', '')}\0{meta['name']}"
