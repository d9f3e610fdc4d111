"""The scenarios: what each sets up, what it breaks, and what a good daemon must find.

A scenario has three acts. `set_up` makes its part of the cluster healthy, `inject` breaks it, and
`heal` mends it, so that the daemon's word is heard in both directions. Held scenarios play the
first two and leave the state standing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from probe.demo.manifests import NAMESPACE, deployment, manual_slice, service
from probe.sandbox.cluster import Cluster

WRITES_APART = 1.1
"""Seconds between setting up and breaking what is held: managedFields count whole seconds, and
who wrote last must be told from who wrote first."""

DRAIN = 1.0
"""preStop sleep (seconds) of pods that are replaced in a scenario which is not about that: longer
than a busy machine takes to tell the proxy."""

KUBECTL = "kubectl-patch"
ARGO = "argocd-controller"


@dataclass(frozen=True, slots=True)
class Options:
    """`proxy_lag`: seconds by which ClusterIPs follow late in a rolling update; `drain`: the
    preStop sleep (seconds) of its pods."""

    proxy_lag: float = 2.0
    drain: float = 0.0

    @property
    def linger(self) -> float:
        """For how long (seconds) the daemon must lay failures to a finished rollout: the proxies
        lag behind its last pod, and a dial may be under way."""
        return self.proxy_lag + 2

    @property
    def undecided(self) -> bool:
        """Whether the race is too close for a daemon that dials ten times a second to see it."""
        return self.proxy_lag > 0 and abs(self.proxy_lag - self.drain) < 1


Act = Callable[[Cluster, Options], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`expects` gives what must be found, as `object verdict`; `story` says what is done.

    `rolls` marks one whose finding passes by itself and which must be seen while it happens.
    """

    name: str
    story: str
    expects: Callable[[Options], tuple[str, ...]]
    set_up: Act
    inject: Act
    heal: Act
    rolls: str | None = None


def port(name: str, number: int) -> str:
    return f"Service {NAMESPACE}/{name}:{number}"


async def _mismatch_set_up(cluster: Cluster, options: Options) -> None:
    cluster.apply(deployment("backend-v1"), manager="kubectl")
    cluster.apply(service("backend-v1"), manager="kubectl")


async def _mismatch(cluster: Cluster, options: Options) -> None:
    cluster.apply(service("backend-v1", target=8081), manager=ARGO)


async def _mismatch_heal(cluster: Cluster, options: Options) -> None:
    cluster.apply(service("backend-v1"), manager=KUBECTL)


async def _rolling_set_up(cluster: Cluster, options: Options) -> None:
    cluster.apply(deployment("web", replicas=3, drain=options.drain), manager="kubectl")
    cluster.apply(service("web"), manager="kubectl")


async def _rolling(cluster: Cluster, options: Options) -> None:
    cluster.set_proxy_lag(options.proxy_lag)
    new = deployment("web", replicas=3, version="2", drain=options.drain)
    cluster.apply(new, manager="kubectl-set")


async def _rolling_heal(cluster: Cluster, options: Options) -> None:
    await cluster.settled(within=60)
    cluster.set_proxy_lag(0.0)


async def _empty_set_up(cluster: Cluster, options: Options) -> None:
    cluster.apply(deployment("cart"), manager="kubectl")
    cluster.apply(service("cart"), manager="kubectl")


async def _empty(cluster: Cluster, options: Options) -> None:
    cluster.apply(service("cart", selector={"app": "cart-v2"}), manager=ARGO)


async def _empty_heal(cluster: Cluster, options: Options) -> None:
    cluster.apply(service("cart"), manager=KUBECTL)


async def _blackhole_set_up(cluster: Cluster, options: Options) -> None:
    cluster.apply(deployment("search"), manager="kubectl")
    cluster.apply(service("search"), manager="kubectl")


async def _blackhole(cluster: Cluster, options: Options) -> None:
    _all_pods(cluster, "search", "blackhole")


async def _blackhole_heal(cluster: Cluster, options: Options) -> None:
    _all_pods(cluster, "search", "serve")


