"""Many nodes' documents -> one, that says what is seen from which node.

The shape is that of report.service, with several sources. An edge leads from one node, so all
edges are kept, and `dialed` and `expected` count them over all nodes: each node's own "3 of 3",
added up. The order in which documents come changes nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from probe.core.changes import UNSEEN
from probe.core.edges import Kind
from probe.core.report import CHANGES_SHOWN, worst
from probe.core.verdicts import FAILING, SEVERITY, Verdict

Json = dict[str, Any]

OWN = frozenset({Verdict.PROBE_FAULT, Verdict.NODE_PATH, Verdict.PROXY_STALE})
"""Verdicts that may be about the node that dials, and then say nothing about the Service."""

NODES_NAMED = 5
"""As many nodes are named in a sentence; the edges name all. Arbitrary."""

SAME_CHANGE_SECONDS = 10.0
"""Two nodes' changes of the same words, so far apart at most, are one: some times are those of
their own receipt, and an API server may tell one of them later. Arbitrary."""


def merged(documents: Iterable[Json], silent: Collection[str] = ()) -> Json:
    """One document for those of one Service, one per node; that of a single node that was asked
    stays as it is. `silent` are nodes that were asked and gave none: the sentences count them.

    What we do not know of in a document is taken from a node that has the verdict told. Raises
    ValueError without any document.
    """
    told = sorted(documents, key=_node)
    if not told:
        raise ValueError("nothing to merge")
    if len(told) == 1 and not silent:
        return told[0]
    speaker, judged = _judged([(_node(document), document) for document in told], silent)
    return {
        **speaker,
        "sources": [source for document in told for source in document["sources"]],
        **judged,
        "dialed": sum(document["dialed"] for document in told),
        "expected": sum(document["expected"] for document in told),
        "ports": _ports(told, silent),
        **_explained([speaker, *told]),
        "changes": merged_changes(c for d in told for c in d["changes"])[:CHANGES_SHOWN],
        "warnings": merged_warnings(told),
        "advice": list(dict.fromkeys(line for d in (speaker, *told) for line in d["advice"])),
    }


def merged_warnings(documents: Iterable[Json]) -> list[Json]:
    """The warnings of several nodes or Services, each once, whoever read who wrote it."""
    found: dict[tuple[str, str], Json] = {}
    for warning in (each for document in documents for each in document.get("warnings", ())):
        found.setdefault((warning["object"], warning["detail"]), warning)
    return list(found.values())


def verdict_of(verdicts: Sequence[Verdict]) -> Verdict:
    """The one verdict for those of several nodes: the worst, except that what is wrong with a
    single node must not hide what others found.

    A prober's own fault always yields to a failure of the Service; so do a stale proxy and a
    broken path that one node alone has, since those are then its own.
    """
    counted = Counter(verdicts)
    alone = {v for v, count in counted.items() if v in OWN and count == 1 < len(verdicts)}
    of_service = FAILING - alone - {Verdict.PROBE_FAULT}
    return worst([v for v in counted if v in of_service] or counted)


def _judged(told: Sequence[tuple[str, Json]], silent: Collection[str]) -> tuple[Json, Json]:
    """Of one thing that several nodes judge, by node: the judgement that speaks for all, and its
    verdict with a summary that tells from where it was seen. It is so on purpose, or while
    something starts, if nobody who sees it says otherwise."""
    verdicts = [Verdict(judged["verdict"]) for _, judged in told]
    verdict = verdict_of(verdicts)
    agreeing = [(node, judged) for node, judged in told if judged["verdict"] == verdict]
    summaries = Counter(judged["summary"] for _, judged in agreeing)
    summary = min(summaries, key=lambda text: (-summaries[text], text))
    speaker = next(judged for _, judged in agreeing if judged["summary"] == summary)
    seen = _seen([node for node, _ in agreeing], verdict, Counter(verdicts), silent)
    wanted = [bool(judged.get("on_purpose")) for _, judged in agreeing]
    starts = [bool(judged.get("starting")) for _, judged in agreeing]
    on_purpose = all(wanted)
    starting = not on_purpose and all(map(any, zip(wanted, starts, strict=True)))
    said = {"verdict": str(verdict), "summary": summary + seen}
    return speaker, {**said, "on_purpose": on_purpose, "starting": starting}


def _seen(
    nodes: list[str], verdict: Verdict, counted: Counter[Verdict], silent: Collection[str]
) -> str:
    count = counted.total() + len(silent)
    if count == 1:
        return ""
    if len(nodes) == count:
        return f"; seen from all {count} nodes"
    others = [f"{v} from {counted[v]}" for v in SEVERITY if v in counted and v != verdict]
    if silent:
        others.append(f"no answer from {_named(sorted(silent))}")
    return f"; seen from {len(nodes)} of {count} nodes: {_named(nodes)} ({', '.join(others)})"


def _named(nodes: list[str]) -> str:
    more = len(nodes) - NODES_NAMED
    return ", ".join(nodes[:NODES_NAMED]) + (f" and {more} more" if more > 0 else "")


def _ports(told: list[Json], silent: Collection[str]) -> list[Json]:
    """By number; one that a node does not know of yet is told by the others."""
    known: dict[int, list[tuple[str, Json]]] = {}
    for document in told:
        for port in document["ports"]:
            known.setdefault(port["port"], []).append((_node(document), port))
    return [_port(known[number], silent) for number in sorted(known)]


def _port(told: list[tuple[str, Json]], silent: Collection[str]) -> Json:
    speaker, judged = _judged(told, silent)
    edges = [edge for _, port in told for edge in port["edges"]]
    return {**speaker, **judged, "edges": sorted(edges, key=_place)}


def _place(edge: Json) -> tuple[int, str, str, int, str]:
    """As in a document of one node, and then by the node it leads from."""
    order = _KINDS.index(edge["kind"])
    return order, edge["family"], edge["address"], edge["port"], edge["from"]


_KINDS = [str(kind) for kind in Kind]


def merged_changes(changes: Iterable[Json]) -> list[Json]:
    """Several nodes' changes, each once, at its earliest, newest first."""
    every = {(*_words(change), change["time"]): change for change in changes}
    known = sorted((datetime.fromisoformat(key[-1]), key) for key in every)
    edits = {(c["object"], c["time"]) for c in every.values() if not _guessed(c)}
    kept: list[Json] = []
    at: dict[tuple[str, ...], datetime] = {}
    for moment, key in known:
        change, words = every[key], key[:-1]
        before, at[words] = at.get(words), moment
        if before is not None and (moment - before).total_seconds() <= SAME_CHANGE_SECONDS:
            at[words] = before
        elif not (_guessed(change) and (change["object"], change["time"]) in edits):
            kept.append(change)
    return kept[::-1]


