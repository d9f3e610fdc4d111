"""Which Services select which workloads: by label, since every judgement asks and a namespace
may hold thousands of both."""

from typing import TypeVar

from probe.core.edges import Service
from probe.core.workloads import REPLICA_SET, Workload

Label = tuple[str, str, str]
"""A namespace, and a label's key and value in it."""

Held = TypeVar("Held")


class LabelIndex:
    """Services by one label of their selector, workloads by each label of their pods."""

    def __init__(self) -> None:
        self._services: dict[Label, list[Service]] = {}
        self._workloads: dict[Label, list[Workload]] = {}

    def replace_service(self, old: Service | None, new: Service | None) -> None:
        if old is not None and old.selector:
            _discard(self._services, (old.namespace, *old.selector[0]), old)
        if new is not None and new.selector:
            self._services.setdefault((new.namespace, *new.selector[0]), []).append(new)

    def replace_workload(self, old: Workload | None, new: Workload | None) -> None:
        if old is not None:
            for label in old.labels:
                _discard(self._workloads, (old.namespace, *label), old)
        if new is not None:
            for label in new.labels:
                self._workloads.setdefault((new.namespace, *label), []).append(new)

    def services_of(self, workload: Workload) -> tuple[str, ...]:
        """Names of the Services of its namespace whose selector matches the workload's pods."""
        return tuple(
            sorted(
                service.name
                for label in workload.labels
                for service in self._services.get((workload.namespace, *label), ())
                if selects(service, workload)
            )
        )

    def workloads_of(self, service: Service) -> list[Workload]:
        """The workloads whose pods the Service selects; no ReplicaSets that are to have none."""
        return [w for w in self._selected(service) if not (w.idle and w.kind == REPLICA_SET)]

    def wants_nothing(self, service: Service) -> bool:
        """Whether the Service selects workloads, and no pod of any is wanted."""
        found = self._selected(service)
        return bool(found) and all(w.idle for w in found)

    def _selected(self, service: Service) -> list[Workload]:
        buckets = [
            self._workloads.get((service.namespace, *label), []) for label in service.selector
        ]
        return [w for w in min(buckets, key=len, default=[]) if selects(service, w)]


def selects(service: Service, workload: Workload) -> bool:
    """Whether the Service's selector, if it has one, matches the workload's pods."""
    return (
        bool(service.selector)
        and service.namespace == workload.namespace
        and set(service.selector) <= set(workload.labels)
    )


def _discard(index: dict[Label, list[Held]], label: Label, held: Held) -> None:
    kept = [other for other in index[label] if other is not held]
    if kept:
        index[label] = kept
    else:
        del index[label]
