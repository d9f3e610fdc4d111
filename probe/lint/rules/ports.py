"""Whether a Service's target ports are those of the pods that it selects."""

import re
from collections.abc import Iterator, Sequence

from probe.core.ports import is_auxiliary
from probe.core.targets import port_fault
from probe.lint.findings import Finding, Rule, Severity
from probe.lint.manifests import Manifests, Set
from probe.lint.services import Service, ServicePort
from probe.lint.workloads import Workload

MISMATCH = Rule(
    "target-port-mismatch",
    Severity.ERROR,
    "A Service's targetPort is none of the ports that its pods declare",
    "Nothing listens on that port, so every connection to the Service is refused, although the "
    "pods are ready.",
    "set targetPort to the port on which the container listens",
)
NAME = Rule(
    "target-port-name",
    Severity.ERROR,
    "A Service's targetPort is a name that no container port of its pods has",
    "A name that cannot be found among a pod's container ports leaves that pod out of the "
    "Service's endpoints for this port: clients are refused or time out.",
    "give the container's port that name, or set targetPort to a name or number that it has",
)
MIXED = Rule(
    "selector-mixed-ports",
    Severity.WARNING,
    "A Service selects workloads of which only some have its target port",
    "Connections are spread over all pods that the selector matches: those that reach a pod "
    "without the port are refused.",
    "add a label to the selector that only the right workload's pods carry",
)

PRIVILEGED = 1024
"""From here on, a program needs no root to listen (net.ipv4.ip_unprivileged_port_start)."""

INJECTED = frozenset({"http-envoy-prom", "linkerd-proxy", "linkerd-admin"})
INJECTED_PORTS = frozenset({*range(15000, 15100), 4143, 4190, 4191, 20200})
"""Those of the sidecars that meshes put into pods (istio.io/docs/ops/deployment/
application-requirements, linkerd2's values.yaml, Consul's envoy_prometheus_bind_addr): no manifest
declares them."""

TLS_PORTS = frozenset({443, 8443})
"""Where images that listen on 80 or 8080 often listen too, declared or not."""

SEVERAL_PORTS = re.compile(
    "postgres|pgbouncer|pgpool|mysql|maria|percona|mongo|redis|valkey|memcache|elastic|opensearch"
    "|solr|cassandra|scylla|couch|clickhouse|cockroach|neo4j|influx|etcd|consul|vault|nomad"
    "|zookeeper|kafka|rabbit|activemq|artemis|nats|pulsar|minio|nexus|hazelcast|ignite|db"
)
"""Images of databases and the like: their ports have neighbours (9200 and 9300, 9000 and 9001)."""

_NAME = re.compile("[a-z0-9-]+")
"""A port's name; anything else is a placeholder (`PORT`, `{{ port }}`)."""


def mismatches(manifests: Manifests) -> Iterator[Finding]:
    """Numbers: wrong if the pods declare others that no port of a Service leads to. Without any
    declared port nothing can be told: containerPorts are optional."""
    for each, service, workloads in _served(manifests):
        for port in service.ports:
            target = port.leads_to
            if port.protocol != "TCP" or not isinstance(target, int) or port_fault(target):
                continue
            if target in INJECTED_PORTS or any(_has(each, w, target) for w in workloads):
                continue
            if all(w.main_ports for w in workloads):
                yield _mismatch(each, service, port, workloads)


def _mismatch(
    each: Set, service: Service, port: ServicePort, workloads: Sequence[Workload]
) -> Finding:
    told = {d.port: d for w in workloads for d in w.main_ports}
    taken = {number for w in workloads for number in _taken(each, w)}
    free = [n for n in told if n not in taken and all(_declares(w, n) for w in workloads)]
    right = not told.keys().isdisjoint(n for w in workloads for n in _leads_to(service, w))
    slips = [] if right else [n for n in told if is_slip(n, port.leads_to)]
    meant = (len(slips) == 1 and [n for n in free if n in slips]) or free or slips
    source = f" ({told[meant[0]].source})" if len(meant) == 1 else ""
    written = f"targetPort {port.target}" if port.target else f"port {port.number}"
    message = (
        f"{written} is none of the ports that {_words(workloads)} declares: "
        f"{', '.join(map(str, told))}{source}"
    )
    if not meant:
        return MISMATCH.at(
            service.document,
            port.target_path,
            f"{message}, where other Service ports lead to already",
            fix="declare the port in the container, or set targetPort to one that it declares",
            severity=Severity.INFO,
        )
    to = " or ".join(map(str, meant))
    sure = len(meant) == 1 and not right and _is_sure(each, service, port, workloads, meant[0])
    return MISMATCH.at(
        service.document,
        port.target_path,
        message,
        fix=f"set targetPort to {to}",
        new=_rewritten(service, port, to) if sure else "",
        severity=Severity.ERROR if sure else Severity.WARNING,
    )


