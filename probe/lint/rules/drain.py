"""Whether workloads behind a Service can be rolled without refused connections."""

from collections.abc import Iterator

from probe.core.preflight import DRAIN_SECONDS
from probe.lint.documents import Document
from probe.lint.findings import Finding, Rule, Severity
from probe.lint.manifests import Manifests
from probe.lint.values import within
from probe.lint.workloads import ROLLING, Workload

READINESS = Rule(
    "readiness-probe-missing",
    Severity.WARNING,
    "A workload behind a Service has no readinessProbe",
    "Its pods get connections as soon as their containers have started, before the application "
    "listens: each rollout refuses some.",
    "add a readinessProbe on the port that the Service leads to",
)
DRAIN = Rule(
    "drain-missing",
    Severity.WARNING,
    "A workload behind a Service is stopped without a drain",
    "Nodes learn that a pod is gone some time after it was told to stop. An application that "
    "stops at once refuses the connections that are sent to it until then.",
    f"add lifecycle: {{preStop: {{sleep: {{seconds: {DRAIN_SECONDS}}}}}}}, or have the application "
    "accept for that long after SIGTERM, and say so with terminationGracePeriodSeconds",
)


def readiness(manifests: Manifests) -> Iterator[Finding]:
    for workload, service in _rolling(manifests):
        if not any(c.value.get("readinessProbe") for c in workload.running):
            yield READINESS.at(
                workload.document,
                (*workload.path, "containers"),
                f"no container of {workload.words}, which Service {service} selects, has a "
                "readinessProbe",
            )


def drain(manifests: Manifests) -> Iterator[Finding]:
    """A preStop hook, or a grace period that somebody chose, shows that it was thought of."""
    for workload, service in _rolling(manifests):
        hooks = [within(c.value, "lifecycle", "preStop") for c in workload.running]
        grace = workload.spec.get("terminationGracePeriodSeconds")
        longest = max((_sleep(hook) for hook in hooks), default=0)
        if (
            longest
            and isinstance(grace, int | None)
            and longest >= (30 if grace is None else grace)
        ):
            yield DRAIN.at(
                workload.document,
                (*workload.path, "terminationGracePeriodSeconds"),
                f"the preStop sleep of {longest} s takes all of the grace period of "
                f"{30 if grace is None else grace} s: the application is killed unasked",
                fix=f"set terminationGracePeriodSeconds to more than {longest}",
            )
        elif not any(hooks) and not grace:
            said = "terminationGracePeriodSeconds is 0" if grace == 0 else "no preStop hook"
            yield DRAIN.at(
                workload.document,
                (*workload.path, "containers"),
                f"{workload.words}, which Service {service} selects, has no drain: {said}",
            )


def _sleep(hook: object) -> int:
    """Its length in seconds; 0 for another hook, or none."""
    found = within(hook, "sleep", "seconds")
    return found if isinstance(found, int) else 0


def _rolling(manifests: Manifests) -> Iterator[tuple[Workload, str]]:
    """Workloads that replace their pods one by one, each once, with a Service that selects it."""
    for each in manifests.sets:
        for workload in each.workloads:
            selecting = each.selecting(workload)
            if selecting and workload.kind in ROLLING and _rolls(workload.document):
                yield workload, selecting[0].name


def _rolls(document: Document) -> bool:
    strategy = within(document.value, "spec", "strategy", "type")
    update = within(document.value, "spec", "updateStrategy", "type")
    replicas = within(document.value, "spec", "replicas")
    return strategy != "Recreate" and update != "OnDelete" and bool(replicas != 0)
