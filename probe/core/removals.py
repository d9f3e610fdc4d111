"""Endpoints that are there, and since when; and those that are being removed."""

from collections.abc import Container, Mapping, Sequence
from math import inf

from probe.core.edges import Endpoint, EndpointSlice, better
from probe.core.ledger import ServiceRecord
from probe.core.rollouts import REMOVAL_WINDOW, Removal, Rollout

MOVES_SECONDS = 2.0
"""Seconds for which an endpoint may be in no slice on its way from one to another: the controller
writes them one after the other (reconciler.finalize in k8s.io/endpointslice). No pod that is made
anew under the same name is ready so soon."""


ByAddress = dict[str, Endpoint]


def replace_slice(
    record: ServiceRecord, name: str, slice_: EndpointSlice | None
) -> tuple[ByAddress, ByAddress]:
    """The slice of this name is this one now, or none; what was and what is at its addresses, and
    at those that it had. Of others nothing changes: a Service may have thousands."""
    held = record.slices.get(name), slice_
    addresses = {e.address for s in held if s is not None for e in s.endpoints}
    before = _endpoints_at(addresses, record)
    if slice_ is None:
        del record.slices[name]
    else:
        record.slices[name] = slice_
    return before, _endpoints_at(addresses, record)


def _endpoints_at(addresses: Container[str], record: ServiceRecord) -> ByAddress:
    """Of several at one address, as where one hostNetwork pod follows another on a node, the one
    that is dialed."""
    found: ByAddress = {}
    for slice_ in record.slices.values():
        for endpoint in slice_.endpoints:
            if endpoint.address in addresses:
                found[endpoint.address] = better(found.get(endpoint.address), endpoint)
    return found


def follow(
    record: ServiceRecord,
    old: Mapping[str, Endpoint],
    new: Mapping[str, Endpoint],
    now: float,
    seen: float,
    running: Sequence[Rollout] = (),
    *,
    wanted: bool = True,
) -> bool:
    """Notes which of a Service's endpoints, by address, are new and which are being removed.

    `seen` is when we were told; `now` is the same, or -inf of the first list, which is no news.
    A removal is of those of the `running` rollouts whose pod goes. Where pods are `wanted`, one
    that comes into use is one that the Service serves by. Whether any came or goes.
    """
    moved = False
    gone = {removal.address: removal for removal in record.removals}
    used: set[str] = set()
    for address in {**old, **new}:
        was, now_is = old.get(address), new.get(address)
        since = record.endpoint_since.get(address, -inf)
        if address in gone and (now_is is None or now_is.pod != gone[address].pod):
            gone[address].gone_at = min(gone[address].gone_at, seen)
        if now_is is None:
            record.endpoint_since.pop(address, None)
        elif was is None and _moves(gone.get(address), now_is, seen):
            record.endpoint_since[address] = gone[address].since
        elif now > -inf and (was is None or was.pod != now_is.pod):
            record.endpoint_since[address] = now
            moved = True
        if was is not None and _leaves(was, now_is):
            held = now_is is not None and now_is.pod == was.pod
            removal = Removal(address, seen, was.pod, since=since, gone_at=inf if held else seen)
            record.removals.append(removal)
            removal.belong(running)
            moved = True
        elif _takes_traffic(now_is) and not _takes_traffic(was):
            used.add(address)
    if gone and used:  # they are back: what is sent there is meant for them
        record.removals = [r for r in record.removals if r.address not in used]
    record.served = record.served or (wanted and any(new[a].serving for a in used))
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


def _moves(removal: Removal | None, back: Endpoint, seen: float) -> bool:
    """Whether an endpoint that comes is the one that has just gone, in another slice now."""
    if removal is None or removal.pod != back.pod or not _takes_traffic(back):
        return False
    return seen - removal.at <= MOVES_SECONDS
