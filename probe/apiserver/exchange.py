"""What is asked of the API server, and how long it has for each thing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from probe.apiserver.refusals import ApiError, Status

BODY_MAX = 16 * 1024 * 1024
"""Bytes read of the answer to an Exchange that names no other number: ten times etcd's largest
object. Arbitrary."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that the API server has for each thing."""

    connect: float = 10.0
    """TCP and TLS: three SYNs (at 0, 1 and 3 s) and time to answer the last."""
    page: float = 60.0
    """One page of a list: kube-apiserver's own --request-timeout."""
    listing: float = 300.0
    """All pages: after five minutes etcd's compaction has made continue tokens expire."""
    silence: float = 90.0
    """A watch without a line: bookmarks come once a minute (kube-apiserver's cacher,
    bookmarkFrequency), and half of that again for their jitter and the network. Not always,
    though: 1.36 sends none before a resource's first change since the server's start."""
    margin: float = 30.0
    """Past the timeoutSeconds we asked for before we end a watch ourselves; arbitrary."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request beside lists and watches; `seconds` is how long its whole answer may take, and
    `most` how many bytes it may have."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 60.0
    most: int = BODY_MAX


Refusal = Callable[[Status, float | None], ApiError]
"""What an answer other than 2xx is called, given its Status and the seconds it asks to wait."""
