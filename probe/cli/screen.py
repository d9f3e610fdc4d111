"""One Service on a terminal, from its JSON document alone: what it is, what is wrong, the path as
people think it, what the pods say, what to do, what changed.

Every line says in words what its mark and colour say too.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any

from rich.console import Console
from rich.text import Text

from probe.cli.grid import Column, grid
from probe.cli.path import Called, Mark, Row, called, names, path
from probe.cli.tables import command, edges_table, verdict_style
from probe.core.changes import UNSEEN
from probe.core.edges import Author, spoken
from probe.core.gate import verdict_of_all
from probe.core.suspects import distance, sentence, unexplained
from probe.core.verdicts import FAILING, UNDECIDED, Verdict

Json = dict[str, Any]

MARKS = {Mark.GOOD: "✓", Mark.BAD: "✗", Mark.DOUBTFUL: "!", Mark.NONE: "-"}
PLAIN = {Mark.GOOD: "+", Mark.BAD: "x", Mark.DOUBTFUL: "!", Mark.NONE: "-"}
"""For terminals and pipes that are not UTF-8."""

STYLES = {Mark.GOOD: "green", Mark.BAD: "bold red", Mark.DOUBTFUL: "yellow", Mark.NONE: "dim"}

LABEL = 11
"""Columns that the labels at the left take: `ClusterIP` and a gap."""

COLUMNS = (
    Column("ROLE"),
    Column("ADDRESS", wraps=True),
    Column("RESULT"),
    Column("FROM", least=10),
    Column("POD", least=8, front=True),
    Column("NODE", least=8),
    Column("NOTE", least=16),
)

CHANGES = 3
"""Changes on the screen; the JSON has more. Arbitrary."""

INCIDENTS = 5
"""Incidents of the history on the screen. Arbitrary."""

PODS = 4
"""Pods in trouble on the screen. Arbitrary."""


def service(out: Console, document: Json, now: datetime, *, wide: bool = False) -> None:
    """Prints the Service; `wide` with every edge instead of the path in short."""
    marks, short = marks_of(out), called(_nodes(document))
    ports = document["ports"]
    _line(out, _spec(document))
    head = Text.assemble(_verdict(document, marks), f"  {document['summary']}")
    _line(out, head)
    _line(out, Text(_dialed(document, short), "dim"))
    if wide and any(port["edges"] for port in ports):
        out.print()
        out.print(edges_table(document, out.width))
    for port in ports if not wide else ():
        if not port["edges"]:
            continue
        out.print()
        if len(ports) > 1:
            _line(out, _port_head(port, marks))
        rows = [_cells(row, marks) for row in path(port, len(document["sources"]), short)]
        out.print(grid(COLUMNS, rows, out.width, headed=False))
    _pods(out, document)
    warned = (warning(each, now) for each in document.get("warnings", ()))
    _labelled(out, "warning", warned)
    _advice(out, document)
    _changes(out, document, now)


def history(out: Console, found: Json, now: datetime) -> None:
    """Prints what the daemons remember beside today's answer."""
    short = called(found["nodes"])
    lines = [_incident(incident, now, short) for incident in found["incidents"][:INCIDENTS]]
    if more := len(found["incidents"]) - len(lines):
        lines.append(Text(f"and {more} more incidents: -o json", "dim"))
    caused = [change for change in found["changes"] if change["kind"] != "endpoint"]
    lines += [_change(change, now) for change in caused[:CHANGES]]
    if more := len(caused) - CHANGES:
        lines += [Text(f"and {more} more changes: -o json", "dim")] if more > 0 else []
    heard = f"the daemons on {names(short[node] for node in found['nodes'])} remember"
    _labelled(out, "history", [Text(f"{heard}{':' if lines else ' nothing'}", "dim"), *lines])


def _incident(incident: Json, now: datetime, short: Called) -> Text:
    verdict = Verdict(incident["verdict"])
    when = f"{age(incident['opened'], now)} ago"
    length = "still open" if incident["closed"] is None else f"for {incident['seconds']:.0f} s"
    count = incident["service_count"]
    along = f", {count} Services" if count > 1 else ""
    seen = names(short.get(node, node) for node in incident["nodes"])
    return Text.assemble(
        f"{when}, {length}{along}, seen from {seen}: ",
        (str(verdict), verdict_style(verdict)),
        f": {incident['summary']}; {_explained(incident)}",
    )


