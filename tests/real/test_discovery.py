"""Every shape that a Service can have, applied with kubectl: what of it is dialed, what is left out
and why, and what is said of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.cluster.cluster import Cluster
from tests.real.manifests import Manifest, deployment, service
from tests.real.told import EVERY
from tests.running import Daemon, until

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(300)]

SPACE = "shapes"

HTTP, SIDE, OTHER, HOST = 8080, 9090, 8081, 18080
"""Ports that listeners have: the declared one, an undeclared one, another's, a node's."""

VERDICTS = {
    "several": "healthy",
    "headless": "healthy",
    "mixed": "healthy",
    "undeclared": "healthy",
    "on-host": "healthy",
    "node-port": "healthy",
    "balanced": "healthy",
    "two-slices": "healthy",
    "published": "healthy",
    "hidden": "no_endpoints",
    "no-such-name": "no_endpoints",
    "nowhere": "no_endpoints",
    "by-name": "no_endpoints",
    "manual": "unknown",
    "external": "unknown",
    "silent": "unknown",
    "database": "unknown",
    "portless": "unknown",
}

EVERYTHING = VERDICTS | {"kubernetes": "healthy"}
"""With the API server's own Service, in another namespace."""

SKIPPED = {
    "udp": 1,
    "sctp": 1,
    "external_name": 1,
    "opted_out": 1,
    "manual": 1,
    "blocks_hosts": 1,
    "fqdn": 1,
}


def ports(*found: Manifest) -> list[Manifest]:
    return [{"name": f"p{each['port']}-{n}", **each} for n, each in enumerate(found)]


def listening(app: str, *numbers: int, replicas: int = 1, **how: Any) -> Manifest:
    """A Deployment that listens on these ports, the first of which it declares."""
    value = ",".join(map(str, numbers))
    env = [{"name": "PORT", "value": value}]
    declared = [{"name": "main", "containerPort": numbers[0]}]
    return deployment(app, replicas, env=env, ports=declared, **how)


def workloads() -> list[Manifest]:
    old, new = listening("old", HTTP), listening("new", OTHER)
    for each in (old, new):
        each["spec"]["template"]["metadata"]["labels"]["mixed"] = "yes"
    host = listening("host", HOST, node="node2")
    host["spec"]["template"]["spec"]["hostNetwork"] = True
    never = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    unready = listening("unready", OTHER, readinessProbe=never)
    return [listening("web", HTTP, SIDE, replicas=2), old, new, host, unready]


def services() -> list[Manifest]:
    several = ports(
        {"port": 80, "targetPort": HTTP},
        {"port": 53, "targetPort": SIDE},
        {"port": 53, "targetPort": 53, "protocol": "UDP"},
    )
    headless = ports(
        {"port": 80, "targetPort": HTTP}, {"port": 3868, "targetPort": 3868, "protocol": "SCTP"}
    )
    silent = service("silent", "web", target=1)
    silent["metadata"]["annotations"] = {"edgeprobe.dev/probe": "false"}
    external = service("external", "")
    external["spec"] = {"type": "ExternalName", "externalName": "example.invalid"}
    return [
        service("several", "web", ports=several),
        service("headless", "web", clusterIP="None", ports=headless),
        service("portless", "web", clusterIP="None", ports=[]),
        service(
            "mixed", "", selector={"mixed": "yes"}, ports=ports({"port": 80, "targetPort": "main"})
        ),
        service("no-such-name", "web", ports=ports({"port": 80, "targetPort": "grpc"})),
        service("undeclared", "web", target=SIDE),
        service("on-host", "host", target=HOST),
        service("node-port", "web", type="NodePort"),
        service("balanced", "web", type="LoadBalancer"),
        service("hidden", "unready"),
        service("published", "unready", publishNotReadyAddresses=True),
        service("database", "web", port=3306),
        silent,
        external,
        *(service(name, "", selector=None) for name in BY_HAND),
    ]


BY_HAND = ("nowhere", "manual", "two-slices", "by-name")
"""Services without a selector."""


def endpoint_slice(
    owner: str, address: str, number: int = 1, *, pod: str = "", kind: str = "IPv4"
) -> Manifest:
    endpoint: Manifest = {"addresses": [address], "conditions": {"ready": True}}
    if pod:
        endpoint["targetRef"] = {"kind": "Pod", "name": pod, "namespace": SPACE}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{owner}-{number}",
            "labels": {"kubernetes.io/service-name": owner},
        },
        "addressType": kind,
        "ports": [{"name": "", "port": HTTP, "protocol": "TCP"}],
        "endpoints": [endpoint],
    }


