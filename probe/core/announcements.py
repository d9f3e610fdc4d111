"""Incidents as Kubernetes Events: regarding what, from which node, in which words.

The forms and limits are those of events.k8s.io/v1 (k8s.io/kubernetes pkg/apis/core/validation).
An incident that many nodes see is told by one of them, on which all agree without asking; so each
Event says which node's view it is.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from probe.core.incident import Incident, Step
from probe.core.schedule import rank
from probe.core.sharing import shared_by
from probe.core.suspects import sentence, unexplained

Json = dict[str, Any]

CONTROLLER = "edgeprobe.dev/probe"
"""Who reports: reportingController of all our Events."""

NOTE_MAX = 1024
INSTANCE_MAX = 128
"""Bytes of an Event's note and reportingInstance."""

PORT, INCIDENT = "edgeprobe.dev/port", "edgeprobe.dev/incident"
"""Labels of an Event: the Service port that it is about, if it is one, and the incident's id."""

NODES_NAMESPACE = "default"
"""Where Events regarding what has no namespace must stand."""

NAMED = 5
"""Services that a note names. Arbitrary: it has 1024 bytes, and a name up to 127."""

LOST_ON_THE_WAY = "node"
"""The cause that the named node cannot be trusted to tell of itself."""


def regarding(incident: Incident, uid: str) -> Json:
    """The object that the incident concerns: its Service, whose `uid` is given, or the node of a
    cause that Services share."""
    if incident.alone:
        namespace, name = incident.lead[:2]
        named = {"namespace": namespace, "name": name}
        return {"apiVersion": "v1", "kind": "Service", **named, **({"uid": uid} if uid else {})}
    # The kubelet too names nodes by name in their uid, and kubectl describe looks for that.
    name = node_of(incident)
    return {"apiVersion": "v1", "kind": "Node", "name": name, "uid": name}


def node_of(incident: Incident) -> str:
    """The node that its cause names, "" for one Service port's own."""
    return incident.cause.partition("/")[2]


def turn_to_tell(incident: Incident, node: str, nodes: Collection[str]) -> int:
    """How many of the live daemons' nodes tell of this incident before `node` does: 0 tells at
    once, the others only if nobody has.

    Of a Service those tell first that dial its endpoints. What concerns a node's own kube-proxy or
    prober is seen by its daemon only. Of a node that cannot be reached, the others tell.
    """
    if incident.alone:
        return rank(node, nodes, shared_by(incident.lead[:2]))
    kind, _, name = incident.cause.partition("/")
    if kind != LOST_ON_THE_WAY:
        return 0 if name == node else len(nodes)
    if name == node:
        return len(nodes) - 1
    return rank(node, [other for other in nodes if other != name], incident.cause)


def reason(incident: Incident, step: Step) -> str:
    """One word in CamelCase: the verdict, or how it ended."""
    if step is Step.CLOSED:
        return "Recovered" if incident.recovered else "Closed"
    return "".join(part.capitalize() for part in incident.judgement.verdict.split("_"))


def event(
    incident: Incident,
    step: Step,
    *,
    uid: str,
    node: str,
    moment: datetime,
    name: str,
    lonely: bool,
) -> Json:
    """The Event that tells of this step, at that moment. `lonely` is whether other nodes had the
    time to tell of the incident and did not."""
    about = regarding(incident, uid)
    labels = {INCIDENT: incident.id}
    if incident.alone:
        labels[PORT] = str(incident.lead.port)
    seen = f"seen from node {node}" + (", and no other node has told of it" * lonely)
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": name,
            "namespace": about.get("namespace", NODES_NAMESPACE),
            "labels": labels,
        },
        "eventTime": micro_time(moment),
        "type": "Normal" if step is Step.CLOSED else "Warning",
        "reason": reason(incident, step),
        "action": "Dial",
        "note": note(_said(incident, step), f" ({seen})"),
        "regarding": about,
        "reportingController": CONTROLLER,
        "reportingInstance": instance(node),
    }


def told_still(found: Iterable[Json], incident: Incident) -> list[Json]:
    """Those of our Events, regarding what the incident does, that tell of its port and that their
    reporter has not taken back: the last word of each, where that is a warning."""
    last: dict[str, Json] = {}
    for said in found:
        port = (said["metadata"].get("labels") or {}).get(PORT)
        if port == (str(incident.lead.port) if incident.alone else None):
            by = str(said.get("reportingInstance"))
            last[by] = max(said, last.get(by, said), key=_last_seen)
    return [said for said in last.values() if said.get("type") == "Warning"]


def _last_seen(said: Json) -> str:
    """When an Event was observed last; such times sort as text."""
    series: Json = said.get("series") or {}
    return str(series.get("lastObservedTime") or said.get("eventTime") or "")


def instance(node: str) -> str:
    """How the node's daemon is called as the reporter of an Event."""
    return _cut(node, INSTANCE_MAX)


def series(count: int, moment: datetime) -> Json:
    """The patch by which an Event says that it has been observed so often, at least twice."""
    return {"series": {"count": count, "lastObservedTime": micro_time(moment)}}


def micro_time(moment: datetime) -> str:
    """metav1.MicroTime, which has to have its six digits."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _said(incident: Incident, step: Step) -> str:
    port = f"port {incident.lead.port}" if incident.alone else ""
    if step is Step.CLOSED:
        verdict = incident.judgement.verdict
        return f"{port} {verdict} is over: {incident.ending}".lstrip()
    parts = [f"{port}: {incident.judgement.summary}" if port else incident.judgement.summary]
    if not incident.alone:
        parts.append(_taken_along(incident))
    parts.append(explained(incident))
    parts += incident.advice[:1]
    return "; ".join(parts)


def _taken_along(incident: Incident) -> str:
    names = [f"{namespace}/{name}" for namespace, name in list(incident.taken())[:NAMED]]
    more = incident.services - len(names)
    others = f" and {more} more" if more > 0 else ""
    plural = "s" * (incident.services != 1)
    return f"it takes {incident.services} Service{plural} along: {', '.join(names)}{others}"


def explained(incident: Incident) -> str:
    """The change that explains it and how long before it that was, or that none is known."""
    found = incident.change
    if found is None:
        return unexplained(incident.watched, incident.author)
    told = found.kind, found.object, found.by or "", found.managed, found.detail
    return sentence(*told, incident.seconds_before)


def note(text: str, end: str) -> str:
    """An Event's note: the text with its end, cut in the middle where that is too much."""
    return _cut(text, NOTE_MAX - len(end.encode())) + end


def _cut(text: str, most: int) -> str:
    """The beginning of the text, in at most so many bytes of UTF-8."""
    raw = text.encode()
    if len(raw) <= most:
        return text
    return raw[: most - len("…".encode())].decode(errors="ignore") + "…"
