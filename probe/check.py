"""The single run: the daemon's own parts, once. One list, one dial of everything, one verdict."""

import asyncio
from dataclasses import dataclass

from probe.core import kube
from probe.core.edges import ServiceKey
from probe.core.rounds import Dial
from probe.core.world import World
from probe.descriptors import affordable
from probe.dialer import Dialer
from probe.reflector import ApiError, Connection, Limits
from probe.settings import Settings

PATIENCE = Limits(connect=10.0, page=10.0, listing=60.0)
"""Somebody waits before a silent terminal. kubectl's own lists take a second or two; three SYNs
(at 0, 1 and 3 s) fit in."""

TICK = 0.01
"""Seconds between two looks at what the kernel has decided: nobody notices them."""


class NotFound(LookupError):
    """There is no such Service; the text says so as kubectl does."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which Services to check: one by name, or all of a namespace ("" for every namespace)."""

    namespace: str
    name: str | None = None


async def check_services(
    connection: Connection, settings: Settings, selection: Selection
) -> tuple[World, list[str]]:
    """Dials what the selection implies and returns the World with its verdicts, and warnings.

    Raises NotFound, ApiError and whatever listing raises when the API server is away.
    """
    loop = asyncio.get_running_loop()
    world = World(settings.world(connection.allow_targets, once=True), loop.time())
    warnings: list[str] = []
    for resource in kube.RESOURCES:
        try:
            listed, _ = await connection.list(resource, selection.namespace)
        except ApiError as refused:
            if resource.required:
                raise
            warnings.append(str(refused))
            continue
        world.apply(_chosen(listed, selection), loop.time())
    if selection.name is not None and not world.mirror.services:
        raise NotFound(
            f'Service "{selection.name}" not found in namespace "{selection.namespace}": '
            "-n names another one"
        )
    await _dial_all(world, settings)
    return world, warnings


def _chosen(listed: kube.Listed, selection: Selection) -> kube.Listed:
    """The list without the Services, and their slices, that nobody asked for."""
    if selection.name is None:
        return listed
    attribute = {kube.SERVICES.name: "name", kube.SLICES.name: "service"}.get(listed.resource)
    if attribute is None:
        return listed
    facts = tuple(f for f in listed.facts if getattr(f, attribute) == selection.name)
    return kube.Listed(listed.resource, facts)


async def _dial_all(world: World, settings: Settings) -> None:
    """Dials until nothing is due: the edges, and the candidates that their results ask for."""
    loop = asyncio.get_running_loop()
    dialer: Dialer[Dial] = Dialer(
        seconds=settings.timeout, limit=affordable(settings.max_in_flight), abort=False
    )
    try:
        while True:
            dials = world.due(loop.time(), dialer.room)
            dialer.dial((dial, dial.edge.address, dial.edge.dial_port) for dial in dials)
            await asyncio.sleep(TICK)
            world.record(dialer.collect(), loop.time())
            if dialer.in_flight or world.waiting:
                continue
            world.judge(loop.time())
            if not dials and not world.outstanding:
                return
    finally:
        dialer.close()


def keys(world: World) -> list[ServiceKey]:
    return sorted(key for key, record in world.mirror.services.items() if record.service)
