"""World -> Prometheus: the one door to prometheus_client.

What counts per Service is read off the World at each scrape, so a Service that is gone takes its
series along. Those families, the bulk, are rendered by hand (exposition.py). Everything small goes
through prometheus_client, which stays the judge of the format in the tests.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate, product
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from probe import __version__, exposition
from probe.core.closing import Mode
from probe.core.edges import Kind
from probe.core.results import Outcome, Result
from probe.core.rounds import Dial
from probe.core.survey import Survey
from probe.core.verdicts import FAILING, Verdict
from probe.core.world import World
from probe.timeslice import sliced

# Prometheus would keep each of them as a series of its own.
disable_created_metrics()  # type: ignore[no-untyped-call]

EOF = "# EOF\n"
"""The last line of a page of OpenMetrics."""

MAX_SERIES = 50_000
"""Prometheus takes 4 to 4.8 kB of memory for a series (measured): 0.2 GB for a node. A cluster of
1,000 Services has half as many."""

MISSING_SHOWN = 100
"""Nodes without a prober that are told by name: more are no news of single nodes. Arbitrary."""

CONNECT_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 3)
"""Seconds: from one switch (100 us) over a region's zones (1-2 ms) to retransmitted SYNs (1, 3)."""

LAG_BUCKETS = (0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60)
"""Seconds: kube-proxy's minSyncPeriod (1 s) up to the window in which a lag is looked for."""

JUDGED = (*((verdict, verdict in FAILING) for verdict in Verdict), (Verdict.NO_ENDPOINTS, False))
"""Each verdict, and whether it is a failure: no endpoints may be what somebody wanted."""

Observed = dict[Kind, list[float]]
"""How many handshakes fell into each of CONNECT_BUCKETS and above, then the sum of seconds."""


class DiscoveryStatus(Protocol):
    """What discovery tells of one resource; times are Unix seconds."""

    @property
    def synced(self) -> bool: ...

    @property
    def last_contact_time(self) -> float | None: ...

    @property
    def skipped(self) -> Mapping[str, int]: ...


class Metrics:
    """Renders one daemon's /metrics.

    `unix` turns monotonic seconds into Unix time; `clock` (seconds) says how long rendering takes;
    `max_series` is for those of Service ports and endpoints.
    """

    def __init__(
        self,
        world: World,
        discovery: Mapping[str, DiscoveryStatus],
        *,
        vantage: str,
        unix: Callable[[float], float],
        clock: Callable[[], float] = time.perf_counter,
        max_series: int = MAX_SERIES,
    ) -> None:
        self._max_series = max_series
        self._world = world
        self._discovery = discovery
        self._unix = unix
        self._clock = clock
        node = world.config.node
        self._observed: Observed = {kind: [0.0] * (len(CONNECT_BUCKETS) + 2) for kind in Kind}
        self.registry = CollectorRegistry()
        self.registry.register(_Handshakes(node, self._observed))
        self._lag = Histogram(
            "edgeprobe_endpoint_removal_lag_seconds",
            "Time for which ClusterIP dials still failed on a removed endpoint; none without one.",
            ["node"],
            buckets=LAG_BUCKETS,
            registry=self.registry,
        ).labels(node)
        Gauge(
            "edgeprobe_build_info",
            "Version and vantage of this daemon.",
            ["node", "version", "vantage"],
            registry=self.registry,
        ).labels(node, __version__, vantage).set(1)
        self._close = Gauge(
            "edgeprobe_close_mode",
            "1 for the way in which connections are closed: fin, or rst which leaves less behind.",
            ["node", "mode"],
            registry=self.registry,
        )
        self.closing(Mode.FIN)

    def closing(self, mode: Mode) -> None:
        """Tells how connections are closed from now on."""
        self._close.clear()
        self._close.labels(self._world.config.node, str(mode)).set(1)

    def observe(self, outcomes: Iterable[tuple[Dial, Outcome]]) -> None:
        """Takes in the handshake times of the dials that connected."""
        observed, buckets = self._observed, CONNECT_BUCKETS
        for dial, outcome in outcomes:
            seconds = outcome.connect_seconds
            if seconds is not None:
                found = observed[dial.edge.kind]
                found[bisect_left(buckets, seconds)] += 1
                found[-1] += seconds

    def observe_lags(self) -> None:
        """Takes in the removal lags that the World has finished measuring."""
        lags, self._world.mirror.lags = self._world.mirror.lags, []
        for lag in lags:
            self._lag.observe(lag)

    def chunks(self, now: float, *, openmetrics: bool = False) -> Iterator[bytes]:
        """The page, slice by slice; between two the caller may let others run. Some are empty."""
        return sliced(self._page(now, openmetrics), self._clock)

    def _page(self, now: float, openmetrics: bool) -> Iterator[str]:
        survey, node = Survey(self._world, now), self._world.config.node
        series = exposition.Series()
        yield from exposition.services(
            survey, node, self._unix(0.0), self._max_series, series, openmetrics=openmetrics
        )
        rendered = generate_openmetrics if openmetrics else generate_latest
        moment = _Moment(self._world, self._discovery, survey, series, now)
        for small in (self.registry, moment, _Totals(self._world, survey)):
            yield rendered(small).decode().removesuffix(EOF)
        yield from exposition.rollouts(self._world.mirror, node, openmetrics=openmetrics)
        if openmetrics:
            yield EOF


