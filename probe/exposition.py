"""Families with a series for each Service port or workload, in the text format of Prometheus.

They are the bulk of the page and are rendered by hand: prometheus_client takes 20-30 us per series
(measured), this 0.5. The text comes in small pieces, since the format wants each family's lines
together and one family of thousands of Services takes longer than the dials may wait. Between two
pieces the World may change: a family tells what is known then of the Service ports and workloads
that there were at the beginning, each once.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import NamedTuple

from probe.core.edges import Family, Kind
from probe.core.health import State
from probe.core.ledger import CountKey, PortBook, Track
from probe.core.mirror import Mirror
from probe.core.results import Result
from probe.core.rollouts import Phase
from probe.core.sharing import speaks_for
from probe.core.survey import States, Survey, SurveyedPort
from probe.core.verdicts import Verdict

SHAPES_KEPT = 1024
"""Service ports whose edges are in the same states share their lines: a few hundred different ones
are usual, and so many take 2.5 MiB (measured)."""

ENDPOINTS_SHARE = 10
"""At most one series in so many is that of an endpoint which is down: their addresses come and go
with the pods, and an outage has thousands. Chosen."""

DIALS: dict[CountKey, str] = {
    (kind, family, result, phase): (
        f',kind="{kind}",family="{family}",result="{result}",phase="{phase}"}} '
    )
    for kind, family, result, phase in product(Kind, Family, Result, Phase)
}
VERDICTS = {verdict: [f',verdict="{verdict}"}} 1\n'] for verdict in Verdict}
KINDS = {kind: f',kind="{kind}"}} ' for kind in Kind}


class _Shape(NamedTuple):
    """What the states of a Service port's edges say, as ends of lines.

    `zeros` are counts that make the first success and refusal visible to rate(); `series` are those
    that every Service port of this shape has: its verdict, `up`, `edges` and its retransmits.
    """

    kinds: Sequence[Kind]
    zeros: Mapping[CountKey, int]
    up: Sequence[str]
    edges: Sequence[str]
    series: int


class _Port(NamedTuple):
    """One Service port: its own labels without the closing brace, what is known of it, those of
    its endpoints that are down; the series that it had at the beginning, and if it fails."""

    labels: str
    book: PortBook
    shape: _Shape
    down: Sequence[Track]
    series: int
    failing: bool


Ends = Callable[[_Port, float], Iterable[str]]
"""What follows a Service port's labels on each of its lines, given Unix time minus ours."""


@dataclass(slots=True)
class Series:
    """How many series of Service ports and endpoints a page holds, and how many it leaves out."""

    exported: int = 0
    dropped: int = 0


def services(
    survey: Survey, node: str, epoch: float, limit: int, series: Series, *, openmetrics: bool
) -> Iterator[str]:
    """Each family of the Service ports; takes the survey to its end first.

    `epoch` is the Unix time (seconds) at which our monotonic one was 0. A port that is well is told
    by the daemons that dial endpoints of it, one that is empty on purpose by three, a failing one
    by each that sees it fail: else series grow with nodes times ports, 19 million for 500 x 3,000
    (measured), to say that all is well. A drain_race is told like a port that is well: it is soon
    over, no alert asks for it, and each daemon tells what it cost by the workload. At most `limit`
    are told, those of failing ports first; `series` is filled in with how many were.
    """
    ports: list[_Port] = []
    for found in survey.walk():
        if found is not None and _is_ours(found):
            ports.append(_port(node, found))
        yield ""
    ports, endpoints = _fitting(ports, limit, series)
    for name, kind, text, ends in _FAMILIES:
        yield _head(name, kind, text, openmetrics)
        for port in ports:
            yield f"{name}{{{port.labels}".join(("", *ends(port, epoch)))
    name = "edgeprobe_endpoint_up"
    yield _head(name, "gauge", "0 for an endpoint that is down; there is none of the others.")
    down = ((port, track) for port in ports for track in port.down)
    for port, track in islice(down, endpoints):
        pod = track.endpoint.pod if track.endpoint is not None else ""
        yield f'{name}{{{port.labels},pod="{_escape(pod)}",address="{track.edge.place}"}} 0\n'


