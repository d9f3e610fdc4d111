"""What the edges of one Service port mean together: an ordered, literal table.

The first row that fits gives the verdict; the order is the theory. First come the reasons not to
believe the dials (our own fault, no evidence), then what makes them meaningless (an address that
may not be dialed, no endpoint to reach), then the transient cause that explains failures by
itself (a drain), then the steady ones from the most specific to the least, and only when every
endpoint answers is the ClusterIP's own failure kube-proxy's.

Only `down` edges accuse: one confirmed failure is not enough, and an excluded edge says nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from probe.core.edges import Kind
from probe.core.evidence import Evidence
from probe.core.losses import Lost
from probe.core.results import Result


class Verdict(StrEnum):
    PROBE_FAULT = "probe_fault"
    UNKNOWN = "unknown"
    INVALID_TARGET = "invalid_target"
    NODE_PATH = "node_path"
    NO_ENDPOINTS = "no_endpoints"
    DRAIN_RACE = "drain_race"
    PORT_MISMATCH = "port_mismatch"
    NOT_LISTENING = "not_listening"
    DENIED = "denied"
    BLACKHOLED = "blackholed"
    ENDPOINT_DOWN = "endpoint_down"
    PROXY_STALE = "proxy_stale"
    LOSSY = "lossy"
    MASKED = "masked"
    HEALTHY = "healthy"


SEVERITY: tuple[Verdict, ...] = (*Verdict,)
"""Worst first, for the one verdict of many: the order of the table, healthy last."""

FAILING = frozenset(
    {
        Verdict.PROBE_FAULT,
        Verdict.INVALID_TARGET,
        Verdict.NODE_PATH,
        Verdict.NO_ENDPOINTS,
        Verdict.DRAIN_RACE,
        Verdict.PORT_MISMATCH,
        Verdict.NOT_LISTENING,
        Verdict.BLACKHOLED,
        Verdict.ENDPOINT_DOWN,
        Verdict.PROXY_STALE,
        Verdict.LOSSY,
    }
)
"""Verdicts by which a check has found a failure (exit code 1)."""

UNDECIDED = frozenset({Verdict.UNKNOWN, Verdict.MASKED, Verdict.DENIED})
"""Verdicts by which a check could not tell (exit code 3)."""

PROXY_PATIENCE = 30.0
"""Seconds after a change of the endpoints, or of failures alone, from which a dial of a ClusterIP
that fails tells of a kube-proxy that does not follow. One that does is behind by 10 to 15 s at
worst (incident 3 of docs/edge-cases.md), by its minSyncPeriod of 1 s at best."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its sentence.

    `port` is the candidate that port_mismatch names; `on_purpose` marks what somebody wanted,
    such as a workload scaled to zero: information, not an alarm. `cause` names what it shares
    with other Services' verdicts, so that they are one incident: "node/NAME" (the way to or from
    that node), "proxy/NAME" (its kube-proxy), "self/NAME" (the prober there); "" is its own.
    `from_start` marks what has been denied for as long as we look: a statement, no incident.
    """

    verdict: Verdict
    summary: str
    port: int | None = None
    on_purpose: bool = False
    cause: str = ""
    from_start: bool = False

    @property
    def failing(self) -> bool:
        """Whether something is wrong with the Service port that nobody wanted."""
        return self.verdict in FAILING and not self.on_purpose


CAUSES = {
    Verdict.PROBE_FAULT: "self/{e.node}",
    Verdict.NODE_PATH: "{e.cause}",
    Verdict.PROXY_STALE: "proxy/{e.node}",
}
"""The cause of the verdicts that are not one Service's alone."""


