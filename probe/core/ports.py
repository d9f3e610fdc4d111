"""Which TCP ports a workload declares, and which addresses it was told that cannot work.

A declared port is evidence of intent, not of listening: it comes from containerPorts, probes,
environment values that read like listen addresses (`LISTEN_ADDR=0.0.0.0:8080`, `PORT=8080`) and
arguments (`--port=8080`, `-listen :8080`). Only declared ports are ever dialed as candidates.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from probe.core.targets import PORT_MAX, address_fault, numeric

CANDIDATES_MAX = 8
"""Candidate ports per Service port, ever: the design's bound, so that we are no port scanner."""


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
    """One declared port. `auxiliary` marks those meant for probes, metrics or a sidecar."""

    port: int
    source: str
    auxiliary: bool


_AUXILIARY_WORD = re.compile(
    r"(^|[^a-z])(metrics?|prom|prometheus|health|healthz|healthcheck|ready|live|liveness|readiness"
    r"|probes?|admin|debug|pprof|status|stats|envoy|proxy)([^a-z]|$)"
)
_MESH_SIDECARS = frozenset({"istio-proxy", "linkerd-proxy", "envoy", "kuma-sidecar", "osm-proxy"})

_LISTEN_KEY = re.compile(
    r"(^|_)(LISTEN|BIND|SERVE)(_|$)|(^|_)(PORTS?)$|^(ADDR|ADDRESS|LISTEN)$", re.IGNORECASE
)
_PORT_VALUE = re.compile(r"^(?:.*:)?(\d{1,5})$")
_LISTEN_FLAG = re.compile(
    r"^--?(?:[a-z0-9]+[-_.])*(?:port|listen|bind|addr|address)(?:[-_.](?:addr|address|port))?$"
)

_DESTINATION_KEY = re.compile(
    r"(URL|URI|ADDR|ADDRESS|HOST|TARGET|ENDPOINT|UPSTREAM|BACKEND|SERVER|REMOTE|PEER)S?$",
    re.IGNORECASE,
)
_HOST_OF_VALUE = re.compile(
    r"^(?:[a-z][a-z0-9+.-]*://)?(?:[^@/\s]*@)?(\[[^\]]*\]|[^:/\s\[\]]*):(\d+)"
)


def declared(containers: Iterable[Container]) -> tuple[Declared, ...]:
    """All declared TCP ports, each once (the most telling source first), at most CANDIDATES_MAX."""
    found: dict[int, Declared] = {}
    for container in containers:
        aside = container.sidecar or container.name in _MESH_SIDECARS
        for port, source, name in _declarations(container):
            auxiliary = aside or _AUXILIARY_WORD.search(name.lower().replace("_", "-")) is not None
            old = found.get(port)
            if 0 < port <= PORT_MAX and (old is None or (old.auxiliary and not auxiliary)):
                found[port] = Declared(port, source, auxiliary)
    return tuple(found.values())[:CANDIDATES_MAX]


def _declarations(container: Container) -> Iterator[tuple[int, str, str]]:
    """Port, where it was found, and the name under which it goes there."""
    for key, value in container.env:
        if _LISTEN_KEY.search(key):
            for port in _listen_ports(value):
                yield port, f"env {key}={value}", key
    for port, flag in _flag_ports(container.args):
        yield port, f"argument {flag}", flag
    for name, port in container.ports:
        yield port, f"containerPort {name or port}", name
    names = dict(container.ports)
    for probe_port in container.probe_ports:
        number = probe_port if isinstance(probe_port, int) else names.get(probe_port, 0)
        yield number, f"probe port {probe_port}", "" if isinstance(probe_port, int) else probe_port


def _listen_ports(value: str) -> Iterator[int]:
    for part in value.split(","):
        if match := _PORT_VALUE.match(part.strip()):
            yield int(match[1])


def _flag_ports(args: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """`--port=8080` in one argument, `-listen :8080` in two."""
    for i, arg in enumerate(args):
        flag, equals, value = arg.partition("=")
        if not _LISTEN_FLAG.match(flag):
            continue
        if not equals:
            value = args[i + 1] if i + 1 < len(args) else ""
        for port in _listen_ports(value):
            yield port, f"{flag}{equals or ' '}{value}"


def invalid_destinations(containers: Iterable[Container]) -> tuple[tuple[str, str], ...]:
    """(source, sentence) for every configured destination that nobody may dial.

    Only values whose key reads like an address to connect to, or which carry a scheme; listen
    addresses are fine as 0.0.0.0. Loopback is fine too: a container may talk to its neighbour.
    """
    found: dict[tuple[str, str], None] = {}
    for container in containers:
        for key, value in container.env:
            listens = _LISTEN_KEY.search(key) is not None
            if listens or not (_DESTINATION_KEY.search(key) or "://" in value):
                continue
            if reason := _destination_fault(value.strip()):
                found["env", f"container {container.name}: env {key}={value}: {reason}"] = None
        for arg in container.args:
            if "://" in arg and (reason := _destination_fault(arg.partition("=")[2] or arg)):
                found["args", f"container {container.name}: argument {arg}: {reason}"] = None
    return tuple(found)


def _destination_fault(value: str) -> str | None:
    match = _HOST_OF_VALUE.match(value)
    if match is None:
        return None
    host, port = match[1].strip("[]"), int(match[2])
    if not host and "://" not in value:
        return None  # ":8080" under a key such as ADDR is how Go programs write a listen address
    if not host:
        return "the host is empty and would dial the caller itself"
    if port == 0 or port > PORT_MAX:
        return f"port {port} is out of range 1-{PORT_MAX}"
    if numeric(host) is None:
        return None
    return address_fault(host, person=True)
