"""How many file descriptors this process may spend on dials."""

import resource

RESERVED = 128
"""Descriptors kept from the dials for watches, scrapes and files (arbitrary)."""


def affordable(wanted: int) -> int:
    """As many of the wanted dials in flight as the process may open descriptors for, at least 1.

    Raises the soft limit as far as they need it and the hard one lets it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted + RESERVED
    if soft < enough:
        soft = min(enough, hard) if hard != resource.RLIM_INFINITY else enough
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - RESERVED))
