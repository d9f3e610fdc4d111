"""The state of one edge: what its recent dials mean, as a table.

A failure that follows a failure is a confirmed one: it was dialed again from a new source port
after the slices had been read again; while the API server is away it is none (ACCUSING). Two
confirmed failures in a row make an edge `down`, two successes in a row, or the very first dial,
make it `up`. Between them it is `failing`: a ClusterIP that meets one bad backend among many stays
there.
"""

from enum import Enum, StrEnum


class State(StrEnum):
    UP = "up"
    DOWN = "down"
    FAILING = "failing"
    UNKNOWN = "unknown"
    EXCLUDED = "excluded"


class Level(Enum):
    """How far an edge has come on the way between up and down."""

    NEW = "no dial yet"
    UP = "answers"
    SUSPECT = "one failure, not confirmed"
    CONFIRMED = "one confirmed failure"
    DOWN = "two confirmed failures"
    RECOVERING = "one success after a failure"

    __hash__ = object.__hash__  # Enum's own is a call into Python, on the path of every dial


STATES: dict[Level, State] = {
    Level.NEW: State.UNKNOWN,
    Level.UP: State.UP,
    Level.SUSPECT: State.FAILING,
    Level.CONFIRMED: State.FAILING,
    Level.DOWN: State.DOWN,
    Level.RECOVERING: State.FAILING,
}

CONTINUOUS: dict[tuple[Level, bool], Level] = {
    (Level.NEW, True): Level.UP,
    (Level.NEW, False): Level.SUSPECT,
    (Level.UP, True): Level.UP,
    (Level.UP, False): Level.SUSPECT,
    (Level.SUSPECT, True): Level.RECOVERING,
    (Level.SUSPECT, False): Level.CONFIRMED,
    (Level.CONFIRMED, True): Level.RECOVERING,
    (Level.CONFIRMED, False): Level.DOWN,
    (Level.DOWN, True): Level.RECOVERING,
    (Level.DOWN, False): Level.DOWN,
    (Level.RECOVERING, True): Level.UP,
    (Level.RECOVERING, False): Level.SUSPECT,
}
"""(level, the dial connected) -> level, for the daemon."""

ONCE: dict[tuple[Level, bool], Level] = (
    {(level, True): Level.UP for level in Level}
    | {(level, False): Level.SUSPECT for level in Level}
    | {(level, False): Level.DOWN for level in (Level.SUSPECT, Level.CONFIRMED, Level.DOWN)}
)
"""The same for a single run: a failure is believed if the next dial, which follows at once, fails
as well; if that connects, it was none."""

ACCUSING = frozenset({(Level.SUSPECT, False), (Level.CONFIRMED, False)})
"""Steps that hold a failure against the edge, taken only when the slices were read again since the
one before it: until then the endpoint may have gone, and nobody told us."""

TURNS = frozenset({(Level.UP, Level.SUSPECT), (Level.DOWN, Level.RECOVERING)})
"""The first result against what was known of an edge: what its siblings met before is outrun."""

FIRST_FAILURE = (Level.NEW, Level.SUSPECT)
"""The same where nothing was known, or where all that a ClusterIP leads to was exchanged."""

HEALS = frozenset({(Level.SUSPECT, Level.RECOVERING), (Level.CONFIRMED, Level.RECOVERING)})
"""The same for an endpoint whose failure was never confirmed: its cause may have ended for all. A
ClusterIP that leads to one bad backend among many does this all the time, so it tells nothing."""

UNCONFIRMED = {Level.SUSPECT: 1, Level.CONFIRMED: 2}
"""How many failures in a row were too few to make an edge `down`, if it connects next."""

UNSURE = frozenset({Level.SUSPECT, Level.CONFIRMED, Level.RECOVERING})
"""Levels whose edge is dialed again soon instead of an interval later."""
