"""PromQL that several dashboards ask. Each keeps the label `cluster`, where there is one."""

from probe.core.results import FAILURES

PORT = "cluster, namespace, service, port"
"""The labels of a Service port, whatever the node that dials it."""

WORKLOAD = "cluster, namespace, workload_kind, workload"

DIALS = 'kind!="candidate"'
"""Candidates are dialed to explain a failure, and may fail."""

FAILED = f'{DIALS}, result=~"{"|".join(sorted(FAILURES))}"'
"""What counts against a Service: not what the prober itself could not do."""


NODE_DIALS = "edgeprobe_node_dials_total"
"""All dials of a node. edgeprobe_dials_total lacks those to the Services that only other nodes tell
of: what is well has fewer series than what fails, and a share of them would be too large."""


def failed_share(by: str, selector: str, window: str = "$__rate_interval") -> str:
    """Of the dials to each Service the share that failed, where the node tells of it, by these
    labels: those of a Service and a node at least."""
    return _failed_share("edgeprobe_dials_total", by, selector, window)


def failed_share_of_all(by: str, selector: str, window: str = "$__rate_interval") -> str:
    """Of the dials to all Services the share that failed, by these labels of a node; "" is for all
    nodes together."""
    return _failed_share(NODE_DIALS, by, selector, window)


def _failed_share(name: str, by: str, selector: str, window: str) -> str:
    failed = f"rate({name}{{{selector}, {FAILED}}}[{window}])"
    dials = f"rate({name}{{{selector}, {DIALS}}}[{window}])"
    return f"sum by ({by}) ({failed})\n/ sum by ({by}) ({dials})"


def failed_in_rollouts(by: str, selector: str) -> str:
    """Dials that failed during rollouts within the dashboard's time.

    A counter begins with its first failure, which increase() would not see; after a gap in the
    scrapes the count before it stands, and one that is lower now has begun anew.
    """
    name = f"edgeprobe_rollout_failed_dials_total{{{selector}}}"
    before = f"(last_over_time({name}[15m] offset $__range) or {name} * 0)"
    return f"sum by ({by}) ({name} - {before} >= 0 or {name})"


def or_none(query: str) -> str:
    """0 where there is none to count."""
    return f"{query} or vector(0)"
