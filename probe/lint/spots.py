"""Addresses inside of values, and the names by which such values go."""

import re
from typing import NamedTuple

from probe.core import listening
from probe.lint.values import is_placeholder

KEYS = listening.vocabulary(
    "url uri urls uris addr addrs address addresses host hosts target targets endpoint endpoints "
    "upstream upstreams backend backends server servers remote peer peers pass"
)
"""What the last word of a name is if it calls an address (`pass`: nginx's proxy_pass)."""

_SPLIT = re.compile(r"[,;\s]+")
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
    return bool(words) and words[-1] in KEYS


def spots(value: str) -> list[Spot]:
    """The addresses in a value. Times, ratios, CIDRs and images are none: without a scheme nothing
    may follow host and port."""
    found = []
    for part in _SPLIT.split(value):
        text = _QUOTES.sub("", part)
        if not text or is_placeholder(text):
            continue
        if _IPV6.fullmatch(text):
            found.append(Spot("", text, None))
            continue
        match = _SPOT.fullmatch(text)
        if match is None or (match["rest"] and not match["scheme"]):
            continue
        if match["host"] or match["port"]:
            port = int(match["port"]) if match["port"] else None
            found.append(Spot((match["scheme"] or "").lower(), match["host"], port))
    return found
