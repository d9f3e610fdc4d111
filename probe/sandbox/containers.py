"""What a pod's containers are configured to do: where they listen, how they are probed, how they
end. Pure.

The configuration decides and never the Service, for a Service that names the wrong port must
meet a container that listens elsewhere.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from probe.sandbox.slices import named_port
from probe.sandbox.store import Obj

BEHAVIOUR = "sandbox.edgeprobe.dev/behaviour"
"""The annotation that makes a pod misbehave; see listeners.Face for what each one means."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """A readiness probe: `port` None stands for a probe of no port, which always succeeds."""

    port: int | None
    http: bool
    delay: float
    period: float
    failures: int
    successes: int


def listen_ports(spec: Obj) -> list[int]:
    """The TCP ports that can be reached through the pod's address, in the order configured."""
    found = itertools.chain.from_iterable(map(_ports_of, _running(spec)))
    return list(dict.fromkeys(port for port in found if 0 < port < 65536))


def readiness(spec: Obj) -> list[Readiness]:
    """The readiness probes of all containers; the pod is ready when all succeed."""
    return [
        _readiness(container, container["readinessProbe"])
        for container in _running(spec)
        if container.get("readinessProbe")
    ]


def pre_stop_seconds(spec: Obj) -> float:
    """How long the preStop hooks sleep before SIGTERM is sent; hooks that do else take no time."""
    hooks = [(c.get("lifecycle") or {}).get("preStop") or {} for c in spec.get("containers") or ()]
    return max(map(_hook_seconds, hooks), default=0.0)


def _running(spec: Obj) -> list[Obj]:
    """The containers, and the init containers that are sidecars."""
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [*(spec.get("containers") or ()), *sidecars]


def _ports_of(container: Obj) -> list[int]:
    env = {e["name"]: str(e.get("value", "")) for e in container.get("env") or ()}
    if address := env.get("LISTEN_ADDR"):
        return list(_reachable(address))
    if listed := env.get("PORTS") or env.get("PORT"):
        return [int(p.split("/")[0]) for p in _words(listed) if _is_tcp(p)]
    command = [*(container.get("command") or ()), *(container.get("args") or ())]
    if ports := list(_arguments([str(word) for word in command])):
        return ports
    ports_declared = container.get("ports") or ()
    return [p["containerPort"] for p in ports_declared if p.get("protocol", "TCP") == "TCP"]


def _words(listed: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", listed) if re.fullmatch(r"\d+(/\w+)?", word)]


def _is_tcp(port: str) -> bool:
    return port.upper().partition("/")[2] in ("", "TCP")


def _arguments(words: list[str]) -> Iterator[int]:
    """Ports in `--port=N`, `--port N`, `-listen ADDR` and the like."""
    text = iter(words)
    for word in text:
        flag, _, value = word.partition("=")
        if flag in ("--port", "-port", "-p", "--listen", "-listen", "--listen-address"):
            yield from _reachable(value or next(text, ""))


def _reachable(address: str) -> Iterator[int]:
    """The port of HOST:PORT, unless the host is loopback: the pod's address does not lead there."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and host not in ("127.0.0.1", "localhost", "[::1]"):
        yield int(port)


def _readiness(container: Obj, probe: Obj) -> Readiness:
    check = probe.get("httpGet") or probe.get("tcpSocket") or probe.get("grpc") or {}
    port = check.get("port")
    if isinstance(port, str):
        # A name nobody declares: the kubelet fails the probe, as port 0 does here.
        port = int(port) if port.isdigit() else named_port({"containers": [container]}, port) or 0
    return Readiness(
        port=port,
        http="httpGet" in probe or "grpc" in probe,
        delay=probe.get("initialDelaySeconds", 0),
        period=probe.get("periodSeconds", 10),
        failures=probe.get("failureThreshold", 3),
        successes=probe.get("successThreshold", 1),
    )


def _hook_seconds(hook: Obj) -> float:
    if "sleep" in hook:
        return float(hook["sleep"]["seconds"])
    command = " ".join((hook.get("exec") or {}).get("command") or ())
    slept = re.search(r"\bsleep\s+(\d+(?:\.\d+)?)", command)
    return float(slept[1]) if slept else 0.0
