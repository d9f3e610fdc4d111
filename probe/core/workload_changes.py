"""What changed of a workload, told by comparing it with what it was before.

A template's earlier values are not kept whole: images are told from what to what, of the rest only
which aspect changed (see templates).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from probe.core import templates
from probe.core.changes import Aspect, Change, ChangeKind
from probe.core.meta import newly
from probe.core.networking import Part
from probe.core.rollouts import WorkloadKey
from probe.core.targets import masked
from probe.core.workloads import DAEMON_SET, Workload

KINDS = {Part.PROXY: ChangeKind.PROXY, Part.NETWORK: ChangeKind.NETWORK}

CAUSE_MAX = 500
"""Characters of a change-cause that is told: annotations may have 256 KiB. Arbitrary."""

AUTOSCALER = "kube-controller-manager"
"""The manager that the HorizontalPodAutoscaler's writes carry; no other controller of it writes
the scale subresource."""


def workload_changes(
    old: Workload,
    new: Workload,
    services: tuple[str, ...],
    at: float,
    *,
    running: bool,
    earlier: str | None = None,
    ours: bool = False,
) -> Iterator[Change]:
    """A changed pod template starts a rollout, changed replicas are a scaling.

    Only a part of the template is kept: where nothing of it changed and pods are being replaced
    all the same, outside of a `running` rollout, the rest did. `ours` is whether its pods are
    the daemons. `earlier` is the revision that had
    the new template before ("" if its number is not known), None if none is remembered. Some
    writes leave no author; the one before them is not to be blamed.
    """
    new = replace(new, author=newly(old.author, new.author))
    if details := list(_rollout_details(old, new, earlier, running=running)):
        rollout = _of_workload(new, at, _kind(new, ours=ours), "; ".join(details), services)
        listens = old.declared != new.declared
        yield replace(rollout, aspects=(Aspect.DECLARED,)) if listens else rollout
    if old.replicas != new.replicas:
        detail = f"replicas: {old.replicas} -> {new.replicas}"
        if new.scaler == AUTOSCALER:
            detail += " (HorizontalPodAutoscaler)"
        scaling = _scaled(new, old.replicas < new.replicas, detail, services, at)
        yield replace(scaling, by=new.scaler, time=None) if new.scaler else scaling
    if new.stuck and not old.stuck and not running:
        detail = f"stuck: no progress in progressDeadlineSeconds {new.progress_deadline_seconds}"
        yield _of_workload(replace(new, author=None), at, ChangeKind.ROLLOUT_END, detail, services)


def replaces_pods(old: Workload, new: Workload, *, running: bool) -> bool:
    """Whether from this change on pods come and go: a paused Deployment keeps those it has."""
    if old.replicas != new.replicas or _recovered(old, new):
        return True
    if new.paused:
        return False
    resumed = old.paused and new.rolling
    return resumed or old.template != new.template or _unseen(old, new, running=running)


def _rollout_details(
    old: Workload, new: Workload, earlier: str | None, *, running: bool
) -> Iterator[str]:
    if old.template != new.template:
        detail = "; ".join(_template_details(old, new))
        if earlier is not None:
            named = f"revision {earlier}" if earlier else "an earlier template"
            detail = f"rolled back to {named}: {detail}"
        if new.change_cause and new.change_cause != old.change_cause:
            detail += f" ({_cause(new.change_cause)})"
        yield detail
        if new.paused:
            yield "paused, so that no pod is replaced before it is resumed"
    elif _unseen(old, new, running=running):
        yield "pod template changed"
    if old.paused != new.paused and not (new.paused and old.template != new.template):
        yield "paused" if new.paused else "resumed"
    if _recovered(old, new):
        yield "progresses again after it was stuck"


def _cause(text: str) -> str:
    """The annotation without passwords: `kubectl --record` writes its whole command line there, of
    which nothing is told from the first value on (`kubectl set env deployment/web KEY=...`)."""
    if len(text) > CAUSE_MAX:
        return "..."
    if text.startswith("kubectl ") and "=" in text:
        return f"{text.partition('=')[0]}=..."
    return masked(text)


def _unseen(old: Workload, new: Workload, *, running: bool) -> bool:
    """Whether the template changed in a part of which nothing is kept."""
    started = new.rolling and not old.rolling and not running
    return started and not new.paused and not old.paused


def _recovered(old: Workload, new: Workload) -> bool:
    """Whether it progresses without an edit: pods that could not start now do."""
    return old.stuck and not new.stuck and old.generation == new.generation


def _template_details(old: Workload, new: Workload) -> Iterator[str]:
    changed = templates.changed(old.template, new.template)
    yield from _image_details(old, new)
    if templates.RESTART in changed:
        yield "restarted"
    named = [name for name in changed if name not in ("images", templates.RESTART)]
    if named:
        yield f"{_listed(named)} changed"


def _image_details(old: Workload, new: Workload) -> Iterator[str]:
    was = dict(zip(old.containers, old.images, strict=True))
    now = dict(zip(new.containers, new.images, strict=True))
    for name, image in now.items():
        whose = f"image of {name}: " if len(now) > 1 else "image "
        if name not in was:
            yield f"container {name} added ({image})"
        elif was[name] != image:
            yield f"{whose}{was[name]} -> {image}"
    for name, image in was.items():
        if name not in now:
            yield f"container {name} removed ({image})"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


def _kind(workload: Workload, *, ours: bool) -> ChangeKind:
    if ours:
        return ChangeKind.PROBER
    return ChangeKind.ROLLOUT if workload.part is None else KINDS[workload.part]


def workload_created(new: Workload, services: tuple[str, ...], at: float) -> Change:
    """A new workload is one that is scaled from nothing, a deleted one is scaled to it."""
    detail = f"created{_size(new, 0, 1)}"
    return _scaled(new, True, detail, services, at)


def workload_deleted(old: Workload, services: tuple[str, ...], at: float) -> Change:
    detail = f"deleted{_size(old, 1, 0)}"
    return _scaled(replace(old, author=None), False, detail, services, at)


def _scaled(
    workload: Workload, up: bool, detail: str, services: tuple[str, ...], at: float
) -> Change:
    scaling = _of_workload(workload, at, ChangeKind.SCALE, detail, services)
    return replace(scaling, aspects=(Aspect.UP if up else Aspect.DOWN,))


def _size(workload: Workload, before: int, after: int) -> str:
    """How many pods that means; a DaemonSet's are as many as there are nodes for it."""
    pods = workload.replicas
    known = workload.kind != DAEMON_SET
    return f", replicas: {before * pods} -> {after * pods}" if known else ""


