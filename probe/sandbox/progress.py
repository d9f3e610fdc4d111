"""How a Deployment fares: the counts and conditions of its status.

After kubernetes/pkg/controller/deployment: sync.go, progress.go and util/deployment_util.go.
"""

from probe.sandbox.store import Obj, timestamp

FOREVER = 2**31 - 1
"""A progressDeadlineSeconds that means there is none (math.MaxInt32, as in HasProgressDeadline)."""


def counts(deployment: Obj, new: Obj | None, sets: list[Obj]) -> Obj:
    """The counts of the status, as the ReplicaSets report them; zeros are left out as Go does."""
    total = {
        name: sum(rs.get("status", {}).get(name, 0) for rs in sets)
        for name in ("replicas", "readyReplicas", "availableReplicas", "terminatingReplicas")
    }
    wanted = sum(rs["spec"].get("replicas", 1) for rs in sets)
    found = {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": total["replicas"],
        "updatedReplicas": new.get("status", {}).get("replicas", 0) if new else 0,
        "readyReplicas": total["readyReplicas"],
        "availableReplicas": total["availableReplicas"],
        "unavailableReplicas": max(0, wanted - total["availableReplicas"]),
    }
    status = {name: n for name, n in found.items() if n}
    status["terminatingReplicas"] = total["terminatingReplicas"]
    return status


def is_complete(deployment: Obj, status: Obj) -> bool:
    """All pods are of the new template and available; pods may still be ending."""
    wanted = deployment["spec"].get("replicas", 1)
    names = ("updatedReplicas", "replicas", "availableReplicas")
    return (
        all(status.get(name, 0) == wanted for name in names)
        and status["observedGeneration"] >= deployment["metadata"]["generation"]
    )


def is_progressing(old: Obj, new: Obj) -> bool:
    """More updated, fewer old, more ready or more available pods than in the last status."""

    def of(status: Obj, name: str) -> int:
        return int(status.get(name, 0))

    def outdated(status: Obj) -> int:
        return of(status, "replicas") - of(status, "updatedReplicas")

    return outdated(new) < outdated(old) or any(
        of(new, name) > of(old, name)
        for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )


def available(conditions: list[Obj], status: Obj, needed: int) -> list[Obj]:
    """The conditions with Available as it is, when `needed` pods make the Deployment available."""
    if status.get("availableReplicas", 0) >= needed:
        return with_condition(
            conditions,
            ("Available", "True", "MinimumReplicasAvailable"),
            "Deployment has minimum availability.",
        )
    return with_condition(
        conditions,
        ("Available", "False", "MinimumReplicasUnavailable"),
        "Deployment does not have minimum availability.",
    )


def progressing(
    deployment: Obj, status: Obj, conditions: list[Obj], name: str, overdue: bool
) -> list[Obj]:
    """The conditions with Progressing as it is; `name` is the new ReplicaSet's.

    `overdue`: nothing has moved for progressDeadlineSeconds.
    """
    now = find(conditions, "Progressing")
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0) and (
        now is not None and now["reason"] == "NewReplicaSetAvailable"
    )
    if settled or deployment["spec"].get("progressDeadlineSeconds", 600) == FOREVER:
        return conditions
    if is_complete(deployment, status):
        return with_condition(
            conditions,
            ("Progressing", "True", "NewReplicaSetAvailable"),
            f'ReplicaSet "{name}" has successfully progressed.',
        )
    if is_progressing(deployment.get("status", {}), status):
        # Removed first: also an unchanged condition is to show the time of the last progress.
        rest = [c for c in conditions if c is not now]
        moved = with_condition(
            rest,
            ("Progressing", "True", "ReplicaSetUpdated"),
            f'ReplicaSet "{name}" is progressing.',
        )
        if now is not None and now["status"] == "True":
            moved[-1]["lastTransitionTime"] = now["lastTransitionTime"]
        return moved
    if overdue and now is not None and now["reason"] != "NewReplicaSetAvailable":
        return with_condition(
            conditions,
            ("Progressing", "False", "ProgressDeadlineExceeded"),
            f'ReplicaSet "{name}" has timed out progressing.',
        )
    return conditions


def with_condition(
    conditions: list[Obj], type_status_reason: tuple[str, str, str], message: str
) -> list[Obj]:
    """The conditions with this one, at the end if it is new; as it was if only its message is."""
    kind, status, reason = type_status_reason
    old = find(conditions, kind)
    if old is not None and (old["status"], old["reason"]) == (status, reason):
        return conditions
    now = timestamp()
    same = old is not None and old["status"] == status
    condition = {
        "type": kind,
        "status": status,
        "lastUpdateTime": now,
        "lastTransitionTime": old["lastTransitionTime"] if old is not None and same else now,
        "reason": reason,
        "message": message,
    }
    return [c for c in conditions if c is not old] + [condition]


def find(conditions: list[Obj], kind: str) -> Obj | None:
    return next((c for c in conditions if c["type"] == kind), None)
