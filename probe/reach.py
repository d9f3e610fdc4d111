"""Whether we stand where pods stand: from elsewhere the daemons are asked instead."""

import asyncio
from http import HTTPStatus

from probe.check import Selection, chosen_services
from probe.podproxy import PodProxy
from probe.reflector import ApiError, Connection, Unreachable
from probe.settings import Settings

REACH_SECONDS = 0.5
"""For a pod to answer us here: two round trips of a quarter of a second, a slow VPN's. Who does not
in that time is asked over the API server, which is right as well. Chosen."""

ALONE_SECONDS = 3.0
"""The same where nobody else can be asked: two SYNs that got lost (sent at 0 and 1 s) cost no more
than a wait. Chosen."""

REACH_PODS = 3
"""Pods tried; one that answers suffices, and all of a few may be on nodes that are down."""

NO_DAEMON = (
    "there is no daemon to ask: install it (README, Run it on a cluster), "
    "or dial all the same with --from here"
)


async def reach_pods(connection: Connection, settings: Settings) -> bool:
    """Whether to dial from here: the default of --from.

    From a laptop no pod is reached, each dial would have to time out, and a network that accepts
    every connection itself would make all of them look well. So a daemon's own pod is asked
    first, and the API server by its ClusterIP, since a bastion may be routed to the pods only.
    True if both answer. Where no daemon can be asked, as while their pods start, the ClusterIP
    alone decides; from a pod, and beside a sandbox, whose pods are on this machine, that is known
    without it.

    Raises ApiTrouble; Unreachable as well where neither pods nor daemons are reached: what is
    dialed from there would say of every Service that nothing answers.
    """
    pods, why = [], NO_DAEMON
    try:
        pods = await PodProxy(connection, settings).find()
    except ApiError as refused:
        if refused.code == HTTPStatus.UNAUTHORIZED:
            raise
        why = f"no daemon can be asked: {refused}"
    running = [pod for pod in pods if not pod.fault]
    if pods and not running:
        why = f"no daemon can be asked: {pods[0].fault}; dial all the same with --from here"
    pods = running
    if not pods and (connection.in_pod or connection.allow_targets):
        return True
    own = await _api_server(connection)
    served = range(200, 500)  # a proxy's own errors are 502 to 504
    if not pods:
        if await _any_answers(own, served, ALONE_SECONDS):
            return True
        here = "this machine reaches no pod" if own else "nothing tells whether we can reach pods"
        raise Unreachable(f"{here} and {why}")
    inside = [(p.address, p.port) for p in pods if p.address and not p.on_host]
    alive = range(200, 201)
    targets = (inside[:REACH_PODS], alive), (own, served)
    return all(await asyncio.gather(*(_any_answers(*each, REACH_SECONDS) for each in targets)))


async def _api_server(connection: Connection) -> list[tuple[str, int]]:
    """The API server's ClusterIPs and ports; none where we may not know them."""
    try:
        services = await chosen_services(connection, Selection("default", "kubernetes"))
    except ApiError:
        return []
    return [(ip, port.port) for s in services for ip in s.cluster_ips for port in s.ports]


async def _any_answers(targets: list[tuple[str, int]], statuses: range, seconds: float) -> bool:
    """Whether one of them answers in time; the others are not waited for."""
    tries = [asyncio.ensure_future(_answers(*target, statuses, seconds)) for target in targets]
    try:
        for one in asyncio.as_completed(tries):
            if await one:
                return True
        return False
    finally:
        for each in tries:
            each.cancel()
        await asyncio.gather(*tries, return_exceptions=True)


async def _answers(address: str, port: int, statuses: range, seconds: float) -> bool:
    """Whether it speaks HTTP. An API server says 400 to what is not TLS, as all of Go's do."""
    try:
        async with asyncio.timeout(seconds):
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
