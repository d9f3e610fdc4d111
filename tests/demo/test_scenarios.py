"""What each scenario does to the cluster, without a daemon."""

from collections.abc import AsyncIterator

import pytest

from probe.demo.manifests import NAMESPACE, namespace
from probe.demo.scenarios import SCENARIOS, Options, UnknownScenario, chosen, hold
from probe.sandbox.cluster import Cluster
from tests.running import PATIENCE


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster(serve_api=False) as standing:
        standing.apply(namespace(NAMESPACE))
        yield standing


def ready(cluster: Cluster, service: str) -> int:
    """How many ready endpoints the Service's slices list."""
    return sum(
        endpoint["conditions"]["ready"]
        for held in cluster.store.list("endpointslices", NAMESPACE)
        if held["metadata"]["labels"]["kubernetes.io/service-name"] == service
        for endpoint in held["endpoints"] or ()
    )


@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_was_broken_can_be_mended(name: str, cluster: Cluster) -> None:
    scenario, options = SCENARIOS[name], Options(proxy_lag=0.1)

    await scenario.set_up(cluster, options)
    await cluster.settled(PATIENCE)
    before = {s["metadata"]["name"]: s["spec"] for s in cluster.store.list("services", NAMESPACE)}
    endpoints = {service: ready(cluster, service) for service in before}
    await scenario.inject(cluster, options)
    await cluster.settled(PATIENCE)
    await scenario.heal(cluster, options)
    await cluster.settled(PATIENCE)

    services = cluster.store.list("services", NAMESPACE)
    assert {s["metadata"]["name"]: s["spec"] for s in services} == before
    assert {service: ready(cluster, service) for service in before} == endpoints
    assert cluster.proxy.lag == 0


@pytest.mark.slow
async def test_a_held_mismatch_points_beside_the_container_and_says_who_did_it(
    cluster: Cluster,
) -> None:
    await hold(cluster, [SCENARIOS["port-mismatch"]], Options())

    service = cluster.store.get("services", NAMESPACE, "backend-v1")
    assert service["spec"]["ports"][0]["targetPort"] == 8081
    fields = service["metadata"]["managedFields"]
    assert max(fields, key=lambda f: f["time"])["manager"] == "argocd-controller"
    assert len({f["time"] for f in fields}) == 2


@pytest.mark.slow
async def test_a_held_service_without_endpoints_has_pods_and_none_of_them(cluster: Cluster) -> None:
    await hold(cluster, [SCENARIOS["no-endpoints"]], Options())

    assert ready(cluster, "cart") == 0
    assert len(cluster.store.list("pods", NAMESPACE)) == 2


async def test_a_drain_race_is_expected_only_if_the_pods_end_before_the_proxies_follow() -> None:
    expects = SCENARIOS["rolling-update"].expects

    assert expects(Options(2, 0)) == ("Service demo-app/web:8080 drain_race",)
    assert expects(Options(2, 3)) == ()
    assert expects(Options(0, 0)) == ()


@pytest.mark.parametrize(
    ("lag", "drain", "undecided"),
    [(2, 2, True), (2, 1.5, True), (0.5, 0, True), (0, 0, False), (2, 1, False), (2, 3, False)],
)
def test_a_race_too_close_to_call_is_known_beforehand(
    lag: float, drain: float, undecided: bool
) -> None:
    assert Options(lag, drain).undecided == undecided


def test_scenarios_are_chosen_by_name_and_the_tour_is_all() -> None:
    everything = list(SCENARIOS.values())

    assert chosen([]) == chosen(["tour"]) == chosen(["blackhole", "tour"]) == everything
    assert chosen(["blackhole", "blackhole"]) == [SCENARIOS["blackhole"]]
    with pytest.raises(
        UnknownScenario, match="no scenario 'nope': choose from tour, port-mismatch"
    ):
        chosen(["blackhole", "nope"])