def _explained(incident: Json) -> str:
    """The change that explains it and how long before it that was, or that none is known."""
    if (found := incident["change"]) is None:
        written = incident.get("last_write")
        author = written and Author(written["by"], written["time"])
        return unexplained(incident.get("watched_seconds"), author)
    by, managed = found["by"] or "", found["managed"] or ""
    told = found["kind"], found["object"], by, managed, found["detail"]
    return sentence(*told, incident["seconds_before"])


def marks_of(out: Console) -> dict[Mark, str]:
    """The signs that this output can show."""
    try:
        "".join(MARKS.values()).encode(out.encoding)
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return MARKS


def mark_of(verdict: Verdict) -> Mark:
    if verdict in FAILING:
        return Mark.BAD
    return Mark.DOUBTFUL if verdict in UNDECIDED else Mark.GOOD


def _verdict(judged: Json, marks: dict[Mark, str]) -> Text:
    """What it is, marked as what it counts for: nothing was learnt of what is so on purpose."""
    counted = verdict_of_all([judged])
    return Text(f"{marks[mark_of(counted)]} {judged['verdict']}", verdict_style(counted))


def _spec(document: Json) -> Text:
    """`demo-app/backend-v1  ClusterIP 10.96.1.2  http 8080 -> 8081/TCP`."""
    name = f"{document['service']['namespace']}/{document['service']['name']}"
    parts = [Text(name, "bold")]
    if spec := document.get("spec"):
        ips = ", ".join(spec["cluster_ips"]) or ("headless" if spec["type"] == "ClusterIP" else "")
        parts.append(Text(f"{spec['type']} {ips}".rstrip()))
    parts.append(Text(", ".join(map(_port, document["ports"]))))
    return Text("  ").join(part for part in parts if part)


def _port(port: Json) -> str:
    name = f"{port['name']} " if port["name"] else ""
    return f"{name}{port['port']} -> {port['target_port']}/TCP"


def _port_head(port: Json, marks: dict[Mark, str]) -> Text:
    said = f": {port['summary']}" if port["verdict"] != Verdict.HEALTHY else ""
    return Text.assemble((_port(port), "bold"), "  ", _verdict(port, marks), said)


def _nodes(document: Json) -> set[str]:
    """Every node that it speaks of."""
    edges = [edge for port in document["ports"] for edge in port["edges"]]
    named = {edge[key] for edge in edges for key in ("from", "node") if edge[key]}
    return named | {source["node"] for source in document["sources"]}


def _dialed(document: Json, short: Called) -> str:
    nodes = [short[source["node"]] for source in document["sources"]]
    vantages = {source["vantage"] for source in document["sources"]}
    if vantages == {"local"}:
        where = "from here"
    else:
        where = f"from node {nodes[0]}" if len(nodes) == 1 else f"from nodes {names(nodes)}"
    left_out = map(spoken, document.get("skipped", ()))
    skipped = f"; not dialed: {_listed(left_out)}" if document.get("skipped") else ""
    return f"{document['dialed']} of {document['expected']} edges dialed {where}{skipped}"


def _cells(row: Row, marks: dict[Mark, str]) -> tuple[str | Text, ...]:
    return (
        Text(f"  {row.role}", "dim"),
        row.address,
        Text(f"{marks[row.mark]} {row.result}", STYLES[row.mark]),
        f"from {row.sources}" if row.sources else "",
        row.pod,
        row.node,
        Text(row.note, "dim"),
    )


