"""How a command ends when it cannot do its work: one sentence on stderr and an exit code."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from probe.addresses import Unresolvable
from probe.check import NotFound
from probe.core.targets import InvalidTarget
from probe.reflector import ApiError, ApiTrouble, ConnectionSettingsError
from probe.settings import SettingsError

USAGE = 2
COULD_NOT_TELL = 3
UNREAD = 141
"""What a shell says of a command whose reader left, as in `| head -1`: 128 and SIGPIPE's number."""

_WRONG = (SettingsError, ConnectionSettingsError, NotFound, InvalidTarget, Unresolvable)


def fail(sentence: str, code: int) -> NoReturn:
    """Says the sentence and exits."""
    print(f"probe: {sentence}", file=sys.stderr)
    sys.exit(code)


@contextmanager
def explained() -> Iterator[None]:
    """Turns the errors that a user can cause or meet into a sentence and an exit code."""
    try:
        yield
    except _WRONG as wrong:
        fail(str(wrong), USAGE)
    except ApiError as refused:
        fail(str(refused), USAGE if refused.code in (401, 403) else COULD_NOT_TELL)
    except ApiTrouble as trouble:
        fail(str(trouble), COULD_NOT_TELL)


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
