"""Which TCP ports a workload declares, and which addresses it was told that cannot work.

A declared port is evidence of intent, not of listening: it comes from containerPorts, probes,
environment values that read like listen addresses (`LISTEN_ADDR=0.0.0.0:8080`, `PORT=8080`) and
arguments (`--port=8080`, `-listen :8080`). Only declared ports are ever dialed as candidates.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from sys import intern
from typing import NamedTuple

from probe.core import listening
from probe.core.targets import PORT_MAX, address_fault, numeric

CANDIDATES_MAX = 8
"""Candidate ports per Service port, ever: few, so that we are no port scanner. Arbitrary."""


@dataclass(frozen=True, slots=True)
class Container:
    """What a pod template says of one container, as far as ports and addresses go."""

    name: str
    ports: tuple[tuple[str, int], ...] = ()
    probe_ports: tuple[int | str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    args: tuple[str, ...] = ()
    sidecar: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """One declared port of a container. `auxiliary` marks those meant for probes, metrics or a
    sidecar."""

    port: int
    source: str
    auxiliary: bool
    container: str

    @property
    def told(self) -> bool:
        """Whether a variable or an argument tells the container to listen there; containerPorts
        and probes only repeat what somebody believed."""
        return self.source.startswith(("env ", "argument "))


_AUXILIARY_WORD = re.compile(
    r"(^|[^a-z])(metrics?|prom|prometheus|monitoring|exporter|telemetry|jmx|health|healthz|healthcheck"
    r"|ready|live|liveness|readiness|probes?|actuator|management|mgmt|admin|debug|pprof|status|stats"
    r"|sidecar|envoy|istio|linkerd|proxy)([^a-z]|$)"
)
_MESH_SIDECARS = frozenset(
    {"istio-proxy", "linkerd-proxy", "envoy", "kuma-sidecar", "osm-proxy", "consul-dataplane"}
)
_ASIDE = re.compile(
    r"(^|-)(metrics|exporter|sidecar|reloader|pgbouncer|cloud-?sql-proxy|fluent-?bit)(-|$)"
)
"""Containers that charts put beside the application (`metrics`, `config-reloader`), and those that
only it connects to (`pgbouncer`)."""

_DESTINATION_KEY = re.compile(
    r"(URL|URI|ADDR|ADDRESS|HOST|TARGET|ENDPOINT|UPSTREAM|BACKEND|SERVER|REMOTE|PEER)S?$",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_PLACE = re.compile(r"(\[[^\]]{,255}\]|[^:\[\]]{,255}):(\d{1,10})(?![^,;?#])")
_FLAG = re.compile(r"-{0,2}[\w.-]+=")


def declared(containers: Iterable[Container]) -> tuple[Declared, ...]:
    """The first CANDIDATES_MAX of all_declared."""
    return all_declared(containers)[:CANDIDATES_MAX]


def all_declared(containers: Iterable[Container]) -> tuple[Declared, ...]:
    """All declared TCP ports, each once, the most telling source first.

    A port that only a probe names is auxiliary where others are declared: an application that
    answers its probe on a port of its own may be dead on the others.
    """
    found: dict[int, Declared] = {}
    probed: dict[int, Declared] = {}
    for container, aside in _with_asides(list(containers)):
        for port, source, name in _declarations(container):
            auxiliary = aside or is_auxiliary(name)
            old = found.get(port)
            if 0 < port <= PORT_MAX and (old is None or (old.auxiliary and not auxiliary)):
                found[port] = Declared(port, source, auxiliary, intern(container.name))
        for port, name in _probe_ports(container):
            if 0 < port <= PORT_MAX:
                auxiliary = aside or is_auxiliary(name)
                said, by = f"probe port {port}", intern(container.name)
                probed.setdefault(port, Declared(port, said, auxiliary, by))
    if any(not d.auxiliary for d in found.values()):
        probed = {port: replace(d, auxiliary=True) for port, d in probed.items()}
    ordered = sorted({**probed, **found}.values(), key=lambda d: (d.auxiliary, d.port in probed))
    return tuple(ordered)


def _with_asides(containers: list[Container]) -> Iterator[tuple[Container, bool]]:
    """The containers, and whether each stands beside the application rather than being it."""
    sure = [c.sidecar or c.name in _MESH_SIDECARS for c in containers]
    named = [_ASIDE.search(c.name) is not None for c in containers]
    alone = all(s or n for s, n in zip(sure, named, strict=True))  # an exporter's own Deployment
    for container, is_sure, is_named in zip(containers, sure, named, strict=True):
        yield container, is_sure or (is_named and not alone)


def stands_aside(name: str) -> bool:
    """Whether a container of that name usually stands beside the application."""
    return name in _MESH_SIDECARS or _ASIDE.search(name) is not None


def is_auxiliary(name: str) -> bool:
    """Whether a port of that name is for probes, metrics or a sidecar rather than for clients."""
    return _AUXILIARY_WORD.search(name.lower().replace("_", "-")) is not None


def _declarations(container: Container) -> Iterator[tuple[int, str, str]]:
    """Port, where it was found, and the name under which it goes there."""
    others = dict(container.env)
    for key, value in container.env:
        for port in listening.of_variable(key, value, others):
            yield port, f"env {key}={listening.written(value, port)}", key
    for port, said in listening.of_arguments(container.args):
        yield port, f"argument {said}", said
    for name, port in container.ports:
        yield port, f"containerPort {name or port}", name


def _probe_ports(container: Container) -> Iterator[tuple[int, str]]:
    """Port, and its name if the probe calls it by one."""
    names = dict(container.ports)
    for port in container.probe_ports:
        yield (port, "") if isinstance(port, int) else (names.get(port, 0), port)


REMEDY = "name the address that is meant"
"""What to do about a configured destination that nobody may dial."""


class Invalid(NamedTuple):
    """A configured destination that nobody may dial: where it entered (env, args) and one sentence
    about it, the container, and the variable, "" for an argument."""

    source: str
    sentence: str
    container: str
    variable: str = ""


def invalid_destinations(containers: Iterable[Container]) -> tuple[Invalid, ...]:
    """Every configured destination that nobody may dial.

    Only values whose key reads like an address to connect to, or which carry a scheme; listen
    addresses are fine as 0.0.0.0. Loopback is fine too: a container may talk to its neighbour.
    The sentences are published: of a value they hold the address, and "..." for all else, which
    may be a password.
    """
    found: dict[Invalid, None] = {}
    for container in containers:
        name = container.name
        for key, value in container.env:
            if not ("://" in value or _DESTINATION_KEY.search(key)):
                continue
            if listening.of_name(key, value):
                continue
            if fault := _destination_fault(value.strip()):
                said = f"container {name}: env {key}={fault}; {REMEDY}"
                found[Invalid("env", said, name, key)] = None
        for position, arg in enumerate(container.args):
            if "://" not in arg or listening.listens_there(container.args, position):
                continue
            flag = _FLAG.match(arg)
            if fault := _destination_fault(arg[flag.end() :] if flag else arg):
                said = f"container {name}: argument {flag[0] if flag else ''}{fault}; {REMEDY}"
                found[Invalid("args", said, name)] = None
    return tuple(found)


def _destination_fault(value: str) -> str | None:
    """The address of the value and why it cannot be dialed; None if it can, or if there is none."""
    match = _SCHEME.match(value)
    scheme = match[0] if match else ""
    words = value.removeprefix(scheme).split(maxsplit=1)
    authority, _, path = words[0].partition("/") if words else ("", "", "")
    userinfo, at, place = authority.rpartition("@")
    found = _PLACE.match(place)
    if found is None or "@" in path:  # it may be a password that holds a slash
        return None
    reason = _place_fault(found[1].strip("[]"), int(found[2]), url=bool(scheme))
    whole = len(scheme) + len(userinfo) + len(at) + found.end() == len(value)
    said = f"{scheme}{at and '...@'}{found[0]}{'' if whole else '...'}"
    return reason and f"{said}: {reason}"


def _place_fault(host: str, port: int, *, url: bool) -> str | None:
    if not host:  # ":8080" under a key such as ADDR is how Go programs write a listen address
        return "the host is empty and would dial the caller itself" if url else None
    if port == 0 or port > PORT_MAX:
        return f"port {port} is out of range 1-{PORT_MAX}"
    return None if numeric(host) is None else address_fault(host, person=True)
