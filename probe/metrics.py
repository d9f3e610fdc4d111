"""World -> Prometheus: the one door to prometheus_client.

What counts per Service is read off the World at each scrape, so a Service that is gone takes its
series along. Those families, the bulk, are rendered by hand in chunks: prometheus_client takes
20-30 us per series (measured), which at thousands of Services would stall the dials. Everything
small goes through prometheus_client, which stays the judge of the format in the tests.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from probe import __version__
from probe.core.edges import Kind
from probe.core.health import State
from probe.core.ledger import PortBook, ServiceRecord, state
from probe.core.results import Outcome, Result
from probe.core.rollouts import Phase
from probe.core.world import World

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

CHUNK = 100
"""Service ports rendered between two turns of the event loop: under a millisecond (measured)."""

CONNECT_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 3)
"""Seconds: from one switch (100 us) over a region's zones (1-2 ms) to retransmitted SYNs (1, 3)."""

LAG_BUCKETS = (0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60)
"""Seconds: kube-proxy's minSyncPeriod (1 s) up to the window in which a lag is looked for."""


class DiscoveryStatus(Protocol):
    """What discovery tells of one resource; times are Unix seconds."""

    @property
    def synced(self) -> bool: ...

    @property
    def last_contact_time(self) -> float | None: ...

    @property
    def skipped(self) -> Mapping[str, int]: ...


class Metrics:
    """Renders one daemon's /metrics. `unix` turns monotonic seconds into Unix time."""

    def __init__(
        self,
        world: World,
        discovery: Mapping[str, DiscoveryStatus],
        *,
        vantage: str,
        unix: Callable[[float], float],
    ) -> None:
        self._world = world
        self._unix = unix
        self._now = world.started
        node = world.config.node
        self.registry = CollectorRegistry()
        self._connect = Histogram(
            "edgeprobe_connect_seconds",
            "TCP handshake round trip of successful dials, from the kernel.",
            ["node", "kind"],
            buckets=CONNECT_BUCKETS,
            registry=self.registry,
        )
        self._lag = Histogram(
            "edgeprobe_endpoint_removal_lag_seconds",
            "Time for which ClusterIP dials still failed on a removed endpoint; none without one.",
            ["node"],
            buckets=LAG_BUCKETS,
            registry=self.registry,
        ).labels(node)
        self._by_kind = {kind: self._connect.labels(node, str(kind)) for kind in Kind}
        Gauge(
            "edgeprobe_build_info",
            "Version and vantage of this daemon.",
            ["node", "version", "vantage"],
            registry=self.registry,
        ).labels(node, __version__, vantage).set(1)
        self.registry.register(_Small(self, world, discovery))

    @property
    def now(self) -> float:
        """The moment of the scrape under way (monotonic seconds)."""
        return self._now

    def observe(self, kind: Kind, outcome: Outcome) -> None:
        """Takes in a dial's handshake time."""
        if outcome.result is Result.CONNECTED and outcome.connect_seconds is not None:
            self._by_kind[kind].observe(outcome.connect_seconds)

    def observe_lags(self) -> None:
        """Takes in the removal lags that the World has finished measuring."""
        lags, self._world.mirror.lags = self._world.mirror.lags, []
        for lag in lags:
            self._lag.observe(lag)

    def chunks(self, now: float) -> Iterator[bytes]:
        """The page, piece by piece; between two pieces the caller may let others run."""
        self._now = now
        node = _escape(self._world.config.node)
        books = [(_labels(node, book), record, book) for record, book in self._world.books()]
        for name, kind, help_text, lines in _FAMILIES:
            yield f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n".encode()
            for start in range(0, len(books), CHUNK):
                part = books[start : start + CHUNK]
                text = "".join(
                    f"{name}{{{labels}{line}\n"
                    for labels, record, book in part
                    for line in lines(self, record, book)
                )
                yield text.encode()
        yield generate_latest(self.registry)

    def dials(self, record: ServiceRecord, book: PortBook) -> Iterable[str]:
        for (kind, family, result, phase), count in _with_zeros(book).items():
            yield (f',kind="{kind}",family="{family}",result="{result}",phase="{phase}"}} {count}')

    def edge_up(self, record: ServiceRecord, book: PortBook) -> Iterable[str]:
        view = self._world.view(self._now)
        up: dict[tuple[Kind, str], int] = {}
        for track in book.of_kind(Kind.SERVICE, Kind.ENDPOINT):
            key = track.edge.kind, track.edge.family
            down = state(track, record, book, view) is State.DOWN
            up[key] = 0 if down else up.get(key, 1)
        for (kind, family), value in up.items():
            yield f',kind="{kind}",family="{family}"}} {value}'

    def edges(self, record: ServiceRecord, book: PortBook) -> Iterable[str]:
        view = self._world.view(self._now)
        tally = Tally(
            (t.edge.kind, state(t, record, book, view))
            for t in book.of_kind(Kind.SERVICE, Kind.ENDPOINT)
        )
        for kind in sorted({kind for kind, _ in tally}):
            for found in State:
                yield f',kind="{kind}",state="{found}"}} {tally[kind, found]}'

    def verdict(self, record: ServiceRecord, book: PortBook) -> Iterable[str]:
        yield f',verdict="{book.judgement.verdict}"}} 1'

    def retransmits(self, record: ServiceRecord, book: PortBook) -> Iterable[str]:
        for kind in sorted({t.edge.kind for t in book.of_kind(Kind.SERVICE, Kind.ENDPOINT)}):
            yield f',kind="{kind}"}} {book.retransmits[kind]}'

    def last_success(self, record: ServiceRecord, book: PortBook) -> Iterable[str]:
        for kind, at in book.last_success.items():
            if kind is not Kind.CANDIDATE:  # seldom dialed: its age would look like an outage
                yield f',kind="{kind}"}} {self._unix(at):.3f}'