async def _invalid_set_up(cluster: Cluster, options: Options) -> None:
    cluster.apply(deployment("legacy", drain=DRAIN), manager="kubectl")
    cluster.apply(service("legacy"), manager="kubectl")


async def _invalid(cluster: Cluster, options: Options) -> None:
    env = {"UPSTREAM_ADDR": "0:80"}
    cluster.apply(deployment("legacy", env=env, drain=DRAIN), manager=ARGO)
    cluster.apply(service("external-db", port=5432, target=5432, selector={}), manager=ARGO)
    cluster.apply(manual_slice("external-db", "0.0.0.0", 5432), manager=ARGO)


async def _invalid_heal(cluster: Cluster, options: Options) -> None:
    cluster.apply(deployment("legacy", drain=DRAIN), manager=KUBECTL)
    cluster.store.delete("endpointslices", NAMESPACE, "external-db-manual")
    cluster.store.delete("services", NAMESPACE, "external-db")
    # Its pods roll back: the next scenario may have the proxy late, which would be a drain race.
    await cluster.settled(within=60)


def _all_pods(cluster: Cluster, app: str, behaviour: str) -> None:
    for pod in cluster.store.list("pods", NAMESPACE):
        if pod["metadata"].get("labels", {}).get("app") == app:
            cluster.set_behaviour(NAMESPACE, pod["metadata"]["name"], behaviour)


SCENARIOS: dict[str, Scenario] = {
    s.name: s
    for s in (
        Scenario(
            "port-mismatch",
            "Argo CD sets targetPort to 8081, the container listens on 8080",
            lambda options: (f"{port('backend-v1', 8080)} port_mismatch",),
            _mismatch_set_up,
            _mismatch,
            _mismatch_heal,
        ),
        Scenario(
            "no-endpoints",
            "a Service's selector is changed to one that matches no pod",
            lambda options: (f"{port('cart', 8080)} no_endpoints",),
            _empty_set_up,
            _empty,
            _empty_heal,
        ),
        Scenario(
            "blackhole",
            "every pod of a Service stops answering SYNs",
            lambda options: (f"{port('search', 8080)} blackholed",),
            _blackhole_set_up,
            _blackhole,
            _blackhole_heal,
        ),
        Scenario(
            "invalid-address",
            "a slice lists 0.0.0.0, a container is told UPSTREAM_ADDR=0:80",
            lambda options: (
                f"{port('external-db', 5432)} invalid_target",
                f"Namespace {NAMESPACE} invalid_target in env",
            ),
            _invalid_set_up,
            _invalid,
            _invalid_heal,
        ),
        Scenario(
            "rolling-update",
            "a new image rolls out while ClusterIPs follow late and pods do not drain",
            lambda options: (
                (f"{port('web', 8080)} drain_race",) if options.drain < options.proxy_lag else ()
            ),
            _rolling_set_up,
            _rolling,
            _rolling_heal,
            rolls=f"Deployment {NAMESPACE}/web",
        ),
    )
}

TOUR = "tour"


class UnknownScenario(ValueError):
    """No scenario has that name; the text says which there are."""


def chosen(names: list[str]) -> list[Scenario]:
    """The scenarios by name, `tour` being all. Raises UnknownScenario."""
    unknown = [name for name in names if name != TOUR and name not in SCENARIOS]
    if unknown:
        raise UnknownScenario(
            f"there is no scenario {unknown[0]!r}: choose from {', '.join((TOUR, *SCENARIOS))}"
        )
    if not names or TOUR in names:
        return list(SCENARIOS.values())
    return [SCENARIOS[name] for name in dict.fromkeys(names)]


async def hold(cluster: Cluster, scenarios: list[Scenario], options: Options) -> None:
    """Brings the cluster into the scenarios' state and returns once it stands."""
    for scenario in scenarios:
        await scenario.set_up(cluster, options)
    await cluster.settled(within=60)
    await asyncio.sleep(WRITES_APART)
    for scenario in scenarios:
        await scenario.inject(cluster, options)
    await asyncio.sleep(0)
    await cluster.settled(within=60)
