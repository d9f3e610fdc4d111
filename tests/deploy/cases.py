"""What each alert is to say of which metrics, and of which it is to say nothing."""

from tests.deploy.series import (
    DRAINS,
    FROM_45S,
    HEALTHY,
    HERE,
    NAME,
    ON_PURPOSE,
    OTHER,
    ROLLS,
    SUCCEEDED,
    SUCCEEDED_HERE,
    UNKNOWN,
    Case,
    build,
    contact,
    dials,
    failed,
    info,
    lag,
    node_dials,
)

VERDICTS = (
    Case(
        "EdgeprobePortMismatch",
        {
            info("port_mismatch", candidate="8080"): FROM_45S,
            info("port_mismatch", candidate="8080", node="node-2"): FROM_45S,
        },
        {**HERE, "target_port": "8081", "candidate": "8080"},
        f"{NAME}: targetPort 8081 is refused, port 8080 accepts",
        f"{NAME} is port_mismatch, seen from node node-1 and others, 2 in all: targetPort 8081 is "
        "refused, port 8080 accepts. Set the targetPort (where UDP has the same number, "
        "by the line of probe check): kubectl patch service backend-v1 "
        '-n demo-app -p \'{"spec":{"ports":[{"port":8080,"targetPort":8080}]}}\'',
        ({HEALTHY: "1x120"}, {info("drain_race"): "1x120"}),
    ),
    Case(
        "EdgeprobeNotListening",
        {info("not_listening"): FROM_45S},
        {**HERE, "target_port": "8081"},
        f"{NAME}: every endpoint refuses targetPort 8081",
        f"{NAME} is not_listening, seen from node node-1: every endpoint refuses targetPort 8081. "
        "See what the containers listen on: kubectl exec -n demo-app POD -- ss -ltn",
        ({HEALTHY: "1x120"},),
    ),
    Case(
        "EdgeprobeNoEndpoints",
        {info("no_endpoints"): FROM_45S, SUCCEEDED: "30x120"},
        HERE,
        f"{NAME}: no endpoint takes traffic",
        f"{NAME} is no_endpoints, seen from node node-1: no endpoint takes traffic. Compare the "
        "selector with the pods: kubectl describe service backend-v1 -n demo-app",
        ({ON_PURPOSE: "1x120"}, {HEALTHY: "1x120"}, {info("no_endpoints"): "1x120"}),
    ),
    Case(
        "EdgeprobeBlackholed",
        {info("blackholed"): FROM_45S, SUCCEEDED_HERE: "30x120"},
        HERE,
        f"{NAME}: no endpoint answers",
        f"{NAME} is blackholed, seen from node node-1: no endpoint answers. See which policy "
        "selects the pods: kubectl get networkpolicies -n demo-app",
        (
            {HEALTHY: "1x120"},
            {info("blackholed"): "1x120"},
            {info("blackholed"): "1x120", SUCCEEDED: "30x120"},
        ),
    ),
    Case(
        "EdgeprobeEndpointDown",
        {info("endpoint_down"): FROM_45S},
        HERE,
        f"{NAME}: some endpoints fail",
        f"{NAME} is endpoint_down, seen from node node-1: some endpoints fail. Callers meet them "
        "by chance. edgeprobe_endpoint_up tells which: kubectl get pods -n demo-app -o wide",
        ({HEALTHY: "1x120"}, {info("endpoint_down"): "_x3 1 1 stale _x120"}),
        before="1m40s",
        at="2m",
    ),
    Case(
        "EdgeprobeInvalidTarget",
        {info("invalid_target"): FROM_45S},
        HERE,
        f"{NAME}: an address of it may not be dialed",
        f"{NAME} is invalid_target, seen from node node-1: an address of it may not be dialed. "
        "Find who writes it: kubectl get endpointslices -n demo-app "
        "-l kubernetes.io/service-name=backend-v1 -o yaml",
        ({HEALTHY: "1x120"},),
    ),
    Case(
        "EdgeprobeNoEndpointsYet",
        {info("no_endpoints"): FROM_45S},
        HERE,
        f"{NAME}: no endpoint takes traffic, and none has since the probers began",
        f"{NAME} is no_endpoints, seen from node node-1: no endpoint takes traffic, and none has "
        "since the probers began. Compare the selector with the pods: kubectl describe service "
        "backend-v1 -n demo-app. If it is meant to be so, annotate it edgeprobe.dev/probe: "
        '"false"',
        ({ON_PURPOSE: "1x120"}, {info("no_endpoints"): "1x120", SUCCEEDED: "30x120"}),
        before="15m",
        at="16m",
        quiet_at=("16m",),
    ),
    Case(
        "EdgeprobeNoAnswerYet",
        {info("blackholed"): FROM_45S, SUCCEEDED: "30x120"},
        HERE,
        f"{NAME}: no endpoint answers, and none has answered there since the prober began",
        f"{NAME} is blackholed, seen from node node-1: no endpoint answers, and none has answered "
        "there since the prober began. A policy of a kind that probe does not read may leave it "
        "out: see whether a CiliumNetworkPolicy, a NetworkPolicy or GlobalNetworkPolicy of Calico "
        "or an AdminNetworkPolicy selects the pods. If it is meant to be so, annotate it "
        'edgeprobe.dev/probe: "false"',
        (
            {HEALTHY: "1x120"},
            {
                info("blackholed"): "1x120",
                info("blackholed", node="node-2"): "1x120",
                SUCCEEDED: "30x120",
            },
        ),
        before="15m",
        at="16m",
        quiet_at=("16m",),
    ),
    Case(
        "EdgeprobeNodePath",
        {
            info("node_path", cause="node/node-3"): FROM_45S,
            info("node_path", OTHER, cause="node/node-3"): FROM_45S,
            info("node_path", cause="node/node-3", node="node-2"): FROM_45S,
        },
        {"node": "node-3", "cause": "node/node-3"},
        "Node node-3: everything towards it, or from it, fails",
        "The verdict node_path holds for 2 Services, such as demo-app/backend-v1: nothing on node "
        "node-3 answers, or it reaches no other. Look at the node: kubectl describe node node-3",
        ({HEALTHY: "1x120"},),
    ),
    Case(
        "EdgeprobeProxyStale",
        {
            info("proxy_stale", cause="proxy/node-1"): FROM_45S,
            info("proxy_stale", OTHER, cause="proxy/node-1"): FROM_45S,
        },
        {"node": "node-1"},
        "Node node-1: kube-proxy's rules are behind or missing",
        "On node node-1 the verdict proxy_stale holds for 2 Service ports, such as "
        "demo-app/backend-v1: their endpoints answer, the ClusterIPs do not. kubectl get pods "
        "-n kube-system -l k8s-app=kube-proxy -o wide --field-selector spec.nodeName=node-1",
        ({HEALTHY: "1x120"}, {info("drain_race"): "1x120"}),
    ),
    Case(
        "EdgeprobeLossyPath",
        {info("lossy"): FROM_45S, info("lossy", OTHER): FROM_45S},
        {},
        "Dials fail now and then, or their SYNs get lost on the way",
        "The verdict lossy holds for 2 pairs of a node and a Service port, node node-1 (2), "
        "Service demo-app/backend-v1 (1), Service shop/cart (1). Callers meet failures, or seconds "
        "of delay. Look for drops on those nodes' interfaces and for a full conntrack table; for "
        "kube-proxy's rules where only ClusterIPs fail.",
        (
            {HEALTHY: "1x120"},
            {info("lossy"): "1x8 stale _x120"},
            {info("lossy"): "1x120", info("endpoint_down", node="node-2"): "1x120"},
        ),
        before="5m30s",
        at="6m",
    ),
)

