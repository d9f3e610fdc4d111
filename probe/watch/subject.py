"""What is watched: one Deployment, StatefulSet or DaemonSet, and the Services in front of it."""

import re
from dataclasses import dataclass
from functools import partial

from probe.absent import NotFound, missing
from probe.check import Selection, chosen_services
from probe.core import kube, wire
from probe.core.edges import Service
from probe.core.progress import Progress, progress
from probe.core.selection import selects
from probe.reflector import Connection

SHORT = {
    **dict.fromkeys(("deployment", "deployments", "deploy"), "Deployment"),
    **dict.fromkeys(("statefulset", "statefulsets", "sts"), "StatefulSet"),
    **dict.fromkeys(("daemonset", "daemonsets", "ds"), "DaemonSet"),
}
"""The kinds that roll, by the names that kubectl takes."""

WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}

RESOURCES = {
    kind: kube.Resource(name, "apps/v1", wire.Workload, partial(progress, kind))
    for kind, name in WORKLOADS.items()
}

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""What a workload may be called (a DNS-1123 subdomain)."""


class BadName(ValueError):
    """What was typed names no workload; the text says how to write it."""


class NothingInFront(NotFound):
    """No Service leads to it, so nothing can be dialed; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One workload by its kind ("Deployment"), namespace and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def parse(text: str) -> tuple[str, str]:
    """Kind and name of `deploy/web`, as kubectl takes it. Raises BadName."""
    short, slash, name = text.partition("/")
    kind = SHORT.get(short.lower().partition(".")[0])
    if not slash:
        example = "web" if kind or not text else text
        raise BadName(f"{text!r}: write KIND/NAME, such as deployment/{example}")
    if kind is None:
        raise BadName(f"{text!r}: {short!r} does not roll; deployment, statefulset, daemonset do")
    if not NAME.fullmatch(name):
        raise BadName(f"{text!r}: {name!r} can be no name of a {kind}")
    return kind, name


async def look(connection: Connection, subject: Subject) -> Progress | None:
    """The workload as it is now; None if there is none. Raises ApiTrouble."""
    listed, _ = await connection.list(
        RESOURCES[subject.kind], subject.namespace, fieldSelector=f"metadata.name={subject.name}"
    )
    return next(iter(listed.facts), None)


async def find(connection: Connection, subject: Subject) -> tuple[Progress, tuple[str, ...]]:
    """The workload as it is now, and the names of the Services that callers reach it by.

    Raises NotFound, of which NothingInFront if there is no such Service, and ApiTrouble.
    """
    found = await look(connection, subject)
    if found is None:
        resource, (namespace, name) = RESOURCES[subject.kind], (subject.namespace, subject.name)
        raise await missing(connection, resource, subject.kind, namespace, name)
    services = await chosen_services(connection, Selection(subject.namespace))
    behind = [s for s in services if selects(s, found.workload)]
    names = tuple(sorted(s.name for s in behind if _dialed(s)))
    if not names:
        raise NothingInFront(_nothing(subject, found, behind))
    return found, names


def _dialed(service: Service) -> bool:
    tcp = any(port.protocol == "TCP" for port in service.ports)
    left_alone = service.opted_out or service.other_proxy
    return bool(service.cluster_ips) and tcp and not left_alone


def _nothing(subject: Subject, found: Progress, behind: list[Service]) -> str:
    if behind:
        names = ", ".join(service.name for service in behind)
        return (
            f"no Service in front of {subject} has a ClusterIP and a TCP port to dial (there is "
            f"{names}): give it one that callers use"
        )
    ports = sorted(d.port for d in found.workload.declared if not d.auxiliary)
    port = ports[0] if ports else "PORT"
    return (
        f"no Service selects the pods of {subject}, so there is nothing to dial: kubectl expose "
        f"{subject.kind.lower()} {subject.name} -n {subject.namespace} --port={port}"
    )
