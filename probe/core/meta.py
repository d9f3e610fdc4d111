"""What every object of the API has: a name, and who wrote it last."""

from sys import intern

from probe.core import wire
from probe.core.edges import Author


class BadObject(ValueError):
    """An object without what its fact needs. Its holder is skipped and counted, never fatal."""


def named(meta: wire.Meta) -> None:
    if not meta.name or not meta.namespace:
        raise BadObject("metadata.name or metadata.namespace is missing")


def author(meta: wire.Meta) -> Author | None:
    """The manager whose write is the newest; status writers change no intent."""
    writers = [m for m in meta.managedFields or () if m.time and m.subresource != "status"]
    if not writers:
        return None
    last = max(reversed(writers), key=lambda m: m.time)  # times are whole seconds; later ones win
    return Author(intern(last.manager), last.time)
