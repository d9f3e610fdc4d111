"""What a soak has shown, for people and as JSON."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tests.soak.faults import Injection
from tests.soak.soak import Result
from tests.soak.turns import Incident, Opened


def text(result: Result) -> str:
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    options = result.options
    yield (
        f"soak: {result.seconds / 60:.1f} min, seed {options.seed}, "
        f"{result.ground}, dialing every {options.interval:g} s"
    )
    yield ""
    yield "operations"
    for kind, count in sorted(result.done.items()):
        yield f"  {count:5} {kind}"
    yield f"{result.dials} dials, {len(result.turns)} verdict turns"
    for verdict, count in Counter(turn.verdict for turn in result.turns).most_common():
        yield f"  {count:5} to {verdict}"
    yield f"{len(result.opened)} incidents were opened by the daemons, by kind of cause"
    for (cause, verdict), count in Counter(map(_kind, result.opened)).most_common():
        yield f"  {count:5} {cause} {verdict}"
    yield ""
    yield "injected"
    for each in result.injections:
        yield f"  {_injection(each, result.opened)}"
    missed = sum(len(each.missed) for each in result.injections)
    stuck = sum(len(each.stuck) for each in result.injections)
    found = sum(len(each.found) for each in result.injections)
    yield (
        f"{len(result.injections)} injected; told on {found} nodes, missed on {missed}, "
        f"not over on {stuck}"
    )
    yield ""
    if result.real:
        yield f"{len(result.real)} outages were real: the API server's slices had nobody either"
        for incident in result.real:
            yield from _incident(incident)
    yield f"{len(result.false)} false incidents"
    for incident in result.false:
        yield from _incident(incident)
    for turn in result.loud:
        yield f"  still told at the end: {turn.port} {turn.verdict}: {turn.sentence}"
    for complaint in result.complaints:
        yield f"  in a daemon's log: {complaint}"
    yield "passed" if result.passed else "FAILED"


def _kind(opened: Opened) -> tuple[str, str]:
    return opened.cause.partition(" ")[0], opened.verdict


def _injection(each: Injection, opened: list[Opened]) -> str:
    found = ", ".join(f"{node} {seconds:.1f} s" for node, seconds in sorted(each.found.items()))
    calm = ", ".join(f"{node} {seconds:.1f} s" for node, seconds in sorted(each.calm.items()))
    parts = [f"{each.at:7.1f} {each.fault} {each.target}: found {found or 'nowhere'}; calm {calm}"]
    ended = each.ended or each.at
    own = Counter(o.cause for o in opened if each.at <= o.at <= ended)
    if own:
        parts.append("incidents " + ", ".join(f"{n} x {cause}" for cause, n in sorted(own.items())))
    if each.missed:
        parts.append(f"MISSED on {', '.join(each.missed)}: {'|'.join(sorted(each.expected))}")
    if each.stuck:
        parts.append(f"NOT OVER on {', '.join(each.stuck)}")
    if each.trouble:
        parts.append(f"the rig was in trouble: {each.trouble}")
    return "; ".join(parts)


def _incident(incident: Incident) -> Iterator[str]:
    ended = "not ended" if incident.ended is None else f"ended at {incident.ended:.1f}"
    yield f"  {incident.port}, {ended}"
    for turn in incident.turns:
        yield f"    {turn.at:7.1f} {turn.was} -> {turn.verdict}: {turn.sentence}"
    for port in (incident.document or {}).get("ports", ()):
        for edge in port["edges"]:
            result = f"{edge['state']} {edge['result']}"
            yield f"      {edge['kind']} {edge['address']}:{edge['port']} {edge['pod']}: {result}"
    for change in (incident.document or {}).get("changes", ())[-8:]:
        yield f"      {change['time']} {change['kind']} {change['object']}: {change['detail']}"
    for entry in incident.around:
        yield f"      {entry}"


def document(result: Result) -> dict[str, Any]:
    """All of it."""
    return {
        "options": asdict(result.options),
        "passed": result.passed,
        "seconds": result.seconds,
        "operations": dict(result.done),
        "dials": result.dials,
        "turns": [asdict(turn) for turn in result.turns],
        "opened": [asdict(opened) for opened in result.opened],
        "injections": [
            {**asdict(each), "expected": sorted(each.expected), "missed": each.missed}
            for each in result.injections
        ],
        "false": [asdict(incident) for incident in result.false],
        "real": [asdict(incident) for incident in result.real],
        "loud": [asdict(turn) for turn in result.loud],
        "complaints": result.complaints,
    }
