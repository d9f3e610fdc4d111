"""What can go wrong between a command and a cluster, each as a sentence and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

from probe.absent import NotFound
from probe.check import BadSelector
from probe.cli.failing import COULD_NOT_TELL, USAGE, fail
from probe.reflector import ApiError, ApiTrouble, ConnectionSettingsError
from probe.settings import SettingsError


@contextmanager
def explained() -> Iterator[None]:
    """Turns the errors that a user can cause or meet into a sentence and an exit code."""
    try:
        yield
    except (SettingsError, ConnectionSettingsError, BadSelector, NotFound) as wrong:
        fail(str(wrong), USAGE)
    except ApiError as refused:
        fail(str(refused), USAGE if refused.code in (401, 403) else COULD_NOT_TELL)
    except ApiTrouble as trouble:
        fail(str(trouble), COULD_NOT_TELL)
