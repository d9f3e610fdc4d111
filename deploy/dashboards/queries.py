"""PromQL that several dashboards ask. Each keeps the label `cluster`, where there is one."""

from probe.core.results import FAILURES

PORT = "cluster, namespace, service, port"
"""The labels of a Service port, whatever the node that dials it."""

WORKLOAD = "cluster, namespace, workload_kind, workload"

DIALS = 'kind!="candidate"'
"""Candidates are dialed to explain a failure, and may fail."""

FAILED = f'{DIALS}, result=~"{"|".join(sorted(FAILURES))}"'
"""What counts against a Service: not what the prober itself could not do."""


def failed_share(by: str, selector: str, window: str = "$__rate_interval") -> str:
    """Of all dials the share that failed, by these labels; "" is for all together."""
    failed = f"rate(edgeprobe_dials_total{{{selector}, {FAILED}}}[{window}])"
    dials = f"rate(edgeprobe_dials_total{{{selector}, {DIALS}}}[{window}])"
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
