"""What the daemons export, as promtool reads it, and what an alert is to make of it."""

from dataclasses import dataclass

Series = dict[str, str]
"""Values at scrapes every 15 s, as promtool writes them, by series."""

WEB = 'namespace="demo-app",service="backend-v1",port="8080"'
OTHER = 'namespace="shop",service="cart",port="80"'
HERE = {"namespace": "demo-app", "service": "backend-v1", "port": "8080"}
NAME = "Service demo-app/backend-v1 port 8080"


def info(
    verdict: str, of: str = WEB, *, node: str = "node-1", candidate: str = "", cause: str = ""
) -> str:
    return (
        f'edgeprobe_verdict_info{{node="{node}",{of},verdict="{verdict}",target_port="8081",'
        f'candidate="{candidate}",cause="{cause}"}}'
    )


def build(node: str) -> str:
    return f'edgeprobe_build_info{{node="{node}",version="0.0.0",vantage="pod"}}'


def contact(resource: str = "services") -> str:
    return (
        f'edgeprobe_discovery_last_contact_timestamp_seconds{{node="node-1",resource="{resource}"}}'
    )


def dials(result: str, phase: str = "steady", kind: str = "service") -> str:
    return (
        f'edgeprobe_dials_total{{node="node-1",{WEB},kind="{kind}",family="ipv4",'
        f'result="{result}",phase="{phase}"}}'
    )


def node_dials(result: str, kind: str = "service") -> str:
    """Those of node-1 to all Services."""
    return f'edgeprobe_node_dials_total{{node="node-1",kind="{kind}",result="{result}"}}'


def failed(node: str, result: str = "refused") -> str:
    return (
        f'edgeprobe_rollout_failed_dials_total{{node="{node}",namespace="demo-app",'
        f'workload_kind="Deployment",workload="web",service="web",result="{result}"}}'
    )


ROLLS = (
    'edgeprobe_rollout_in_progress{node="node-1",namespace="demo-app",'
    'workload_kind="Deployment",workload="web"}'
)


def lag(node: str) -> Series:
    name = "edgeprobe_endpoint_removal_lag_seconds"
    of = f'{{node="{node}"}}'
    return {f"{name}_sum{of}": "0x8 42x30", f"{name}_count{of}": "0x8 3x30"}


@dataclass(frozen=True)
class Case:
    """`series` make the alert, and no other, fire by `at` and not yet at `before`; none of `quiet`
    does so at `quiet_at`. All but the absence of any prober beside PRESENT."""

    alert: str
    series: Series
    labels: dict[str, str]
    summary: str
    description: str
    quiet: tuple[Series, ...]
    before: str = "55s"
    at: str = "1m15s"
    present: bool = True
    quiet_at: tuple[str, ...] = ("2m", "6m")


FROM_45S = "_x3 1x120"
"""Not there in the first three scrapes, and then always."""

HEALTHY = f'edgeprobe_verdict{{node="node-1",{WEB},verdict="healthy"}}'
SUCCEEDED = f'edgeprobe_edge_last_success_timestamp_seconds{{node="node-2",{WEB},kind="service"}}'
SUCCEEDED_HERE = SUCCEEDED.replace("node-2", "node-1")
DRAINS = f'edgeprobe_verdict{{node="node-1",{WEB},verdict="drain_race"}}'
ON_PURPOSE = f'edgeprobe_verdict{{node="node-1",{WEB},verdict="no_endpoints"}}'
UNKNOWN = HEALTHY.replace("healthy", "unknown")
UNKNOWN_HERE = 'edgeprobe_node_service_ports{node="node-1",verdict="unknown",failing="false"}'
PRESENT = {build("node-9"): "1x200"}
"""Some prober that is there, where its absence is not the matter."""