def _is_ours(found: SurveyedPort) -> bool:
    """Whether this daemon is one of those that tell of the port."""
    judged, barred = found.book.judgement, found.book.implied.barred
    if judged.failing and judged.verdict is not Verdict.DRAIN_RACE:
        return True
    if any(kind is Kind.ENDPOINT for kind, _, _ in found.states):
        return True
    dialed_by_others = any(
        (endpoint.ready or endpoint.terminating) and edge not in barred
        for edge, endpoint in found.book.implied.backends()
    )
    return not dialed_by_others and speaks_for(found.book)


def _port(node: str, found: SurveyedPort) -> _Port:
    book, shape = found.book, _shape(tuple(found.states.items()))
    failing = book.judgement.failing
    counts, succeeded = book.counts, book.last_success
    told = shape.series + len(counts) + len(succeeded) - (Kind.CANDIDATE in succeeded) + failing
    for key in shape.zeros:
        told += key not in counts
    return _Port(_labels(node, book), book, shape, found.down, told, failing)


def _fitting(ports: list[_Port], limit: int, series: Series) -> tuple[list[_Port], int]:
    """The ports that fit, and how many endpoints that are down. The latter come behind the failing
    ports, before the others; of equals those that were found first, so that they stay the same."""
    down = sum(len(port.down) for port in ports)
    wanted = sum(port.series for port in ports)
    if wanted + down <= limit and down <= limit // ENDPOINTS_SHARE:
        series.exported = wanted + down
        return ports, down
    kept: list[_Port] = []
    left = limit - _take((port for port in ports if port.failing), limit, kept)
    endpoints = min(sum(len(port.down) for port in kept), limit // ENDPOINTS_SHARE, left)
    left -= endpoints
    left -= _take((port for port in ports if not port.failing), left, kept)
    series.exported = limit - left
    series.dropped = wanted + down - series.exported
    return kept, endpoints


def _take(ports: Iterable[_Port], limit: int, kept: list[_Port]) -> int:
    """Keeps those that fit, up to the first that does not; their series."""
    used = 0
    for port in ports:
        if used + port.series > limit:
            break
        used += port.series
        kept.append(port)
    return used


def rollouts(mirror: Mirror, node: str, *, openmetrics: bool) -> Iterator[str]:
    """Each family of the workloads: thousands roll out at once when all are restarted."""
    running = list(mirror.rollouts.items())
    name = "edgeprobe_rollout_in_progress"
    yield _head(name, "gauge", "1 while the workload rolls out.")
    for workload, rollout in running:
        yield f"{name}{{{_workload(node, workload)}}} {int(rollout.ended is None)}\n"
    drains = {
        rollout.workload: rollout.recommended_drain
        for rollout in (*mirror.finished, *mirror.rollouts.values())
        if rollout.lag is not None and rollout.workload in mirror.workloads
    }
    name = "edgeprobe_recommended_drain_seconds"
    text = "preStop sleep that would have avoided the failures of the last rollout with any."
    yield _head(name, "gauge", text)
    for workload, seconds in drains.items():
        if seconds is not None:  # no drain is told where nobody saw the end of the failures
            yield f"{name}{{{_workload(node, workload)}}} {seconds}\n"
    name = "edgeprobe_rollout_failed_dials_total"
    text = "ClusterIP dials that failed during rollouts; several of one Service each count them."
    yield _head(name, "counter", text, openmetrics)
    for (workload, service, result), count in list(mirror.rollout_failures.items()):
        labels = f'{_workload(node, workload)},service="{_escape(service)}",result="{result}"'
        yield f"{name}{{{labels}}} {count}\n"


def _head(name: str, kind: str, text: str, openmetrics: bool = False) -> str:
    """A family's head; OpenMetrics names a counter without the suffix of its samples."""
    family = name.removesuffix("_total") if openmetrics else name
    return f"# HELP {family} {text}\n# TYPE {family} {kind}\n"


def _labels(node: str, book: PortBook) -> str:
    namespace, service, port = book.implied.key
    return (
        f'node="{_escape(node)}",namespace="{_escape(namespace)}",'
        f'service="{_escape(service)}",port="{port}"'
    )


def _workload(node: str, key: tuple[str, str, str]) -> str:
    kind, namespace, name = map(_escape, key)
    return (
        f'node="{_escape(node)}",namespace="{namespace}",workload_kind="{kind}",workload="{name}"'
    )


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@lru_cache(maxsize=SHAPES_KEPT)
def _shape(items: tuple[tuple[tuple[Kind, Family, State], int], ...]) -> _Shape:
    states: States = dict(items)
    found = list(dict.fromkeys((kind, family) for kind, family, _ in states))
    kinds = sorted({kind for kind, _ in found})
    dialed = product(found, (Result.CONNECTED, Result.REFUSED))
    up = [
        f',kind="{kind}",family="{family}"}} {int((kind, family, State.DOWN) not in states)}\n'
        for kind, family in found
    ]
    edges = [
        f',kind="{kind}",state="{state}"}} '
        f"{sum(states.get((kind, family, state), 0) for family in Family)}\n"
        for kind, state in product(kinds, State)
    ]
    return _Shape(
        kinds,
        {(kind, family, result, Phase.STEADY): 0 for (kind, family), result in dialed},
        up,
        edges,
        1 + len(up) + len(edges) + len(kinds),
    )


def _dials(port: _Port, epoch: float) -> Iterable[str]:
    counts = {**port.shape.zeros, **port.book.counts}
    return [f"{DIALS[key]}{count}\n" for key, count in counts.items()]


def _edge_up(port: _Port, epoch: float) -> Iterable[str]:
    return port.shape.up


def _edges(port: _Port, epoch: float) -> Iterable[str]:
    return port.shape.edges


def _verdict(port: _Port, epoch: float) -> Iterable[str]:
    return VERDICTS[port.book.judgement.verdict]


def _verdict_info(port: _Port, epoch: float) -> Iterable[str]:
    if not port.failing:
        return ()
    judged, target = port.book.judgement, port.book.implied.port.target_port
    candidate = "" if judged.port is None else judged.port
    return [
        f',verdict="{judged.verdict}",target_port="{_escape(str(target))}",'
        f'candidate="{candidate}",cause="{_escape(judged.cause)}"}} 1\n'
    ]


def _retransmits(port: _Port, epoch: float) -> Iterable[str]:
    retransmits = port.book.retransmits
    return [f"{KINDS[kind]}{retransmits[kind]}\n" for kind in port.shape.kinds]


def _last_success(port: _Port, epoch: float) -> Iterable[str]:
    return [
        f"{KINDS[kind]}{epoch + at:.3f}\n"
        for kind, at in port.book.last_success.items()
        if kind is not Kind.CANDIDATE  # seldom dialed: its age would look like an outage
    ]


_FAMILIES: tuple[tuple[str, str, str, Ends], ...] = (
    (
        "edgeprobe_dials_total",
        "counter",
        "TCP dials by result and by what the cluster was doing when they were made.",
        _dials,
    ),
    (
        "edgeprobe_edge_up",
        "gauge",
        "0 when an edge of the Service port is down, else 1.",
        _edge_up,
    ),
    ("edgeprobe_edges", "gauge", "Edges by state.", _edges),
    (
        "edgeprobe_verdict",
        "gauge",
        "1 for the verdict that holds for the Service port.",
        _verdict,
    ),
    (
        "edgeprobe_verdict_info",
        "gauge",
        "1 for a failing Service port, unless on purpose: its targetPort, the port that accepts "
        "instead, what it fails of together with others.",
        _verdict_info,
    ),
    (
        "edgeprobe_syn_retransmits_total",
        "counter",
        "SYNs that the kernel had to send again.",
        _retransmits,
    ),
    (
        "edgeprobe_edge_last_success_timestamp_seconds",
        "gauge",
        "Unix time of the newest successful dial.",
        _last_success,
    ),
)
