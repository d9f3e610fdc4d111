"""What would have avoided the failures of a rollout, read off its record (rollout_reports).

Only what was seen is advised against: a drain where dials failed on removed endpoints, a
readinessProbe where new ones refused. A template mends neither a proxy that never forgot a removed
endpoint nor a network that came later than the pod. Until the rollout is over and each failure is
laid to its cause, the drain is a lower bound, and there is nothing to paste.
"""

from collections.abc import Iterable
from typing import Any

from probe.core.results import Result
from probe.core.workloads import UNKNOWN_LENGTH

Json = dict[str, Any]

CONTAINER = "CONTAINER"
"""Stands in the YAML for the name of a container where there are several."""

THEIRS = frozenset({Result.REFUSED, Result.RESET})
"""What an endpoint answers that does not listen yet; everything else is the path's (results.py),
and a readinessProbe, which the pod's own node sends, does not see it."""

PROXIES_NAMED = 5
"""Nodes that are told to be looked at; the record has them all. Arbitrary."""


def advice(told: Json) -> tuple[str, ...]:
    """Lines for a person: what would have avoided the failures, with the YAML to paste; empty when
    nothing failed that anything is known against."""
    template = (*_drain(told), *_readiness(told))
    managed = _managed(told) if template else ()
    return (*_proxy(told), *template, *_network(told), *managed)


def still_open(told: Json) -> bool:
    """Whether a longer lag may still come in."""
    return told["ended"] is None or told["unconfirmed"] > 0


def open_failures(told: Json) -> str:
    """Why the lag is not final, in a few words."""
    if told["unconfirmed"]:
        return f"{told['unconfirmed']} failed dials are not laid to their cause yet"
    return "the rollout is not over"


def stuck_proxies(told: Json) -> list[Json]:
    """The shares of the nodes that still sent to removed endpoints when it could no longer be seen,
    those for the longest time first."""
    cut = [share for share in told["nodes"] if share["censored"]]
    return sorted(cut, key=lambda share: -share["removal_lag_seconds"])


def _proxy(told: Json) -> Iterable[str]:
    if cut := stuck_proxies(told):
        named = ", ".join(share["node"] for share in cut[:PROXIES_NAMED])
        more = f" and {len(cut) - PROXIES_NAMED} more" if len(cut) > PROXIES_NAMED else ""
        yield (
            f"removed endpoints of {told['workload']} were still sent to after "
            f"{cut[0]['removal_lag_seconds']:.0f} s: look at kube-proxy on {named}{more}"
        )


def _drain(told: Json) -> Iterable[str]:
    seconds, template = told["recommended_drain_seconds"], told["template"]
    if seconds is None:
        return
    workload = told["workload"]
    if still_open(told):
        yield (
            f"a preStop.sleep of at least {seconds} s so far would have avoided it in {workload}: "
            f"{open_failures(told)}"
        )
        return
    had, grace = template["pre_stop_seconds"], template["termination_grace_period_seconds"]
    if had is not None and had >= seconds:
        yield (
            f"{workload} has a preStop.sleep of {had} s now, and {seconds} s are enough: its next "
            "rollout is covered"
        )
        return
    instead = {None: "", UNKNOWN_LENGTH: " instead of its hook"}.get(had, f" instead of {had} s")
    yield f"a preStop.sleep of {seconds} s{instead} would have avoided it; in {workload}:"
    yield from _yaml(
        f"terminationGracePeriodSeconds: {raised_grace(seconds, had, grace)}",
        "containers:",
        f"  - name: {_container(told)}",
        "    lifecycle:",
        "      preStop:",
        "        sleep:",
        f"          seconds: {seconds}",
    )


def raised_grace(seconds: int, had: int | None, grace: int) -> int:
    """The grace period (seconds) that leaves an application as long to end as it had, with a
    preStop sleep of `seconds` instead of one of `had`: the sleep counts against it, and the API
    server rejects one that is longer (pkg/apis/core/validation, validateSleepAction)."""
    return grace + max(0, seconds - max(had or 0, 0))


def covering(told: Json) -> str:
    """In a sentence, what would have avoided the failures; empty where nothing is known."""
    seconds, template = told["recommended_drain_seconds"], told["template"]
    if seconds is not None and not still_open(told):
        had, grace = template["pre_stop_seconds"], template["termination_grace_period_seconds"]
        return drain(told["workload"], seconds, had, grace)
    return next((line.rstrip(":") for line in told["advice"]), "")


def drain(workload: str, seconds: int, had: int | None, grace: int) -> str:
    """In a sentence, what a preStop sleep of so many seconds takes, of a workload that has one of
    `had` and so long a grace period."""
    if had is not None and had >= seconds:
        return f"its preStop sleep of {had} s covers that from now on"
    verb = "add to" if had is None else "change in"
    return (
        f"{verb} the container of {workload}: lifecycle: {{preStop: {{sleep: {{seconds: "
        f"{seconds}}}}}}}, and set terminationGracePeriodSeconds: "
        f"{raised_grace(seconds, had, grace)}"
    )


def _readiness(told: Json) -> Iterable[str]:
    failed, template = _new(told, theirs=True), told["template"]
    if not failed:
        return
    port = template["ports"][0] if template["ports"] else "PORT"
    probe = "its readinessProbe" if template["readiness_probe"] else "a readinessProbe"
    yield (
        f"new endpoints of {told['workload']} took traffic before they listened "
        f"({failed}): have {probe} ask port {port} itself:"
    )
    yield from _yaml(
        "containers:",
        f"  - name: {_container(told)}",
        "    readinessProbe:",
        "      tcpSocket:",
        f"        port: {port}",
    )


def _network(told: Json) -> Iterable[str]:
    if failed := _new(told, theirs=False):
        yield (
            f"the network of new pods of {told['workload']} was ready after they were ({failed}): "
            "look at the CNI agent on their nodes"
        )


def _new(told: Json, *, theirs: bool) -> str:
    """How the dials of new endpoints failed, as far as it was their own doing, or was not."""
    failed = told["failed_new"].items()
    return ", ".join(f"{n} {result}" for result, n in failed if (result in THEIRS) is theirs)


def _container(told: Json) -> str:
    names: list[str] = told["template"]["containers"]
    return names[0] if len(names) == 1 else CONTAINER


def _managed(told: Json) -> Iterable[str]:
    if told["managed"]:
        yield f"{told['managed']} keeps {told['workload']}: change it where that takes it from"


def _yaml(*lines: str) -> Iterable[str]:
    """Where these stand in a workload."""
    yield from ("spec:", "  template:", "    spec:")
    yield from (f"      {line}" for line in lines)