DIALS = (
    Case(
        "EdgeprobeInvalidAddress",
        {
            'edgeprobe_invalid_targets{node="node-1",namespace="demo-app",source="env"}': "_x3 2x9",
            'edgeprobe_invalid_targets{node="node-2",namespace="demo-app",source="env"}': "_x3 2x9",
        },
        {"namespace": "demo-app", "source": "env"},
        "Namespace demo-app: a workload is told an address that nobody may dial",
        "2 addresses such as 0:80 stand in the env of workloads in namespace demo-app "
        "(invalid_target): a dial would reach the caller itself. The prober's log and "
        "/api/v1/changes name them.",
        (
            {
                'edgeprobe_invalid_targets{node="node-1",namespace="demo-app",'
                'source="endpointslice"}': "1x120"
            },
        ),
    ),
    Case(
        "EdgeprobeRefusedSteady",
        {dials("refused"): "0x3 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"},
        HERE,
        f"{NAME}: dials are refused while nothing changes",
        f"{NAME}: 8 dials were refused in 2 minutes, outside of rollouts and edits, most of "
        "them from node node-1, and no verdict explains it: an endpoint fails now and then. "
        "probe check svc backend-v1 -n demo-app --watch",
        (
            {dials("refused", "rollout"): "0+5x120"},
            {dials("refused", kind="candidate"): "0+5x120"},
            {dials("connected"): "0+5x120"},
            {dials("refused"): "0+5x20", DRAINS: "1x20"},
            {dials("refused"): "0+5x20", DRAINS.replace("node-1", "node-2"): "1x20"},
            {dials("refused"): "0+5x40", UNKNOWN: "1x40"},
            {dials("refused"): "0+5x40", ON_PURPOSE: "1x40"},
        ),
        before="2m",
        at="3m",
    ),
    Case(
        "EdgeprobeRolloutFailedDials",
        {
            build("node-1"): "1x90",
            failed("node-1"): "_x43 1 3 3x40",
            failed("node-2"): "200x43 201x40",
            ROLLS: "_x42 1x4 0 0 stale",
            'edgeprobe_recommended_drain_seconds{node="node-1",namespace="demo-app",'
            'workload_kind="Deployment",workload="web"}': "_x43 12x42",
        },
        {"namespace": "demo-app", "workload_kind": "Deployment", "workload": "web"},
        "Deployment demo-app/web: dials failed while it rolled out",
        "4 ClusterIP dials failed in the last rollout of Deployment demo-app/web (drain_race), "
        "most of them on node node-1 towards Service web. A preStop sleep of 12 s would have "
        "avoided it: lifecycle: {preStop: {sleep: {seconds: 12}}}",
        (
            {failed("node-1"): "4x120"},
            {failed("node-1"): "4x4 stale 4x120", ROLLS: "_x45 1x120"},
            {
                build("node-1"): "_x3 1x4 _x2 1x120",
                failed("node-1"): "_x3 200x4 _x2 200x120",
                ROLLS: "_x3 1x120",
            },
            {
                'edgeprobe_recommended_drain_seconds{node="node-1",namespace="demo-app",'
                'workload_kind="Deployment",workload="web"}': "12x120"
            },
        ),
        before="10m40s",
        at="11m15s",
        quiet_at=("2m", "11m20s"),
    ),
    Case(
        "EdgeprobeRemovalLagHigh",
        lag("node-1"),
        {"node": "node-1"},
        "Node node-1: removed endpoints get traffic for 14s",
        "ClusterIPs dialed from node node-1 led to removed endpoints for 14s on average, over the "
        "last half hour (drain_race): kube-proxy there is slow to follow. Pods need as long a "
        "preStop sleep.",
        (
            {
                'edgeprobe_endpoint_removal_lag_seconds_sum{node="node-1"}': "0x8 6x120",
                'edgeprobe_endpoint_removal_lag_seconds_count{node="node-1"}': "0x8 3x120",
            },
        ),
        before="2m",
        at="3m",
    ),
)

