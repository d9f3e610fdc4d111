"""What is broken on purpose, what the daemons have to say of it on which nodes, and its healing."""

import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from math import inf

from tests.cluster.api import ApiError
from tests.running import until
from tests.soak import operations
from tests.soak.client import AGAIN, Trouble
from tests.soak.ground import Strike
from tests.soak.names import ALL_DROP, ALL_REJECT, CUT_OFF, ONE_DROPS, ONE_RESETS, STALE_PROXY
from tests.soak.operations import set_ports
from tests.soak.rig import Rig, pause
from tests.soak.shop import READY, SHAPES
from tests.soak.turns import ALARMING, Excuse

FIND_SECONDS = 90.0
"""Until a fault counts as missed: the 30 s in which new endpoints settle, a whole interval, what a
confirmation takes, and as much again for a busy machine."""

STALE_SECONDS = 180.0
"""The same for rules that are stale: a removal explains failures for 60 s, and lingers for 30."""

CALM_SECONDS = 120.0
"""Until an incident that outlives its fault counts as false."""

AFTERMATH = 30.0
"""Seconds in which a healed fault may still show: the pods of a node that was away are called ready
again, those of a bad release end without ever having listened."""

DRAIN_RACE = "drain_race"


@dataclass
class Injection:
    """One fault as it went: who should have seen it, and after how many seconds each one did."""

    fault: str
    target: str
    at: float
    expected: frozenset[str]
    wanted: tuple[str, ...]
    found: dict[str, float] = field(default_factory=dict)
    calm: dict[str, float] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    ended: float | None = None
    trouble: str = ""

    @property
    def missed(self) -> list[str]:
        """Nodes that did not tell it."""
        return [] if self.trouble else [node for node in self.wanted if node not in self.found]

    @property
    def stuck(self) -> list[str]:
        """Nodes that went on telling of it once it was healed."""
        return [] if self.trouble else [node for node in self.nodes if node not in self.calm]


Act = Callable[[Rig, random.Random, str], Awaitable[Injection | None]]


@dataclass(frozen=True)
class Fault:
    name: str
    targets: tuple[str, ...]
    act: Act
    alone: bool = False


async def injected(
    rig: Rig,
    chance: random.Random,
    name: str,
    target: str,
    *,
    expected: Iterable[str],
    inject: Callable[[], Awaitable[None]],
    heal: Callable[[], Awaitable[None]],
    services: Iterable[str],
    seen_by: Iterable[str] | None = None,
    also: Iterable[str] = (),
    excused: Iterable[str] | None = (),
    on: Iterable[str] | None = None,
    within: float = FIND_SECONDS,
    after: float = 1.0,
) -> Injection:
    """Breaks, waits until each node of `seen_by` tells one of `expected` of one of the `services`,
    heals, and waits until all nodes are calm about them.

    `also` may be told besides, and of the `excused` Services (None: all), on the nodes `on`; all
    of it still for `after` seconds once it is healed.
    """
    names = tuple(services)
    await _calm(rig, names, rig.nodes)
    wanted = tuple(rig.nodes if seen_by is None else seen_by)
    said = Injection(name, target, rig.now(), frozenset(expected), wanted, nodes=tuple(rig.nodes))
    whom = None if excused is None else frozenset({*names, *excused})
    where = None if on is None else frozenset(on)
    excuse = Excuse(name, said.expected | set(also), said.at, whom, where)
    rig.turns.excuses.append(excuse)
    try:
        await inject()
        await _found(rig, said, names, within)
        await pause(chance, 1, 10)
    except (Trouble, ApiError) as trouble:
        said.trouble = str(trouble)
    healing = rig.now()
    try:
        await heal()
    except (Trouble, ApiError) as trouble:
        said.trouble = str(trouble)
    said.calm = await _calm(rig, names if excused == () else None, rig.nodes, healing)
    said.ended = rig.now()
    excuse.until = said.ended + after
    return said


async def _found(rig: Rig, said: Injection, services: tuple[str, ...], within: float) -> None:
    def all_found() -> bool:
        for node in said.wanted:
            told = {turn.verdict for name in services for turn in rig.turns.of(node, name)}
            if node not in said.found and told & said.expected:
                said.found[node] = rig.now() - said.at
        return not said.missed

    try:
        await until(all_found, within, every=AGAIN)
    except TimeoutError:
        return


