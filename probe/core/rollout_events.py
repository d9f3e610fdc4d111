"""A rollout's report as a Kubernetes Event regarding the workload, for `kubectl describe`."""

from datetime import datetime

from probe.core import rollout_reports
from probe.core.announcements import CONTROLLER, Json, instance, micro_time, note
from probe.core.rollouts import WorkloadKey


def event(
    told: Json, workload: WorkloadKey, uid: str, *, node: str, moment: datetime, name: str
) -> Json:
    """The Event that tells of the record `told`; Normal if nothing failed. `node` is whose daemon
    tells, `moment` when, `name` the Event's own."""
    kind, namespace, workload_name = workload
    clean = rollout_reports.clean(told)
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "eventTime": micro_time(moment),
        "type": "Normal" if clean else "Warning",
        "reason": "RolloutClean" if clean else "RolloutFailedDials",
        "action": "Dial",
        "note": note(rollout_reports.news(told), f" (told by node {node})"),
        "regarding": {
            "apiVersion": "apps/v1",
            "kind": kind,
            "namespace": namespace,
            "name": workload_name,
            "uid": uid,
        },
        "reportingController": CONTROLLER,
        "reportingInstance": instance(node),
    }
