"""What the kernel said of one dial, as one of a closed set of results.

The theory, measured on Linux 6.18. A failed connect leaves an errno in SO_ERROR and, when an
ICMP message caused it, an entry in the socket's error queue (IP_RECVERR) with the message's type,
code and sender. Errno alone is not enough: a RST and an ICMP port-unreachable are both
ECONNREFUSED, one from a container that does not listen, the other from a reject rule on the way.
So the queue is asked first, and errno decides only when it is empty. It also matters when: what
connect() returns at once is this node's own word, and no packet has left.

Whose fault a result is follows from its name: refused and reset are theirs, rejected, timeout
and unreachable the path's, local_fault ours, invalid_target the configuration's.
"""

import errno
from dataclasses import dataclass
from typing import NamedTuple

from probe.core.words import Word


class Result(Word):
    """The closed set. The names are those of metrics and JSON."""

    CONNECTED = "connected"
    REFUSED = "refused"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    LOCAL_FAULT = "local_fault"
    INVALID_TARGET = "invalid_target"


FAILURES = frozenset(
    {Result.REFUSED, Result.REJECTED, Result.TIMEOUT, Result.UNREACHABLE, Result.RESET}
)
"""Results that count against an edge."""


@dataclass(frozen=True, slots=True)
class Icmp:
    """The ICMP or ICMPv6 message behind a failure, and the address that sent it."""

    version: int
    type: int
    code: int
    offender: str


class Outcome(NamedTuple):
    """What one dial met. `connect_seconds` is the handshake's round trip; None unless connected.

    `errno` is the kernel's word behind a failure, 0 when there was none; `detail` one phrase.
    """

    result: Result
    connect_seconds: float | None = None
    syn_retransmits: int = 0
    icmp: Icmp | None = None
    errno: int = 0
    detail: str = ""


ICMP_RESULTS: dict[tuple[int, int, int], Result] = {
    # RFC 792 and RFC 1812 5.2.7.1: (4, type, code).
    (4, 3, 0): Result.UNREACHABLE,  # network unreachable
    (4, 3, 1): Result.UNREACHABLE,  # host unreachable: a dead neighbour, or a REJECT; alike
    (4, 3, 3): Result.REJECTED,  # port unreachable: kube-proxy without endpoints
    (4, 3, 9): Result.REJECTED,  # network administratively prohibited
    (4, 3, 10): Result.REJECTED,  # host administratively prohibited
    (4, 3, 13): Result.REJECTED,  # communication administratively prohibited
    # RFC 4443 3.1: (6, type, code).
    (6, 1, 0): Result.UNREACHABLE,  # no route
    (6, 1, 1): Result.REJECTED,  # administratively prohibited
    (6, 1, 3): Result.UNREACHABLE,  # address unreachable
    (6, 1, 4): Result.REJECTED,  # port unreachable
    (6, 1, 5): Result.REJECTED,  # source address failed policy
    (6, 1, 6): Result.REJECTED,  # reject route
}
"""Any other message is some router saying no: time exceeded, source route failed."""

ERRNO_RESULTS: dict[int, Result] = {
    errno.ECONNREFUSED: Result.REFUSED,
    errno.ECONNRESET: Result.RESET,
    errno.EPIPE: Result.RESET,  # by a peer that had closed already
    errno.ETIMEDOUT: Result.TIMEOUT,
    # ICMP's errnos (net/ipv4/icmp.c icmp_err_convert, net/ipv6/icmp.c tab_unreach), should its
    # message be lost: the queue is full, or the kernel too old to fill it.
    errno.EHOSTUNREACH: Result.UNREACHABLE,
    errno.ENETUNREACH: Result.UNREACHABLE,
    errno.EHOSTDOWN: Result.UNREACHABLE,
    errno.ENONET: Result.UNREACHABLE,
    errno.ENOPROTOOPT: Result.UNREACHABLE,
    errno.EOPNOTSUPP: Result.UNREACHABLE,
    errno.EPROTO: Result.UNREACHABLE,
    errno.EACCES: Result.REJECTED,  # ICMPv6 1/1, 1/5, 1/6
}
"""By SO_ERROR, when the error queue is empty."""

AT_ONCE_RESULTS: dict[int, Result] = {
    # Routes of this node, or Cilium's socket load balancer for a Service without backends.
    errno.ENETUNREACH: Result.UNREACHABLE,
    errno.EHOSTUNREACH: Result.UNREACHABLE,
    errno.ENETDOWN: Result.UNREACHABLE,
    errno.EINVAL: Result.UNREACHABLE,  # a blackhole route (measured)
    # Forbidden here: a prohibit route, a firewall's or a security module's rule. Nobody sent RST.
    errno.EACCES: Result.REJECTED,
    errno.ECONNREFUSED: Result.REJECTED,
}
"""By what connect() itself returned. What is not listed is ours: source ports (EADDRNOTAVAIL),
memory (ENOBUFS, ENOMEM), a policy on our own process (EPERM), a host without IPv6 (EAFNOSUPPORT).
"""


def refused_by_proxy(outcome: Outcome, *, unsure: bool) -> Outcome:
    """The outcome of a ClusterIP that leads nowhere, or, if `unsure`, perhaps to a pod that does
    not answer: there EPERM is no policy on our own sockets, and a RST is no pod's unless unsure.

    A proxy in the socket layer (Cilium) fails the connect() itself, with EHOSTUNREACH or, on some
    versions, EPERM (cilium/cilium#45184, #47378): it rejects, as a rule of iptables does. OVN's
    load balancer does so by a RST (ovn-nb(5), Load_Balancer, options:reject).
    """
    if outcome.icmp is not None:
        return outcome
    if outcome.errno == errno.EPERM:
        detail = "the proxy refused the connect() itself (EPERM)"
    elif outcome.result is Result.REFUSED and not unsure:
        detail = "the proxy refused by a RST: no endpoint takes traffic"
    else:
        return outcome
    return outcome._replace(result=Result.REJECTED, detail=detail)


def classify(error: int, icmp: Icmp | None, *, at_once: bool = False) -> Result:
    """The result of a failed connect, `at_once` if connect() itself returned the errno.

    Unlisted ICMP means unreachable. An unlisted errno is ours: one that nobody expected must
    never be counted against an edge.
    """
    if icmp is not None:
        return ICMP_RESULTS.get((icmp.version, icmp.type, icmp.code), Result.UNREACHABLE)
    results = AT_ONCE_RESULTS if at_once else ERRNO_RESULTS
    return results.get(error, Result.LOCAL_FAULT)