async def _calm(
    rig: Rig, services: tuple[str, ...] | None, nodes: Iterable[str], since: float = inf
) -> dict[str, float]:
    """Waits until nothing alarming is told of those Services; after how many seconds each node
    was calm."""
    calm: dict[str, float] = {}

    def all_calm() -> bool:
        loud = {t.port.node for t in rig.turns.alarms() if _of(t.port.service, services)}
        for node in nodes:
            if node in loud:
                calm.pop(node, None)
            else:
                calm.setdefault(node, rig.now() - since)
        return not loud

    with suppress(TimeoutError):
        await until(all_calm, CALM_SECONDS, every=AGAIN)
    return calm


def _of(service: str, services: tuple[str, ...] | None) -> bool:
    return service != "careless" if services is None else service in services


def siblings(name: str) -> list[str]:
    """The Services before the same pods."""
    return [each for each, shape in SHAPES.items() if shape.app == SHAPES[name].app]


async def wrong_target_port(rig: Rig, chance: random.Random, name: str) -> Injection:
    before = await operations.ports(rig, name)
    wrong = [{**before[0], "targetPort": 8081}, *before[1:]]
    return await injected(
        *(rig, chance, "wrong targetPort", name),
        expected=("port_mismatch",),
        services=(name,),
        inject=lambda: set_ports(rig, name, wrong),
        heal=lambda: set_ports(rig, name, before),
    )


async def selector_typo(rig: Rig, chance: random.Random, name: str) -> Injection:
    async def select(app: str) -> None:
        await rig.client.patch("Service", name, {"spec": {"selector": {"app": app}}})

    return await injected(
        *(rig, chance, "selector typo", name),
        expected=("no_endpoints",),
        services=(name,),
        inject=lambda: select(f"{SHAPES[name].app}s"),
        heal=lambda: select(SHAPES[name].app),
    )


async def _at_pods(
    rig: Rig,
    chance: random.Random,
    fault: str,
    name: str,
    expected: str,
    strike: Strike,
    *,
    all_pods: bool,
) -> Injection:
    """Strikes dials of the daemons at pods, and of nobody else: the kubelet's probes pass."""
    async with rig.topology:
        pods = await rig.client.pods(f"app={SHAPES[name].app}")
        names = [pod["metadata"]["name"] for pod in pods]
        struck = names if all_pods else [chance.choice(names)]
        return await injected(
            *(rig, chance, fault, name),
            expected=(expected,),
            services=siblings(name),
            inject=lambda: rig.ground.strike(struck, strike),
            heal=lambda: rig.ground.heal(struck),
        )


def pods(fault: str, expected: str, strike: Strike, *, all_pods: bool) -> Act:
    """What strikes one pod of a Service, or all."""

    async def act(rig: Rig, chance: random.Random, name: str) -> Injection:
        return await _at_pods(rig, chance, fault, name, expected, strike, all_pods=all_pods)

    return act


async def bad_release(rig: Rig, chance: random.Random, name: str) -> Injection:
    """Incident 1 of docs/edge-cases.md from the other side: the new pods listen elsewhere, and no
    probe looks."""
    shape = SHAPES[name]

    async def release(port: str, probe: object) -> None:
        env = [{"name": "PORT", "value": port}]
        container = {**shape.main_container(), "env": env, "readinessProbe": probe}
        await operations.roll_out(rig, shape, containers=[container])

    return await injected(
        *(rig, chance, "bad release", name),
        expected=("port_mismatch",),
        services=siblings(name),
        also=("endpoint_down", "not_listening", DRAIN_RACE),
        inject=lambda: release("8081", None),
        heal=lambda: release("8080", READY),
        after=AFTERMATH,
    )


