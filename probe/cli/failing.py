"""How a command ends when it cannot do its work: one sentence on stderr and an exit code."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

USAGE = 2
COULD_NOT_TELL = 3
UNREAD = 141
"""What a shell says of a command whose reader left, as in `| head -1`: 128 and SIGPIPE's number."""


EMPTY = "-n is empty: write a namespace, or leave -n out for the context's"
"""Of `-n "$NS"` without an NS. Taken for "all" it would judge what nobody meant."""


def fail(sentence: str, code: int) -> NoReturn:
    """Says the sentence and exits."""
    print(f"probe: {sentence}", file=sys.stderr)
    sys.exit(code)


@contextmanager
def printing() -> Iterator[None]:
    """Around what writes results: a reader that has left, or a full disk, is no bug of ours."""
    try:
        yield
        sys.stdout.flush()
    except OSError as failed:
        if failed.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # What is left in the buffer must not fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if failed.errno == errno.EPIPE:
            sys.exit(UNREAD)
        fail(f"the results cannot be written: {failed.strerror}", USAGE)
