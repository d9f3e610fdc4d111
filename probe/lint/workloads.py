"""Whatever makes pods, as its manifest says it: containers, their ports, their probes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from probe.core import ports as core
from probe.lint.documents import Document
from probe.lint.values import Path, items, labels, mapping, number, port, text, texts, within

TEMPLATED: dict[str, tuple[tuple[str, ...], Path]] = {
    "Deployment": (("apps", "extensions"), ("spec", "template")),
    "StatefulSet": (("apps",), ("spec", "template")),
    "DaemonSet": (("apps", "extensions"), ("spec", "template")),
    "ReplicaSet": (("apps", "extensions"), ("spec", "template")),
    "ReplicationController": (("",), ("spec", "template")),
    "DeploymentConfig": (("apps.openshift.io", ""), ("spec", "template")),
    "Rollout": (("argoproj.io",), ("spec", "template")),
    "Job": (("batch",), ("spec", "template")),
    "CronJob": (("batch",), ("spec", "jobTemplate", "spec", "template")),
    "Pod": (("",), ()),
}
"""Kind -> its API groups, and where its pod template stands."""

ENDING = frozenset({"Job", "CronJob"})
"""Kinds whose pods end: no Service is about them, unless it matches nothing else."""

ROLLING = frozenset({"Deployment", "StatefulSet", "DaemonSet", "DeploymentConfig", "Rollout"})
"""Kinds that replace their pods when the template changes."""

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
ACTIONS = ("httpGet", "tcpSocket", "grpc")
HOOKS = ("postStart", "preStop")

_ASIDE = re.compile("webhook|profil|jolokia|jmx|(^|-)ping(-|$)")
"""Ports for the API server, or for those who look how a program is, or for what is slow."""

_LOOPBACK = re.compile(r"(^|[^0-9.])(127\.\d+\.\d+\.\d+|\[?::1\]?|localhost):\d")
"""A listener that the pod's other containers reach, and no Service."""

INJECTED_BY = re.compile("inject|^dapr.io/enabled$")
"""Annotations that make a webhook put something into the pods."""

MESHES = frozenset({"sidecar.istio.io/inject", "linkerd.io/inject"})
"""Those of webhooks whose ports are known (ports.INJECTED_PORTS)."""

DIGITS = re.compile(r"\d+")

Configs: TypeAlias = Mapping[str, Mapping[str, Any]]
"""The data of ConfigMaps, by their names."""


class ContainerPort(NamedTuple):
    name: str
    number: int
    protocol: str


class Probe(NamedTuple):
    """`kind` is readinessProbe and so on; `port` is None where there is none to read, `url_path`
    empty but for httpGet."""

    kind: str
    action: str
    port: int | str | None
    path: Path
    url_path: str


