"""The fields that are kept of selectors of nodes, and what selectors of labels have in common with
them. As in `wire`, in the API's own names."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expression:
    key: str = ""
    operator: str = ""
    values: list[str] | None = None


@dataclass(frozen=True, slots=True)
class NodeSelectorTerm:
    matchExpressions: list[Expression] | None = None
    matchFields: list[Expression] | None = None


@dataclass(frozen=True, slots=True)
class NodeSelector:
    nodeSelectorTerms: list[NodeSelectorTerm] | None = None


@dataclass(frozen=True, slots=True)
class NodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution: NodeSelector | None = None


@dataclass(frozen=True, slots=True)
class Affinity:
    nodeAffinity: NodeAffinity | None = None