def judge(evidence: Evidence) -> Judgement:
    """The first row of TABLE that fits, with its sentence filled in."""
    for verdict, fits, sentence in TABLE:
        if fits(evidence):
            port = evidence.accepting[0].port if verdict is Verdict.PORT_MISMATCH else None
            on_purpose = verdict is Verdict.NO_ENDPOINTS and evidence.backing.empty_on_purpose
            cause = CAUSES.get(verdict, "").format(e=evidence)
            said = sentence(evidence)
            if not (verdict is Verdict.PROBE_FAULT and evidence.lost):
                said += _about_routes(evidence)
            return Judgement(verdict, said, port, on_purpose, cause)
    raise AssertionError("the last row fits everything")


def _probe_fault(e: Evidence) -> bool:
    if e.lost and not (e.invalid or e.down or e.vip_down):
        return True
    if not e.local_faults or not (e.expected or e.vips) or e.vips_dialed:
        return False
    return not e.dialed or (0 < e.vips == e.vip_faults and not e.down)


def _unknown(e: Evidence) -> bool:
    if e.stale_seconds is not None:
        return True
    if e.invalid or e.drain_failures:
        return False
    if e.usable == 0:
        return e.new
    if e.dialed < e.needed or (e.undialed and not e.expected and not e.vips):
        return True
    late = bool(e.vip_late) and not e.vip_down
    return (late or e.vips_dialed == 0) and e.vips > 0 and not (e.down or e.unsteady)


def _port_mismatch(e: Evidence) -> bool:
    return e.all_are(Result.REFUSED) and len(e.accepting) == 1


TABLE: tuple[tuple[Verdict, Callable[[Evidence], bool], Callable[[Evidence], str]], ...] = (
    (
        Verdict.PROBE_FAULT,
        _probe_fault,
        lambda e: f"the prober itself could not dial: {_own_fault(e)}",
    ),
    (Verdict.UNKNOWN, _unknown, lambda e: _why_unknown(e)),
    (
        Verdict.INVALID_TARGET,
        lambda e: bool(e.invalid),
        lambda e: f"{e.invalid[0]}; it was not dialed",
    ),
    (
        Verdict.NODE_PATH,
        lambda e: bool(e.cause),
        lambda e: f"{_failing(e)}: {e.shared}",
    ),
    (
        Verdict.NO_ENDPOINTS,
        lambda e: e.usable == 0,
        lambda e: _why_no_endpoints(e),
    ),
    (
        Verdict.DRAIN_RACE,
        lambda e: e.drain_failures > 0 and not e.down and not e.vip_down,
        lambda e: (
            f"{e.drain_failures} dial{'s' * (e.drain_failures != 1)} failed while endpoints were "
            "being removed: "
            "traffic still went to pods that had stopped listening"
        ),
    ),
    (
        Verdict.PORT_MISMATCH,
        _port_mismatch,
        lambda e: (
            f"targetPort {e.target_port} is refused on {len(e.down)} of {e.expected} endpoints, "
            f"port {e.accepting[0].port} accepts: set targetPort to {e.accepting[0].port}"
        ),
    ),
    (
        Verdict.NOT_LISTENING,
        lambda e: e.all_are(Result.REFUSED) and not e.policies,
        lambda e: (
            f"targetPort {e.target_port} is refused on {len(e.down)} of {e.expected} endpoints"
            + _about_candidates(e)
        ),
    ),
    (
        Verdict.DENIED,
        lambda e: e.all_are(Result.REJECTED) or e.kept_out,
        lambda e: _denied(e),
    ),
    (
        Verdict.BLACKHOLED,
        lambda e: e.all_are(Result.TIMEOUT, Result.UNREACHABLE),
        lambda e: (
            f"{len(e.down)} of {e.expected} endpoints do not answer ({_counted(e.down)})"
            + _detail(e)
        ),
    ),
    (
        Verdict.ENDPOINT_DOWN,
        lambda e: (
            bool(e.down or e.unsteady or (e.empty and not _vip_fails(e)))
            or (_vip_fails(e) and (e.up < e.dialed or _others_may(e)))
        ),
        lambda e: _endpoint_down(e),
    ),
    (
        Verdict.PROXY_STALE,
        lambda e: _vip_fails(e),
        lambda e: _proxy_stale(e),
    ),
    (
        Verdict.LOSSY,
        lambda e: e.lossy is not None,
        lambda e: _lossy(e, e.lossy) if e.lossy else "",
    ),
    (
        Verdict.MASKED,
        lambda e: bool(e.mesh) and e.up + e.vips_dialed > 0,
        lambda e: f"{_healthy(e)}, but the {e.mesh} mesh accepts every port: that proves nothing",
    ),
    (Verdict.HEALTHY, lambda e: True, lambda e: _healthy(e)),
)


