"""How long something may take, as a person types it."""

import re

from probe.cli.failing import USAGE, fail

DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
"""As kubectl's --since takes it, and days."""

SECONDS = re.compile(r"\d+(?:\.\d+)?")


def duration(text: str, flag: str) -> float:
    """A duration such as 90s or 1h30m, or a bare number of seconds, in seconds; ends the command
    for anything else."""
    if SECONDS.fullmatch(text):
        return float(text)
    found = DURATION.fullmatch(text)
    if not text or found is None:
        said = "write a duration such as 90s, 30m, 1h30m or 2d, or a number of seconds"
        fail(f"{flag} {text!r}: {said}", USAGE)
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + rest)
