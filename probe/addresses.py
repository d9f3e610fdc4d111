"""The single dial of addresses that a person named, for `probe check addr`.

No event loop: as many as there are descriptors for are dialed at once, the others in turn.
"""

import socket
from collections.abc import Sequence
from itertools import islice

from probe.core.results import Outcome
from probe.core.targets import Target, address_fault, numeric
from probe.descriptors import affordable
from probe.dialer import Dialer

POLL = 0.05
"""Seconds between two looks at the deadlines; what the kernel decides is seen at once."""


class Unresolvable(ValueError):
    """A name that resolves to nothing, or to something that may not be dialed."""


def resolve(target: Target) -> list[Target]:
    """The numeric addresses of a target, each judged as a person's. Raises Unresolvable."""
    if numeric(target.host) is not None:
        found = [target.host]
    else:
        try:
            infos = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as failed:  # UnicodeError: what IDNA cannot encode
            reason = getattr(failed, "strerror", None) or "it is no host name"
            raise Unresolvable(f"the name does not resolve: {reason}") from None
        found = list(dict.fromkeys(str(info[4][0]) for info in infos))
    for address in found:
        if reason := address_fault(address, person=True):
            raise Unresolvable(reason)
    return [Target(address, target.port) for address in found]


def check_addresses(targets: Sequence[Target], seconds: float) -> list[Outcome]:
    """One dial of each numeric target, as many at once as descriptors allow; the outcomes in the
    targets' order. Each dial has all of `seconds`, whenever its turn comes."""
    done: dict[int, Outcome] = {}
    waiting = enumerate(targets)
    limit = affordable(max(1, len(targets)))
    dialer: Dialer[int] = Dialer(seconds=seconds, limit=limit, abort=False)
    try:
        while len(done) < len(targets):
            turn = islice(waiting, dialer.room)
            dialer.dial((i, target.host, target.port) for i, target in turn)
            dialer.wait(POLL)
            done.update(dialer.collect())
    finally:
        dialer.close()
    return [done[i] for i in range(len(targets))]
