"""Bytes of the API server -> facts and events, one object at a time.

An object that cannot be read becomes a Skip with its reason, never an exception: one bad object
costs nobody else. No I/O here; time and connections are the callers'.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from probe.apiserver import refusals
from probe.apiserver.framing import PIECE_MAX, Items, Oversized, Piece
from probe.core.kube import Removed, Resource, Stored
from probe.core.meta import BadObject

Reason = Literal["malformed_json", "malformed_object", "bad_object", "oversized", "unknown_event"]
"""Why something was skipped: no JSON; JSON of another shape; an object without what its fact
needs; over framing.PIECE_MAX; a type of watch event that we do not know."""

SLICE = 64 * 1024
"""Bytes taken apart between two pauses: about 2 ms."""

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Something not read. `key` is whose it was and `version` its resourceVersion, where known."""

    reason: Reason
    detail: str
    key: Key | None = None
    version: str = ""


@dataclass(slots=True)
class Listing:
    """What one list gave: facts by key, what had to be skipped, the version it is of."""

    facts: dict[Key, Any] = field(default_factory=dict)
    skipped: list[Skip] = field(default_factory=list)
    version: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """A watch event understood; a bookmark has a version only."""

    version: str
    event: Stored | Removed | None = None


class Torn(ValueError):
    """A watch line that is no JSON: what follows on that stream may be no better."""


class _HeadMeta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    resourceVersion: str = ""


class _Head(msgspec.Struct):
    metadata: _HeadMeta = msgspec.field(default_factory=_HeadMeta)

    @property
    def key(self) -> Key | None:
        return (self.metadata.namespace, self.metadata.name) if self.metadata.name else None