Lines = Callable[[Metrics, ServiceRecord, PortBook], Iterable[str]]

_FAMILIES: tuple[tuple[str, str, str, Lines], ...] = (
    (
        "edgeprobe_dials_total",
        "counter",
        "TCP dials by result and by what the cluster was doing when they were made.",
        Metrics.dials,
    ),
    (
        "edgeprobe_edge_up",
        "gauge",
        "0 when an edge of the Service port is down, else 1.",
        Metrics.edge_up,
    ),
    ("edgeprobe_edges", "gauge", "Edges by state.", Metrics.edges),
    (
        "edgeprobe_verdict",
        "gauge",
        "1 for the verdict that holds for the Service port.",
        Metrics.verdict,
    ),
    (
        "edgeprobe_syn_retransmits_total",
        "counter",
        "SYNs that the kernel had to send again.",
        Metrics.retransmits,
    ),
    (
        "edgeprobe_edge_last_success_timestamp_seconds",
        "gauge",
        "Unix time of the newest successful dial.",
        Metrics.last_success,
    ),
)


def _labels(node: str, book: PortBook) -> str:
    key = book.implied.key
    return (
        f'node="{node}",namespace="{_escape(key.namespace)}",'
        f'service="{_escape(key.service)}",port="{key.port}"'
    )


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _with_zeros(book: PortBook) -> Mapping[tuple[Kind, str, Result, Phase], int]:
    """The counts, with those at zero that make the first success and refusal visible to rate()."""
    zeros: dict[tuple[Kind, str, Result, Phase], int] = {
        (track.edge.kind, str(track.edge.family), result, Phase.STEADY): 0
        for track in book.of_kind(Kind.SERVICE, Kind.ENDPOINT)
        for result in (Result.CONNECTED, Result.REFUSED)
    }
    return {**zeros, **book.counts}


