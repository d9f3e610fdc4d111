"""What to do about a verdict: the next step, copy-paste where there is one."""

from collections.abc import Collection, Iterable

from probe.core.edges import Family, Kind, Service
from probe.core.health import Level
from probe.core.ledger import PortBook
from probe.core.rollout_remedies import drain
from probe.core.rollouts import Rollout
from probe.core.verdicts import Verdict
from probe.core.workloads import Workload


def advice(
    service: Service,
    book: PortBook,
    rollouts: Iterable[Rollout] = (),
    workloads: Collection[Workload] = (),
) -> tuple[str, ...]:
    """Lines for a person, the most useful first; empty when there is nothing to do. `workloads`
    are those that the Service selects, `rollouts` theirs."""
    verdict = book.judgement.verdict
    if verdict is Verdict.PORT_MISMATCH:
        return _port_mismatch(service, book)
    if verdict is Verdict.DRAIN_RACE:
        return _drain_race(rollouts)
    if book.judgement.on_purpose:
        return ()
    sources = {invalid.source for invalid in book.implied.invalid}
    if verdict is Verdict.INVALID_TARGET and "service" in sources:
        return (
            f"look at the ClusterIP: kubectl get service {service.name} -n {service.namespace}; "
            "a cluster on loopback is dialed only inside --allow-targets",
        )
    if verdict is Verdict.ENDPOINT_DOWN and book.empty and not _fails(book):
        return (_half_empty(service, book.empty[0]),)
    if verdict is Verdict.NO_ENDPOINTS and _undeclared(book, workloads):
        return (_named_port(service, book, workloads),)
    node = book.judgement.cause.partition("/")[2]
    line = LINES.get(verdict) if node or verdict not in FROM_OUTSIDE else FROM_OUTSIDE[verdict]
    return (line.format(ns=service.namespace, name=service.name, node=node),) if line else ()


LINES: dict[Verdict, str] = {
    Verdict.PROBE_FAULT: (
        "free descriptors and source ports where probe runs: see edgeprobe_node_dials_total"
        '{{result="local_fault"}} and ulimit -n'
    ),
    Verdict.INVALID_TARGET: (
        "find who writes this address: kubectl get endpointslices -n {ns} "
        "-l kubernetes.io/service-name={name} -o yaml"
    ),
    Verdict.NO_ENDPOINTS: (
        "compare the selector with the pods: kubectl describe service {name} -n {ns}; "
        "kubectl get pods -n {ns} --show-labels"
    ),
    Verdict.NOT_LISTENING: (
        "see what the containers listen on: kubectl exec -n {ns} POD -- ss -ltn; "
        "an application bound to 127.0.0.1 refuses here too"
    ),
    Verdict.NODE_PATH: (
        "look at the node and its network: kubectl describe node {node}; "
        "kubectl get pods -A -o wide --field-selector spec.nodeName={node}"
    ),
    Verdict.DENIED: (
        "see which policy selects the pods: kubectl get networkpolicies -n {ns} -o wide; "
        "if probe is to see them, admit pods labelled app.kubernetes.io/name=edgeprobe"
    ),
    Verdict.BLACKHOLED: (
        "see whether a policy or a firewall drops packets (kubectl get networkpolicies -n {ns}) "
        "and whether the pods' nodes are up (kubectl get nodes)"
    ),
    Verdict.ENDPOINT_DOWN: (
        "look at the failing pods: kubectl get pods -n {ns} -o wide; "
        "a readinessProbe would take them out of the Service"
    ),
    Verdict.PROXY_STALE: (
        "look at kube-proxy on node {node}: kubectl get pods -n kube-system -l k8s-app=kube-proxy "
        "-o wide --field-selector spec.nodeName={node}"
    ),
    Verdict.MASKED: (
        "ask the application itself, past the mesh: "
        "kubectl exec -n {ns} POD -c CONTAINER -- ss -ltn"
    ),
    Verdict.LOSSY: (
        "look for drops on the nodes' interfaces and for a full conntrack table; where only dials "
        "of the ClusterIP fail, look at kube-proxy on that node"
    ),
}


FROM_OUTSIDE: dict[Verdict, str] = {
    Verdict.NODE_PATH: (
        "see whether the way from here to the pods is open (VPN, routes, firewall), or have the "
        "nodes dial: probe check svc {name} -n {ns} --from nodes"
    ),
    Verdict.PROXY_STALE: (
        "have the nodes dial, which have rules for ClusterIPs: "
        "probe check svc {name} -n {ns} --from nodes"
    ),
}
"""The same where the node to blame is none: we dialed from outside of the cluster."""


def _fails(book: PortBook) -> bool:
    return any(track.level is Level.DOWN for track in book.of_kind(Kind.ENDPOINT))


def _half_empty(service: Service, family: Family) -> str:
    return (
        f"see whether the pods have {family.spoken} addresses: kubectl get pods "
        f"-n {service.namespace} -o custom-columns=NAME:.metadata.name,IPS:.status.podIPs; "
        "pods from before the cluster had such must be made again, or "
        f"{family.spoken} taken out of the Service's ipFamilies"
    )


def _undeclared(book: PortBook, workloads: Collection[Workload]) -> bool:
    """Whether the targetPort is a name that no container of the selected pods has for a port."""
    target = book.implied.port.target_port
    names = {name for workload in workloads for name, _ in workload.named_ports}
    return isinstance(target, str) and bool(workloads) and target not in names


def _named_port(service: Service, book: PortBook, workloads: Iterable[Workload]) -> str:
    declared = {d.port: d for workload in workloads for d in workload.declared}
    meant = [number for number, d in declared.items() if not d.auxiliary] or declared
    known = f" (the pods declare {', '.join(map(str, sorted(meant)))})" if meant else ""
    return (
        f"name the container's port {book.implied.port.target_port}, or set targetPort to its "
        f"number{known}: kubectl edit service {service.name} -n {service.namespace}"
    )


def _port_mismatch(service: Service, book: PortBook) -> tuple[str, ...]:
    command = f"kubectl patch service {service.name} -n {service.namespace}"
    return (
        f"set targetPort to {book.judgement.port}: {command} {_patch(service, book)}",
        "if the manifest is managed (Argo CD, Flux, Helm), change it there too",
    )


def _patch(service: Service, book: PortBook) -> str:
    """What `kubectl patch` wants besides. Strategic merge finds a port by its number alone: where
    UDP and TCP share one (a DNS server's 53) it overwrites whichever stands first, so that there
    the place in the list has to say which is meant."""
    port, target = book.implied.port, book.judgement.port
    shared = any(p.port == port.port and p.protocol != port.protocol for p in service.ports)
    if not shared or port not in service.ports:
        return f'-p \'{{"spec":{{"ports":[{{"port":{port.port},"targetPort":{target}}}]}}}}\''
    path = f"/spec/ports/{service.ports.index(port)}/targetPort"
    return f'--type=json -p \'[{{"op":"replace","path":"{path}","value":{target}}}]\''


def _drain_race(rollouts: Iterable[Rollout]) -> tuple[str, ...]:
    measured = [r for r in rollouts if r.recommended_drain is not None]
    if not measured:
        return (
            "let old pods listen until kube-proxy has forgotten them: give the container "
            "lifecycle.preStop.sleep.seconds: 15",
        )
    worst = max(measured, key=lambda r: r.recommended_drain or 0)
    kind, namespace, name = worst.workload
    seconds = worst.recommended_drain or 0
    return (drain(f"{kind} {namespace}/{name}", seconds, worst.pre_stop, worst.grace_seconds),)