PROBER = (
    Case(
        "EdgeprobeProbeFault",
        {
            info("probe_fault", cause="self/node-1"): FROM_45S,
            info("probe_fault", OTHER, cause="self/node-1"): FROM_45S,
        },
        {"node": "node-1"},
        "Node node-1: the prober itself could not dial",
        "The prober on node node-1 lacks descriptors, source ports, memory or a route, or a policy "
        "binds its own pod (probe_fault, 2 times): it says nothing of the Services there.",
        ({node_dials("local_fault"): "0x3 1x120"}, {HEALTHY: "1x120"}),
        before="1m40s",
        at="2m",
    ),
    Case(
        "EdgeprobeProberStale",
        {contact(): "0x30"},
        {"node": "node-1"},
        "Node node-1: the prober is behind",
        "The prober on node node-1 has heard nothing of the API server, or has dials waiting, for "
        "5m 0s: failures accuse nobody while it lasts.",
        (
            {contact(): "0+15x120", contact("endpointslices"): "0+15x120"},
            {contact("deployments"): "0x120"},
            {'edgeprobe_dial_lag_seconds{node="node-1"}': "2x120"},
        ),
        before="4m",
        at="5m",
    ),
    Case(
        "EdgeprobeProberMissing",
        {
            'edgeprobe_prober_missing{node="node-1",missing_node="node-3"}': "1x60",
            'edgeprobe_prober_missing{node="node-2",missing_node="node-3"}': "1x60",
        },
        {"node": "node-3", "missing_node": "node-3"},
        "Node node-3: no prober runs there",
        "Node node-3 is ready and no prober on it is: its kube-proxy is not watched. kubectl get "
        "pods -A -l app.kubernetes.io/name=edgeprobe -o wide --field-selector spec.nodeName=node-3",
        ({'edgeprobe_prober_missing{node="node-1",missing_node="node-3"}': "1x20 stale _x120"},),
        before="9m",
        at="10m30s",
        quiet_at=("10m30s",),
    ),
    Case(
        "EdgeprobeProberAbsent",
        {HEALTHY: "1x60"},
        {},
        "No prober is scraped",
        "Prometheus gets no metrics of any edgeprobe daemon: nothing is watched, whatever no alert "
        "says. kubectl get daemonsets -A -l app.kubernetes.io/name=edgeprobe",
        ({build("node-1"): "1x120"},),
        before="4m",
        at="6m",
        present=False,
    ),
    Case(
        "EdgeprobeSeriesCapped",
        {
            'edgeprobe_series{node="node-1",state="dropped"}': "250x60",
            'edgeprobe_series{node="node-2",state="dropped"}': "260x60",
        },
        {},
        "Not all Service ports are on /metrics",
        "260 series did not fit under max_series on node node-2: failing Service ports come "
        "first, others are left out. Raise max_series, or leave namespaces out.",
        (
            {
                'edgeprobe_series{node="node-1",state="dropped"}': "0x120",
                'edgeprobe_series{node="node-1",state="exported"}': "50000x120",
            },
        ),
        before="9m",
        at="10m30s",
        quiet_at=("10m30s",),
    ),
    Case(
        "EdgeprobeLowCoverage",
        {'edgeprobe_coverage_ratio{node="node-1"}': "0.5x60"},
        {"node": "node-1"},
        "Node node-1: many edges are not dialed",
        "Only 50% of what the prober on node node-1 should dial has a fresh dial.",
        ({'edgeprobe_coverage_ratio{node="node-1"}': "0.97x120"},),
        before="9m",
        at="10m30s",
        quiet_at=("10m30s",),
    ),
)

CASES = (*VERDICTS, *DIALS, *PROBER)
