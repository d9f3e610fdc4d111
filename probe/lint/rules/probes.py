"""Whether probes ask on ports that their containers have."""

import re
from collections.abc import Iterator

from probe.lint.findings import Finding, Rule, Severity
from probe.lint.manifests import Manifests, Set
from probe.lint.rules.ports import INJECTED_PORTS
from probe.lint.values import is_placeholder
from probe.lint.workloads import Container, Probe, Workload

NAME = Rule(
    "probe-port-name",
    Severity.ERROR,
    "A probe names a port that its container does not have",
    "The kubelet looks for the name among the container's own ports. It finds none: the container "
    "never becomes ready, and no liveness probe ever runs.",
    "give the container's port that name, or ask on a port that it has",
)
NUMBER = Rule(
    "probe-port-mismatch",
    Severity.WARNING,
    "A probe asks on a port that no container of its pod declares",
    "A readiness probe that is refused keeps the pod out of its Services; a liveness probe that is "
    "refused restarts the container again and again.",
    "ask on the port on which the container listens, or declare the port",
)


_HEALTH = re.compile(r"health|ready|readiness|live|ping|status|probe|metrics|startup|started")


def names(manifests: Manifests) -> Iterator[Finding]:
    """Names, and numbers in quotes, which are names to the API."""
    for each, workload, container, probe in _probes(manifests):
        name = probe.port
        if not isinstance(name, str) or is_placeholder(name):
            continue
        doubtful = workload.is_injected or each.is_patched(workload.document)
        if name.isdecimal():
            yield NAME.at(
                workload.document,
                probe.path,
                f'{probe.kind} of container {container.name} asks on port "{name}", which is a '
                "name, because of its quotes, and a name needs a letter: the API server refuses "
                "it",
                fix=f"set it to {name}, without quotes",
                new=name,
            )
        elif name not in {p.name for p in container.ports}:
            known = ", ".join(p.name or str(p.number) for p in container.ports)
            yield NAME.at(
                workload.document,
                probe.path,
                f"{probe.kind} of container {container.name} asks on port {name}, which its "
                f"container does not have: it has {known or 'no ports'}",
                severity=Severity.WARNING if doubtful else Severity.ERROR,
            )


def numbers(manifests: Manifests) -> Iterator[Finding]:
    """Numbers: a warning at most, as many applications answer probes on a port that nothing
    declares."""
    for _, workload, container, probe in _probes(manifests):
        asked = probe.port
        if not isinstance(asked, int) or asked in INJECTED_PORTS:
            continue
        declared = any(d.port == asked for d in workload.declared)
        if declared or not workload.main_ports or _is_said(container, asked):
            continue
        yield NUMBER.at(
            workload.document,
            probe.path,
            f"{probe.kind} of container {container.name} asks on port {asked}, but the pod "
            f"declares {', '.join(str(d.port) for d in workload.main_ports)}",
            severity=Severity.INFO if _is_apart(workload, probe) else Severity.WARNING,
        )


def _is_apart(workload: Workload, probe: Probe) -> bool:
    """Whether it looks like a port for probes alone: it is asked for the application's health over
    HTTP, and no variable (`LISTEN_ADDR`, `PORT`) tells the application the one where it listens."""
    told = any(d.source.startswith("env ") for d in workload.main_ports)
    return not told and probe.action == "httpGet" and _HEALTH.search(probe.url_path) is not None


def _probes(manifests: Manifests) -> Iterator[tuple[Set, Workload, Container, Probe]]:
    for each in manifests.sets:
        for workload in each.workloads:
            if each.is_whole(workload):
                for container in workload.running:
                    for probe in container.probes:
                        yield each, workload, container, probe


def _is_said(container: Container, number: int) -> bool:
    """Whether the container is told of that number in any way."""
    fact = container.fact
    said = [*fact.args, *(value for _, value in fact.env)]
    return any(str(number) in text for text in said)
