"""Takes byte streams apart, watch lines and list items, with bounded memory whatever is sent.

What is larger than PIECE_MAX is passed over as it streams by; only its head is kept, to tell
whose it was. Nothing here decodes JSON or does I/O.
"""

import re
from dataclasses import dataclass

PIECE_MAX = 8 * 2**20
"""Bytes of one watch line or list item: five times etcd's limit on a request, 1.5 MiB
(--max-request-bytes), which no object of an honest API server passes."""

HEAD = 4096
"""Bytes kept of what is passed over: name, namespace and uid come before any long field."""

ENVELOPE_MAX = 64 * 1024
"""Bytes of a list page besides its items: kind, version and a continue token, under 1 KiB."""


@dataclass(frozen=True, slots=True)
class Oversized:
    """A line or item over the limit, of which only this much was kept."""

    head: bytes


Piece = bytes | Oversized


class Gathering:
    """One piece in the making: parts go in, the whole comes out, or its head if too large."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._too_large = False

    def add(self, part: bytes) -> None:
        if self._too_large:
            return
        if len(self._kept) + len(part) > self._limit:
            self._too_large = True
            self._kept = bytearray(bytes(self._kept[:HEAD]) + part[: HEAD - len(self._kept)])
        else:
            self._kept += part

    def take(self) -> Piece:
        """The piece so far; the next one begins."""
        piece = Oversized(bytes(self._kept)) if self._too_large else bytes(self._kept)
        self._kept = bytearray()
        self._too_large = False
        return piece


class Lines:
    """The lines of a stream. Empty ones are left out, as JSON readers skip white space."""

    def __init__(self, limit: int = PIECE_MAX) -> None:
        self._line = Gathering(limit)

    def feed(self, chunk: bytes) -> list[Piece]:
        """The lines that this chunk ended."""
        *ended, rest = chunk.split(b"\n")
        lines = []
        for part in ended:
            self._line.add(part)
            lines.append(self._line.take())
        self._line.add(rest)
        return [line for line in lines if isinstance(line, Oversized) or line.strip()]

    def rest(self) -> list[Piece]:
        """What stood after the last line end, once the stream is over."""
        return self.feed(b"\n")


_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]"]', re.DOTALL)
"""A whole string, a bracket, or the opening quote of a string that goes on in the next chunk."""

_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_ITEMS_KEY = re.compile(rb'"items"\s*:\s*\Z')


class Items:
    """The items of a list page of any size, one by one as it streams in.

    Only brackets and strings are looked at, so an item with bad JSON inside comes out too, as
    long as its brackets pair. Costs about 50 ms per MB: pages that fit are decoded otherwise.
    """

    def __init__(self, limit: int = PIECE_MAX) -> None:
        self._envelope = bytearray()
        self._item = Gathering(limit)
        self._depth = 0
        self._within = False
        self._in_string = False
        self._escaped = False

    def feed(self, chunk: bytes) -> list[Piece]:
        """The items that this chunk ended. Raises ValueError for what cannot be a list page."""
        items: list[Piece] = []
        start = 0
        if not chunk:  # an escape at the end of the last one still waits for its character
            return items
        for token in _TOKEN.finditer(chunk, self._string_end(chunk, 0)):
            at, end = token.span()
            match chunk[at : at + 1]:
                case b'"':
                    if end - at == 1:
                        self._in_string = True
                        self._string_end(chunk, end)
                        break
                case b"{" | b"[" as bracket:
                    if self._within and self._depth == 2:
                        start = at
                    elif bracket == b"[" and self._depth == 1 and self._at_items(chunk[start:at]):
                        self._keep(chunk[start:end])
                        self._within, start = True, end
                    self._depth += 1
                case _:
                    if self._within and self._depth == 3:
                        self._keep(chunk[start:end])
                        items.append(self._item.take())
                        start = end
                    elif self._within and self._depth == 2:
                        self._within, start = False, at
                    self._depth -= 1
        self._keep(chunk[start:])
        return items

    def envelope(self) -> bytes:
        """The page without its items, once the stream is over: JSON only if the page was whole."""
        return bytes(self._envelope)

    def _keep(self, part: bytes) -> None:
        """Files a part under the page or its item; commas between items belong to neither."""
        if self._within:
            if self._depth > 2:
                self._item.add(part)
            return
        self._envelope += part
        if len(self._envelope) > ENVELOPE_MAX:
            raise ValueError("it is not a list of objects")

    def _at_items(self, part: bytes) -> bool:
        return _ITEMS_KEY.search(bytes(self._envelope) + part) is not None

    def _string_end(self, chunk: bytes, at: int) -> int:
        """Where the string that is open at this place ends: the chunk's end if it goes on."""
        if not self._in_string:
            return at
        rest = _STRING.match(chunk, at + self._escaped)
        end = rest.end() if rest else len(chunk)
        self._escaped = chunk[end : end + 1] == b"\\"
        self._in_string = chunk[end : end + 1] != b'"'
        return len(chunk) if self._in_string else end + 1
