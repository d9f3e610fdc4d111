"""What stands on the page of Service ports: how much of it, and what only failing ones have."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from probe.core import kube
from probe.core.edges import Kind
from probe.core.nodes import Node
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    NODE,
    REFUSED,
    Story,
    endpoint,
    port,
    service,
    slice_of,
    workload,
)
from tests.pages import Samples, exposing, named, page, read, value

HERE = {"namespace": "demo-app", "service": "backend-v1", "port": "8080"}
OF_PORTS = (
    *("dials_total", "edge_up", "edges", "verdict", "verdict_info"),
    *("syn_retransmits_total", "edge_last_success_timestamp_seconds", "endpoint_up"),
)


def refused_on_8081(dial: Dial, now: float) -> Outcome:
    return REFUSED if dial.edge.dial_port == 8081 or dial.edge.key.port == 8081 else CONNECTED


@pytest.fixture(scope="module")
def story() -> Story:
    """Nine Services that are well, then one on the wrong port with three pods."""
    well = [f"well-{n}" for n in range(9)]
    pods = ("10.0.1.1", "10.0.1.2", "10.0.1.3")
    return (
        Story(answer=refused_on_8081)
        .listed(
            [
                *(service(name=name, ips=(f"10.96.1.{n}",)) for n, name in enumerate(well)),
                service(port(8080, 8081)),
            ],
            [
                *(slice_of(f"10.0.0.{n}", service=name) for n, name in enumerate(well)),
                slice_of(*pods, number=8081),
            ],
            [workload(DECLARED_8080)],
        )
        .run(60)
    )


def capped(story: Story, limit: int) -> Samples:
    return read(page(story, exposing(story, max_series=limit)))


def of_ports(samples: Samples) -> int:
    return sum(len(named(samples, name)) for name in OF_PORTS)


def test_a_failing_port_says_what_alerts_need(story: Story) -> None:
    samples = read(page(story))
    told = {"verdict": "port_mismatch", "target_port": "8081", "candidate": "8080", "cause": ""}

    assert list(named(samples, "verdict_info").values()) == [1]
    assert value(samples, "verdict_info", **HERE, **told) == 1


def test_endpoints_that_are_down_are_told_by_address(story: Story) -> None:
    samples = read(page(story))

    assert len(named(samples, "endpoint_up")) == 3
    of = {"pod": "pod-10.0.1.2", "address": "10.0.1.2:8081"}
    assert value(samples, "endpoint_up", **HERE, **of) == 0


def test_a_workload_scaled_to_zero_is_no_failing_port() -> None:
    story = Story().listed([service()], [slice_of()], [workload(replicas=0)]).run(60)
    samples = read(page(story))

    assert value(samples, "verdict", **HERE, verdict="no_endpoints") == 1
    assert named(samples, "verdict_info") == {}
    assert of_ports(samples) == value(samples, "series", state="exported")


def test_the_page_counts_its_series(story: Story) -> None:
    samples = read(page(story))

    assert value(samples, "series", state="exported") == of_ports(samples)
    assert value(samples, "series", state="dropped") == 0


@pytest.mark.parametrize("limit", [100, 150, 200])
def test_a_page_has_no_more_series_than_it_may_and_counts_the_others(
    story: Story, limit: int
) -> None:
    whole, samples = read(page(story)), capped(story, limit)
    shown = of_ports(samples)

    assert limit - 30 < shown <= limit
    assert value(samples, "series", state="exported") == shown
    assert value(samples, "series", state="dropped") == of_ports(whole) - shown


def test_what_fails_is_told_first(story: Story) -> None:
    samples = capped(story, 100)
    told = {dict(labels)["service"] for _, labels in named(samples, "verdict")}

    assert "backend-v1" in told
    assert "well-0" in told
    assert "well-8" not in told
    assert len(named(samples, "endpoint_up")) == 3


def test_a_page_without_room_for_a_port_says_so(story: Story) -> None:
    samples = capped(story, 5)

    assert of_ports(samples) == 0
    assert value(samples, "series", state="dropped") == of_ports(read(page(story)))


def test_addresses_take_a_tenth_of_the_page_at_most() -> None:
    pods = [f"10.0.0.{n}" for n in range(1, 31)]
    story = Story(answer=refused_on_8081)
    story.listed([service(port(8080, 8081))], [slice_of(*pods, number=8081)]).run(60)
    samples = capped(story, 100)

    assert len(named(samples, "endpoint_up")) == 10
    assert value(samples, "series", state="dropped") == 20


def test_openmetrics_says_the_same(story: Story) -> None:
    story.world.mirror.rollout_failures[
        ("Deployment", "demo-app", "backend-v1"), "backend-v1", REFUSED.result
    ] += 3
    metrics = exposing(story)
    text = b"".join(metrics.chunks(story.now, openmetrics=True)).decode()
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    found = {
        (sample.name, frozenset((k, v) for k, v in sample.labels.items() if k != "node")): (
            sample.value
        )
        for family in families
        for sample in family.samples
    }
    counters = {family.name for family in families if family.type == "counter"}

    assert found == read(page(story, metrics))
    assert text.endswith("\n# EOF\n")
    assert text.count("# EOF") == 1
    assert {"edgeprobe_dials", "edgeprobe_rollout_failed_dials"} <= counters


def test_a_node_without_a_ready_daemon_is_told() -> None:
    config = Config(NODE, peers=("edgeprobe", "edgeprobe"))
    ours = service(name="edgeprobe", namespace="edgeprobe", ips=())
    daemons = slice_of(
        endpoint("10.0.9.1", node=NODE),
        endpoint("10.0.9.2", node="node-b", ready=False),
        service="edgeprobe",
        namespace="edgeprobe",
    )
    story = Story(config).listed([ours], [daemons])
    nodes = (Node(NODE), Node("node-b"), Node("node-c"), Node("node-d", ready=False))
    story.world.apply(kube.Listed("nodes", nodes), story.now)
    missing = {
        dict(labels)["missing_node"] for _, labels in named(read(page(story)), "prober_missing")
    }

    assert missing == {"node-b", "node-c"}


def test_no_node_is_missing_where_no_service_tells_of_daemons() -> None:
    story = Story(Config(NODE, peers=("edgeprobe", "edgeprobe"))).listed()
    story.world.apply(kube.Listed("nodes", (Node("node-b"),)), story.now)

    assert named(read(page(story)), "prober_missing") == {}


def test_a_healthy_port_is_told_by_those_who_dial_its_endpoints_a_failing_one_by_all() -> None:
    """Of sixty daemons: too many for each to dial every endpoint."""

    def answer(dial: Dial, now: float) -> Outcome:
        return REFUSED if dial.edge.key.service.startswith("ill") else CONNECTED

    daemons = [endpoint(f"10.0.9.{n}", node=f"node-{n}") for n in range(1, 60)]
    ours = service(name="edgeprobe", namespace="edgeprobe", ips=(), opted_out=True)
    names = [*(f"well-{n}" for n in range(40)), *(f"ill-{n}" for n in range(40))]
    services = [service(name=name, ips=(f"10.96.2.{n}",)) for n, name in enumerate(names)]
    slices = [slice_of(f"10.0.2.{n}", service=name) for n, name in enumerate(names)]
    daemons.append(endpoint("10.0.9.60", node=NODE))
    own = slice_of(*daemons, service="edgeprobe", namespace="edgeprobe")
    empty, none = service(name="empty", ips=("10.96.3.1",)), slice_of(service="empty")
    story = Story(Config(NODE, peers=("edgeprobe", "edgeprobe")), answer=answer)
    story.listed([ours, *services, empty], [own, *slices, none]).run(200)
    samples = read(page(story))
    told = {dict(labels)["service"] for _, labels in named(samples, "verdict")}
    dialed = {edge.key.service for edge in story.edges() if edge.kind is Kind.ENDPOINT}

    assert {name for name in told if name.startswith("well")} == {
        name for name in dialed if name.startswith("well")
    }
    assert 0 < len(dialed & {*names[:40]}) < 40
    assert told >= {*names[40:], "empty"}
    assert value(samples, "series", state="exported") == of_ports(samples)