@dataclass(frozen=True)
class Container:
    """One container; `runs` unless it ends before the others start (an init container). `configs`
    is what stands in each ConfigMap."""

    value: Mapping[str, Any]
    path: Path
    runs: bool
    sidecar: bool
    configs: Configs

    @property
    def name(self) -> str:
        return text(self.value.get("name"))

    @cached_property
    def ports(self) -> tuple[ContainerPort, ...]:
        found = []
        for _, each in items(self.value.get("ports")):
            declared = number(each.get("containerPort"))
            if declared is not None:
                protocol = text(each.get("protocol")) or "TCP"
                found.append(ContainerPort(text(each.get("name")), declared, protocol))
        return tuple(found)

    @cached_property
    def probes(self) -> tuple[Probe, ...]:
        found = []
        for kind in PROBES:
            for action in ACTIONS:
                asked = within(self.value, kind, action)
                if isinstance(asked, dict):
                    path = (*self.path, kind, action, "port")
                    url_path = text(asked.get("path"))
                    found.append(Probe(kind, action, port(asked.get("port")), path, url_path))
        return tuple(found)

    def env(self) -> Iterator[tuple[str, str, Path]]:
        """Name, value and place of each variable that the manifest gives a value."""
        for i, each in items(self.value.get("env")):
            value = each.get("value")
            if isinstance(value, str | int | float):
                yield text(each.get("name")), str(value), (*self.path, "env", i, "value")

    def _env_by_reference(self) -> Iterator[tuple[str, str]]:
        """Name and value of each variable that stands in a ConfigMap."""
        for _, each in items(self.value.get("envFrom")):
            data = self.configs.get(text(within(each, "configMapRef", "name")), {})
            for key, value in data.items():
                yield text(each.get("prefix")) + key, str(value)
        for _, each in items(self.value.get("env")):
            ref = mapping(within(each, "valueFrom", "configMapKeyRef"))
            data = self.configs.get(text(ref.get("name")), {})
            if (key := text(ref.get("key"))) in data:
                yield text(each.get("name")), str(data[key])

    @cached_property
    def fact(self) -> core.Container:
        """As the core knows it."""
        return core.Container(
            name=self.name,
            ports=tuple((p.name, p.number) for p in self.ports if p.protocol == "TCP"),
            probe_ports=tuple(p.port for p in self.probes if p.port is not None),
            env=(*((name, value) for name, value, _ in self.env()), *self._env_by_reference()),
            args=(*texts(self.value.get("command")), *texts(self.value.get("args"))),
            sidecar=self.sidecar,
        )


