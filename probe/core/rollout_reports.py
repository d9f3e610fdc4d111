"""What a rollout did to those who called: one node's record, many nodes' as one, and in words.

A record is JSON and of the same shape for one node and for many, so that daemons can exchange
them; everything for people is read off it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from probe.core.moments import Clock, rfc3339
from probe.core.results import Result
from probe.core.rollout_remedies import advice, covering, open_failures, still_open, stuck_proxies
from probe.core.rollouts import Rollout
from probe.core.workloads import Workload

Json = dict[str, Any]

OUTCOMES = ("running", "stuck", "overdue", "deleted", "complete")
"""Of several nodes' outcomes the first of these is told: what went wrong for one is news."""

SAME_ROLLOUT_SECONDS = 10.0
"""Records of one workload whose times are so far apart at most are of one rollout: nodes hear of
its beginning and end at their own time. Arbitrary, as in merging."""

COUNT_MAX = 2**53
"""Sums of what others tell stay readable for others (RFC 8259, section 6)."""

NODES_NAMED = 5
"""Nodes whose lag is told in words; the record has them all. Arbitrary."""


def record(
    rollout: Rollout,
    node: str,
    clock: Clock,
    *,
    workload: Workload | None = None,
    ports: Sequence[int] = (),
) -> Json:
    """What this node saw of the rollout. `workload` is as it is known now, `ports` are those on
    which its pods are dialed. Times are RFC 3339, durations seconds, null where unknown."""
    kind, namespace, name = rollout.workload
    ended = rollout.ended
    here = _here(rollout, node)
    found = {
        "workload": f"{kind} {namespace}/{name}",
        "detail": rollout.detail,
        "by": rollout.by,
        "managed": rollout.managed,
        "services": list(rollout.services),
        "started": rfc3339(clock(rollout.started)),
        "ended": None if ended is None else rfc3339(clock(ended)),
        "outcome": rollout.outcome or "running",
        "seconds": None if ended is None else round(ended - rollout.started, 1),
        "failed_new": _counts(rollout.failed_new),
        "first_failure": _moment(rollout.first_failure, clock),
        "last_failure": _moment(rollout.last_failure, clock),
        "longest_gap_seconds": round(rollout.longest_gap, 3),
        **{key: here[key] for key in here if key != "node"},
        "recommended_drain_seconds": rollout.recommended_drain,
        "template": {
            "pre_stop_seconds": workload.pre_stop if workload else None,
            "termination_grace_period_seconds": (
                workload.grace_seconds if workload else rollout.grace_seconds
            ),
            "readiness_probe": workload.readiness if workload else None,
            "containers": list(workload.containers) if workload else [],
            "ports": sorted(ports),
        },
        "silent": [],
        "nodes": [here],
    }
    return {**found, "advice": list(advice(found))}


def _here(rollout: Rollout, node: str) -> Json:
    """This node's share of the record."""
    lag = rollout.lag
    return {
        "node": node,
        "dials": rollout.dials,
        "failed": _counts(rollout.failed),
        "removal_lag_seconds": None if lag is None else round(lag, 3),
        "removal_lag_error_seconds": None if lag is None else round(rollout.error, 3),
        "shortest_window_seconds": round(rollout.window, 3) if rollout.window else None,
        "unconfirmed": rollout.unconfirmed,
        "censored": lag is not None and rollout.censored,
    }


def _counts(failed: Counter[Result]) -> dict[str, int]:
    return {str(result): count for result, count in sorted(failed.items())}


def _moment(at: float | None, clock: Clock) -> str | None:
    return None if at is None else rfc3339(clock(at))


def same(first: Json, second: Json) -> bool:
    """Whether two nodes' records can be of one rollout: of one workload, at one time."""
    if first["workload"] != second["workload"]:
        return False
    early, late = sorted((first, second), key=lambda told: told["started"])
    if early["ended"] is None:
        return True
    apart = datetime.fromisoformat(late["started"]) - datetime.fromisoformat(early["ended"])
    return apart.total_seconds() <= SAME_ROLLOUT_SECONDS


def match(own: Json, records: Iterable[Json], node: str) -> Json | None:
    """Of what another node's daemon tells, the record of the rollout that `own` is of, if there is
    one: the next in time. It is that node's, whatever it says."""
    found = [r for r in records if same(own, r) and len(r["nodes"]) == 1]
    if not found:
        return None
    next_ = min(found, key=lambda r: abs(_apart(own, r)))
    return {**next_, "nodes": [{**next_["nodes"][0], "node": node}]}


def _apart(first: Json, second: Json) -> float:
    """Seconds from the beginning of the first to that of the second."""
    began = [datetime.fromisoformat(told["started"]) for told in (first, second)]
    return (began[1] - began[0]).total_seconds()


def merged(records: Iterable[Json], own: Json | None = None) -> Json:
    """Several nodes' records of one rollout as one; their order changes nothing. What asks for the
    longest drain is told as its lag. `own` is the one among them that is our own, if any: what is
    not of dials, but of the cluster, is taken from it. Raises ValueError without any record."""
    told = sorted(records, key=_first_node)
    if not told:
        raise ValueError("nothing to merge")
    worst = max(told, key=_reach)
    drains = _known(told, "recommended_drain_seconds")
    censored = any(r["censored"] for r in told)
    found = {
        **told[0],
        **(_course(told) if own is None else own),
        "by": next((r["by"] for r in (own or told[0], *told) if r["by"]), None),
        "managed": next((r["managed"] for r in (own or told[0], *told) if r["managed"]), ""),
        "dials": min(COUNT_MAX, sum(r["dials"] for r in told)),
        "failed": _sum(r["failed"] for r in told),
        "failed_new": _sum(r["failed_new"] for r in told),
        "unconfirmed": min(COUNT_MAX, sum(r["unconfirmed"] for r in told)),
        "censored": censored,
        "first_failure": min(_known(told, "first_failure"), default=None),
        "last_failure": max(_known(told, "last_failure"), default=None),
        "longest_gap_seconds": max(r["longest_gap_seconds"] for r in told),
        "removal_lag_seconds": worst["removal_lag_seconds"],
        "removal_lag_error_seconds": worst["removal_lag_error_seconds"],
        "shortest_window_seconds": max(_known(told, "shortest_window_seconds"), default=None),
        "recommended_drain_seconds": None if censored else max(drains, default=None),
        "silent": sorted({node for r in told for node in r["silent"]}),
        "nodes": sorted((n for r in told for n in r["nodes"]), key=lambda n: str(n["node"])),
    }
    return {**found, "advice": list(advice(found))}