class _Handshakes(Collector):
    """A histogram by kind, off plain lists: prometheus_client's own takes 2 us of each dial."""

    def __init__(self, node: str, observed: Observed) -> None:
        self._node = node
        self._observed = observed

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(
            "edgeprobe_connect_seconds",
            "TCP handshake round trip of successful dials, from the kernel.",
            labels=["node", "kind"],
        )
        bounds = [*map(floatToGoString, CONNECT_BUCKETS), "+Inf"]
        for kind, (*counts, total) in self._observed.items():
            labels = [self._node, str(kind)]
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric(labels, buckets, total)
        yield family


class _Moment(Collector):
    """The small families that are read off the World and the reflectors at a scrape."""

    def __init__(
        self,
        world: World,
        discovery: Mapping[str, DiscoveryStatus],
        survey: Survey,
        series: exposition.Series,
        now: float,
    ) -> None:
        self._world = world
        self._discovery = discovery
        self._survey = survey
        self._series = series
        self._now = now

    def collect(self) -> Iterable[Metric]:
        yield from self._of_discovery()
        yield from self._of_dialing()

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
        world, node = self._world, self._world.config.node
        yield _gauge(
            "edgeprobe_dial_lag_seconds",
            "Seconds by which the most overdue dial is late.",
            node,
            world.lateness(self._now),
        )
        yield _gauge(
            "edgeprobe_coverage_ratio",
            "Share of this daemon's edges with a fresh dial.",
            node,
            self._survey.coverage,
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
        for (namespace, source), count in sorted(self._survey.invalid_targets.items()):
            invalid.add_metric([node, namespace, source], count)
        yield invalid
        yield from self._of_the_page()

    def _of_the_page(self) -> Iterable[Metric]:
        node = self._world.config.node
        series = GaugeMetricFamily(
            "edgeprobe_series",
            "Series of Service ports and endpoints on this page, and those left out of it.",
            labels=["node", "state"],
        )
        series.add_metric([node, "exported"], self._series.exported)
        series.add_metric([node, "dropped"], self._series.dropped)
        missing = GaugeMetricFamily(
            "edgeprobe_prober_missing",
            "1 for a node that is ready, and on which a daemon belongs and none is ready.",
            labels=["node", "missing_node"],
        )
        for name in self._survey.without_prober[:MISSING_SHOWN]:
            missing.add_metric([node, name], 1)
        yield from (series, missing)


class _Totals(Collector):
    """What this node dials and sees of all Services together, whoever tells of each: what a share
    of the node's is taken of. A fixed number of series, of which a gone Service takes nothing."""

    def __init__(self, world: World, survey: Survey) -> None:
        self._world = world
        self._survey = survey

    def collect(self) -> Iterable[Metric]:
        node = self._world.config.node
        dials = CounterMetricFamily(
            "edgeprobe_node_dials",
            "TCP dials from this node to all Services, by result.",
            labels=["node", "kind", "result"],
        )
        for kind, result in product(Kind, Result):
            dials.add_metric([node, kind, result], self._world.dialed[kind, result])
        ports = GaugeMetricFamily(
            "edgeprobe_node_service_ports",
            "All Service ports by the verdict on this node, and whether it is a failure.",
            labels=["node", "verdict", "failing"],
        )
        for verdict, failing in JUDGED:
            count = self._survey.ports[verdict, failing]
            ports.add_metric([node, verdict, str(failing).lower()], count)
        yield from (dials, ports)


def _gauge(name: str, text: str, node: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["node"])
    family.add_metric([node], value)
    return family
