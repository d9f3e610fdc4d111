"""Which change explains an incident: points that a person can add up, and "none" as an answer.

A change is suspected of what its row says that it may lead to (SUSPECTS), if it concerns every
Service that the incident takes along (NEARNESS), was heard no later than the failing began, and no
longer before that than its row's `within`. The points of both tables, less up to FADES for the
time between, are its score; the best of all is blamed, of equals the newest. What scores nothing
is not blamed at all: that something else happened at that time explains nothing.

The moment that counts is when the first failed dial began, not when the verdict was sure; what
people do about a failure comes after it.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import NamedTuple

from probe.core.changes import Aspect, Change, ChangeKind
from probe.core.edges import Author, PortKey, ServiceKey
from probe.core.verdicts import Verdict

PRECEDING_SECONDS = 600.0
"""A change explains nothing that begins more than ten minutes after it, unless it is a rollout
that still runs: a Deployment's default progressDeadlineSeconds, after which it counts as stuck."""

HEARD_LATE = 2.0
"""Seconds after the first failed dial within which a change may be heard and still be its cause:
kube-proxy's watch and ours are two, and ours stood still for up to 1.2 s on a busy cluster (seen).
People and controllers that answer to a failure take longer, since nobody has told them yet."""

NODE_LATE = 60.0
"""The same for a node that is lost: nobody says so before the node controller's grace period,
50 s by default (--node-monitor-grace-period), and one of the kubelet's heartbeats, 10 s."""

FADES = 60.0
"""Points that a change loses from the moment that it is made to the end of its row's `within`: as
much as lies between the surest and the least sure of most rows. Chosen."""

QUICK, SLOW = 180.0, PRECEDING_SECONDS
"""Seconds in which a change shows: an edit or a policy acts as soon as every kube-proxy and agent
has read it, and every edge was dialed again; a rollout while its pods are replaced one by one."""

NOTHING_KNOWN = "no known change of the ten minutes before explains it"
"""What is said where nothing is blamed, by who watched for as long."""


class Near(Enum):
    """How a change concerns an incident."""

    SERVICE = "its Service, and this port of it"
    WORKLOAD = "a workload behind its Service"
    POLICY = "a NetworkPolicy that selects its pods"
    NODE = "a node of its endpoints, or the one that it names"
    OWN_NODE = "the node that dials"
    EVERYBODY = "every Service"


NEARNESS: dict[Near, int] = {
    Near.SERVICE: 40,
    Near.WORKLOAD: 30,
    Near.POLICY: 30,
    Near.NODE: 20,
    Near.OWN_NODE: 10,
    Near.EVERYBODY: 0,
}
"""Points for it: of two changes that would do, the one that concerns fewer others is more likely,
or the others would fail as well."""


class Row(NamedTuple):
    """What changes of this kind, or of this aspect of it, may lead to: points from 1 to 100 for
    each of VERDICTS, by how often it is the reason where such a change went before; `__` is never.
    A change explains what begins from `late` seconds before we heard of it to `within` after."""

    kind: ChangeKind
    aspect: Aspect | None
    within: float
    late: float
    points: tuple[int | None, ...]
    why: str


V, K, A, __ = Verdict, ChangeKind, Aspect, None

VERDICTS = (
    *(V.PORT_MISMATCH, V.NOT_LISTENING, V.NO_ENDPOINTS, V.DRAIN_RACE, V.DENIED, V.BLACKHOLED),
    *(V.ENDPOINT_DOWN, V.NODE_PATH, V.PROXY_STALE, V.LOSSY, V.INVALID_TARGET, V.PROBE_FAULT),
)
"""The columns of SUSPECTS: every verdict that makes an incident."""

