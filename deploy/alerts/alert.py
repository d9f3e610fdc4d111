"""What an alert is, and the words that many of them share."""

from dataclasses import dataclass

INTERVAL = "10s"
"""Between two evaluations."""

KEPT = "2m"
"""For so long an alert goes on firing after its expression gives nothing: a scrape that failed, or
a prober that restarts, is no recovery. Chosen: a prober's first verdicts stand within a minute. An
API server that is away makes what fails unknown after two: so much more is outlived. Prometheus
knows the word since 2.42."""

CRITICAL, WARNING = "critical", "warning"

CLUSTER = "cluster"

OF_PORT = (CLUSTER, "namespace", "service", "port")
"""The labels of a Service port, whatever the node that dials it."""

PORT = ", ".join(OF_PORT)
NODE = f"{CLUSTER}, node"


@dataclass(frozen=True, slots=True)
class Alert:
    """`hold` is for how long the expression must give something. `runbook` names the page: that of
    the verdict, or of what ails the prober."""

    name: str
    severity: str
    hold: str
    runbook: str
    expr: str
    summary: str
    description: str


def queried(selector: str, values: str) -> str:
    """A template's expression: the series of the selector, each %q filled in by a value."""
    return f"printf `{selector}` {values} | query"


def frozen(name: str, by: str, *, of: str, within: str = CLUSTER) -> str:
    """What goes on firing while no prober `within` hears of the API server: alerts of this name,
    by their labels `by`, as long as something `of` theirs is unknown.

    What fails is unknown to all of them from 120 s on (ledger.STALE_SECONDS): what was told before
    stands. They hear of it once a minute even where nothing changes (bookmarks). A port that is
    unknown is told by those who dial its endpoints, how many are by every node.
    """
    unknown = 'edgeprobe_node_service_ports{verdict="unknown"} > 0'
    if of == PORT:
        unknown = 'edgeprobe_verdict{verdict="unknown"}'
    return f"""
or max by ({by}) (
  ALERTS{{alertname="{name}",alertstate="firing"}}
  and on ({of}) ({unknown})
)
and on ({within}) (time() - max by ({within}) (
  edgeprobe_discovery_last_contact_timestamp_seconds{{resource=~"services|endpointslices"}}
) > 90)"""


OF_THE_PORT, THE_PORT = (
    ",".join(f"{label}=%q" for label in OF_PORT),
    " ".join(f"$labels.{label}" for label in OF_PORT),
)
"""A selector of the Service port that an alert is about, and what to fill in. A label that is not
there selects series without it."""

SERVICE = "Service {{ $labels.namespace }}/{{ $labels.service }} port {{ $labels.port }}"
