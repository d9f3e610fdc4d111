"""How far a workload's rollout is, in pods, and how it goes about replacing them."""

from dataclasses import dataclass
from math import ceil, floor

from probe.core import wire
from probe.core.workloads import Workload, workload

DEFAULT_SHARE = "25%"
"""maxSurge and maxUnavailable of a Deployment that says nothing (k8s.io/api/apps/v1)."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """How pods are replaced: RollingUpdate, Recreate or OnDelete; by a rolling update at most
    `unavailable` pods at a time are away beside `surge` that come before others go."""

    type: str
    unavailable: int
    surge: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A workload with its pods: those `wanted`, and of those that are there how many are of the
    newest template (`updated`), how many of another one (`old`) and how many `available`."""

    workload: Workload
    strategy: Strategy
    wanted: int
    updated: int
    available: int
    old: int

    @property
    def namespace(self) -> str:
        return self.workload.namespace

    @property
    def name(self) -> str:
        return self.workload.name

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1: pods that are new and available, and old ones gone."""
        new = max(0, min(self.updated, self.available - self.old))
        return new / self.wanted if self.wanted else 1.0

    def text(self) -> str:
        """As kubectl counts it: `1 of 3 updated, 3 available, 2 old`."""
        old = f", {self.old} old" if self.old else ""
        return f"{self.updated} of {self.wanted} updated, {self.available} available{old}"


def progress(kind: str, obj: wire.Workload) -> Progress:
    """Raises BadObject for what is no workload."""
    found, spec = workload(kind, obj), obj.spec or wire.WorkloadSpec()
    status = obj.status or wire.WorkloadStatus()
    if kind == "DaemonSet":
        wanted = there = status.desiredNumberScheduled or 0
        updated, available = status.updatedNumberScheduled, status.numberAvailable
    else:
        wanted, there = found.replicas, status.replicas or 0
        updated, available = status.updatedReplicas, status.availableReplicas
    if (status.observedGeneration or 0) < found.generation:
        updated = 0  # of the template before: the controller has not looked yet
    updated = min(updated or 0, there)
    return Progress(
        workload=found,
        strategy=_strategy(kind, spec, wanted),
        wanted=wanted,
        updated=updated,
        available=available or 0,
        old=there - updated,
    )


def _strategy(kind: str, spec: wire.WorkloadSpec, wanted: int) -> Strategy:
    """With the API's defaults, and rounded as the controllers do: what may be away down (up for a
    DaemonSet), what may come in advance up."""
    told = spec.strategy if kind == "Deployment" else spec.updateStrategy
    type_ = (told.type if told is not None else "") or "RollingUpdate"
    if type_ == "Recreate":
        return Strategy(type_, wanted, 0)
    rolling = (told.rollingUpdate if told is not None else None) or wire.RollingUpdate()
    if kind != "Deployment":
        away = rolling.maxUnavailable
        unavailable = _pods(1 if away is None else away, wanted, up=kind == "DaemonSet")
        return Strategy(type_, max(1, unavailable), _pods(rolling.maxSurge or 0, wanted, up=True))
    surge = DEFAULT_SHARE if rolling.maxSurge is None else rolling.maxSurge
    away = DEFAULT_SHARE if rolling.maxUnavailable is None else rolling.maxUnavailable
    before, unavailable = _pods(surge, wanted, up=True), _pods(away, wanted, up=False)
    if not before and not unavailable:
        unavailable = 1  # deployment_util.ResolveFenceposts: else nothing could ever move
    return Strategy(type_, unavailable, before)


def _pods(value: int | str, wanted: int, *, up: bool) -> int:
    """A number of pods, or a percentage of all (k8s.io/apimachinery intstr); 0 for anything else,
    which no API server takes."""
    if isinstance(value, int):
        return value
    percent = value.removesuffix("%")
    if not percent.isdecimal():
        return 0
    exact = int(percent) * wanted / 100
    return ceil(exact) if up else floor(exact)
