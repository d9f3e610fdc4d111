"""The single run: the daemon's own parts, once. One list, one dial of everything, one verdict.

What fails is dialed again before anybody is accused, after the slices were listed again: pods come
and go between a list and a dial.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from probe.absent import NAME, missing, miswritten
from probe.core import kube
from probe.core.edges import Service, ServiceKey
from probe.core.rounds import Dial
from probe.core.world import World
from probe.descriptors import affordable
from probe.dialer import Dialer
from probe.lookups import Lookups
from probe.reflector import ApiError, Connection, Limits
from probe.settings import Settings

PATIENCE = Limits(connect=10.0, page=10.0, listing=60.0)
"""Somebody waits before a silent terminal. kubectl's own lists take a second or two; three SYNs
(at 0, 1 and 3 s) fit in."""

TICK = 0.01
"""Seconds between two looks at what the kernel has decided: nobody notices them."""

PAUSE = 1.0
"""Seconds between two dials of what failed, from the second on: the first is dialed again at once.
kube-proxy's minSyncPeriod."""

LONGEST = 30.0
"""Seconds after the first round of dials in which those that fail are dialed again at most: as long
as endpoints that never come to rest excuse kube-proxy (verdicts.PROXY_PATIENCE)."""

Tell = Callable[[str], None]
"""Told what goes on, a few words each time, for somebody who waits."""


class BadSelector(ValueError):
    """A label selector that the API server cannot read; the text says what it says of it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which Services to check: one by name, or all of a namespace ("" for every namespace), or
    those of them that a label `selector` chooses, as kubectl's -l takes it."""

    namespace: str
    name: str | None = None
    selector: str = ""


async def check_services(
    connection: Connection,
    settings: Settings,
    selection: Selection,
    tell: Tell = lambda said: None,
) -> tuple[World, list[str]]:
    """Dials what the selection implies and returns the World with its verdicts, and warnings.

    Raises NotFound, BadSelector, ApiError and whatever listing raises when the API server is away.
    """
    namespace, name = selection.namespace, selection.name
    if name is not None and not NAME.fullmatch(name):
        raise miswritten(namespace, name)
    loop = asyncio.get_running_loop()
    config = settings.world(connection.allow_targets, once=True)
    world = World(replace(config, peers=None), loop.time())  # nobody shares a single run
    tell(f"asking {connection.server} for the Services")
    found, warnings = await _listed(connection, selection)
    for listed in _chosen(found, selection):
        world.apply(listed, loop.time())
    if name is not None and not world.mirror.services:
        raise await missing(connection, kube.SERVICES, "Service", namespace, name)

    async def read_again() -> None:
        slices = await _list(connection, kube.SLICES, selection)
        world.apply(_chosen([*found, slices], selection)[-1], loop.time())

    lookups = Lookups(connection, lambda event: _take(world, event))
    await _dial_all(world, settings, lookups, read_again, tell)
    return world, warnings


async def _listed(
    connection: Connection, selection: Selection
) -> tuple[list[kube.Listed], list[str]]:
    """What each resource lists, all asked at once; and what has to do without, as warnings."""
    asked = (_list(connection, resource, selection) for resource in kube.RESOURCES)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    found: list[kube.Listed] = []
    denied: list[str] = []
    warnings: list[str] = []
    for resource, answer in zip(kube.RESOURCES, answers, strict=True):
        if not isinstance(answer, BaseException):
            found.append(answer)
        elif resource.required or not isinstance(answer, ApiError):
            raise answer
        elif answer.code == HTTPStatus.FORBIDDEN:
            denied.append(resource.name)
        else:
            warnings.append(str(answer))
    if denied:
        warnings.append(f"the API server forbids us to list {', '.join(denied)}")
    return found, warnings