def _is_sure(
    each: Set, service: Service, port: ServicePort, workloads: Sequence[Workload], meant: int
) -> bool:
    """Only where the declared port is surely the one that is meant, and the other hardly one that
    something in the pods opens undeclared: images that listen elsewhere than their manifests
    declare are common."""
    slip = is_slip(meant, port.leads_to)
    doubtful = (
        service.headless
        or is_auxiliary(f"{service.name}-{port.name}")
        or each.is_patched(service.document)
        or any(each.is_patched(w.document) or each.is_told_elsewhere(w) for w in workloads)
        or any(w.has_silent or w.is_injected for w in workloads)
        or any(w.reads_secrets and not w.is_told(meant) for w in workloads)
        or (not slip and any(w.opens_undeclared for w in workloads))
        or (not slip and port.leads_to in TLS_PORTS)
    )
    proven = all(w.is_proven(meant, port.name) for w in workloads)
    return not doubtful and (proven or _is_typo(meant, port, workloads))


def _is_typo(meant: int, port: ServicePort, workloads: Sequence[Workload]) -> bool:
    """Whether one digit of a targetPort that somebody wrote is another one: that needs no proof,
    but for images whose ports differ so."""
    digits = zip(str(meant), str(port.target or ""), strict=False)
    images = (str(c.value.get("image")) for w in workloads for c in w.running)
    return (
        isinstance(port.target, int)
        and len(str(meant)) == len(str(port.target))
        and min(meant, port.target) >= PRIVILEGED
        and sum(a != b for a, b in digits) == 1
        and not any(SEVERAL_PORTS.search(image.rpartition("/")[2]) for image in images)
    )


def is_slip(declared: int, target: int | str | None) -> bool:
    """Whether a slip of the keyboard makes the target of the declared port: one digit is another
    one, too many or missing, two are swapped, or it is 80 for 8080. Not 8080 for 80: images that
    went without root listen there, whatever their manifests still declare."""
    if isinstance(target, int) and declared < PRIVILEGED <= target:
        return False
    a, b = sorted((str(declared), str(target)), key=len)
    if len(a) == len(b):
        apart = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
        swapped = len(apart) == 2 and [a[i] for i in apart] == [b[i] for i in reversed(apart)]
        return len(apart) == 1 or (swapped and apart[1] - apart[0] == 1)
    return b == a + a or (
        len(b) - len(a) == 1 and any(b[:i] + b[i + 1 :] == a for i in range(len(b)))
    )


def _rewritten(service: Service, port: ServicePort, new: str) -> str:
    """What replaces the targetPort, in the quotes it has; nothing if there is none to replace."""
    if not port.target:
        return ""
    quote = service.document.written(port.target_path)[:1]
    return f"{quote}{new}{quote}" if quote in ("'", '"') and not new.isdecimal() else new


def names(manifests: Manifests) -> Iterator[Finding]:
    """Names: wrong if none of the workloads has it. Pods without it are left out, on purpose or
    not, where others have it."""
    for each, service, workloads in _served(manifests):
        for port in service.ports:
            name = port.target
            if not isinstance(name, str) or name in INJECTED or not _NAME.fullmatch(name):
                continue
            variants = [v for w in workloads for v in each.variants(w)]
            if name.isdecimal():
                yield _quoted(service, port, name)
            elif not any(v.resolved(name, port.protocol) for v in variants):
                yield _misnamed(each, service, port, name, workloads)