class Shapes(NamedTuple):
    """The Services' documents by name, as `probe check` on node1 gives them."""

    cluster: Cluster
    documents: dict[str, Manifest]
    pods: dict[str, list[str]]
    addresses: dict[str, str]

    def edges(self, name: str) -> set[tuple[int, str, str, int]]:
        return edges(self.documents[name])

    def expected(self, name: str, *, port: int = 80, **pods: int) -> set[tuple[int, str, str, int]]:
        """Its ClusterIP, and the pods of each of these apps on that port of theirs."""
        found = {
            (port, "endpoint", address, number)
            for app, number in pods.items()
            for address in self.pods[app]
        }
        return found | {(port, "service", self.addresses[name], port)}


def edges(document: Manifest) -> set[tuple[int, str, str, int]]:
    """The Service port, the kind, and the address and port that are dialed."""
    return {
        (port["port"], edge["kind"], edge["address"], edge["port"])
        for port in document["ports"]
        for edge in port["edges"]
    }


async def checked(cluster: Cluster, *arguments: str) -> Any:
    """The document of `probe check` on node1."""
    config = ("--kubeconfig", str(cluster.inner_kubeconfig), "-o", "json")
    return (await cluster.nodes[0].inside.probe("check", *arguments, *config)).document


def named(document: Any) -> dict[str, Manifest]:
    return {each["service"]["name"]: each for each in document["services"]}


def verdicts(documents: dict[str, Manifest]) -> dict[str, str]:
    return {name: each["verdict"] for name, each in documents.items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shapes(cluster: Cluster) -> AsyncIterator[Shapes]:
    await cluster.make_space(SPACE)
    await cluster.apply(*workloads(), *services(), space=SPACE)
    for app in ("web", "old", "new", "host"):
        await cluster.rolled_out(f"deployment/{app}", SPACE)
    first, second = await cluster.pods("app=web", SPACE)
    await cluster.apply(
        endpoint_slice("manual", first.address),
        endpoint_slice("two-slices", second.address, 1, pod=second.name),
        endpoint_slice("two-slices", second.address, 2, pod=second.name),
        endpoint_slice("by-name", "example.invalid", kind="FQDN"),
        space=SPACE,
    )

    found: dict[str, Manifest] = {}

    async def settled() -> bool:
        ours, theirs = await asyncio.gather(
            checked(cluster, "all", "-n", SPACE),
            checked(cluster, "svc", "kubernetes", "-n", "default"),
        )
        found.update(named(ours), kubernetes=theirs)
        return verdicts(found) == EVERYTHING

    with contextlib.suppress(TimeoutError):  # then a test says what is different
        await until(settled, 90)
    apps = ("web", "old", "new", "host", "unready")
    yield Shapes(
        cluster,
        found,
        {app: [p.address for p in await cluster.pods(f"app={app}", SPACE)] for app in apps},
        {name: await cluster.cluster_ip(name, SPACE) for name in VERDICTS if name != "external"},
    )
    await cluster.drop_space(SPACE)


async def test_every_shape_has_its_verdict(shapes: Shapes) -> None:
    assert verdicts(shapes.documents) == EVERYTHING


async def test_each_tcp_port_of_a_service_is_dialed_beside_udp_of_the_same_number(
    shapes: Shapes,
) -> None:
    wanted = shapes.expected("several", web=HTTP) | shapes.expected("several", port=53, web=SIDE)
    assert shapes.edges("several") == wanted


async def test_a_headless_service_is_its_endpoints(shapes: Shapes) -> None:
    wanted = {(80, "endpoint", address, HTTP) for address in shapes.pods["web"]}
    assert shapes.edges("headless") == wanted
    assert shapes.edges("portless") == set()


async def test_a_named_target_port_is_what_each_pod_calls_so(shapes: Shapes) -> None:
    assert shapes.edges("mixed") == shapes.expected("mixed", old=HTTP, new=OTHER)
    said = shapes.documents["no-such-name"]["summary"]
    assert said == "no endpoints: targetPort grpc is declared by no container of the pods"


async def test_a_port_that_no_container_declares_is_dialed(shapes: Shapes) -> None:
    assert shapes.edges("undeclared") == shapes.expected("undeclared", web=SIDE)


async def test_a_pod_on_the_hosts_network_has_its_nodes_address(shapes: Shapes) -> None:
    assert shapes.pods["host"] == [shapes.cluster.nodes[1].address]
    assert shapes.edges("on-host") == shapes.expected("on-host", host=HOST)


@pytest.mark.parametrize("name", ["node-port", "balanced"])
async def test_of_other_types_the_cluster_ip_is_dialed(shapes: Shapes, name: str) -> None:
    assert shapes.edges(name) == shapes.expected(name, web=HTTP)


async def test_unready_endpoints_count_only_as_published_and_accuse_nobody(shapes: Shapes) -> None:
    """They refuse: the listener is on another port."""
    assert shapes.edges("published") == shapes.expected("published", unready=HTTP)
    states = {e["state"] for p in shapes.documents["published"]["ports"] for e in p["edges"]}
    assert states == {"excluded"}
    said = "no endpoints yet: the first pods of its workload are starting"
    assert shapes.documents["hidden"]["summary"] == said


async def test_an_endpoint_in_two_slices_is_one_edge(shapes: Shapes) -> None:
    assert len(shapes.edges("two-slices")) == 2
    assert shapes.documents["two-slices"]["expected"] == 2


async def test_without_selector_and_address_there_is_nothing_to_send_to(shapes: Shapes) -> None:
    said = (
        "no endpoints: the Service has no selector, "
        "and no EndpointSlice lists an address for this port"
    )
    assert {shapes.documents[name]["summary"] for name in ("nowhere", "by-name")} == {said}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("external", "external_name"),
        ("silent", "opted_out"),
        ("portless", "it has no ports"),
    ],
)
async def test_what_is_left_out_says_why(shapes: Shapes, name: str, reason: str) -> None:
    assert shapes.edges(name) == set()
    assert shapes.documents[name]["summary"] == f"nothing of it is dialed: {reason}"
    assert shapes.documents[name]["on_purpose"]