# fmt: off
SUSPECTS: tuple[Row, ...] = (
    #   port_  not_   no_    drain_        black- endp._ node_  proxy_        inv._  probe_
    #   mism.  list.  endp.  race   denied holed  down   path   stale  lossy  target fault
    Row(K.SERVICE_EDIT, A.PORT, QUICK, HEARD_LATE, (
        100,   90,    70,    __,    70,    60,    80,    __,    50,    __,    __,    __),
        "dials go to another port at once: nothing listens there, no container has a port of that "
        "name, no policy admits it, or a proxy does not know it"),
    Row(K.SERVICE_EDIT, A.SELECTOR, QUICK, HEARD_LATE, (
        80,    80,    100,   __,    70,    60,    70,    __,    __,    __,    __,    __),
        "dials go to other pods at once, or to none"),
    Row(K.SERVICE_EDIT, A.ADDRESS, QUICK, HEARD_LATE, (
        __,    __,    __,    __,    __,    __,    __,    __,    70,    __,    80,    __),
        "the ClusterIP is another one: the proxies have to learn it"),
    Row(K.SERVICE_EDIT, A.ROUTING, QUICK, HEARD_LATE, (
        __,    50,    90,    __,    __,    __,    60,    __,    60,    __,    __,    __),
        "another part of the pods is sent to: those of the own node only, or those not ready too"),
    Row(K.SERVICE_ADDED, None, QUICK, HEARD_LATE, (
        80,    70,    70,    __,    60,    50,    50,    __,    50,    __,    80,    __),
        "a Service that never worked was made so; its pods may be new too, so less than an edit"),
    Row(K.ROLLOUT, A.DECLARED, SLOW, HEARD_LATE, (
        100,   90,    80,    __,    60,    60,    90,    __,    __,    __,    __,    __),
        "the new pods listen on other ports than the old ones"),
    Row(K.ROLLOUT, None, SLOW, HEARD_LATE, (
        60,    80,    70,    100,   50,    50,    80,    __,    __,    __,    __,    __),
        "old pods are sent to while they end; new ones crash, listen elsewhere, are never ready or "
        "have other labels"),
    Row(K.SCALE, A.DOWN, SLOW, HEARD_LATE, (
        __,    __,    90,    100,   __,    __,    __,    __,    __,    __,    __,    __),
        "pods end while they are still sent to, or none is left"),
    Row(K.SCALE, A.UP, SLOW, HEARD_LATE, (
        __,    50,    __,    __,    __,    30,    70,    __,    __,    __,    __,    __),
        "the pods that came do not answer yet, or stand where nothing reaches them"),
    Row(K.POLICY, A.ADMITTED, QUICK, HEARD_LATE, (
        __,    30,    __,    __,    100,   100,   60,    __,    __,    __,    __,    __),
        "who is left out is dropped or rejected; by some with a RST (OVN's reject ACLs)"),
    Row(K.NODE, A.NOT_READY, SLOW, NODE_LATE, (
        __,    __,    80,    __,    __,    80,    80,    100,   60,    50,    __,    40),
        "its pods and its kube-proxy may be gone; pods are evicted 300 s later"),
    Row(K.NODE, A.REMOVED, SLOW, NODE_LATE, (
        __,    __,    80,    60,    __,    80,    80,    100,   __,    __,    __,    __),
        "its pods are gone with it, their endpoints go a moment later"),
    Row(K.NODE, A.LEAVING, SLOW, HEARD_LATE, (
        __,    __,    70,    80,    __,    60,    60,    90,    __,    __,    __,    __),
        "an autoscaler or the cloud takes it away: pods are evicted, and then it is gone"),
    Row(K.NODE, A.DRAINED, SLOW, HEARD_LATE, (
        __,    __,    80,    90,    __,    __,    60,    70,    __,    __,    __,    __),
        "its pods are evicted while they are still sent to, and then it may be switched off"),
    Row(K.NODE, A.CORDONED, QUICK, HEARD_LATE, (
        __,    __,    50,    70,    __,    __,    __,    40,    __,    __,    __,    __),
        "a drain begins so; that it was one is known when the endpoints are gone"),
    Row(K.PROXY, None, SLOW, HEARD_LATE, (
        __,    __,    __,    40,    __,    __,    __,    __,    100,   30,    __,    __),
        "while kube-proxy restarts on a node, its rules there stand still"),
    Row(K.NETWORK, None, SLOW, HEARD_LATE, (
        __,    __,    40,    __,    50,    80,    50,    80,    60,    100,   __,    50),
        "routes, policies and, with some, Services are the network agent's on each node"),
    Row(K.PROBER, None, QUICK, HEARD_LATE, (
        __,    __,    __,    __,    __,    __,    __,    __,    __,    __,    __,    100),
        "what began with us may be ours: a limit, a policy, a right that is missing"),
)
# fmt: on

FROM_HERE = frozenset({Verdict.BLACKHOLED, Verdict.LOSSY})
"""Verdicts on one Service that the node which dials may be the reason of."""

LATEST = max(row.late for row in SUSPECTS)
"""Seconds after the first failed dial from which no change that is still to come explains it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What an incident looked like when it began.

    `began` is when its first failed dial did, `ports` are the Service ports that it takes along,
    `accused` is the node that its cause names ("" for none), `nodes` are those of its endpoints,
    `own` is ours. `lasting` has from when to when the workloads, as a change's `object` names
    them, rolled last: to inf for what goes on. A `round` is in how many seconds each of its edges
    is dialed once: for so long a change may have acted unseen.
    """

    verdict: Verdict
    began: float
    ports: Set[PortKey]
    own: str
    accused: str = ""
    nodes: Set[str] = frozenset()
    lasting: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    round: float = 0.0

    @property
    def services(self) -> Set[ServiceKey]:
        return {key[:2] for key in self.ports}


Weighed = tuple[int, Row]
"""A row with its points for one verdict."""

BY_VERDICT: dict[Verdict, dict[ChangeKind, tuple[Weighed, ...]]] = {
    verdict: {
        kind: tuple((p, row) for row in SUSPECTS if row.kind is kind and (p := row.points[column]))
        for kind in ChangeKind
    }
    for column, verdict in enumerate(VERDICTS)
}


def suspected(verdict: Verdict) -> list[Weighed]:
    """What may lead to this verdict with its points, all that is near it already among them, the
    likeliest first; nothing for one that makes no incident."""
    rows = (each for found in BY_VERDICT.get(verdict, {}).values() for each in found)
    return sorted(((p + NEARNESS[_NEAR[row.kind]], row) for p, row in rows), key=lambda w: -w[0])