def _course(told: list[Json]) -> Json:
    """What nodes, none of which is our own, tell of the rollout itself."""
    running = any(r["ended"] is None for r in told)
    return {
        "detail": min(told, key=lambda r: r["started"])["detail"],
        "services": sorted({name for r in told for name in r["services"]}),
        "started": min(r["started"] for r in told),
        "ended": None if running else max(r["ended"] for r in told),
        "outcome": min((r["outcome"] for r in told), key=_rank),
        "seconds": None if running else max(r["seconds"] for r in told),
    }


def _first_node(told: Json) -> tuple[str, str]:
    return str(told["nodes"][0]["node"]) if told["nodes"] else "", told["started"]


def _rank(outcome: str) -> int:
    return OUTCOMES.index(outcome) if outcome in OUTCOMES else 0


def _reach(told: Json) -> float:
    """Up to how many seconds after its removal an endpoint may have been sent to; -1 if it was
    not seen to be."""
    lag = told["removal_lag_seconds"]
    return -1.0 if lag is None else float(lag + told["removal_lag_error_seconds"])


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counted in counts:
        total.update(counted)
    return {result: min(COUNT_MAX, count) for result, count in sorted(total.items())}


def _known(told: Iterable[Json], key: str) -> list[Any]:
    return [r[key] for r in told if r[key] is not None]


def shortened(told: Json, most: int) -> Json:
    """The record with at most so many nodes: those of the longest lag, and of most failures."""

    def weight(share: Json) -> tuple[float, int]:
        lag = share["removal_lag_seconds"]
        return -1.0 if lag is None else lag, sum(share["failed"].values())

    return {**told, "nodes": sorted(told["nodes"], key=weight, reverse=True)[:most]}


def clean(told: Json) -> bool:
    """Whether nothing failed, neither by a ClusterIP nor on a new endpoint."""
    return not told["failed"] and not told["failed_new"]


def _words(failed: dict[str, int]) -> str:
    return ", ".join(f"{count} {result}" for result, count in failed.items())


def lines(told: Json) -> list[str]:
    """The record for people, in a few lines, the advice last."""
    return [_head(told), *_met(told), *_lag(told), *told["advice"]]


def news(told: Json) -> str:
    """The record in one sentence, for a log or an Event, which has room for little: what failed
    and what would have avoided it come first."""
    met, *more = _met(told)
    if remedy := covering(told):
        more.insert(0, remedy)
    return "; ".join((met, *more, *_lag(told), _head(told)))


def _head(told: Json) -> str:
    by = f" by {told['by']}" if told["by"] else ""
    by += f" ({told['managed']})" if told["managed"] else ""
    after = "" if told["seconds"] is None else f" after {told['seconds']:.0f} s"
    detail = f", {told['detail']}" if told["detail"] else ""
    return f"rollout of {told['workload']}{by}: {told['outcome']}{after}{detail}"


def _met(told: Json) -> Iterable[str]:
    nodes = [n["node"] for n in told["nodes"]]
    seen = f"from node {nodes[0]}" if len(nodes) == 1 else f"from {len(nodes)} nodes"
    failed = _words(told["failed"]) or "none"
    text = f"{failed} of {told['dials']} ClusterIP dials failed, {seen}"
    if told["failed"]:
        text += f", between {told['first_failure']} and {told['last_failure']}"
        text += f", {told['longest_gap_seconds']:.1f} s at most without a success"
    yield text
    if told["failed_new"]:
        yield f"{_words(told['failed_new'])} on endpoints that had just become ready"
    if told["silent"]:
        yield f"without the word of {_named(told['silent'])}"


def _lag(told: Json) -> Iterable[str]:
    lag, window = told["removal_lag_seconds"], told["shortest_window_seconds"]
    if lag is not None:
        error = told["removal_lag_error_seconds"]
        text = f"removal lag {lag:.1f} s (up to {error:.1f} s more)"
        if stuck_proxies(told):
            text = f"removal lag {lag:.1f} s or longer (cut off)"
        elif still_open(told):
            text = f"removal lag at least {lag:.1f} s so far ({open_failures(told)})"
        seen = [n for n in told["nodes"] if n["removal_lag_seconds"] is not None]
        if len(told["nodes"]) > 1:
            seen.sort(key=lambda n: -n["removal_lag_seconds"])
            text += ": " + _named([f"{n['node']} {n['removal_lag_seconds']:.1f} s" for n in seen])
        yield text
    elif told["unconfirmed"]:
        yield open_failures(told)
    elif told["failed"]:
        yield "no failure could be laid to a removed endpoint"
    elif window is not None and told["dials"]:
        yield (
            f"had a proxy gone on sending to a removed pod for {window:.1f} s or more, "
            "it would have been seen (95 % sure)"
        )


def _named(names: Sequence[str]) -> str:
    more = len(names) - NODES_NAMED
    return ", ".join(names[:NODES_NAMED]) + (f" and {more} more" if more > 0 else "")