def _words(change: Json) -> tuple[str, ...]:
    return change["object"], change["detail"], change["kind"], change["by"] or ""


def _guessed(change: Json) -> bool:
    """Whether it stands for an edit that this node did not see; another one may have."""
    return UNSEEN in change["detail"]


def merged_incidents(incidents: Iterable[Json]) -> list[Json]:
    """Several nodes' incidents: those of one cause at one time are one, with its "nodes". Open
    ones first, the newest first."""
    groups: list[list[Json]] = []
    latest: dict[tuple[Any, ...], list[Json]] = {}
    for incident in sorted(incidents, key=lambda i: (i["opened"], i["node"], i["id"])):
        cause = _cause(incident)
        group = latest.get(cause)
        if group is None or not any(_overlap(other, incident) for other in group):
            group = latest[cause] = []
            groups.append(group)
        group.append(incident)
    found = sorted(map(_incident, groups), key=lambda i: i["opened"], reverse=True)
    return sorted(found, key=lambda i: i["closed"] is not None)


def _cause(incident: Json) -> tuple[Any, ...]:
    """What it is about: a node, its proxy, the prober on it, or some ports of a Service."""
    kind, name = incident["cause"]["kind"], incident["cause"]["name"]
    ports = [(s["namespace"], s["name"], *s["ports"]) for s in incident["services"]]
    return (kind, name, *ports) if kind == "service" else (kind, name)


def _overlap(first: Json, second: Json) -> bool:
    """Whether the second began while the first was open; nodes find the end at their own time."""
    closed = first["closed"]
    if closed is None:
        return True
    after = datetime.fromisoformat(second["opened"]) - datetime.fromisoformat(closed)
    return after.total_seconds() <= SAME_CHANGE_SECONDS


def _incident(group: list[Json]) -> Json:
    """One for all, in the words of the first whose verdict holds."""
    standing = [i for i in group if i["closed"] is None] or group
    verdict = verdict_of([Verdict(i["verdict"]) for i in standing])
    speaker = next(i for i in standing if i["verdict"] == verdict)
    return {
        **speaker,
        "worst_verdict": str(worst(Verdict(i["worst_verdict"]) for i in group)),
        "opened": group[0]["opened"],
        "closed": None if standing is not group else max(i["closed"] for i in group),
        "seconds": max(i["seconds"] for i in group),
        "service_count": max(i["service_count"] for i in group),
        "flaps": max(i["flaps"] for i in group),
        **_explained(group),
        "watched_seconds": _watched(group),
        "advice": list(dict.fromkeys(line for i in (speaker, *group) for line in i["advice"])),
        "nodes": sorted({i["node"] for i in group}),
    }


def _explained(told: Iterable[Json]) -> Json:
    """What the first that has an explanation says of it. Of incidents in the order in which they
    opened, that is the one that was nearest to the change: the others found it as they dialed."""
    known = next((each for each in told if each["change"]), {})
    return {name: known.get(name) for name in ("change", "seconds_before")}


def _watched(group: list[Json]) -> float | None:
    """For how long somebody had looked on when it began; None if one of them may have for longer,
    since he does not say."""
    told = (incident.get("watched_seconds") for incident in group)
    known = [seconds for seconds in told if seconds is not None]
    return max(known) if len(known) == len(group) else None


def _node(document: Json) -> str:
    return ", ".join(source["node"] for source in document["sources"])
