"""Whether a Service selects anything."""

from collections.abc import Iterator
from functools import cache, partial

from probe.lint.findings import Finding, Rule, Severity
from probe.lint.manifests import Manifests, Set, agree
from probe.lint.services import Service
from probe.lint.workloads import ENDING

NOTHING = Rule(
    "selector-matches-nothing",
    Severity.WARNING,
    "A Service's selector matches no workload's pods",
    "A Service without pods has no endpoints: every connection to it is rejected or dropped.",
    "make the selector match the labels of the pod template",
)


def nothing(manifests: Manifests) -> Iterator[Finding]:
    """Only where the namespace's workloads are among the manifests, and none of them is made by
    an operator."""
    for each in manifests.sets:
        told = cache(partial(_tells_of, each))
        for service in each.services:
            if not service.selector or not told(service.namespace):
                continue
            behind = each.behind(service)
            if behind.sure and not behind.workloads:
                said = ", ".join(f"{key}={value}" for key, value in service.selector.items())
                near = _nearest(each, service)
                yield NOTHING.at(
                    service.document,
                    ("spec", "selector"),
                    f"no workload's pods have the labels {said}{near}",
                )


def _tells_of(each: Set, namespace: str) -> bool:
    """Whether the set has what runs in that namespace, and has it whole."""
    if each.has_operators:
        return False
    ours = [w for w in each.workloads if agree(w.namespace, namespace)]
    whole = all(each.is_whole(w) and w.labels for w in ours)
    return whole and any(w.kind not in ENDING for w in ours)


def _nearest(each: Set, service: Service) -> str:
    """The one workload that all labels of the selector but one fit."""
    for workload in each.workloads:
        other = [pair for pair in service.selector.items() if pair not in workload.labels.items()]
        if len(other) == 1 and len(service.selector) > 1 and other[0][0] in workload.labels:
            key = other[0][0]
            return f"; those of {workload.words} have {key}={workload.labels[key]}"
    return ""