async def _list(
    connection: Connection, resource: kube.Resource, selection: Selection
) -> kube.Listed:
    """Asks for no more than what the selection needs."""
    chosen = _selectors(resource, selection)
    try:
        return (await connection.list(resource, selection.namespace, **chosen))[0]
    except ApiError as refused:
        if refused.code == HTTPStatus.BAD_REQUEST and "labelSelector" in chosen:
            said = refused.message or "it cannot be read"
            raise BadSelector(f"-l {selection.selector!r}: {said}") from None
        raise


async def chosen_services(connection: Connection, selection: Selection) -> tuple[Service, ...]:
    """The Services of the selection as they are now. Raises BadSelector and ApiTrouble."""
    found: tuple[Service, ...] = (await _list(connection, kube.SERVICES, selection)).facts
    return found


def _selectors(resource: kube.Resource, selection: Selection) -> dict[str, str]:
    """How the API server itself is told to leave out what nobody asked for."""
    name, service = selection.name, kube.SERVICE_NAME
    if resource is kube.SERVICES and selection.selector:
        return {"labelSelector": selection.selector}
    if resource is kube.SERVICES and name is not None:
        return {"fieldSelector": f"metadata.name={name}"}
    if resource is kube.NAMESPACES and selection.namespace:
        return {"fieldSelector": f"metadata.name={selection.namespace}"}
    return {"labelSelector": f"{service}={name}"} if resource is kube.SLICES and name else {}


def _chosen(found: list[kube.Listed], selection: Selection) -> list[kube.Listed]:
    """The lists without the slices of Services that nobody asked for."""
    if not selection.selector:
        return found
    services = {
        (fact.namespace, fact.name)
        for listed in found
        if listed.resource == kube.SERVICES.name
        for fact in listed.facts
    }
    return [
        listed
        if listed.resource != kube.SLICES.name
        else kube.Listed(
            listed.resource,
            tuple(f for f in listed.facts if (f.namespace, f.service) in services),
            listed.namespace,
        )
        for listed in found
    ]


def _take(world: World, event: kube.Event) -> None:
    world.apply(event, asyncio.get_running_loop().time())


async def _dial_all(
    world: World,
    settings: Settings,
    lookups: Lookups,
    read_again: Callable[[], Awaitable[None]],
    tell: Tell,
) -> None:
    """Dials everything, and then what failed until that is decided; the slices are `read_again`
    before each dial that may accuse."""
    loop = asyncio.get_running_loop()
    dialer: Dialer[Dial] = Dialer(
        seconds=settings.timeout, limit=affordable(settings.max_in_flight), abort=False
    )
    try:
        await _dial_due(world, dialer, lookups, lambda said: tell(f"dialing: {said}"))
        end, looks = loop.time() + LONGEST, 0
        while world.undecided() and loop.time() < end:
            await asyncio.sleep(PAUSE if looks else 0.0)
            looks += 1
            await read_again()
            world.confirm(loop.time())
            await _dial_due(world, dialer, lookups, lambda said: tell(f"dialing again: {said}"))
    finally:
        dialer.close()


async def _dial_due(world: World, dialer: Dialer[Dial], lookups: Lookups, tell: Tell) -> None:
    """Dials until nothing is due: the edges, and the candidates that their results ask for."""
    loop = asyncio.get_running_loop()
    begun = ended = 0
    while True:
        dials = world.due(loop.time(), dialer.room)
        dialer.dial((dial, dial.edge.address, dial.edge.dial_port) for dial in dials)
        begun += len(dials)
        tell(f"{ended} of {begun + world.waiting} answered")
        await asyncio.sleep(TICK)
        outcomes = dialer.collect()
        ended += len(outcomes)
        world.record(outcomes, loop.time())
        if dialer.in_flight or world.waiting:
            continue
        world.tick(loop.time())
        world.judge(loop.time())
        lookups.want(world.wanted_replica_sets())
        if not await lookups.finish() and not dials and not world.outstanding:
            return


def keys(world: World) -> list[ServiceKey]:
    return sorted(key for key, record in world.mirror.services.items() if record.service)
