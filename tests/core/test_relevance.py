"""Which changes concern which Services."""

from dataclasses import replace

from probe.core import kube
from probe.core.changes import Change
from probe.core.mirror import Mirror
from probe.core.nodes import Node
from probe.core.relevance import Relevance
from tests.core.facts import endpoint, port, service, slice_of, workload

WEB, API, BARE = ("demo-app", "web"), ("demo-app", "api"), ("shop", "web")
PROXY = workload(name="kube-proxy", namespace="kube-system", kind="DaemonSet", labels=())


def held(*nodes: str) -> Mirror:
    """Three Services, `web` with an endpoint on node-b; the nodes are known."""
    found = Mirror(30.0, node="node-a")
    found.start(0.0)
    found.apply(kube.Listed("nodes", tuple(map(Node, nodes))), 0.0)
    services = (service(name=name, namespace=namespace) for namespace, name in (WEB, API, BARE))
    found.apply(kube.Listed("services", tuple(services)), 0.0)
    found.apply(kube.Listed("endpointslices", (on("node-b"),)), 0.0)
    found.apply(kube.Listed("daemonsets", (PROXY,)), 0.0)
    return found


def on(node: str) -> object:
    return slice_of(endpoint("10.0.0.1", node=node), service="web")


def kinds(found: list[Change]) -> list[str]:
    return [str(change.kind) for change in found]


def test_a_service_s_own_changes_are_its_own() -> None:
    mirror = held("node-b")
    mirror.apply(kube.Stored("services", service(port(9), name="web")), 1.0)
    found = Relevance(mirror)

    assert kinds(found.of(WEB)) == ["service_edit"]
    assert (found.of(API), found.of(BARE)) == ([], [])
    assert kinds(found.within("demo-app", "")) == kinds(found.within("", "web")) == ["service_edit"]
    assert found.within("shop", "") == found.within("demo-app", "api") == []


def test_what_a_node_becomes_concerns_those_that_have_endpoints_on_it() -> None:
    mirror = held("node-b", "node-c")
    mirror.apply(kube.Stored("nodes", Node("node-b", ready=False)), 1.0)
    mirror.apply(kube.Stored("nodes", Node("node-c", ready=False)), 2.0)
    found = Relevance(mirror)

    assert [c.node for c in found.of(WEB)] == ["node-b"]
    assert (found.of(API), found.of(("demo-app", "unknown"))) == ([], [])
    assert [c.node for c in found.within("demo-app", "")] == ["node-b"]
    assert found.within("shop", "") == []
    assert len(found.within("", "")) == 3


def test_and_those_whose_endpoints_have_left_it() -> None:
    mirror = held("node-b")
    mirror.apply(kube.Stored("nodes", replace(Node("node-b"), schedulable=False)), 1.0)
    mirror.apply(kube.Removed("endpointslices", "demo-app", "web-x"), 2.0)

    assert kinds(Relevance(mirror).of(WEB)) == ["endpoint", "node"]


def test_a_rollout_of_the_proxies_concerns_everybody() -> None:
    mirror = held("node-b")
    mirror.apply(kube.Stored("daemonsets", replace(PROXY, template=b"x", images=("p:2",))), 1.0)
    mirror.apply(kube.Stored("services", service(port(9), name="api")), 2.0)
    found = Relevance(mirror)

    assert kinds(found.of(API)) == ["service_edit", "proxy_rollout"]
    assert kinds(found.within("shop", "")) == ["proxy_rollout"]
