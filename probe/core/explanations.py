"""What each verdict means, for people: `probe explain` and the README say it in these words.

The order is the verdict table's own (the first that fits is given), and the command of a next
step is that of the advice, with NAMESPACE and NAME in the places of a Service's.
"""

from dataclasses import dataclass

from probe.core.advice import LINES
from probe.core.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Explanation:
    """One verdict. `meaning` is the README's half sentence; each cause stands by itself."""

    verdict: Verdict
    meaning: str
    detail: str
    causes: tuple[str, ...]
    next_step: str


def _of(verdict: Verdict, meaning: str, detail: str, *causes: str, do: str = "") -> Explanation:
    line = LINES.get(verdict, "").format(ns="NAMESPACE", name="NAME", node="NODE")
    return Explanation(verdict, meaning, detail, causes, do or line)


_ALL = (
    _of(
        Verdict.PROBE_FAULT,
        "the prober itself could not dial",
        "The dial failed before a packet left: no descriptor, no source port, no memory, or a "
        "policy on the prober's own pod. Nothing is said of the Service.",
        "a descriptor limit (ulimit -n) below what is dialed at once",
        "no free source port: too many connections in TIME_WAIT",
        "an egress policy on the prober's own pod",
        "no route on this node for the Service's only address family (ENETUNREACH)",
        "routes of this node that were lost, for all of one address family",
    ),
    _of(
        Verdict.UNKNOWN,
        "evidence is missing or stale",
        "Too little was dialed to say more, or dials fail while the API server is away, so that "
        "the endpoints may have moved. It neither accuses nor clears.",
        "a Service or endpoints that are seconds old",
        "an API server that has been away for two minutes or more",
        "endpoints outside of what may be dialed (--manual-targets)",
        "in a check: a Service not dialed by rule (UDP, ExternalName, opted out, MySQL)",
        do="wait for the next round of dials; if it stays, see the daemon's /readyz and its log",
    ),
    _of(
        Verdict.INVALID_TARGET,
        "an address of it may not be dialed",
        "An address such as 0, 0.0.0.0, ::, a multicast or link-local one stands where a peer "
        "should. A dial of it would reach the caller itself, so it is not made.",
        "a configuration with 0:PORT, which means the caller's own loopback",
        "an EndpointSlice written by hand or by a controller with a fault",
    ),
    _of(
        Verdict.NODE_PATH,
        "everything towards one node, or from it, fails",
        "Endpoints of several Services fail, all on the same node, or everything that one node "
        "dials fails. It is one incident, whatever the number of Services.",
        "the node is down, or cut off from the network",
        "the pod network's agent (CNI) on that node, or its routes",
    ),
    _of(
        Verdict.NO_ENDPOINTS,
        "nothing to send to",
        "No usable endpoint: callers are refused at once, or wait in vain, before any pod is "
        "reached. A workload scaled to zero on purpose is information, not an alert.",
        "a selector that matches no pod: a typing error in one label is enough",
        "pods that are not ready: crashing, pulling an image, failing their readinessProbe",
        "a targetPort by name that no container declares",
    ),
    _of(
        Verdict.DRAIN_RACE,
        "dials failed on endpoints that were being removed: a preStop sleep is missing",
        "During a rollout a pod stopped listening while kube-proxy still sent to it. It happens in "
        "every deployment of the workload and is over in seconds.",
        "an application that closes its socket at SIGTERM",
        "no preStop sleep, or one shorter than the proxies need to catch up",
        do="give the container lifecycle.preStop.sleep.seconds: 15 (the measured number is in the "
        "advice), and a terminationGracePeriodSeconds that has room for it",
    ),
    _of(
        Verdict.PORT_MISMATCH,
        "every endpoint refuses the targetPort, one declared port accepts",
        "Each endpoint answers with a RST on the Service's targetPort and accepts on exactly one "
        "other port that its workload declares: the two were changed apart.",
        "the Service's targetPort was edited, the container's port was not",
        "the container's port was changed (containerPorts, PORT or LISTEN_ADDR), "
        "the Service was not",
        do="set the targetPort: kubectl patch service NAME -n NAMESPACE "
        '-p \'{"spec":{"ports":[{"port":PORT,"targetPort":ACCEPTING}]}}\'',
    ),
    _of(
        Verdict.NOT_LISTENING,
        "every endpoint refuses",
        "Each endpoint answers with a RST, and no declared port explains it: none accepts, or "
        "several do, which are listed and left to you.",
        "the application listens on 127.0.0.1 only",
        "the application listens on a port that nothing declares, or has not begun to listen",
        "a pod without a readinessProbe counts as ready while its application starts",
    ),
    _of(
        Verdict.DENIED,
        "a reject rule answers, or a NetworkPolicy leaves the prober out",
        "The dial was answered by a firewall's ICMP, or a NetworkPolicy that selects the pods "
        "admits others only. It says nothing of the callers that are admitted.",
        "a NetworkPolicy that does not name the prober's namespace",
        "a firewall's REJECT on a node or in a pod",
    ),
    _of(
        Verdict.BLACKHOLED,
        "nothing answers",
        "Every endpoint's packets are lost, or a router says that there is no way; nothing above "
        "explains it.",
        "a NetworkPolicy or a firewall that drops packets",
        "a policy that probe does not read: Cilium's, Calico's, an AdminNetworkPolicy",
        "a pod network without a route from here to there",
    ),
    _of(
        Verdict.ENDPOINT_DOWN,
        "some endpoints fail",
        "Some of the endpoints fail and others answer: callers meet the failing ones by chance.",
        "a pod whose application died or hangs, without a readinessProbe that would tell",
        "one pod of another version, listening elsewhere",
        "pods without an address of one of the Service's two families",
    ),
    _of(
        Verdict.PROXY_STALE,
        "endpoints answer, the ClusterIP does not: kube-proxy on this node",
        "Every endpoint can be reached directly, the ClusterIP cannot: the rules of the node from "
        "which it was dialed are behind, or missing.",
        "kube-proxy (or what replaces it) on that node is down, stuck, or cannot reach the API",
        "a rule set that something else has flushed",
    ),
    _of(
        Verdict.LOSSY,
        "dials fail now and then, or their SYNs get lost on the way",
        "The next dial connects, but 5 % or more of those of the last minutes, and at least three, "
        "never did or had to send their SYN again: callers meet failures or seconds of delay now "
        "and then. What fails while endpoints come and go is not counted.",
        "a full conntrack table, or one whose inserts race",
        "drops on a node's interface, or an overloaded one",
        "one of many endpoints in kube-proxy's rules is gone: only dials of the ClusterIP fail",
        "an application that restarts in its container, or whose accept queue overflows",
    ),
    _of(
        Verdict.MASKED,
        "a mesh accepts every port: success proves nothing",
        "A sidecar or a node's mesh agent answers the handshake for every port, whether or not "
        "the application listens. A refusal would still be one.",
        "Istio, Linkerd or another mesh on the namespace or the pods",
    ),
    _of(
        Verdict.HEALTHY,
        "the endpoints and the ClusterIP answer as they should",
        "Everything that was dialed accepted the connection, ClusterIP and endpoints alike. TCP "
        "only: what the application says after it is not asked.",
        do="nothing",
    ),
)

EXPLANATIONS = {each.verdict: each for each in _ALL}
"""Every verdict, in the order in which they are tried."""

BEGIN = "<!-- verdicts: written by `probe explain -o markdown` -->"
END = "<!-- verdicts end -->"
"""Between these lines stands README's copy of `markdown()`."""


def markdown() -> str:
    """The table of the README."""
    rows = (f"| `{each.verdict}` | {each.meaning} |" for each in EXPLANATIONS.values())
    return "\n".join(("| verdict | means |", "|---|---|", *rows))
