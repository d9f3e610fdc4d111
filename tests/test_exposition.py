"""What stands on the page of Service ports: how much of it, and what only failing ones have."""

from collections.abc import Iterable

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from probe.core import kube
from probe.core.edges import EndpointSlice, Kind, Service
from probe.core.nodes import Node
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from probe.core.schedule import leaders
from probe.core.workloads import Workload
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    KEY,
    NODE,
    REFUSED,
    Answer,
    Story,
    endpoint,
    everything_connects,
    leaving,
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
SIXTY = [NODE, *(f"node-{n}" for n in range(1, 60))]


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


def among_sixty(
    services: Iterable[Service],
    slices: Iterable[EndpointSlice],
    workloads: Iterable[Workload] = (),
    answer: Answer = everything_connects,
) -> Story:
    """One of so many daemons: too many for each to dial every endpoint."""
    daemons = [endpoint(f"10.0.9.{n}", node=name) for n, name in enumerate(SIXTY)]
    ours = service(name="edgeprobe", namespace="edgeprobe", ips=(), opted_out=True)
    own = slice_of(*daemons, service="edgeprobe", namespace="edgeprobe")
    story = Story(Config(NODE, peers=("edgeprobe", "edgeprobe")), answer=answer)
    return story.listed([ours, *services], [own, *slices], workloads).run(200)


def told(samples: Samples) -> set[str]:
    return {dict(labels)["service"] for _, labels in named(samples, "verdict")}


def dialed(story: Story) -> set[str]:
    """The Services of which an endpoint is dialed from here."""
    return {edge.key.service for edge in story.edges() if edge.kind is Kind.ENDPOINT}


def test_a_healthy_port_is_told_by_those_who_dial_its_endpoints_a_failing_one_by_all() -> None:
    def answer(dial: Dial, now: float) -> Outcome:
        return REFUSED if dial.edge.key.service.startswith("ill") else CONNECTED

    well, ill = ({f"{name}-{n}" for n in range(40)} for name in ("well", "ill"))
    names = [*sorted(well), *sorted(ill)]
    services = [service(name=name, ips=(f"10.96.2.{n}",)) for n, name in enumerate(names)]
    slices = [slice_of(f"10.0.2.{n}", service=name) for n, name in enumerate(names)]
    empty, none = service(name="empty", ips=("10.96.3.1",)), slice_of(service="empty")
    story = among_sixty([*services, empty], [*slices, none], answer=answer)
    samples = read(page(story))

    assert told(samples) == {*ill, "empty"} | dialed(story)
    assert 0 < len(dialed(story) & well) < 40
    assert value(samples, "series", state="exported") == of_ports(samples)


def test_a_port_that_is_empty_on_purpose_is_told_by_three() -> None:
    """By those that are the first to dial its endpoints again."""
    names = [f"idle-{n}" for n in range(100)]
    services = [service(name=name, ips=(f"10.96.2.{n}",)) for n, name in enumerate(names)]
    slices = [slice_of(service=name) for name in names]
    samples = read(page(among_sixty(services, slices, [workload(replicas=0)])))

    ours = {name for name in names if NODE in leaders(SIXTY, f"demo-app/{name}", 3)}
    assert told(samples) == ours != set()
    assert value(samples, "series", state="exported") == of_ports(samples)
    counted = value(samples, "node_service_ports", verdict="no_endpoints", failing="false")
    assert counted == 100


def test_a_drain_race_is_told_by_those_who_dial_its_endpoints() -> None:
    """What it costs is told by every node, by the workload that rolled."""
    names = [f"web-{n}" for n in range(12)]
    services = [service(name=name, ips=(f"10.96.2.{n}",)) for n, name in enumerate(names)]
    stays = [endpoint(f"10.0.3.{n}") for n in range(12)]
    story = among_sixty(
        services,
        [slice_of(f"10.0.2.{n}", stays[n], service=name) for n, name in enumerate(names)],
    )
    story.answer = lambda dial, now: REFUSED if dial.edge.kind is Kind.SERVICE else CONNECTED
    for n, name in enumerate(names):
        story.store(slice_of(leaving(f"10.0.2.{n}"), stays[n], service=name))
    for n, name in enumerate(names):
        story.store(slice_of(stays[n], service=name))
    story.run(12)
    samples = read(page(story))

    races = {name for name in names if story.verdict(KEY._replace(service=name)) == "drain_race"}
    assert told(samples) & races == dialed(story) & races
    assert set() < dialed(story) & races < races
