"""Moments for people and machines: our monotonic receipt as the time of day."""

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[float], datetime]
"""Turns monotonic seconds into the time of day, which the core itself never knows."""


def rfc3339(moment: datetime) -> str:
    """To the second, in UTC; `moment` has to be."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