async def test_a_database_is_not_dialed_but_who_is_behind_it_is_told(shapes: Shapes) -> None:
    assert shapes.edges("database") == set()
    assert shapes.documents["database"]["summary"].endswith("(PROBE_DIAL_MYSQL=true dials it)")
    assert shapes.documents["database"]["on_purpose"]


async def test_endpoints_without_a_pod_are_dialed_only_where_they_are_listed(
    shapes: Shapes,
) -> None:
    assert shapes.edges("manual") == set()
    assert shapes.documents["manual"]["summary"] == "endpoints outside of what we may dial: all 1"

    config = shapes.cluster.folder / "manual.yaml"
    config.write_text("manual_targets: [10.244.0.0/16]\n")

    async def answers() -> Any:
        found = await checked(shapes.cluster, "svc", "manual", "-n", SPACE, "--config", str(config))
        return found if found["verdict"] == "healthy" else None

    listed = await until(answers)
    (vip,) = shapes.expected("manual")
    assert len(edges(listed)) == 2
    assert edges(listed) - {vip} <= {(80, "endpoint", pod, HTTP) for pod in shapes.pods["web"]}


async def test_the_api_servers_own_service_is_dialed_without_being_listed(shapes: Shapes) -> None:
    document = shapes.documents["kubernetes"]
    assert edges(document) == {(443, "service", "10.96.0.1", 443)}


async def test_the_daemon_counts_what_it_leaves_out(shapes: Shapes) -> None:
    flags = ("--namespaces", SPACE, "--settle", "0", "--interval", "1")
    inside, config = shapes.cluster.nodes[0].inside, shapes.cluster.inner_kubeconfig
    async with inside.daemon(config, *flags, node="node1") as daemon:
        await until(lambda: agrees(daemon), 90, every=EVERY)
        counted = {
            reason: await daemon.value("edgeprobe_dials_skipped_total", reason=reason)
            for reason in SKIPPED
        }
        assert counted == SKIPPED
        everything = await daemon.value("edgeprobe_dials_skipped_total")
        assert everything == sum(SKIPPED.values())


async def agrees(daemon: Daemon) -> bool:
    return verdicts(named(await daemon.json("/api/v1/services"))) == VERDICTS
