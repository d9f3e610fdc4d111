"""Addresses inside of values, and the names by which such values go."""

import re
from typing import NamedTuple

from probe.core import listening
from probe.lint.values import is_placeholder

KEYS = listening.vocabulary(
    "url uri urls uris addr addrs address addresses host hosts target targets endpoint endpoints "
    "upstream upstreams backend backends server servers remote peer peers pass connect "
    "pghost pghostaddr"
)
"""What the last word of a name is if it calls an address (`pass`: nginx's proxy_pass; `connect`:
Kafka's zookeeper.connect; libpq's variables are one word)."""

NO_ADDRESS = listening.vocabulary("time window ratio range aspect")
"""Words for what is written like host and port, but is none."""

_SPLIT = re.compile(r"[;\s]+")
_RESOLVER = re.compile(r"^(?:dns|passthrough):///(?=[^/])")
"""gRPC's, without an authority: a host follows, not a path (grpc's doc/naming.md)."""

_TIME_OR_RATIO = re.compile(r"\d+:\d|\d{1,2}:0\d|\d\d:[0-5]\d")
_SPOT = re.compile(
    r"""(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^@/\s]*@)?)?
        (?P<host>\[[0-9A-Fa-f:.]*\]|[^:/\s\[\]{}()@?#=<>]*)(?::(?P<port>\d{1,6}))?
        (?P<rest>[/?#].*)?""",
    re.VERBOSE,
)
_QUOTES = re.compile(r"""^\[?["'`]|["'`]\]?$""")
_IPV6 = re.compile(r"[0:]*::[0:.]*")


class Spot(NamedTuple):
    """An address as it is written in a value; `host` and `scheme` are empty where there is none."""

    scheme: str
    host: str
    port: int | None


def reads_like_an_address(name: str) -> bool:
    """Whether a name calls an address: `BACKEND_URL`, `--redis-host`, `upstreams`."""
    words = listening.words_of(name)
    return bool(words) and words[-1] in KEYS and NO_ADDRESS.isdisjoint(words)


def spots(value: str) -> list[Spot]:
    """The addresses in a value. Times, ratios, CIDRs and images are none: without a scheme nothing
    may follow host and port. The hosts of one URL share its scheme (`mongodb://a:27017,b:27017`)."""
    found = []
    for word in _SPLIT.split(value):
        scheme = ""
        for part in word.split(","):
            spot = _spot(_QUOTES.sub("", part), scheme)
            scheme = spot.scheme if spot and "?" not in part else ""
            if spot and (spot.host or spot.port is not None):
                found.append(spot)
    return found


def _spot(written: str, shared: str) -> Spot | None:
    """`shared` is the scheme of the URL that the part before belongs to."""
    if not written or is_placeholder(written):
        return None
    if _IPV6.fullmatch(written):
        return Spot("", written, None)
    text = _RESOLVER.sub("dns://", written.removeprefix("jdbc:"))
    match = _SPOT.fullmatch(text)
    if match is None:
        return None
    scheme = (match["scheme"] or (shared if match["port"] else "")).lower()
    if (match["rest"] and not scheme) or _TIME_OR_RATIO.fullmatch(text):
        return None
    return Spot(scheme, match["host"], int(match["port"]) if match["port"] else None)
