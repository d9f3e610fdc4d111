"""A pod's status through its life, as a kubelet writes it. Pure, but for the time of day."""

from probe.sandbox.store import Obj, timestamp

SIGTERM_EXIT = 143
"""128 + 15: what a container reports whose process SIGTERM has ended."""


def running(pod: Obj | None, address: str, host: str, *, ready: bool) -> Obj | None:
    """The pod started, at its address on the host's; None if there is no pod any more."""
    if pod is None:
        return None
    now = timestamp()
    status = pod.setdefault("status", {})
    status["phase"] = "Running"
    for kind in ("PodScheduled", "PodReadyToStartContainers", "Initialized"):
        _set_condition(status, kind, True)
    status |= {
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "containerStatuses": [
            {
                "name": container["name"],
                "state": {"running": {"startedAt": now}},
                "lastState": {},
                "ready": ready,
                "restartCount": 0,
                "image": container.get("image", ""),
                "imageID": "",
                "containerID": f"sandbox://{pod['metadata']['uid']}/{container['name']}",
                "started": True,
            }
            for container in pod["spec"]["containers"]
        ],
    }
    return with_readiness(pod, ready)


def with_readiness(pod: Obj | None, ready: bool) -> Obj | None:
    if pod is None:
        return None
    for kind in ("ContainersReady", "Ready"):
        _set_condition(pod["status"], kind, ready)
    for container in pod["status"].get("containerStatuses", ()):
        container["ready"] = ready
    return pod


def ended(pod: Obj | None) -> Obj | None:
    """The pod after SIGTERM, which its processes did not handle."""
    if pod is None:
        return None
    _set_condition(pod.setdefault("status", {}), "PodReadyToStartContainers", False)
    pod["status"]["phase"] = "Failed"
    for container in pod["status"].get("containerStatuses", ()):
        started = container["state"].get("running", {}).get("startedAt")
        container["started"] = False
        container["state"] = {
            "terminated": {
                "exitCode": SIGTERM_EXIT,
                "reason": "Error",
                "startedAt": started,
                "finishedAt": timestamp(),
            }
        }
    return with_readiness(pod, ready=False)


def _set_condition(status: Obj, kind: str, holds: bool) -> None:
    value = "True" if holds else "False"
    conditions = status.setdefault("conditions", [])
    old = next((c for c in conditions if c["type"] == kind), None)
    if old is None:
        old = {"type": kind, "status": "", "lastProbeTime": None}
        conditions.append(old)
    if old["status"] != value:
        old |= {"status": value, "lastTransitionTime": timestamp()}
