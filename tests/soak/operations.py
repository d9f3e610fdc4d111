"""What a healthy cluster lives through: nothing of it may make a daemon cry."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from probe.core.ledger import PROXY_SYNC
from tests.cluster.api import MERGE
from tests.running import until
from tests.soak.client import AGAIN, Object, Trouble
from tests.soak.names import API_RESTART, NODE_DRAIN, PROXY_RESTART
from tests.soak.rig import Rig, pause
from tests.soak.shop import DRAINING, SHAPES, Shape
from tests.soak.turns import Excuse

Act = Callable[[Rig, random.Random, str], Awaitable[None]]

WITH_REPLICAS = tuple(name for name in DRAINING if SHAPES[name].kind != "DaemonSet")
NAMED = ("internal", "api", "multi")
"""Services whose ports have names: those of others would have to get one beside a second port."""

TOLD_WITHIN = 40.0
"""Seconds after which no failure is told any more that a proxy caused before it followed: those for
which failures are laid to a removal (30), and an interval in which they are confirmed."""

API_SERVICES = frozenset({"kubernetes", "external"})
"""Services that lead to the API server."""


@dataclass(frozen=True)
class Operation:
    """One kind; `share` is how often it comes among the others, `targets` whom it is done to."""

    name: str
    share: int
    targets: tuple[str, ...]
    act: Act


async def roll(rig: Rig, chance: random.Random, name: str) -> None:
    """A rolling update of pods that drain."""
    await roll_out(rig, SHAPES[name])


async def roll_out(rig: Rig, shape: Shape, **spec: Any) -> None:
    """Changes the pod template, by an annotation and `spec`, and waits until that is through."""
    found = await rig.client.get(shape.kind, shape.app)
    annotations = {"soak/rolled": str(found["metadata"]["generation"])}
    template = {"metadata": {"annotations": annotations}}
    body = {"spec": {"template": {**template, **({"spec": spec} if spec else {})}}}
    await rig.client.patch(shape.kind, shape.app, body)
    await rig.client.rolled_out(shape.kind, shape.app)


async def scale(rig: Rig, chance: random.Random, name: str) -> None:
    """To another number of replicas."""
    shape = SHAPES[name]
    found = await rig.client.get(shape.kind, name)
    now = found["spec"]["replicas"]
    others = [count for count in range(shape.least, shape.most + 1) if count != now]
    await scale_to(rig, shape, chance.choice(others))


async def scale_to(rig: Rig, shape: Shape, replicas: int) -> None:
    await rig.client.patch(shape.kind, shape.app, {"spec": {"replicas": replicas}})
    await rig.client.rolled_out(shape.kind, shape.app)


async def to_zero_and_back(rig: Rig, chance: random.Random, name: str) -> None:
    await scale_to(rig, SHAPES[name], 0)
    await pause(chance, 1, 40)
    await scale_to(rig, SHAPES[name], max(SHAPES[name].replicas, 1))


async def label(rig: Rig, chance: random.Random, name: str) -> None:
    """An edit that moves no traffic."""
    labels = {"soak": f"{chance.randrange(10**6)}"}
    await rig.client.patch("Service", name, {"metadata": {"labels": labels}})


async def add_a_port(rig: Rig, chance: random.Random, name: str) -> None:
    """One more for the same pods, and after a while it goes again."""
    before = await ports(rig, name)
    added: Object = {"name": "added", "port": 8181, "targetPort": 8080, "protocol": "TCP"}
    await set_ports(rig, name, [*before, added])
    await pause(chance, 2, 30)
    await set_ports(rig, name, before)
    await asyncio.sleep(2)  # until the daemons have heard of it, and said their last of it
    rig.turns.end(name, added["port"])


async def retarget(rig: Rig, chance: random.Random, name: str) -> None:
    """The first port's targetPort, to another one that is as right: by name or number, or, where
    the pods listen on both, the other one."""
    found = await ports(rig, name)
    right = [8080, "http"] if SHAPES[name].single else [8080, "http", 9090, "admin"]
    right.remove(found[0]["targetPort"])
    await set_ports(rig, name, [{**found[0], "targetPort": chance.choice(right)}, *found[1:]])


async def ports(rig: Rig, name: str) -> list[Object]:
    found: list[Object] = (await rig.client.get("Service", name))["spec"]["ports"]
    return found


async def set_ports(rig: Rig, name: str, found: list[Object]) -> None:
    await rig.client.patch("Service", name, {"spec": {"ports": found}})


async def delete_a_pod(rig: Rig, chance: random.Random, name: str) -> None:
    """With its grace; its workload makes another one."""
    shape = SHAPES[name]
    pods = await rig.client.pods(f"app={shape.app}")
    if pods:
        await rig.client.delete_pod(chance.choice(pods)["metadata"]["name"])
        await rig.client.rolled_out(shape.kind, shape.app)


async def drain(rig: Rig, chance: random.Random, node: str) -> None:
    """`kubectl drain --ignore-daemonsets`, a while without, `kubectl uncordon`."""
    async with rig.topology:
        await cordon(rig, node, True)
        try:
            await asyncio.gather(*map(rig.ground.evict, await _pods_on(rig, node)))
            await until(lambda: _empty(rig, node), 90, every=AGAIN)
            await pause(chance, 2, 15)
        except TimeoutError:
            raise Trouble(f"pods stay on {node}") from None
        finally:
            await cordon(rig, node, False)


async def cordon(rig: Rig, node: str, unschedulable: bool) -> None:
    body = {"spec": {"unschedulable": unschedulable}}
    await rig.client.request("PATCH", f"/api/v1/nodes/{node}", body, MERGE)


async def _pods_on(rig: Rig, node: str) -> list[str]:
    """Those of no DaemonSet, whether they end already or not."""
    where = f"{rig.client.path('Pod')}?fieldSelector=spec.nodeName%3D{node}"
    found = (await rig.client.request("GET", where))["items"]
    return [
        pod["metadata"]["name"]
        for pod in found
        if all(owner["kind"] != "DaemonSet" for owner in pod["metadata"].get("ownerReferences", ()))
    ]


async def _empty(rig: Rig, node: str) -> bool:
    return not await _pods_on(rig, node)


async def restart_proxy(rig: Rig, chance: random.Random, node: str) -> None:
    async with rig.topology:
        await rig.ground.stop_proxy(node)
        await rig.ground.start_proxy(node)


async def restart_api(rig: Rig, chance: random.Random, _: str) -> None:
    """Its own Service does not answer meanwhile, which daemons rightly tell."""
    async with rig.topology:
        told = frozenset({"proxy_stale", "endpoint_down", "blackholed"})
        excuse = Excuse("the API server is away", told, rig.now(), API_SERVICES)
        rig.turns.excuses.append(excuse)
        stale = frozenset({"proxy_stale", "drain_race"})
        behind = {
            node: Excuse("its kube-proxy is behind", stale, rig.now(), nodes=frozenset({node}))
            for node in rig.nodes
        }
        rig.turns.excuses.extend(behind.values())
        await rig.ground.stop_api()
        await pause(chance, 0, 5)
        await rig.ground.start_api()
        excuse.until = rig.now() + 15
        await _proxies_follow(rig, behind)


async def _proxies_follow(rig: Rig, behind: dict[str, Excuse]) -> None:
    """Their watches come back from a back-off of up to 30 s (client-go's reflector): until then
    they really are stale and send to pods that are gone. Read off their rules, not assumed."""
    began = rig.now()
    for node, seconds in (await rig.ground.proxies_follow()).items():
        rig.say(f"{rig.now():7.1f} kube-proxy of {node} followed after {seconds:.1f} s")
        told = TOLD_WITHIN if seconds > PROXY_SYNC else 0.0
        behind[node].until = began + seconds + told


async def restart_daemons(rig: Rig, chance: random.Random, _: str) -> None:
    """As in a rollout of their own."""
    async with rig.topology:
        await rig.ground.restart_daemons()


NODES = "node"
"""As a target: any node."""

OPERATIONS = (
    Operation("rollout", 6, DRAINING, roll),
    Operation("scaling", 4, WITH_REPLICAS, scale),
    Operation("to zero and back", 2, ("idle", "solo", "sticky", "shards"), to_zero_and_back),
    Operation("labels", 1, (*DRAINING, "internal", "external"), label),
    Operation("another port", 2, NAMED, add_a_port),
    Operation("right targetPort", 2, ("web", "api", "solo", "multi", "local"), retarget),
    Operation("pod deletion", 3, WITH_REPLICAS, delete_a_pod),
    Operation(NODE_DRAIN, 2, (NODES,), drain),
    Operation(PROXY_RESTART, 1, (NODES,), restart_proxy),
    Operation(API_RESTART, 1, ("",), restart_api),
    Operation("daemon rollout", 1, ("",), restart_daemons),
)


async def perform(rig: Rig, chance: random.Random, operation: Operation, target: str) -> None:
    """Does it once those are ready whom it touches."""
    async with AsyncExitStack() as held:
        await held.enter_async_context(rig.gate.together())
        if target in SHAPES:
            await held.enter_async_context(rig.lock(SHAPES[target]))
        async with rig.doing(operation.name, target):
            await operation.act(rig, chance, target)
