"""The arithmetic of a rolling update: how many old pods may go and how many new ones may come.

Pure. After kubernetes/pkg/controller/deployment: rolling.go, sync.go and
util/deployment_util.go, function by function, so that a rollout takes the same steps.
"""

import math
from dataclasses import dataclass

from probe.sandbox.store import Obj

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a rollout may not leave: pods wanted, pods above that, pods not available."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.surge

    @property
    def fewest_available(self) -> int:
        return self.replicas - self.unavailable


def bounds(deployment: Obj) -> Bounds:
    """The bounds that the Deployment's strategy sets; Recreate allows no surge."""
    spec = deployment["spec"]
    replicas = spec.get("replicas", 1)
    if is_recreate(deployment):
        return Bounds(replicas, 0, 0)
    rolling = spec.get("strategy", {}).get("rollingUpdate") or {}
    surge = share(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = share(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1  # ResolveFenceposts: else nothing could ever move
    return Bounds(replicas, surge, min(unavailable, replicas))


def is_recreate(deployment: Obj) -> bool:
    return bool(deployment["spec"].get("strategy", {}).get("type") == "Recreate")


def share(value: int | str, whole: int, *, up: bool) -> int:
    """An IntOrString of `whole`: a number as it is, a percentage rounded up or down."""
    if isinstance(value, str) and value.endswith("%"):
        part = int(value[:-1]) * whole
        return -(-part // 100) if up else part // 100
    return int(value)


def size(rs: Obj) -> int:
    return int(rs["spec"].get("replicas", 1))


def up_to_available(rs: Obj) -> int:
    return int(rs.get("status", {}).get("availableReplicas", 0))


def new_size(new: Obj | None, sets: list[Obj], limits: Bounds, *, recreate: bool) -> int:
    """How large the new ReplicaSet (None: not yet made) may be now."""
    if recreate:
        return limits.replicas
    have = size(new) if new else 0
    if have >= limits.replicas:
        return limits.replicas
    room = limits.most - sum(map(size, sets))
    return have + max(0, min(room, limits.replicas - have))


def old_sizes(new: Obj, old: list[Obj], limits: Bounds) -> list[int]:
    """The sizes of the old ReplicaSets after this step: first those not available go, then as
    many of the others as availability allows."""
    sizes = [size(rs) for rs in old]
    pods = sum(sizes) + size(new)
    new_unavailable = size(new) - up_to_available(new)
    spare = pods - limits.fewest_available - new_unavailable
    if sum(sizes) == 0 or spare <= 0:
        return sizes
    for i, rs in enumerate(old):
        unhealthy = min(max(0, sizes[i] - up_to_available(rs)), spare)
        sizes[i] -= unhealthy
        spare -= unhealthy
    healthy = sum(map(up_to_available, [new, *old])) - limits.fewest_available
    for i in range(len(old)):
        gone = min(sizes[i], max(0, healthy))
        sizes[i] -= gone
        healthy -= gone
    return sizes


def scaled_sizes(sets: list[Obj], new: Obj | None, limits: Bounds) -> list[int]:
    """The sizes of the ReplicaSets after `replicas` changed: what one has follows, several share
    the difference in proportion."""
    sizes = [size(rs) for rs in sets]
    active = [i for i, n in enumerate(sizes) if n > 0]
    if len(active) <= 1:
        only = active[0] if active else next((i for i, rs in enumerate(sets) if rs is new), None)
        if only is not None:
            sizes[only] = limits.replicas
        return sizes
    if new is not None and _saturated(new, limits.replicas):
        return [n if rs is new else 0 for rs, n in zip(sets, sizes, strict=True)]
    return _in_proportion(sets, sizes, limits)


def _saturated(rs: Obj, replicas: int) -> bool:
    desired = (rs["metadata"].get("annotations") or {}).get(DESIRED)
    return size(rs) == replicas == up_to_available(rs) and desired == str(replicas)


def _in_proportion(sets: list[Obj], sizes: list[int], limits: Bounds) -> list[int]:
    allowed = limits.most if limits.replicas > 0 else 0
    left = allowed - sum(sizes)
    grown = list(sizes)
    largest_first = sorted(range(len(sets)), key=lambda i: -sizes[i])
    for i in largest_first:
        before = int((sets[i]["metadata"].get("annotations") or {}).get(MAXIMUM, limits.most))
        fair = math.floor(sizes[i] * allowed / max(before, 1) + 0.5) - sizes[i]
        step = max(min(fair, left), 0) if left >= 0 else min(max(fair, left), 0)
        grown[i] += step
        left -= step
    first = largest_first[0]
    grown[first] = max(0, grown[first] + left)
    return grown
