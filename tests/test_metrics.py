import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Histogram

from probe import __version__
from probe.core.edges import Kind
from probe.core.results import Outcome, Result
from probe.core.rollouts import Phase
from probe.core.rounds import Config, Dial
from probe.core.verdicts import Verdict
from probe.metrics import CONNECT_BUCKETS
from probe.timeslice import SLICE_SECONDS
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    REFUSED,
    Story,
    edge,
    endpoint,
    port,
    service,
    slice_of,
    workload,
)
from tests.pages import UNIX, Samples, exposing, named, page, read, value

GOLDEN = Path(__file__).parent / "data" / "metrics.prom"
LAST_SUCCESS = "edge_last_success_timestamp_seconds"
ROLLOUT = ("Deployment", "demo-app", "backend-v1")


HTTP = {"namespace": "demo-app", "service": "backend-v1", "port": "80"}


@pytest.fixture
def mismatched() -> Story:
    """One Service on the wrong port, one that is well, one whose address is invalid."""

    def answer(dial: Dial, now: float) -> Outcome:
        wrong = dial.edge.key.service == "backend-v1" and dial.edge.dial_port != 8080
        return REFUSED if wrong else CONNECTED

    story = Story(answer=answer).listed(
        [
            service(port(80, 8081)),
            service(name="good", ips=("10.96.0.11",), selector=()),
            service(name="bad", ips=(), selector=()),
            service(port(53, protocol="UDP"), name="dns", selector=()),
        ],
        [
            slice_of("10.0.0.1", "10.0.0.2", number=8081),
            slice_of("10.0.1.1", service="good"),
            slice_of("0.0.0.0", service="bad"),
        ],
        [workload(DECLARED_8080)],
    )
    return story.run(60)


def test_the_page_says_what_the_world_says(mismatched: Story) -> None:
    samples = read(page(mismatched))

    dials: Samples = {}
    for _, book in mismatched.world.books():
        key = book.implied.key
        here = {"namespace": key.namespace, "service": key.service, "port": str(key.port)}
        for (kind, family, result, phase), count in book.counts.items():
            of = {"kind": kind, "family": family, "result": result, "phase": phase}
            labels = frozenset({**here, **{k: str(v) for k, v in of.items()}}.items())
            dials["edgeprobe_dials_total", labels] = count
        assert value(samples, "verdict", **here, verdict=str(book.judgement.verdict)) == 1
    shown = {key: v for key, v in named(samples, "dials_total").items() if v}
    assert shown == dials
    assert sum(shown.values()) == len(mismatched.dials)


def test_one_verdict_holds_for_each_service_port(mismatched: Story) -> None:
    samples = read(page(mismatched))

    assert len(named(samples, "verdict")) == 3
    assert value(samples, "verdict", **HTTP, verdict=str(Verdict.PORT_MISMATCH)) == 1
    assert {"port_mismatch", "healthy", "invalid_target"} == {
        dict(labels)["verdict"] for _, labels in named(samples, "verdict")
    }


def test_an_edge_is_up_unless_it_is_down(mismatched: Story) -> None:
    samples = read(page(mismatched))
    good = {**HTTP, "service": "good", "port": "8080"}

    assert value(samples, "edge_up", **HTTP, kind="endpoint", family="ipv4") == 0
    assert value(samples, "edge_up", **good, kind="endpoint", family="ipv4") == 1
    assert value(samples, "edges", **HTTP, kind="endpoint", state="down") == 2
    assert value(samples, "edges", **HTTP, kind="endpoint", state="up") == 0


def test_candidates_are_neither_edges_nor_ages(mismatched: Story) -> None:
    samples = read(page(mismatched))
    kinds = {
        dict(labels).get("kind")
        for name in ("edges", "edge_up", "syn_retransmits_total", LAST_SUCCESS)
        for _, labels in named(samples, name)
    }

    assert kinds == {"service", "endpoint"}
    assert "candidate" in {dict(labels)["kind"] for _, labels in named(samples, "dials_total")}


def test_the_last_success_is_unix_time(mismatched: Story) -> None:
    good = {**HTTP, "service": "good", "port": "8080"}
    found = value(read(page(mismatched)), LAST_SUCCESS, **good, kind="endpoint")

    assert found is not None
    assert UNIX + 40 <= found <= UNIX + 61


def test_the_first_success_and_refusal_are_visible_to_rate() -> None:
    story = Story().listed([service(port(80, 8080))], [slice_of("10.0.0.1")])
    samples = read(page(story))

    for kind in ("service", "endpoint"):
        for result in ("connected", "refused"):
            of = {"kind": kind, "family": "ipv4", "result": result, "phase": "steady"}
            assert value(samples, "dials_total", **HTTP, **of) == 0


def test_the_series_of_a_service_go_with_it(mismatched: Story) -> None:
    before = page(mismatched)
    mismatched.remove(service())
    after = page(mismatched)

    assert 'service="backend-v1"' in before
    assert 'service="backend-v1"' not in after
    assert 'service="good"' in after


