"""Whether we stand where pods stand: from elsewhere the daemons are asked instead."""

import asyncio

from probe.check import Selection, chosen_services
from probe.podproxy import PodProxy
from probe.reflector import ApiError, Connection
from probe.settings import Settings

REACH_SECONDS = 0.5
"""For a pod to answer us here: two round trips of a quarter of a second, a slow VPN's. Who does not
in that time is asked over the API server, which is right as well. Chosen."""

REACH_PODS = 3
"""Pods tried; one that answers suffices, and all of a few may be on nodes that are down."""


async def reach_pods(connection: Connection, settings: Settings) -> bool:
    """Whether to dial from here: the default of --from.

    From a laptop no pod is reached, each dial would have to time out, and a network that accepts
    every connection itself would make all of them look well. So a daemon's own pod is asked
    first, and the API server by its ClusterIP, since a bastion may be routed to the pods only.
    True if both answer, or if there is no daemon that could be asked instead. Raises Unreachable.
    """
    try:
        pods = await PodProxy(connection, settings).find()
    except ApiError:
        return True
    if not pods:
        return True
    inside = [(p.address, p.port) for p in pods if p.address and not p.on_host and not p.fault]
    try:
        services = await chosen_services(connection, Selection("default", "kubernetes"))
    except ApiError:
        return False
    own = [(ip, port.port) for s in services for ip in s.cluster_ips for port in s.ports]
    if not inside or not own:
        return False
    alive, served = range(200, 201), range(200, 500)  # a proxy's own errors are 502 to 504
    return all(
        await asyncio.gather(_any_answers(inside[:REACH_PODS], alive), _any_answers(own, served))
    )


async def _any_answers(targets: list[tuple[str, int]], statuses: range) -> bool:
    """Whether one of them answers in time; the others are not waited for."""
    tries = [asyncio.ensure_future(_answers(*target, statuses)) for target in targets]
    try:
        for one in asyncio.as_completed(tries):
            if await one:
                return True
        return False
    finally:
        for each in tries:
            each.cancel()
        await asyncio.gather(*tries, return_exceptions=True)


async def _answers(address: str, port: int, statuses: range) -> bool:
    """Whether it speaks HTTP. An API server says 400 to what is not TLS, as all of Go's do."""
    try:
        async with asyncio.timeout(REACH_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
                words = (await reader.readline()).split()
            finally:
                writer.close()
        version, status, *_ = words
        return version.startswith(b"HTTP/1.") and int(status) in statuses
    except (OSError, ValueError):  # what is no such line, or has no end, is a ValueError
        return False