async def careless_rollout(rig: Rig, chance: random.Random, name: str) -> Injection:
    """Pods that end at SIGTERM at once: a drain race may be seen, by those whom it meets."""

    async def nothing() -> None:
        return None

    said = await injected(
        *(rig, chance, "careless rollout", name),
        expected=(DRAIN_RACE,),
        services=(name,),
        seen_by=(),
        inject=lambda: operations.roll_out(rig, SHAPES[name]),
        heal=nothing,
    )
    for node in rig.nodes:
        for turn in rig.turns.told:
            where = turn.port.node, turn.port.service, turn.verdict
            if where == (node, name, DRAIN_RACE) and turn.at > said.at:
                said.found[node] = turn.at - said.at
    return said


async def stale_proxy(rig: Rig, chance: random.Random, name: str) -> Injection:
    """kube-proxy of one node stops, and pods are replaced; others that roll then are met, too."""
    node = chance.choice(rig.nodes)

    async def inject() -> None:
        await rig.ground.stop_proxy(node)
        await operations.roll_out(rig, SHAPES[name])

    async with rig.topology:
        return await injected(
            *(rig, chance, STALE_PROXY, f"{name} on {node}"),
            expected=("proxy_stale",),
            services=siblings(name),
            seen_by=(node,),
            also=(DRAIN_RACE,),
            excused=None,
            on=(node,),
            inject=inject,
            heal=lambda: rig.ground.start_proxy(node),
            within=STALE_SECONDS,
        )


async def cut_off(rig: Rig, chance: random.Random, name: str) -> Injection | None:
    """The cable of a node with pods of that Service is pulled: the others cannot reach them, nor
    its daemon the others'."""
    pods = await rig.client.pods(f"app={SHAPES[name].app}")
    node = chance.choice([pod["spec"]["nodeName"] for pod in pods])

    async def inject() -> None:
        rig.ground.cut_off(node)

    async def heal() -> None:
        await pause(chance, 0, 45)
        rig.ground.rejoin(node)

    others = [each for each in rig.nodes if each != node]
    apart = Excuse(CUT_OFF, ALARMING, rig.now(), nodes=frozenset({node}))
    rig.turns.excuses.append(apart)
    said = await injected(
        *(rig, chance, CUT_OFF, node),
        expected=("node_path", "blackholed", "endpoint_down"),
        services=siblings(name),
        seen_by=others,
        also=("no_endpoints",),
        excused=None,
        on=others,
        inject=inject,
        heal=heal,
        after=AFTERMATH,
    )
    apart.until = rig.now() + AFTERMATH
    return said


SINGLE = ("web", "api", "solo", "sticky", "slow", "shards", "internal")
SPREAD = ("web", "api", "sticky", "shards")


def _of_pods(
    name: str, targets: tuple[str, ...], expected: str, strike: Strike, *, all_pods: bool
) -> Fault:
    return Fault(name, targets, pods(name, expected, strike, all_pods=all_pods))


FAULTS = (
    Fault("wrong targetPort", SINGLE, wrong_target_port),
    Fault("selector typo", (*SPREAD, "solo", "multi", "internal"), selector_typo),
    _of_pods(ONE_DROPS, SPREAD, "endpoint_down", Strike.DROP, all_pods=False),
    _of_pods(ALL_DROP, SPREAD, "blackholed", Strike.DROP, all_pods=True),
    _of_pods(ONE_RESETS, SPREAD, "endpoint_down", Strike.RESET, all_pods=False),
    _of_pods(ALL_REJECT, SPREAD, "denied", Strike.REJECT, all_pods=True),
    Fault("bad release", ("api", "sticky"), bad_release),
    Fault("careless rollout", ("careless",), careless_rollout),
    Fault(STALE_PROXY, ("web", "api", "sticky"), stale_proxy),
    Fault(CUT_OFF, ("web",), cut_off, alone=True),
)


async def inject(rig: Rig, chance: random.Random, fault: Fault, target: str) -> Injection | None:
    """Injects it once those are ready whom it touches."""
    async with AsyncExitStack() as held:
        gate = rig.gate.alone() if fault.alone else rig.gate.together()
        await held.enter_async_context(gate)
        if target in SHAPES:
            await held.enter_async_context(rig.lock(SHAPES[target]))
        async with rig.doing(f"FAULT {fault.name}", target):
            return await fault.act(rig, chance, target)
    return None