class _Small(Collector):
    """The families with few series, read off the World and the reflectors at scrape."""

    def __init__(
        self, metrics: Metrics, world: World, discovery: Mapping[str, DiscoveryStatus]
    ) -> None:
        self._metrics = metrics
        self._world = world
        self._discovery = discovery

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        yield from self._of_discovery()
        yield from self._of_dialing()
        yield from self._of_rollouts()

    def _of_discovery(self) -> Iterable[Metric]:
        node = self._world.config.node
        synced = GaugeMetricFamily(
            "edgeprobe_discovery_synced",
            "1 once the resource has been listed and is being watched.",
            labels=["node", "resource"],
        )
        contact = GaugeMetricFamily(
            "edgeprobe_discovery_last_contact_timestamp_seconds",
            "Unix time at which the API server last said anything about the resource.",
            labels=["node", "resource"],
        )
        skipped = CounterMetricFamily(
            "edgeprobe_discovery_skipped",
            "Objects and events that could not be read and were skipped.",
            labels=["node", "resource", "reason"],
        )
        for resource, status in self._discovery.items():
            synced.add_metric([node, resource], float(status.synced))
            contact.add_metric([node, resource], status.last_contact_time or 0.0)
            for reason, count in status.skipped.items():
                skipped.add_metric([node, resource, reason], count)
        yield from (synced, contact, skipped)

    def _of_dialing(self) -> Iterable[Metric]:
        world, node, now = self._world, self._world.config.node, self._metrics.now
        yield _gauge(
            "edgeprobe_dial_lag_seconds",
            "Seconds by which the most overdue dial is late.",
            node,
            world.lateness(now),
        )
        yield _gauge(
            "edgeprobe_coverage_ratio",
            "Share of this daemon's edges with a fresh dial.",
            node,
            world.coverage(now),
        )
        skipped = CounterMetricFamily(
            "edgeprobe_dials_skipped",
            "Service ports and endpoints that were found and left out, by reason.",
            labels=["node", "reason"],
        )
        for reason, count in sorted(world.skipped_dials.items()):
            skipped.add_metric([node, reason], count)
        yield skipped
        invalid = GaugeMetricFamily(
            "edgeprobe_invalid_targets",
            "Configured addresses that nobody may dial, by where they entered.",
            labels=["node", "namespace", "source"],
        )
        tally = world.mirror.invalid_targets(world.config.scope)
        for (namespace, source), count in sorted(tally.items()):
            invalid.add_metric([node, namespace, source], count)
        yield invalid

    def _of_rollouts(self) -> Iterable[Metric]:
        mirror, node = self._world.mirror, self._world.config.node
        labels = ["node", "namespace", "workload_kind", "workload"]
        running = GaugeMetricFamily(
            "edgeprobe_rollout_in_progress", "1 while the workload rolls out.", labels=labels
        )
        drain = GaugeMetricFamily(
            "edgeprobe_recommended_drain_seconds",
            "preStop sleep that would have avoided the failures of the last rollout with any.",
            labels=labels,
        )
        for (kind, namespace, name), rollout in mirror.rollouts.items():
            running.add_metric([node, namespace, kind, name], float(rollout.ended is None))
        drains = {
            r.workload: r.recommended_drain
            for r in (*mirror.finished, *mirror.rollouts.values())
            if r.recommended_drain is not None and r.workload in mirror.workloads
        }
        for (kind, namespace, name), seconds in drains.items():
            drain.add_metric([node, namespace, kind, name], seconds)
        failed = CounterMetricFamily(
            "edgeprobe_rollout_failed_dials",
            "ClusterIP dials that failed during rollouts.",
            labels=["node", "namespace", "service", "workload_kind", "workload", "result"],
        )
        for (workload, service, result), count in sorted(mirror.rollout_failures.items()):
            kind, namespace, name = workload
            failed.add_metric([node, namespace, service, kind, name, str(result)], count)
        yield from (running, drain, failed)


def _gauge(name: str, text: str, node: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["node"])
    family.add_metric([node], value)
    return family