def _quoted(service: Service, port: ServicePort, name: str) -> Finding:
    """A number in quotes (IsValidPortName, k8s.io/apimachinery/pkg/util/validation)."""
    return NAME.at(
        service.document,
        port.target_path,
        f'targetPort "{name}" is a name, because of its quotes, and a name needs a letter: the API '
        "server refuses the Service",
        fix=f"set targetPort to {name}, without quotes",
        new=name,
    )


def _misnamed(
    each: Set, service: Service, port: ServicePort, name: str, workloads: Sequence[Workload]
) -> Finding:
    known = [p for w in workloads for p in w.ports]
    doubtful = any(w.is_injected or each.is_patched(w.document) for w in workloads)
    severity = Severity.WARNING if doubtful else Severity.ERROR
    others = sorted({p.protocol for p in known if p.name == name})
    if others:
        message = (
            f"targetPort {name} is a {', '.join(others)} port of {_words(workloads)}, but the "
            f"Service's port {port.number} is {port.protocol}"
        )
        fix = f"make both {port.protocol}, or give the {port.protocol} port a name of its own"
        return NAME.at(service.document, port.target_path, message, fix=fix, severity=severity)
    told = ", ".join(dict.fromkeys(p.name or str(p.number) for p in known))
    taken = {number for w in workloads for number in _taken(each, w)}
    free = [p for p in known if p.number not in taken and p.protocol == port.protocol]
    only = (free[0].name or str(free[0].number)) if len(free) == len(known) == 1 else ""
    return NAME.at(
        service.document,
        port.target_path,
        f"no container of {_words(workloads)} has a port named {name}: "
        f"{f'it has {told}' if told else 'it declares no ports'}",
        fix=f"set targetPort to {only}, or name the container's port {name}" if only else "",
        new=_rewritten(service, port, only) if only and not doubtful else "",
        severity=severity,
    )


def mixed(manifests: Manifests) -> Iterator[Finding]:
    """Several workloads, and some of them without the port that the others have."""
    for each, service, workloads in _served(manifests):
        for port in service.ports if len(workloads) > 1 else ():
            target = port.leads_to
            if port.protocol != "TCP" or target is None:
                continue
            if isinstance(target, int):
                has = [w for w in workloads if _has(each, w, target)]
                lacks = [w for w in workloads if w not in has and w.main_ports]
            else:
                has = [w for w in workloads if w.resolved(target, port.protocol)]
                lacks = [w for w in workloads if w not in has]
            if has and lacks:
                yield MIXED.at(
                    service.document,
                    port.target_path,
                    f"the selector matches {_words(lacks)} too, without a port {target} such as "
                    f"{_words(has)} has",
                )


def _served(manifests: Manifests) -> Iterator[tuple[Set, Service, tuple[Workload, ...]]]:
    """Services with the workloads that they select, where these are known for sure."""
    for each in manifests.sets:
        for service in each.services:
            behind = each.behind(service)
            if (
                behind.workloads
                and behind.sure
                and not any(map(_is_put_in_place, behind.workloads))
            ):
                yield each, service, behind.workloads


def _is_put_in_place(workload: Workload) -> bool:
    """Whether the container itself is put in place by a webhook (istio.io, gateway injection)."""
    return any(c.value.get("image") == "auto" for c in workload.running)


def _has(each: Set, workload: Workload, number: int) -> bool:
    return _declares(workload, number) or each.mentions(workload, number)


def _declares(workload: Workload, number: int) -> bool:
    return any(d.port == number for d in workload.declared)


def _taken(each: Set, workload: Workload) -> Iterator[int]:
    """The numbers that the ports of its Services lead to."""
    for service in each.selecting(workload):
        yield from _leads_to(service, workload)


def _leads_to(service: Service, workload: Workload) -> Iterator[int]:
    for port in service.ports:
        target = port.leads_to
        if isinstance(target, int):
            yield target
        else:
            yield from workload.resolved(target or "", port.protocol)


def _words(workloads: Sequence[Workload]) -> str:
    named = [w.words for w in workloads]
    shown = named if len(named) <= 3 else [*named[:2], f"{len(named) - 2} more"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