def _why_unknown(e: Evidence) -> str:
    if e.stale_seconds is not None:
        return (
            f"dials fail, but the API server has been away for {e.stale_seconds:.0f} s: "
            "the endpoints may have moved"
        )
    if e.usable == 0:
        return "a new Service whose endpoints have not been seen yet"
    if e.settling:
        return f"{e.settling} of {e.expected} endpoints are new and not judged yet"
    if e.undialed and not e.expected and not e.vips:
        return f"endpoints outside of what we may dial: all {e.undialed}"
    vip = "" if e.vips_dialed or not e.vips else ", the ClusterIP not yet"
    if e.vip_late:
        vip = f", the ClusterIP fails as yet ({_counted(e.vip_late)})"
    return f"{e.dialed} of {e.expected} endpoints dialed so far{vip}"


def _why_no_endpoints(e: Evidence) -> str:
    before = "; the Service led to other pods before" if e.backing.served else ""
    if e.backing.scaled_to_zero and e.backing.unplaced:
        return "no endpoints: its DaemonSet fits no node"
    if e.backing.scaled_to_zero:
        return f"no endpoints: its workload is scaled to zero{before}"
    if e.backing.starting:
        return f"no endpoints yet: the first pods of its workload are starting{before}"
    if not e.has_selector:
        return (
            "no endpoints: the Service has no selector, "
            "and no EndpointSlice lists an address for this port"
        )
    if e.unresolved:
        return f"no endpoints: targetPort {e.target_port} is declared by no container of the pods"
    return "no usable endpoint: no pod that the selector matches is ready"


def _proxy_stale(e: Evidence) -> str:
    if e.proxy:
        unseen = f"{e.unseen} of its {e.expected + e.unseen} endpoints are not dialed from here"
        return f"{_failing(e)}, {e.proxy}: {_behind(e)}; {unseen}"
    return (
        f"{e.up} of {e.expected} endpoints answer, {_vip(e.family)} does not "
        f"({_counted(e.vip_down)}): {_behind(e)}"
    )


def _behind(e: Evidence) -> str:
    if e.node:
        return "kube-proxy's rules on this node are behind or missing"
    return "nothing leads to it from outside of the cluster, or kube-proxy's rules are behind"


def _vip_fails(e: Evidence) -> bool:
    """Whether the ClusterIP is down. One that fails now and then may do so a few times one after
    the other, until it has not connected for long."""
    flaps = e.lossy is not None and e.lossy.kind is Kind.SERVICE
    return bool(e.vip_down) and (not flaps or e.vip_failing > PROXY_PATIENCE)


def _others_may(e: Evidence) -> bool:
    """Whether the ClusterIP may have met an endpoint that fails and is not held against anybody."""
    return e.failing_new > 0 or (not e.proxy and (e.unseen > 0 or not e.up))


def _failing(e: Evidence) -> str:
    if not e.usable:
        return "no usable endpoint"
    if e.down:
        others = f", others dial {e.elsewhere} more" if e.elsewhere else ""
        alike = f", all of them {e.family}" if e.family else ""
        return f"{len(e.down)} of {e.expected} endpoints fail ({_counted(e.down)}){alike}{others}"
    return f"{_vip(e.family)} fails ({_counted(e.vip_down)})"


