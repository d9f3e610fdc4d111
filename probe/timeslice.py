"""Long work in slices so short that the event loop does not notice."""

import time
from collections.abc import Callable, Iterable, Iterator

SLICE_SECONDS = 0.001
"""After so long others get their turn. A task that sleeps waits for three slices, since its timer
and its step queue behind ours: together they have to be short beside the schedule's slot (20 ms).
An idle turn of the loop costs 3 us (measured)."""

SLICE_CHARACTERS = 2**17
"""Bounds what is done with a slice: gzip at its fastest takes 0.3 ms for it (measured), and
nobody has to hold more."""


def sliced(
    pieces: Iterable[str], clock: Callable[[], float] = time.perf_counter
) -> Iterator[bytes]:
    """The pieces, joined until SLICE_SECONDS have passed or SLICE_CHARACTERS come together.

    The caller lets others run between two slices. A single piece is never cut, so it has to be
    short by itself; an empty one stands for work that has nothing to say yet, and so may a slice.
    """
    held: list[str] = []
    size, until = 0, clock() + SLICE_SECONDS
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= SLICE_CHARACTERS or clock() >= until:
            yield "".join(held).encode()
            held.clear()
            size, until = 0, clock() + SLICE_SECONDS
    yield "".join(held).encode()