def blamed(changes: Iterable[Change], scene: Scene) -> Change | None:
    """The change that explains it best; None if none does. Their order changes nothing."""
    services, best, found = scene.services, NEVER, None
    for change in changes:
        points = score(change, scene, services)
        if points is not None and (rank := (points, *_order(change))) > best:
            best, found = rank, change
    return found


Rank = tuple[float, float, str, str, str]
NEVER: Rank = (-inf, -inf, "", "", "")


def _order(change: Change) -> tuple[float, str, str, str]:
    """Of changes with the same points the newest is meant; the rest only makes it one."""
    return change.at, change.kind, change.object, change.detail


def score(change: Change, scene: Scene, services: Set[ServiceKey]) -> float | None:
    """Its points; None for never."""
    near = _near(change, scene, services)
    if near is None:
        return None
    rows = BY_VERDICT[scene.verdict][change.kind]
    held = [told for points, row in rows if (told := _held(points, row, change, scene)) is not None]
    return max(held) + NEARNESS[near] if held else None


def _held(points: int, row: Row, change: Change, scene: Scene) -> float | None:
    """What the row holds against the change, less what the time took off; None for nothing."""
    if row.aspect is not None and row.aspect not in change.aspects:
        return None
    if row.aspect is Aspect.PORT and not any(key.port in change.ports for key in scene.ports):
        return None
    since = scene.began - _acted(change, scene)
    unseen = max(0.0, since - scene.round)
    if since < -row.late or since > PRECEDING_SECONDS or unseen > row.within:
        return None
    return points - FADES * unseen / row.within


def _acted(change: Change, scene: Scene) -> float:
    """The last moment before it began at which the change still acted: a rollout, to its end."""
    started, ended = scene.lasting.get(change.object, (inf, inf))
    return change.at if change.at < started else max(change.at, min(ended, scene.began))


def _near(change: Change, scene: Scene, services: Set[ServiceKey]) -> Near | None:
    """How the change concerns everything that the incident takes along; None if it does not."""
    near = _NEAR.get(change.kind)
    if near is Near.NODE:
        return _near_node(change.node, scene)
    if near is Near.EVERYBODY:
        return near if change.node in ("", scene.own, scene.accused) else None
    for namespace, name in services:
        if namespace != change.namespace or name not in change.services:
            return None
    return near


def _near_node(node: str, scene: Scene) -> Near | None:
    if scene.accused:
        return Near.NODE if node == scene.accused else None
    if node in scene.nodes:
        return Near.NODE
    return Near.OWN_NODE if node == scene.own and scene.verdict in FROM_HERE else None


_NEAR = {
    ChangeKind.NODE: Near.NODE,
    ChangeKind.SERVICE_EDIT: Near.SERVICE,
    ChangeKind.SERVICE_ADDED: Near.SERVICE,
    ChangeKind.ROLLOUT: Near.WORKLOAD,
    ChangeKind.SCALE: Near.WORKLOAD,
    ChangeKind.POLICY: Near.POLICY,
    ChangeKind.PROXY: Near.EVERYBODY,
    ChangeKind.NETWORK: Near.EVERYBODY,
    ChangeKind.PROBER: Near.EVERYBODY,
}


def sentence(
    kind: str, object_: str, by: str, managed: str, detail: str, seconds_before: float | None
) -> str:
    """`after service_edit by kubectl-patch, 4 s before it first failed: port 80: targetPort 80 ->
    81`; an older daemon does not tell how long."""
    if object_.startswith("Service "):
        what = kind
    else:
        what = object_ if kind in _NAMED else f"{kind} of {object_}"
    author = f" by {by}" if by else ""
    keeper = f" ({managed})" if managed else ""
    when = f", {distance(seconds_before)}" if seconds_before is not None else ""
    return f"after {what}{author}{keeper}{when}: {detail}"


_NAMED = frozenset({ChangeKind.NODE, ChangeKind.POLICY, ChangeKind.PROBER})
"""Kinds that the object's own name tells of."""


def distance(seconds_before: float) -> str:
    """How long before the first failed dial it was heard: `4 s before it first failed`."""
    if abs(seconds_before) < 0.05:
        return "as it first failed"
    told = _span(abs(seconds_before))
    late = seconds_before < 0
    return f"heard {told} after it first failed" if late else f"{told} before it first failed"


def unexplained(watched: float | None, author: Author | None) -> str:
    """What is said where nothing is blamed: by who has not `watched` for ten minutes (in seconds;
    None for not known) how long he has, and who wrote the Service last, which he may have missed:
    `no change seen since probe started, 3 s before it first failed, explains it; the Service was
    last written by kubectl-patch at 2026-11-21T20:36:30Z`."""
    if watched is None or watched >= PRECEDING_SECONDS:
        return NOTHING_KNOWN
    began = f"no change seen since probe started, {distance(watched)}, explains it"
    if author is None:
        return began
    return f"{began}; the Service was last written by {author.manager} at {author.time}"


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
