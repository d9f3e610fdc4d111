"""How many file descriptors this process may spend on dials."""

import resource

RESERVED = 128
"""Descriptors kept from the dials for watches and files (arbitrary)."""


def affordable(wanted: int, served: int = 0) -> int:
    """As many of the wanted dials in flight as the process may open descriptors for beside `served`
    connections of clients, at least 1.

    Raises the soft limit as far as they need it and the hard one lets it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reserved = RESERVED + served
    enough = wanted + reserved
    if soft < enough:
        soft = min(enough, hard) if hard != resource.RLIM_INFINITY else enough
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - reserved))
