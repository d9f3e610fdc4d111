"""How connections are closed: by FIN while that burdens the node little, by RST above that.

FIN is kinder to those whom we dial: they read an end of stream, not a reset that some log (who
sends a greeting only after we have closed meets a RST all the same). RST is
kinder to the node. The counts, measured on Linux 6.18: of each connection that we close by FIN one
socket stays in TIME_WAIT and one entry in conntrack; by RST no socket does, and the entry (CLOSE)
goes after 10 s. A refused dial leaves nothing. An unanswered one leaves its entry (SYN_SENT) for
120 s, however it is closed.

So what FIN leaves behind is at any moment the dials of the last two minutes: they are counted, not
estimated. 218 dials/s fill a tenth of the usual 262,144 conntrack entries.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    FIN = "fin"
    RST = "rst"


class Choice(StrEnum):
    """What the administrator wants."""

    AUTO = "auto"
    FIN = "fin"
    RST = "rst"


CONNTRACK_SECONDS = 120.0
"""net/netfilter/nf_conntrack_proto_tcp.c: tcp_timeouts[TCP_CONNTRACK_TIME_WAIT] = 2 minutes. The
sysctl nf_conntrack_tcp_timeout_time_wait may say otherwise on the node; a pod sees only its own."""

TIME_WAIT_SECONDS = 60.0
"""include/net/tcp.h: TCP_TIMEWAIT_LEN."""

SHARE = 0.1
"""Share of each bound that we take at most: the table is there for the node's pods, not for us.
When it is full the kernel drops others' new connections. Chosen."""

BACK = 0.5
"""FIN comes back below this share of that share: a rate about the bound does not flap. Chosen."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the node's kernel holds at most: conntrack entries (nf_conntrack_max) and sockets in
    TIME_WAIT (tcp_max_tw_buckets). None where there is no bound."""

    conntrack: int | None = None
    time_wait: int | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """What stands now if all dials begun lately were closed by FIN: an upper bound, since those
    that fail leave less."""

    conntrack: int = 0
    time_wait: int = 0


def decide(left: Left, bounds: Bounds, mode: Mode) -> Mode:
    """The mode from here on; `mode` is the one in force."""
    share = SHARE if mode is Mode.FIN else SHARE * BACK
    over = any(
        bound is not None and count > bound * share
        for count, bound in ((left.conntrack, bounds.conntrack), (left.time_wait, bounds.time_wait))
    )
    return Mode.RST if over else Mode.FIN


class Closing:
    """The mode in force, and the counts of lately begun dials that it follows from."""

    def __init__(self, choice: Choice) -> None:
        self.mode = Mode.RST if choice is Choice.RST else Mode.FIN
        self._auto = choice is Choice.AUTO
        self._recent: deque[tuple[float, int]] = deque()

    def dialed(self, count: int, now: float, bounds: Bounds) -> str | None:
        """Takes in the dials begun since the last call, at most about a second ago.

        Returns why the mode has changed, as one sentence, or None if it has not.
        """
        self._recent.append((now, count))
        while self._recent[0][0] <= now - CONNTRACK_SECONDS:
            self._recent.popleft()
        left = self.left(now)
        mode = decide(left, bounds, self.mode) if self._auto else self.mode
        if mode is self.mode:
            return None
        self.mode = mode
        return _sentence(left, bounds, mode)

    def left(self, now: float) -> Left:
        return Left(
            conntrack=sum(count for _, count in self._recent),
            time_wait=sum(n for at, n in self._recent if at > now - TIME_WAIT_SECONDS),
        )


def _sentence(left: Left, bounds: Bounds, mode: Mode) -> str:
    compared = "over" if mode is Mode.RST else "both far below"
    return (
        f"closing connections by {mode.upper()} from now on: closed by FIN, the dials of the last "
        f"{CONNTRACK_SECONDS:.0f} s leave {left.conntrack} conntrack entries and those of the last "
        f"{TIME_WAIT_SECONDS:.0f} s {left.time_wait} sockets in TIME_WAIT, {compared} "
        f"{SHARE:.0%} of nf_conntrack_max ({_shown(bounds.conntrack)}) "
        f"{'or' if mode is Mode.RST else 'and'} tcp_max_tw_buckets ({_shown(bounds.time_wait)})"
    )


def _shown(bound: int | None) -> str:
    return "none" if bound is None else str(bound)
