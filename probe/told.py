"""What another probe's documents must hold for us to read them; of what more they hold nothing is
kept, and what an older one lacks has a default.

A daemon may be older or newer than the command, and any pod may carry its label: no answer may
stop the command, steer what it asks the API server, or write to the terminal as it likes.
"""

import asyncio
from collections.abc import Container
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from probe.core.edges import Family, Kind
from probe.core.results import Result
from probe.core.verdicts import Verdict

Json = dict[str, Any]

KEY_HEADER = "X-Edgeprobe-Key"
"""Where a daemon looks for the key that it may want (settings.api_key)."""

Name = Annotated[str, Meta(pattern=r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")]
"""A DNS-1123 label, as are the names of namespaces and Services. It becomes part of URLs."""

LabelKey = Annotated[str, Meta(pattern=r"\A([-a-z0-9.]{1,253}/)?[-A-Za-z0-9_.]{1,63}\Z")]
LabelValue = Annotated[str, Meta(pattern=r"\A[-A-Za-z0-9_.]{0,63}\Z")]
"""The characters and lengths of labels (k8s.io/apimachinery validation.IsQualifiedName and
IsValidLabelValue). They become a label selector, and nothing in them means more there."""

Moment = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""As far as JSON's readers agree on integers (RFC 8259, section 6)."""
Number = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(ge=-1e9, le=1e9)]
"""Thirty years: what is longer is no time that a probe measured. Arbitrary."""


def _utc(moment: datetime) -> datetime:
    """Raises ValueError and OverflowError for times that no clock tells: sums with those at the
    ends of the calendar would fail."""
    utc = moment.astimezone(UTC)
    if not 1970 <= utc.year < 9999:
        raise ValueError(f"the year {utc.year}")
    return utc


class Named(msgspec.Struct):
    namespace: Name
    name: Name


class Source(msgspec.Struct):
    node: str
    vantage: str


class Icmp(msgspec.Struct):
    type: Number
    code: Number
    offender: str | None = None


class Edge(msgspec.Struct, rename={"from_": "from"}):
    from_: str
    kind: Kind
    address: str
    port: Number
    family: Family
    pod: str | None
    node: str | None
    state: str
    result: str | None
    connect_seconds: Seconds | None
    syn_retransmits: Count
    icmp: Icmp | None


class Port(msgspec.Struct, kw_only=True):
    name: str
    port: Number
    target_port: Number | str
    verdict: Verdict
    summary: str
    on_purpose: bool = False
    starting: bool = False
    edges: list[Edge]


class Change(msgspec.Struct):
    time: Moment
    kind: str
    object: str
    by: str | None
    detail: str
    managed: str | None = None

    def __post_init__(self) -> None:
        self.time = _utc(self.time)


class Warned(msgspec.Struct):
    object: str
    detail: str
    by: str | None = None
    time: Moment | None = None

    def __post_init__(self) -> None:
        self.time = self.time and _utc(self.time)


class Spec(msgspec.Struct):
    type: str = ""
    cluster_ips: list[str] = []
    selector: dict[LabelKey, LabelValue] = {}


class Document(msgspec.Struct, kw_only=True):
    """A Service, as core/report.py tells it."""

    service: Named
    spec: Spec | None = None
    sources: list[Source]
    verdict: Verdict
    summary: str
    on_purpose: bool = False
    starting: bool = False
    skipped: list[str] = []
    dialed: Count
    expected: Count
    ports: list[Port]
    change: Change | None = None
    seconds_before: Seconds | None = None
    changes: list[Change]
    warnings: list[Warned] = []
    advice: list[str]


class Taken(Named):
    ports: list[Number]


class Cause(msgspec.Struct):
    kind: str
    name: str


class Written(msgspec.Struct):
    by: str
    time: Moment

    def __post_init__(self) -> None:
        self.time = _utc(self.time)


class Incident(msgspec.Struct, kw_only=True):
    """As core/report.py tells it. What it takes to lay those of several nodes together is there;
    the rest may be missing."""

    id: str
    state: str | None = None
    cause: Cause
    verdict: Verdict
    first_verdict: Verdict | None = None
    worst_verdict: Verdict
    summary: str
    services: list[Taken]
    service_count: Count
    most_services: Count | None = None
    opened: Moment
    updated: Moment | None = None
    closed: Moment | None
    seconds: Seconds
    quiet_since: Moment | None = None
    evidence_away_since: Moment | None = None
    flaps: Count
    ending: str | None = None
    change: Change | None
    seconds_before: Seconds | None = None
    watched_seconds: Seconds | None = None
    last_write: Written | None = None
    advice: list[str]
    node: str

    def __post_init__(self) -> None:
        self.opened = _utc(self.opened)
        self.updated = self.updated and _utc(self.updated)
        self.closed = self.closed and _utc(self.closed)
        self.quiet_since = self.quiet_since and _utc(self.quiet_since)
        self.evidence_away_since = self.evidence_away_since and _utc(self.evidence_away_since)


Failed = dict[Result, Count]


Text = Annotated[str, Meta(max_length=1000)]
"""Longer than any name (a node's has 253 characters at most) with its kind and namespace."""

Lag = Annotated[float, Meta(ge=0, le=3600)]
"""Seconds; a failure is laid to a removal for a minute at most (rollouts.REMOVAL_WINDOW)."""

Duration = Annotated[float, Meta(ge=0, le=1e9)]

LONGEST = 3600
"""Seconds past which neither an error bar nor a drain tells more. Arbitrary."""

DETAIL_MAX = 1000
"""Characters of what a rollout changed: they go into log lines, which have 16 KiB. Arbitrary."""

LISTED = 10_000
"""Of anything: twice the nodes that a cluster may have (Kubernetes: large clusters)."""


def _pairs(told: "Share | Rollout") -> None:
    """Raises ValueError for what is known only in part: a lag has an error bar."""
    if (told.removal_lag_seconds is None) != (told.removal_lag_error_seconds is None):
        raise ValueError("a removal lag without its error bar, or one without a lag")
    if told.censored and told.removal_lag_seconds is None:
        raise ValueError("no removal lag, and it was cut off")
    told.removal_lag_error_seconds = _bounded(told.removal_lag_error_seconds)
    told.shortest_window_seconds = _bounded(told.shortest_window_seconds)


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None else min(seconds, LONGEST)


class Share(msgspec.Struct):
    """What one node saw of a rollout. What is absurdly long is cut."""

    node: Text
    dials: Count
    failed: Failed
    removal_lag_seconds: Lag | None
    removal_lag_error_seconds: Duration | None
    shortest_window_seconds: Duration | None
    unconfirmed: Count = 0
    censored: bool = False

    def __post_init__(self) -> None:
        _pairs(self)


class Template(msgspec.Struct):
    pre_stop_seconds: Annotated[int, Meta(ge=-1, le=2**53)] | None
    termination_grace_period_seconds: Count
    readiness_probe: bool | None
    containers: Annotated[list[Name], Meta(max_length=LISTED)]
    ports: Annotated[list[Number], Meta(max_length=LISTED)]


class Rollout(msgspec.Struct, kw_only=True):
    """A record of core/rollout_reports.py, with all that merging takes for granted: it is known
    together or not at all. What is absurdly long is cut."""

    workload: Text
    detail: str
    by: Text | None
    managed: Text
    services: Annotated[list[Name], Meta(max_length=LISTED)]
    started: Moment
    ended: Moment | None
    outcome: Text
    seconds: Duration | None
    dials: Count
    failed: Failed
    failed_new: Failed
    first_failure: Moment | None
    last_failure: Moment | None
    longest_gap_seconds: Duration
    removal_lag_seconds: Lag | None
    removal_lag_error_seconds: Duration | None
    shortest_window_seconds: Duration | None
    recommended_drain_seconds: Count | None
    template: Template
    advice: Annotated[list[str], Meta(max_length=LISTED)]
    silent: Annotated[list[Text], Meta(max_length=LISTED)] = []
    nodes: Annotated[list[Share], Meta(max_length=LISTED)]
    unconfirmed: Count = 0
    censored: bool = False

    def __post_init__(self) -> None:
        _pairs(self)
        if (self.ended is None) != (self.seconds is None):
            raise ValueError("an end without a duration, or a duration without an end")
        times = {self.first_failure is None, self.last_failure is None}
        if times != {not any(self.failed.values())}:
            raise ValueError("failures without their times, or times without failures")
        if self.censored and not any(share.censored for share in self.nodes):
            raise ValueError("the removal lag was cut off on no node")
        self.detail = self.detail[:DETAIL_MAX]
        if self.recommended_drain_seconds is not None:
            self.recommended_drain_seconds = min(self.recommended_drain_seconds, LONGEST)
        self.started = _utc(self.started)
        self.ended = self.ended and _utc(self.ended)
        self.first_failure = self.first_failure and _utc(self.first_failure)
        self.last_failure = self.last_failure and _utc(self.last_failure)


class Rollouts(msgspec.Struct):
    """What /api/v1/rollouts answers."""

    node: str
    rollouts: list[Rollout]
    reports: list[Rollout]


class Unreadable(ValueError):
    """A document of another shape; the text is half a sentence."""


def read(body: bytes | msgspec.Raw, shape: type) -> dict[str, Any]:
    """The document in the known shape, as JSON: times in UTC with a Z, and no control characters
    in any text. Raises Unreadable."""
    found: dict[str, Any] = msgspec.to_builtins(decoded(body, shape))
    return found if _harmless(bytes(body)) else _plain(found)


def _harmless(body: bytes) -> bool:
    """Whether no text of this JSON can hold more than printable ASCII: control characters are
    written with a backslash (RFC 8259, section 7). To look through each text takes several
    times as long as to decode them all (measured)."""
    return body.isascii() and b"\\" not in body and b"\x7f" not in body


def decoded(body: bytes | msgspec.Raw, shape: type) -> Any:
    """The document in the known shape, its texts as they came. Raises Unreadable."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (ValueError, OverflowError, RecursionError) as wrong:
        raise Unreadable(f"its answer is of another version, or none of ours: {wrong}") from None


def _plain(value: Any) -> Any:
    match value:
        case str():
            return printable(value)
        case dict():
            return {key: _plain(held) for key, held in value.items()}
        case list():
            return [_plain(held) for held in value]
        case _:
            return value


def printable(text: str) -> str:
    """The text with a replacement character for each that is none to be seen: those that steer a
    terminal, end a line, or turn the direction of what follows."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


class _Headed(msgspec.Struct):
    workload: str


class _Records(msgspec.Struct):
    rollouts: list[msgspec.Raw]
    reports: list[msgspec.Raw]


async def records(body: bytes, workloads: Container[str]) -> tuple[list[Json], list[Json]]:
    """Of what /api/v1/rollouts answers, the records and reports of these workloads: a thousand take
    0.1 s to read, so that others run in between. Raises Unreadable, all or nothing."""
    answer = decoded(body, _Records)

    async def wanted(raws: list[msgspec.Raw]) -> list[Json]:
        found = []
        for raw in raws:
            if decoded(raw, _Headed).workload in workloads:
                found.append(read(raw, Rollout))
                await asyncio.sleep(0)
        return found

    return await wanted(answer.rollouts), await wanted(answer.reports)
