"""Whether this node has a way out at all, told for each address family from its own dials.

connect() that fails at once for want of a route is this node's own word. Of one edge it may well
tell something: a CNI sets up a route for each pod; so it does once another dial of the family has
left since. Of a family of which no dial leaves it tells nothing but of ourselves: a pod that was
not made again since the cluster became dual-stack, a machine without IPv6, a route that was lost.
"""

import errno
from math import inf

from probe.core.edges import Family
from probe.core.results import Outcome, Result

NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What connect() says without a route, with one that is `unreachable`, without an address of the
family (disable_ipv6), and without the family (all but the last measured on Linux 6.18)."""


def found_no_way(outcome: Outcome) -> bool:
    """Whether this is a dial that found no way out of this node."""
    return outcome.errno in NO_WAY and outcome.icmp is None


class Routes:
    """`lacking` are the families without a way out, with the errno's name. `patience` is for how
    many seconds one dial that left speaks for the others: a round of dials; inf is for a single
    run, in which nothing comes round."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._left: dict[Family, float] = {}
        self.lacking: dict[Family, str] = {}

    @property
    def lost(self) -> frozenset[Family]:
        """Those of them that had a way out while we looked."""
        return frozenset(self.lacking.keys() & self._left.keys())

    def met(
        self, family: Family, outcome: Outcome, at: float, *, expected: bool, stuck: float
    ) -> Outcome:
        """The outcome of a dial begun at that moment, a local fault if its family has no way out,
        or may have none: no dial of it has left since this edge is `stuck`.

        That of a ClusterIP from which nothing is expected tells nothing of routes: a proxy in the
        socket layer fails it at once.
        """
        if not found_no_way(outcome):
            if outcome.result is not Result.LOCAL_FAULT:
                self._left[family] = max(at, self._left.get(family, at))  # timeouts come late
                if self.lacking:
                    self.lacking.pop(family, None)
            return outcome
        left = self._left.get(family, -inf)
        if not expected or at - left < self._patience:
            held = expected and left <= stuck and self._patience < inf
            return outcome._replace(result=Result.LOCAL_FAULT) if held else outcome
        self.lacking[family] = name = errno.errorcode[outcome.errno]
        detail = f"our own fault: no way out of this node for {family.spoken} ({name})"
        return outcome._replace(result=Result.LOCAL_FAULT, detail=detail)
