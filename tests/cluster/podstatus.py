"""The status that the kubelet stand-in reports of a pod."""

from collections.abc import Sequence
from typing import Any

from tests.cluster.containers import Container
from tests.cluster.settings import Settings
from tests.cluster.timestamps import now

Manifest = dict[str, Any]

CONDITIONS = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")
"""Those that a kubelet owns; PodScheduled is the scheduler's."""


def status(
    pod: Manifest, containers: Sequence[Container], settings: Settings, addresses: Sequence[str]
) -> Manifest:
    """A strategic merge patch's `status`. Equal to the one before unless something changed."""
    ready = bool(containers) and all(each.state.ready for each in containers)
    held = pod.get("status", {})
    return {
        "phase": _phase(containers),
        "conditions": [
            _condition(kind, ready or kind in CONDITIONS[:2], held) for kind in CONDITIONS
        ],
        "hostIP": settings.address,
        "hostIPs": [{"ip": settings.address}, {"ip": settings.address6}],
        "podIP": addresses[0],
        # A pod that is run again has other addresses: merged, it would have both.
        "podIPs": [{"$patch": "replace"}, *({"ip": address} for address in addresses)],
        "startTime": held.get("startTime") or pod["metadata"]["creationTimestamp"],
        "containerStatuses": [_container(each) for each in containers],
    }


def is_ready(status: Manifest) -> bool:
    """Whether a status calls the pod ready."""
    told = status.get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in told)


def _phase(containers: Sequence[Container]) -> str:
    codes = [each.state.exit_code for each in containers]
    if None not in codes:
        return "Failed" if any(codes) else "Succeeded"
    if all("waiting" in each.state.now and not each.state.restarts for each in containers):
        return "Pending"
    return "Running"


def _condition(kind: str, true: bool, held: Manifest) -> Manifest:
    """Its lastTransitionTime is kept as long as it says the same."""
    wanted = "True" if true else "False"
    for old in held.get("conditions", ()):
        if old["type"] == kind and old["status"] == wanted:
            return {
                "type": kind,
                "status": wanted,
                "lastTransitionTime": old["lastTransitionTime"],
            }
    return {"type": kind, "status": wanted, "lastTransitionTime": now()}


def _container(container: Container) -> Manifest:
    spec, state = container.spec, container.state
    return {
        "name": spec["name"],
        "image": spec["image"],
        "imageID": "",
        "containerID": f"stand-in://{spec['name']}",
        "ready": state.ready,
        "started": "running" in state.now,
        "restartCount": state.restarts,
        # A strategic merge would keep the state before beside this one.
        "state": {"running": None, "waiting": None, "terminated": None, **state.now},
        "lastState": state.last,
    }
