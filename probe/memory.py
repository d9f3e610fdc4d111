"""How the daemon keeps little memory, and no collection of it holds the dials up.

The calls are glibc's; where it is another C library, its own ways must do.
"""

import ctypes
import gc
from collections.abc import Callable

M_TRIM_THRESHOLD = -1  # malloc.h

TRIM_THRESHOLD = 128 * 1024
"""Bytes, what glibc begins with. Left alone it doubles the largest block that was ever freed, such
as a page of a list, and keeps as much: 3 MiB of 80 with 10,000 edges (measured)."""


def begin() -> None:
    """Keeps the threshold where it is; to be called before the cluster is learned."""
    _glibc("mallopt")(M_TRIM_THRESHOLD, TRIM_THRESHOLD)


def learned() -> None:
    """Once the cluster is known: what learning it needed goes back, what was learned stays.

    At 50,000 edges the first gives back 4 MiB, and each full collection of the second would hold
    the dials up for a fifth of a second (measured).
    """
    _glibc("malloc_trim")(0)
    gc.freeze()


def _glibc(name: str) -> Callable[..., int]:
    found: Callable[..., int] = getattr(ctypes.CDLL(None), name, lambda *arguments: 0)
    return found