def invalid_targets(
    old: Workload | None, new: Workload, services: tuple[str, ...], at: float
) -> Iterator[Change]:
    """Addresses that a workload was newly told and that nobody may dial."""
    known = old.invalid if old is not None else ()
    for found in new.invalid:
        if found not in known:
            told = replace(new, author=new.tellers.get(found))
            yield _of_workload(told, at, ChangeKind.INVALID_TARGET, found[1], services)


def rollout_ended(
    workload: WorkloadKey, detail: str, services: tuple[str, ...], at: float
) -> Change:
    return _of_rollout(workload, at, ChangeKind.ROLLOUT_END, detail, services)


def rollout_report(
    workload: WorkloadKey, detail: str, services: tuple[str, ...], at: float
) -> Change:
    """What a rollout cost, told once the proxies have had their time to catch up."""
    return _of_rollout(workload, at, ChangeKind.ROLLOUT_REPORT, detail, services)


def _of_rollout(
    workload: WorkloadKey, at: float, kind: ChangeKind, detail: str, services: tuple[str, ...]
) -> Change:
    what, namespace, name = workload
    return Change(at, kind, namespace, f"{what} {namespace}/{name}", detail, services=services)


def _of_workload(
    workload: Workload, at: float, kind: ChangeKind, detail: str, services: Iterable[str]
) -> Change:
    writer = workload.author
    return Change(
        at,
        kind,
        workload.namespace,
        f"{workload.kind} {workload.namespace}/{workload.name}",
        detail,
        by=writer.manager if writer else None,
        time=writer.time if writer else None,
        services=tuple(services),
        managed=workload.managed,
    )
