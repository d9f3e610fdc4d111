"""Whether this node has a way out at all, told for each address family from its own dials.

connect() that fails at once for want of a route is this node's own word. Of one edge it may well
tell something: a CNI sets up a route for each pod. Of a family of which no dial leaves it tells
nothing but of ourselves: a pod that was not made again since the cluster became dual-stack, a
machine without IPv6.
"""

import errno
from math import inf

from probe.core.edges import Family
from probe.core.results import Outcome, Result

NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What connect() says without a route, with one that is `unreachable`, without an address of the
family (disable_ipv6), and without the family (all but the last measured on Linux 6.18)."""


class Routes:
    """`lacking` are the families without a way out, with the errno's name. `patience` is for how
    many seconds one dial that left speaks for the others: a round of dials."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._left: dict[Family, float] = {}
        self.lacking: dict[Family, str] = {}

    def met(self, family: Family, outcome: Outcome, at: float, *, expected: bool) -> Outcome:
        """The outcome of a dial begun at that moment, a local fault if its family has no way out.

        That of a ClusterIP from which nothing is expected tells nothing of routes: a proxy in the
        socket layer fails it at once.
        """
        if outcome.errno not in NO_WAY or outcome.icmp is not None:
            if outcome.result is not Result.LOCAL_FAULT:
                self._left[family] = at
                if self.lacking:
                    self.lacking.pop(family, None)
            return outcome
        if not expected or at - self._left.get(family, -inf) < self._patience:
            return outcome
        self.lacking[family] = name = errno.errorcode[outcome.errno]
        detail = f"our own fault: no way out of this node for {family.spoken} ({name})"
        return outcome._replace(result=Result.LOCAL_FAULT, detail=detail)
