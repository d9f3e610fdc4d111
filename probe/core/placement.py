"""On which nodes the pods of a DaemonSet are meant to be: those that its nodeSelector and its
required node affinity admit (k8s.io/component-helpers/scheduling/corev1/nodeaffinity).

Tolerations are no part of it. A taint that is not tolerated keeps a pod away as well, but whoever
taints a node has something else in mind.
"""

from collections.abc import Iterable
from typing import NamedTuple

from probe.core import wire
from probe.core.labels import (
    EVERYTHING,
    Labels,
    Pairs,
    Selector,
    all_of,
    any_of,
    matches,
    requirements,
    selector,
)
from probe.core.wire_selectors import NodeSelectorTerm

NAME = "metadata.name"
"""The only field that matchFields may name (k8s.io/api/core/v1, NodeSelectorTerm)."""


class Term(NamedTuple):
    """One way to be admitted: by the node's labels, and by its fields."""

    labels: Selector
    fields: Selector


class Placement(NamedTuple):
    """The nodeSelector, and the terms of the affinity, of which one must match; None without."""

    selector: Selector = EVERYTHING
    terms: tuple[Term, ...] | None = None

    def admits(self, node: str, pairs: Pairs) -> bool | None:
        """Whether the node of this name, with these labels, is one of them; None if that cannot be
        told."""
        labels, fields = Labels(dict(pairs)), Labels({NAME: node})
        found = matches(self.selector, labels)
        if self.terms is None:
            return found
        ways = (all_of((matches(t.labels, labels), matches(t.fields, fields))) for t in self.terms)
        return all_of((found, any_of(ways)))


ANYWHERE = Placement()


def placement(pod: wire.PodSpec) -> Placement:
    """What the pod template says of it."""
    affinity = pod.affinity.nodeAffinity if pod.affinity is not None else None
    required = (
        affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
    )
    return Placement(
        selector(wire.LabelSelector(pod.nodeSelector)),
        None if required is None else tuple(_terms(required.nodeSelectorTerms or ())),
    )


def _terms(told: Iterable[NodeSelectorTerm]) -> Iterable[Term]:
    """An empty term matches nothing."""
    for term in told:
        found = Term(requirements(term.matchExpressions), requirements(term.matchFields))
        if any(found):
            yield found