def test_a_node_counts_its_dials_to_all_services_also_to_those_that_are_gone(
    mismatched: Story,
) -> None:
    def total() -> float:
        return sum(named(read(page(mismatched)), "node_dials_total").values())

    samples = read(page(mismatched))
    by_kind_and_result: Counter[tuple[str, str]] = Counter()
    for (_, labels), count in named(samples, "dials_total").items():
        by_kind_and_result[dict(labels)["kind"], dict(labels)["result"]] += int(count)

    for kind, result in itertools.product(Kind, Result):
        found = value(samples, "node_dials_total", kind=kind, result=result)
        assert found == by_kind_and_result[kind, result]
    before = total()
    assert before == len(mismatched.dials) > 0
    mismatched.remove(service())
    assert total() == before
    mismatched.run(30)
    assert total() > before


def test_a_node_tells_of_all_its_service_ports_whatever_fits_on_the_page(mismatched: Story) -> None:
    samples = read(page(mismatched, exposing(mismatched, max_series=5)))
    shown = {key: v for key, v in named(samples, "node_service_ports").items() if v}

    assert named(samples, "verdict") == {}
    assert len(named(samples, "node_service_ports")) == len(Verdict) + 1
    assert shown == {
        ("edgeprobe_node_service_ports", frozenset(of.items())): 1
        for of in (
            {"verdict": "port_mismatch", "failing": "true"},
            {"verdict": "invalid_target", "failing": "true"},
            {"verdict": "healthy", "failing": "false"},
        )
    }
    assert sum(named(samples, "node_dials_total").values()) == len(mismatched.dials)


def test_odd_names_are_escaped() -> None:
    odd = 'n"o\\d\ne'
    story = Story(Config(odd)).listed([service(name=odd)], [slice_of("10.0.0.1", service=odd)])
    story.run(15)
    here = {"namespace": "demo-app", "service": odd, "port": "8080"}

    assert value(read(page(story)), "verdict", **here, verdict="healthy") == 1


def test_invalid_targets_and_skipped_dials_are_counted(mismatched: Story) -> None:
    samples = read(page(mismatched))

    assert value(samples, "invalid_targets", namespace="demo-app", source="endpointslice") == 1
    assert value(samples, "dials_skipped_total", reason="udp") == 1


def test_the_daemon_tells_of_itself(mismatched: Story) -> None:
    samples = read(page(mismatched))

    assert value(samples, "build_info", version=__version__, vantage="pod") == 1
    assert value(samples, "discovery_synced", resource="services") == 1
    assert value(samples, "discovery_synced", resource="deployments") == 0
    assert value(samples, "discovery_last_contact_timestamp_seconds", resource="services") == UNIX
    assert value(samples, "discovery_skipped_total", resource="services", reason="bad_object") == 2
    assert value(samples, "coverage_ratio") == 1
    assert value(samples, "dial_lag_seconds") == 0


def test_handshakes_are_a_histogram_by_kind() -> None:
    story = Story()
    metrics = exposing(story)
    edges = (edge("10.0.0.1", kind=kind) for kind in (Kind.SERVICE, Kind.ENDPOINT))
    vip, pod = (Dial(each, Phase.STEADY, 0.0, True) for each in edges)
    metrics.observe([(vip, CONNECTED), (vip, REFUSED), (pod, Outcome(Result.CONNECTED))])
    samples = read(page(story, metrics))

    assert value(samples, "connect_seconds_count", kind="service") == 1
    assert value(samples, "connect_seconds_bucket", kind="service", le="0.00025") == 0
    assert value(samples, "connect_seconds_bucket", kind="service", le="0.0005") == 1
    assert value(samples, "connect_seconds_count", kind="endpoint") == 0


def test_handshakes_are_counted_as_prometheus_client_counts_them() -> None:
    seconds = [0.0, 4.0, *CONNECT_BUCKETS, *(bound * 1.01 for bound in CONNECT_BUCKETS)]
    theirs = Histogram("theirs", "-", buckets=CONNECT_BUCKETS, registry=None)
    dials = [
        (Dial(edge("10.0.0.1"), Phase.STEADY, 0.0, True), Outcome(Result.CONNECTED, s))
        for s in seconds
    ]
    story = Story()
    metrics = exposing(story)
    metrics.observe([*dials, (dials[0][0], REFUSED)])
    for taken in seconds:
        theirs.observe(taken)
    samples = read(page(story, metrics))

    for sample in next(iter(theirs.collect())).samples:
        if not sample.name.endswith("_created"):
            name = sample.name.replace("theirs", "connect_seconds")
            assert value(samples, name, **sample.labels, kind="endpoint") == sample.value


def test_a_removal_lag_is_taken_in_once() -> None:
    story = Story()
    metrics = exposing(story)
    story.world.mirror.lags = [10.2]
    metrics.observe_lags()
    metrics.observe_lags()
    samples = read(page(story, metrics))

    assert value(samples, "endpoint_removal_lag_seconds_count") == 1
    assert value(samples, "endpoint_removal_lag_seconds_sum") == 10.2


