"""Endpoints that are there, and since when; and those that are being removed."""

from collections.abc import Mapping, Sequence
from math import inf

from probe.core.edges import Endpoint
from probe.core.ledger import ServiceRecord
from probe.core.rollouts import REMOVAL_WINDOW, Removal, Rollout


def follow(
    record: ServiceRecord,
    old: Mapping[str, Endpoint],
    new: Mapping[str, Endpoint],
    now: float,
    seen: float,
    running: Sequence[Rollout] = (),
) -> bool:
    """Notes which of a Service's endpoints, by address, are new and which are being removed.

    `seen` is when we were told; `now` is the same, or -inf of the first list, which is no news.
    A removal is of those of the `running` rollouts whose pod goes. Whether any came or goes.
    """
    moved = False
    for address in {**old, **new}:
        was, now_is = old.get(address), new.get(address)
        if now_is is None:
            record.endpoint_since.pop(address, None)
        elif now > -inf and (was is None or was.pod != now_is.pod):
            record.endpoint_since[address] = now
            moved = True
        if was is not None and _leaves(was, now_is):
            record.removals.append(removal := Removal(address, seen, was.pod))
            removal.belong(running)
            moved = True
        elif record.removals and _takes_traffic(now_is) and not _takes_traffic(was):
            # It is back: what is sent there is meant for it.
            record.removals = [r for r in record.removals if r.address != address]
    return moved


def close(record: ServiceRecord, now: float) -> list[float]:
    """Forgets the removals that nothing can follow any more; the lags that were seen (seconds)."""
    over = [r for r in record.removals if now >= r.at + REMOVAL_WINDOW]
    record.removals = [r for r in record.removals if now < r.at + REMOVAL_WINDOW]
    return [r.lag for r in over if r.lag is not None]


def _takes_traffic(endpoint: Endpoint | None) -> bool:
    return endpoint is not None and endpoint.ready and not endpoint.terminating


def _leaves(was: Endpoint, now_is: Endpoint | None) -> bool:
    """Whether an endpoint that received traffic no longer should."""
    if not _takes_traffic(was):
        return False
    return now_is is None or now_is.terminating or was.pod != now_is.pod