class _WatchLine(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _PageMeta(msgspec.Struct):
    resourceVersion: str
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _PageMeta
    items: list[msgspec.Raw] | None


_HEAD = msgspec.json.Decoder(_Head)
_LINE = msgspec.json.Decoder(_WatchLine)
_PAGE = msgspec.json.Decoder(_Page)
_STATUS = msgspec.json.Decoder(refusals.Status)

_HEAD_META = re.compile(rb'"metadata"\s*:\s*\{([^{}\[\]]*)')
_HEAD_FIELD = rb'"%s"\s*:\s*"([a-z0-9.-]+)"'


class Decoder:
    """Reads the objects of one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._object: msgspec.json.Decoder[Any] = msgspec.json.Decoder(resource.wire)

    def item(self, piece: Piece | msgspec.Raw) -> tuple[Key, Any] | Skip:
        """A list item's key and fact."""
        read = self._read(piece)
        return read if isinstance(read, Skip) else ((read[0].namespace, read[0].name), read[0])

    def line(self, line: Piece, namespace: str = "") -> Heard | Skip:
        """What a watch line says. Raises Torn, and ApiError for an ERROR event."""
        if isinstance(line, Oversized):
            return _oversized(line)
        try:
            event = _LINE.decode(line)
        except msgspec.ValidationError as error:
            return Skip("malformed_object", f"a watch event is of another shape: {error}")
        except RecursionError:
            return Skip("malformed_object", "a watch event is nested too deeply")
        except ValueError as error:
            raise Torn(f"a watch event is no JSON: {error}") from error
        match event.type:
            case "ADDED" | "MODIFIED":
                read = self._read(event.object)
                if isinstance(read, Skip):
                    return read
                return Heard(read[1], Stored(self._resource.name, read[0]))
            case "DELETED":
                return self._removed(event.object)
            case "BOOKMARK":
                return Heard(_head(event.object).metadata.resourceVersion)
            case "ERROR":
                raise refusals.api_error(_status(event.object), "watch", self._resource, namespace)
            case unknown:
                head = _head(event.object)
                return Skip(
                    "unknown_event",
                    f"a watch event is of the unknown type {unknown[:32]!r}",
                    head.key,
                    head.metadata.resourceVersion,
                )

    def _read(self, piece: Piece | msgspec.Raw) -> tuple[Any, str] | Skip:
        """An object's fact and version."""
        if isinstance(piece, Oversized):
            return _oversized(piece)
        try:
            obj = self._object.decode(piece)
            return self._resource.fact(obj), obj.metadata.resourceVersion
        except BadObject as error:
            return _skip("bad_object", error, piece)
        except Exception as error:  # whatever one object breaks, the others are still wanted
            return _skip("malformed_object", error, piece)

    def _removed(self, raw: msgspec.Raw) -> Heard | Skip:
        """A deletion needs no more of the object than its name, however bad the rest is."""
        head = _head(raw)
        if head.key is None:
            return Skip("malformed_object", "a deleted object has no name")
        return Heard(head.metadata.resourceVersion, Removed(self._resource.name, *head.key))


def _skip(reason: Reason, error: Exception, piece: bytes | msgspec.Raw) -> Skip:
    head = _head(piece)
    return Skip(reason, str(error), head.key, head.metadata.resourceVersion)


def _head(raw: bytes | msgspec.Raw) -> _Head:
    """Name and version of an object, as far as they can be read."""
    try:
        return _HEAD.decode(raw)
    except (ValueError, RecursionError):
        return _Head()


def _oversized(piece: Oversized) -> Skip:
    """Whose it was is in its first bytes, before metadata's first nested field."""
    meta = _HEAD_META.search(piece.head)
    name, namespace = (
        re.search(_HEAD_FIELD % field, meta[1] if meta else b"")
        for field in (b"name", b"namespace")
    )
    key = (namespace[1].decode() if namespace else "", name[1].decode()) if name else None
    return Skip("oversized", f"it has more than {PIECE_MAX // 2**20} MiB", key)


def _status(raw: msgspec.Raw) -> refusals.Status:
    try:
        return _STATUS.decode(raw)
    except (ValueError, RecursionError):
        return refusals.Status(500, "", "an ERROR event without a Status")


@dataclass(frozen=True, slots=True)
class PageEnd:
    """What a page says besides its items; `token` asks for the next one, "" if it was the last."""

    version: str
    token: str


class Page:
    """One page of a list: buffered while it fits, taken apart as it streams where it does not."""

    def __init__(self, limit: int = PIECE_MAX) -> None:
        self._limit = limit
        self._body = bytearray()
        self._items: Items | None = None

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """Items already complete: none of a page that fits. Raises ValueError for no list.

        Lazy, so that the caller may pause in between: take them all before the next chunk.
        """
        if self._items is not None:
            yield from self._items.feed(chunk)
            return
        self._body += chunk
        if len(self._body) > self._limit:
            yield from self._take_apart()

    def finish(self) -> tuple[list[Piece | msgspec.Raw], PageEnd]:
        """The items still to come and the page's end. Raises ValueError if it was no whole list.

        Where the page is no JSON as a whole, each item still gets its chance.
        """
        pieces: list[Piece | msgspec.Raw] = []
        if self._items is None:
            try:
                return _opened(self._body)
            except msgspec.ValidationError:
                raise
            except (ValueError, RecursionError):
                pieces += self._take_apart()
        assert self._items is not None
        return pieces, _opened(self._items.envelope())[1]

    def _take_apart(self) -> Iterator[Piece]:
        self._items = Items()
        body, self._body = memoryview(self._body), bytearray()
        for at in range(0, len(body), SLICE):
            yield from self._items.feed(bytes(body[at : at + SLICE]))


def _opened(body: bytes | bytearray) -> tuple[list[Piece | msgspec.Raw], PageEnd]:
    page = _PAGE.decode(body)
    if not page.metadata.resourceVersion:
        raise ValueError("it has no resourceVersion")
    return [*(page.items or ())], PageEnd(page.metadata.resourceVersion, page.metadata.continue_)