@dataclass(frozen=True)
class Workload:
    """An object that makes pods, or a pod. `namespace` is empty where the manifest has none."""

    document: Document
    namespace: str
    template: Path
    configs: Configs

    @property
    def kind(self) -> str:
        return self.document.kind

    @property
    def words(self) -> str:
        """For a sentence: `Deployment web`."""
        return f"{self.kind} {self.document.name}"

    @cached_property
    def labels(self) -> dict[str, str]:
        """Its pods'."""
        return labels(within(self._pod, "metadata", "labels"))

    @cached_property
    def _pod(self) -> dict[str, Any]:
        return mapping(within(self.document.value, *map(str, self.template)))

    @property
    def spec(self) -> dict[str, Any]:
        """The pods' spec."""
        return mapping(self._pod.get("spec"))

    @property
    def path(self) -> Path:
        """Where the pods' spec stands."""
        return (*self.template, "spec")

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """All of them, those that run side by side first, native sidecars (KEP-753) among them."""
        running = [
            Container(value, (*self.path, "containers", i), True, False, self.configs)
            for i, value in items(self.spec.get("containers"))
        ]
        before = []
        for i, value in items(self.spec.get("initContainers")):
            sidecar = value.get("restartPolicy") == "Always"
            path = (*self.path, "initContainers", i)
            before.append(Container(value, path, sidecar, sidecar, self.configs))
        before.sort(key=lambda c: not c.runs)
        return (*running, *before)

    @property
    def running(self) -> tuple[Container, ...]:
        return tuple(c for c in self.containers if c.runs)

    @cached_property
    def declared(self) -> tuple[core.Declared, ...]:
        """The TCP ports that it declares, or is told to listen on; its probes' are not among them:
        an application may answer those on a port of their own."""
        return core.all_declared(replace(c.fact, probe_ports=()) for c in self.running)

    @cached_property
    def main_ports(self) -> tuple[core.Declared, ...]:
        """Those of them that clients may be meant to use."""
        names = {p.number: p.name for p in self.ports}
        return tuple(
            d
            for d in self.declared
            if not d.auxiliary
            and not _ASIDE.search(names.get(d.port, ""))
            and not _LOOPBACK.search(d.source)
        )

    def is_told(self, number: int) -> bool:
        """Whether a variable or an argument tells it to listen there."""
        return any(d.port == number and d.told for d in self.declared)

    def is_proven(self, number: int, name: str) -> bool:
        """Whether there is more to say that it listens there than a bare containerPort, which is
        often a wrong one: it is told to, a probe asks on it, or the port has that name."""
        names = {p.name for p in self.ports if p.number == number}
        asked = {p.port for c in self.running for p in c.probes}
        return (
            self.is_told(number)
            or number in asked
            or bool(asked & names - {""})
            or (bool(name) and name in names)
        )

    @property
    def opens_undeclared(self) -> bool:
        """Whether a probe asks on a port that is not declared: then others may not be either."""
        asked = {p.port for c in self.running for p in c.probes if isinstance(p.port, int)}
        return not asked <= {d.port for d in self.declared}

    @property
    def has_silent(self) -> bool:
        """Whether one of several containers tells of no port at all: it may listen anywhere."""
        facts = (replace(c.fact, probe_ports=()) for c in self.running if not c.ports)
        return len(self.running) > 1 and not all(core.all_declared([fact]) for fact in facts)

    @property
    def is_injected(self) -> bool:
        """Whether a webhook may put containers or ports into the pods that no manifest has."""
        annotations = mapping(within(self._pod, "metadata", "annotations"))
        return any(
            INJECTED_BY.search(key) and value not in ("false", "disabled")
            for key, value in annotations.items()
            if key not in MESHES
        )

    @property
    def reads_secrets(self) -> bool:
        """Whether it may be told by a Secret: all variables of one, or files."""
        volumes = [each for _, each in items(self.spec.get("volumes"))]
        for volume in list(volumes):
            volumes += [each for _, each in items(within(volume, "projected", "sources"))]
        every = [e for c in self.running for _, e in items(c.value.get("envFrom"))]
        return any("secret" in each for each in volumes) or any("secretRef" in e for e in every)

    @cached_property
    def ports(self) -> tuple[ContainerPort, ...]:
        """The container ports of what runs side by side, those of all protocols."""
        return tuple(p for c in self.running for p in c.ports)

    def resolved(self, name: str, protocol: str) -> list[int]:
        """The container ports of that name and protocol, as podutil.FindPort looks for them."""
        return [p.number for p in self.ports if p.name == name and p.protocol == protocol]

    @cached_property
    def whole(self) -> bool:
        """Whether it can be applied as it stands; a patch of one has no image, or no selector."""
        if not self.running or not all(c.value.get("image") for c in self.running):
            return False
        if self.kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
            old = self.document.api_version.startswith("extensions/")
            return old or bool(mapping(within(self.document.value, "spec", "selector")))
        return True

    @cached_property
    def numbers(self) -> frozenset[str]:
        """All that stand anywhere in its pods' template, probes among them."""
        return frozenset(numbers_of(self._pod))

    @cached_property
    def config_maps(self) -> frozenset[str]:
        """The names of those that its pods read."""
        found = [within(each, "configMap", "name") for _, each in items(self.spec.get("volumes"))]
        for _, volume in items(self.spec.get("volumes")):
            for _, each in items(within(volume, "projected", "sources")):
                found.append(within(each, "configMap", "name"))
        for container in self.running:
            for _, each in items(container.value.get("envFrom")):
                found.append(within(each, "configMapRef", "name"))
            for _, each in items(container.value.get("env")):
                found.append(within(each, "valueFrom", "configMapKeyRef", "name"))
        return frozenset(each for each in found if isinstance(each, str))


def workload(document: Document, namespace: str, configs: Configs) -> Workload | None:
    """None if the object makes no pods, by itself: an Argo Rollout may refer to a Deployment that
    has the template (workloadRef)."""
    found = TEMPLATED.get(document.kind)
    group, slash, _ = document.api_version.rpartition("/")
    if found is None or group not in found[0] or (slash and not group):
        return None
    made = Workload(document, namespace, found[1], configs)
    return made if made.containers or made.labels else None


def numbers_of(value: Any) -> Iterator[str]:
    """The runs of digits in all values that are nested in this one."""
    if isinstance(value, dict):
        for each in value.values():
            yield from numbers_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from numbers_of(each)
    elif isinstance(value, str | int):
        yield from DIGITS.findall(str(value))
