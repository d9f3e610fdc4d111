"""The single run: the daemon's own parts, once. One list, one dial of everything, one verdict."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from probe.core import kube
from probe.core.edges import ServiceKey
from probe.core.results import Outcome, Result
from probe.core.rounds import Dial
from probe.core.targets import Target, address_fault, numeric
from probe.core.world import World
from probe.dialer import Batch, Dialer
from probe.reflector import ApiError, Connection, Limits
from probe.settings import Settings

PATIENCE = Limits(connect=10.0, page=10.0, listing=60.0)
"""Somebody waits before a silent terminal. kubectl's own lists take a second or two; three SYNs
(at 0, 1 and 3 s) fit in."""


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

    def deliver(batch: Batch) -> None:
        world.record(cast("list[tuple[Dial, Outcome]]", batch), loop.time())

    dialer = Dialer(deliver, seconds=settings.timeout, limit=settings.max_in_flight)
    try:
        while True:
            dials = world.due(loop.time(), dialer.room)
            dialer.dial((dial, dial.edge.address, dial.edge.dial_port) for dial in dials)
            if dialer.in_flight or world.waiting:
                await dialer.drain(0.05)
                continue
            world.judge(loop.time())
            if not dials and not world.outstanding:
                return
            await asyncio.sleep(0.02)
    finally:
        dialer.close()


def keys(world: World) -> list[ServiceKey]:
    return sorted(key for key, record in world.mirror.services.items() if record.service)


class Unresolvable(ValueError):
    """A name that resolves to nothing, or to something that may not be dialed."""


async def resolve(target: Target) -> list[Target]:
    """The numeric addresses of a target, each judged as a person's. Raises Unresolvable."""
    if numeric(target.host) is not None:
        found = [target.host]
    else:
        loop = asyncio.get_running_loop()
        try:
            infos = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as failed:  # UnicodeError: what IDNA cannot encode
            reason = getattr(failed, "strerror", None) or "it is no host name"
            raise Unresolvable(f"the name does not resolve: {reason}") from None
        found = list(dict.fromkeys(str(info[4][0]) for info in infos))
    for address in found:
        if reason := address_fault(address, person=True):
            raise Unresolvable(reason)
    return [Target(address, target.port) for address in found]


async def check_addresses(targets: Sequence[Target], seconds: float) -> list[Outcome]:
    """One dial of each numeric target, at once; the outcomes in the targets' order."""
    done: dict[int, Outcome] = {}

    def deliver(batch: Batch) -> None:
        done.update(cast("list[tuple[int, Outcome]]", batch))

    dialer = Dialer(deliver, seconds=seconds, limit=max(1, len(targets)))
    try:
        dialer.dial((i, target.host, target.port) for i, target in enumerate(targets))
        await dialer.drain(seconds + 1.0)
    finally:
        dialer.close()
    lost = Outcome(Result.LOCAL_FAULT, detail="our own fault: no outcome")
    return [done.get(i, lost) for i in range(len(targets))]
