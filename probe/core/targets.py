"""Which addresses may be dialed, and why the others may not.

Incident 2 of docs/edge-cases.md is this file's reason: a configuration said `0:80`. `0` is 0.0.0.0
to inet_aton, and connecting to 0.0.0.0 reaches the dialer's own loopback (measured: peer
127.0.0.1), so the dial says something about ourselves and nothing about the target. Every address
is judged here before anything is dialed, in whatever notation it came.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

THIS_NETWORK = IPv4Network("0.0.0.0/8")
"""RFC 1122 3.2.1.3: never a destination; 0.0.0.0 reaches loopback, the rest nothing."""

BROADCAST = IPv4Address("255.255.255.255")

PORT_MAX = 65535

NAME_MAX = 255
"""Characters of a host's name (RFC 1035 2.3.4); longer numbers are none that int() reads."""

_USERINFO = re.compile(r"(?<=://)\S*@|(?<!\S)(?!\S*://)\S*@")
_QUERY = re.compile(r"(://[^\s?#]*[?#])\S+")
_PART = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")


class InvalidTarget(ValueError):
    """An address that may not be dialed; its text is one sentence for people."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a person or a configuration asked to dial: `host` may still be a name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def masked(text: str) -> str:
    """The text without what may be a password in its addresses: userinfo and queries are "..."."""
    return _QUERY.sub(r"\1...", _USERINFO.sub("...@", text))


def parse(text: str) -> Target:
    """HOST:PORT or [IPV6]:PORT as a Target. Raises InvalidTarget naming what is missing."""
    host, port = _split(text)
    if host in ("", "*"):
        raise InvalidTarget(f"{text!r} has no host: it means every address of the dialer itself")
    if not port:
        raise InvalidTarget(f"{text!r} has no port: write it as HOST:PORT")
    if not (port.isascii() and port.isdigit()):
        raise InvalidTarget(f"{text!r}: port {port!r} is not a number")
    number = int(port) if len(port) <= 20 else PORT_MAX + 1
    if reason := port_fault(number):
        raise InvalidTarget(f"{text!r}: {reason}")
    address = numeric(host)
    if address is None:
        return Target(host, number)
    other = _decimal(host)
    # What may not be dialed anyway is told so when it is judged.
    if other not in (None, address) and not address_fault(str(address), person=True):
        raise InvalidTarget(
            f"{text!r}: {host} is {address} in octal and {other} in decimal: write the one meant"
        )
    return Target(str(address), number)


def _split(text: str) -> tuple[str, str]:
    """Host and port of the text, each perhaps empty."""
    if "://" in text or "/" in text or re.search(r"\s", text) or "@" in text:
        said = f"{masked(text)!r} is not an address"
        raise InvalidTarget(f"{said}: write it as HOST:PORT, without a scheme")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or ":" not in host:
            raise InvalidTarget(f"{text!r} is not an address: write IPv6 as [ADDRESS]:PORT")
        return host, rest[1:]
    if text.count(":") > 1:
        raise InvalidTarget(f"{text!r} is ambiguous: write IPv6 as [ADDRESS]:PORT")
    host, _, port = text.partition(":")
    return host, port


def numeric(host: str) -> Address | None:
    """The address that the host's text stands for, in any notation of inet_aton; None for a name.

    inet_aton(3) takes one to four parts, each decimal, octal (0...) or hexadecimal (0x...), the
    last one filling the remaining bytes: `0`, `0x0` and `0.0` are all 0.0.0.0. Names that only
    look like numbers but fit no notation are names here; the resolver refuses them.
    """
    try:
        return ip_address(host)
    except ValueError:
        pass
    parts = host.split(".")
    if len(host) > NAME_MAX or len(parts) > 4 or not all(_PART.fullmatch(part) for part in parts):
        return None
    *head, last = [_number(part) for part in parts]
    if any(part > 255 for part in head) or last >= 256 ** (4 - len(head)):
        return None
    value = last
    for place, part in enumerate(head):
        value += part << (8 * (3 - place))
    return IPv4Address(value)


def _decimal(host: str) -> Address | None:
    """The address that people read there who take leading zeros for padding; None where no part
    of it has any."""
    parts = host.split(".")
    bare = [part.lstrip("0") or "0" if part.isdigit() else part for part in parts]
    return None if bare == parts else numeric(".".join(bare))


def _number(part: str) -> int:
    if part[:2].lower() == "0x":
        return int(part, 16)
    return int(part, 8) if part.startswith("0") else int(part)


def address_fault(
    address: str, allow: Sequence[Network] = (), *, person: bool = False
) -> str | None:
    """Why this numeric address may not be dialed, as the end of a sentence; None if it may.

    Loopback is for a person at a terminal (`person`) or inside the networks of `allow`, which
    admits nothing else: nobody may name zero.
    """
    found = numeric(address)
    if found is None:
        return f"{address!r} is not an IP address"
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    if found.is_unspecified or (isinstance(found, IPv4Address) and found in THIS_NETWORK):
        return f"{address} is the unspecified address and would dial the caller itself"
    if found.is_multicast or found == BROADCAST:
        return f"{address} is a multicast or broadcast address and has no TCP"
    if found.is_link_local:
        return f"{address} is link-local and means another host on every node"
    if found.is_loopback and not person:
        if any(found in network for network in allow if network.version == found.version):
            return None
        return f"{address} is loopback and would dial the prober's own node or pod"
    return None


def port_fault(port: int) -> str | None:
    """Why this port may not be dialed; None if it may."""
    if port == 0:
        return "port 0 is no port: TCP cannot dial it"
    if not 0 < port <= PORT_MAX:
        return f"port {port} is out of range 1-{PORT_MAX}"
    return None


def fault(address: str, port: int, allow: Sequence[Network] = ()) -> str | None:
    """Why the daemon may not dial this address and port, as one phrase; None if it may."""
    return address_fault(address, allow) or port_fault(port)