def _denied(e: Evidence) -> str:
    if not e.policies:
        return f"a reject rule answers for {len(e.down)} of {e.expected} endpoints" + _detail(e)
    named = " and ".join(e.policies)
    if len(e.policies) == 1:
        said = f"NetworkPolicy {named} selects the pods and does not admit the prober"
    else:
        said = f"NetworkPolicies {named} select the pods and none admits the prober"
    return f"{_failing(e)}: {said}"


def _about_candidates(e: Evidence) -> str:
    if e.candidates_pending:
        return ""
    if e.accepting:
        ports = ", ".join(str(c.port) for c in e.accepting)
        return f"; declared ports {ports} accept: which one is meant cannot be told"
    if others := [str(c.port) for c in e.candidates if c.answers]:
        accept = "port {} accepts" if len(others) == 1 else "ports {} accept"
        return f"; {accept.format(', '.join(others))}, but may be for something else"
    if e.candidates:
        ports = ", ".join(str(c.port) for c in e.candidates)
        return f" and none of the declared ports ({ports}) accepts"
    return ", and the workload declares no other port" if e.backing.workloads else ""


def _healthy(e: Evidence) -> str:
    parts = []
    if e.expected:
        parts.append(f"{e.up} of {e.expected} endpoints answer")
    if e.vips:
        parts.append(f"{_vip(e.vip_family)} {'answers' if e.vips_dialed else 'is not dialed'}")
    if e.undialed:
        parts.append(f"endpoints outside of what we may dial: {e.undialed}")
    return ", ".join(parts) or "nothing to dial here"


def _endpoint_down(e: Evidence) -> str:
    if e.down:
        return _failing(e) + _detail(e)
    if e.unsteady:
        return f"{e.unsteady} of {e.expected} endpoints fail again and again" + _detail(e)
    if not _vip_fails(e):
        return (
            f"{_healthy(e)}, but {_vip(e.empty)} has no endpoints: callers by {e.empty} are refused"
        )
    vip = _failing(e)
    if e.failing_new:
        return f"{vip}, and of the {e.expected} endpoints {e.failing_new} that came lately"
    if e.unseen:
        return (
            f"{vip}; {e.unseen} of its {e.expected + e.unseen} endpoints are not dialed from here"
        )
    return f"{vip}, and {e.dialed - e.up} of {e.expected} endpoints now and then"


def _lossy(e: Evidence, lost: Lost) -> str:
    """How much of what was lost, and what that may be: a backend that is gone is in kube-proxy's
    rules only, where every endpoint answers."""
    vip = lost.kind is Kind.SERVICE
    of = f"of {lost.dials} dials of the {'ClusterIP' if vip else 'endpoints'}"
    of += f" in {lost.seconds / 60:.0f} min"
    if not lost.failed:
        return f"{lost.retransmitted} {of} lost a SYN: packets are being dropped on the way"
    said = f"{lost.failed} {of} never connected, {lost.retransmitted} lost a SYN"
    if not vip:
        return f"{said}: callers meet that as well"
    if e.unseen:
        return (
            f"{said}; {e.unseen} of its {e.expected + e.unseen} endpoints are not dialed from here"
        )
    return f"{said}: kube-proxy's rules may hold an endpoint that is gone"


def _vip(family: str) -> str:
    return f"the {family} ClusterIP" if family else "the ClusterIP"


def _own_fault(e: Evidence) -> str:
    return f"this node has lost its way out for {e.lost}" if e.lost else e.local_fault_detail


def _about_routes(e: Evidence) -> str:
    """What is left out of the judgement, since no dial of it leaves this node."""
    if not e.no_way:
        return ""
    family, _, why = e.no_way.partition(" ")
    return f"; {family} is not judged: this node has no way out for it {why}"


def _detail(e: Evidence) -> str:
    return f": {e.details[0]}" if e.details else ""


def _counted(results: tuple[Result, ...]) -> str:
    """`2 timeout, 1 refused`, in the order of first appearance."""
    return ", ".join(f"{results.count(r)} {r}" for r in dict.fromkeys(results))