def test_a_rollout_shows_while_it_runs_and_its_advice_while_its_workload_stands() -> None:
    story = Story().listed([service()], [slice_of("10.0.0.1")], [workload()])
    story.store(workload(image="app:2", complete=False))
    story.world.mirror.rollouts[ROLLOUT].saw_lag(10.2, 0.5)
    story.world.mirror.rollout_failures[ROLLOUT, "backend-v1", Result.REFUSED] += 3
    of = {"namespace": "demo-app", "workload_kind": "Deployment", "workload": "backend-v1"}
    running = read(page(story))
    story.store(workload(image="app:2"))
    story.run(60)
    over = read(page(story))
    story.remove(workload())
    gone = read(page(story))

    assert value(running, "rollout_in_progress", **of) == 1
    assert value(running, "recommended_drain_seconds", **of) == 12
    failed = {**of, "service": "backend-v1", "result": "refused"}
    assert value(running, "rollout_failed_dials_total", **failed) == 3
    assert value(over, "rollout_in_progress", **of) is None
    assert value(over, "recommended_drain_seconds", **of) == 12
    assert value(gone, "recommended_drain_seconds", **of) is None


def test_a_rollout_whose_failures_nobody_saw_end_shows_no_drain() -> None:
    story = Story().listed([service()], [slice_of("10.0.0.1")], [workload()])
    for image, censored in (("app:2", False), ("app:3", True)):
        story.store(workload(image=image, complete=False))
        found = story.world.mirror.rollouts[ROLLOUT]
        found.saw_lag(10.2, 0.5)
        found.censored = censored
        story.store(workload(image=image))
        story.run(60)

    assert value(read(page(story)), "recommended_drain_seconds") is None


def in_slices(story: Story) -> Iterator[bytes]:
    """The page, with a turn for others after each piece of it."""
    looks = itertools.count()
    return exposing(story, lambda: next(looks) * SLICE_SECONDS).chunks(story.now)


def test_a_long_page_comes_in_slices_and_is_whole(mismatched: Story) -> None:
    slices = list(in_slices(mismatched))

    assert len(slices) > 6 * 3
    assert b"".join(slices).decode() == page(mismatched)


def test_one_large_service_does_not_hold_up_the_loop() -> None:
    pods = [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(5000)]
    story = Story().listed([service()], [slice_of(*pods)])
    slices = list(in_slices(story))

    assert slices.count(b"") > 20
    assert value(read(b"".join(slices).decode()), "coverage_ratio") == 0


@pytest.mark.parametrize("turn", range(30))
def test_whatever_changes_between_two_slices_the_page_stands(mismatched: Story, turn: int) -> None:
    """A Service goes, one comes, one goes and comes again, endpoints change, dials go on."""
    mismatched.world.mirror.rollout_failures[ROLLOUT, "good", Result.REFUSED] += 3
    slices = in_slices(mismatched)
    text = b"".join(next(slices, b"") for _ in range(turn))
    mismatched.remove(service())
    mismatched.remove(service(name="good"))
    mismatched.store(service(name="good"), service(name="new"), slice_of("10.0.2.1", service="new"))
    mismatched.store(workload(image="app:2", complete=False))
    mismatched.run(2)
    text += b"".join(slices)
    heads = [line.split()[2] for line in text.decode().splitlines() if line.startswith("# TYPE")]

    assert read(text.decode())
    assert len(heads) == len(set(heads))
    for name, lines in _blocks(text.decode()):
        assert all(line.startswith(name) for line in lines)


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each family's name with the lines under it."""
    for block in text.split("# TYPE ")[1:]:
        head, *lines = block.splitlines()
        yield head.split()[0], [line for line in lines if not line.startswith("#")]


def test_the_golden_page() -> None:
    """A page as it stands, for whoever writes dashboards and alerts."""

    def answer(dial: Dial, now: float) -> Outcome:
        return REFUSED if dial.edge.address == "10.0.0.2" else CONNECTED

    story = Story(answer=answer).listed(
        [service(port(80, 8080))],
        [slice_of("10.0.0.1", endpoint("10.0.0.2", node="node-c"))],
        [workload(DECLARED_8080)],
    )
    metrics = exposing(story)
    story.run(60)
    metrics.observe((dial, answer(dial, 0.0)) for dial in story.dials)
    shown = page(story, metrics).replace(f'version="{__version__}"', 'version="0.0.0"')

    assert shown == GOLDEN.read_text()


def test_addresses_are_labels_of_failing_endpoints_alone() -> None:
    """They would make a series of every pod that ever was."""
    lines = [line for line in GOLDEN.read_text().splitlines() if "10.0.0." in line]

    assert lines
    assert all(line.startswith("edgeprobe_endpoint_up{") for line in lines)