def _pods(out: Console, document: Json) -> None:
    """What the pods themselves tell, where it bears on the verdict."""
    if "pods" not in document:
        return
    pods, failing = document["pods"], Verdict(document["verdict"]) is not Verdict.HEALTHY
    lines = [f"{pod['name']}: {pod['trouble']}" for pod in pods if pod["trouble"]]
    if len(lines) > PODS:
        lines[PODS - 1 :] = [f"and {len(lines) - PODS + 1} more in trouble"]
    if not pods and document["spec"]["selector"]:
        selector = ",".join(f"{k}={v}" for k, v in document["spec"]["selector"].items())
        lines.append(f"none has the labels {selector}")
    declared = sorted({port for pod in pods for port in pod["declared_ports"]})
    if declared and failing:
        lines.append(f"declare port{'s' * (len(declared) > 1)} {_listed(declared)}")
    if meshes := sorted({pod["mesh"] for pod in pods if pod["mesh"]}):
        count = sum(pod["mesh"] is not None for pod in pods)
        lines.append(f"{count} of {len(pods)} are in the mesh {_listed(meshes)}")
    if policies := document.get("policies"):
        lines.append(f"selected by NetworkPolicy {_listed(policies)}")
    _labelled(out, "pods", map(Text, lines))


def _listed(words: Iterable[object]) -> str:
    return ", ".join(map(str, words))


def warning(told: Json, now: datetime) -> Text:
    """`Deployment shop/web: container web: env UPSTREAM_ADDR=0:80: ... (by kubectl-set, 3 d ago)`:
    something that is wrong and that no dial of the Service's meets."""
    by = f" (by {told['by']}, {age(told['time'], now)} ago)" if told["by"] else ""
    return Text(f"{told['object']}: {told['detail']}{by}", "yellow")


def _advice(out: Console, document: Json) -> None:
    for count, line in enumerate(document["advice"]):
        if not count:
            out.print()
        said, colon, shell = line.partition(": kubectl ")
        if not colon or "; " in shell:
            _labelled(out, "" if count else "next", [Text(line, "cyan")], apart=False)
            continue
        _labelled(out, "" if count else "next", [Text(f"{said}:", "cyan")], apart=False)
        # Alone and whole, so that it can be copied.
        command(out, Text(f"    kubectl {shell}", "bold cyan"))


def _changes(out: Console, document: Json, now: datetime) -> None:
    warned = [(each["object"], each["detail"]) for each in document.get("warnings", ())]
    changes = [c for c in document["changes"] if (c["object"], c["detail"]) not in warned]
    blamed = document.get("change")
    if Verdict(document["verdict"]) is Verdict.HEALTHY:
        told = (c for c in changes if c["kind"] != "endpoint" and UNSEEN not in c["detail"])
        changes = list(islice(told, 1))
    # What somebody did explains more than what followed from it.
    first = sorted(changes, key=lambda change: change["kind"] == "endpoint")
    # Another node may have heard of the same at another moment.
    words = blamed and (blamed["object"], blamed["detail"])
    lines = [_change(c, now) for c in first if (c["object"], c["detail"]) != words]
    if blamed:
        lines.insert(0, _change(blamed, now, f", {distance(document['seconds_before'])}"))
    _labelled(out, "changed", lines[:CHANGES])


def _change(change: Json, now: datetime, before: str = "") -> Text:
    by = f" by {change['by']}" if change["by"] else ""
    when = f"{age(change['time'], now)} ago{by}{before}"
    return Text(f"{when}: {change['object']}: {change['detail']}")


def age(time: str, now: datetime) -> str:
    """How long ago that was, as kubectl tells ages: one unit, or two of the small ones."""
    seconds = max(0, int((now - datetime.fromisoformat(time)).total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 2 * 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 2 * 86400 else f"{seconds // 86400} d"


def _labelled(out: Console, label: str, lines: Iterable[Text], *, apart: bool = True) -> None:
    """Lines of prose beside a label, wrapped at the right on a terminal only."""
    for count, line in enumerate(lines):
        if apart and not count:
            out.print()
        word = label if not count else ""
        head = Text(f"  {word:<{LABEL}}", "dim")
        if not out.is_terminal:
            out.print(Text.assemble(head, line), soft_wrap=True)
            continue
        room = max(20, out.width - LABEL - 2)
        for part in line.wrap(out, room):
            part.rstrip()
            out.print(Text.assemble(head, part))
            head = Text(" " * (LABEL + 2))


def _line(out: Console, text: Text) -> None:
    out.print(text, soft_wrap=not out.is_terminal)
