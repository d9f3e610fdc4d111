"""What a workload's rollout will do to its callers, as far as can be told before it begins."""

from collections.abc import Iterator
from typing import NamedTuple

from probe.core.progress import Strategy
from probe.core.workloads import Workload

DRAIN_SECONDS = 15
"""The preStop sleep that is proposed while nothing was measured: the proxies of the incident that
this is about followed after 10-15 s."""

KILL_SECONDS = 2
"""What the kubelet leaves a container in any case when its preStop hook has used the grace period
up (kubernetes/pkg/kubelet/kuberuntime: minimumGracePeriodInSeconds)."""


class Note(NamedTuple):
    """One thing to see to: `code` for programs, `text` what will happen, `fix` what helps, as YAML
    or a command to copy."""

    code: str
    text: str
    fix: str


def notes(workload: Workload, strategy: Strategy | None = None) -> tuple[Note, ...]:
    """What can be seen, the worst first; without the `strategy` what it implies is left out."""
    if workload.replicas == 0:
        return (Note("no_replicas", "it is scaled to zero: no pod will roll", _scale(workload, 2)),)
    return (
        *_standstill(workload, strategy),
        *(_gap(workload, strategy) if strategy is not None else ()),
        *_readiness(workload),
        *_drain(workload),
    )


def _standstill(workload: Workload, strategy: Strategy | None) -> Iterator[Note]:
    """Why nothing will roll."""
    name = _name(workload)
    if workload.stuck:
        yield Note(
            "stuck",
            "its last rollout is stuck: nothing has moved for longer than progressDeadlineSeconds "
            f"{workload.progress_deadline_seconds}, and only the next rollout is watched",
            f"kubectl rollout undo {name}",
        )
    if workload.paused:
        yield Note(
            "paused",
            "it is paused: a new template does not roll out",
            f"kubectl rollout resume {name}",
        )
    if strategy is not None and strategy.type == "OnDelete":
        yield Note(
            "on_delete",
            "its updateStrategy is OnDelete: a pod gets the new template when somebody deletes it",
            f"kubectl patch {name} -p '"
            '{"spec":{"updateStrategy":{"type":"RollingUpdate"}}}\'',
        )


def _gap(workload: Workload, strategy: Strategy) -> Iterator[Note]:
    """Why there will be no pod at all for a while."""
    name, pods = _name(workload), workload.replicas
    gradual = '"rollingUpdate":{"maxSurge":1,"maxUnavailable":0}'
    if strategy.type == "Recreate":
        yield Note(
            "recreate",
            "its strategy is Recreate: all old pods go before the first new one comes",
            f"kubectl patch {name} -p '"
            f'{{"spec":{{"strategy":{{"type":"RollingUpdate",{gradual}}}}}}}\'',
        )
    elif workload.kind == "Deployment" and pods > 1 and strategy.unavailable >= pods:
        yield Note(
            "all_unavailable",
            f"its maxUnavailable lets all {pods} pods be away at once",
            f'kubectl patch {name} -p \'{{"spec":{{"strategy":{{{gradual}}}}}}}\'',
        )
    if workload.kind == "DaemonSet" or pods > 1 or strategy.type == "Recreate":
        return
    alone = strategy.type == "RollingUpdate" and strategy.surge > 0 and not strategy.unavailable
    text = (
        "it has one replica: nothing else answers if the new pod turns out not to work"
        if alone
        else "it has one replica: from its end until the new pod is ready nothing answers"
    )
    yield Note("one_replica", text, _scale(workload, 2))


def _readiness(workload: Workload) -> Iterator[Note]:
    if workload.readiness:
        return
    ports = {declared.port for declared in workload.declared if not declared.auxiliary}
    port = min(ports) if len(ports) == 1 else "PORT"
    yield Note(
        "no_readiness_probe",
        "no container has a readinessProbe: new pods get connections before they listen",
        f"readinessProbe: {{tcpSocket: {{port: {port}}}, periodSeconds: 2}}",
    )


def _drain(workload: Workload) -> Iterator[Note]:
    grace, sleep = workload.grace_seconds, workload.pre_stop
    if sleep is None:
        raised = (
            ""
            if grace > DRAIN_SECONDS + KILL_SECONDS
            else f", terminationGracePeriodSeconds: {DRAIN_SECONDS + 30}"
        )
        yield Note(
            "no_pre_stop",
            "no container has a preStop hook: old pods stop listening while proxies still send to "
            "them",
            f"lifecycle: {{preStop: {{sleep: {{seconds: {DRAIN_SECONDS}}}}}}}{raised}",
        )
    elif sleep >= 0 and sleep + KILL_SECONDS >= grace:
        yield Note(
            "grace_too_short",
            f"preStop sleeps for {sleep} s of the {grace} s that terminationGracePeriodSeconds "
            "gives: requests in flight are cut off",
            f"terminationGracePeriodSeconds: {sleep + 30}",
        )


def _name(workload: Workload) -> str:
    """As kubectl takes it."""
    return f"{workload.kind.lower()} {workload.name} -n {workload.namespace}"


def _scale(workload: Workload, replicas: int) -> str:
    return f"kubectl scale {_name(workload)} --replicas={replicas}"
