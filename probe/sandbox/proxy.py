"""What kube-proxy does, in userspace: a dial to a ClusterIP meets what a backend would give.

The rules follow Services and EndpointSlices `lag` seconds late, so a pod that is gone is still
dialed for that long. A userspace listener completes handshakes before it could choose a backend;
so every Service port shows one face at a time, that of a backend chosen at random, and chooses
anew every SLICE seconds while its backends differ. Backends that are all alike cost nothing.

Where the real one differs: it follows once a second at most (minSyncPeriod), so that a new Service
is rejected at first; `lag` plays that. Without endpoints, and on ports of deleted Services, a dial
is refused by RST and not by ICMP 3/3, which nobody may send on loopback without root. Not played:
rules that differ between nodes (internalTrafficPolicy Local, topology hints), session affinity,
NodePorts.
"""

import asyncio
import logging
import random
import resource
import socket
from collections import deque

from probe.sandbox import shapes
from probe.sandbox.index import Key, key_of, service_of
from probe.sandbox.listeners import Face, Listener, Place, Wire
from probe.sandbox.relay import Relay
from probe.sandbox.store import Event, Obj, Store
from probe.sandbox.workqueue import WorkQueue

log = logging.getLogger(__name__)

SLICE = 0.05
"""Seconds between choices where backends differ: short beside the seconds between dials of a
probe, long beside the 15 us that changing a face takes."""

PODS = ("127.243.", "127.244.")
"""Where the sandbox's nodes and pods are; who listens elsewhere is only known by dialing."""


class Proxy:
    """Serves the ClusterIPs of all Services with TCP ports.

    `wire` tells what pods' ports show. A backend of a hand-made slice outside of the sandbox is
    taken to be open; if it is not, those who connected are reset.
    """

    def __init__(self, store: Store, wire: Wire, *, lag: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._wire = wire
        self._relay = Relay()
        self._lag = lag
        self._services: dict[Key, Obj] = {}
        self._slices: dict[Key, dict[Key, Obj]] = {}
        self._ports: dict[Key, dict[Place, ServicePort]] = {}
        self._waiting: deque[tuple[float, Event]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._dirty: WorkQueue[Key] = WorkQueue(self._sync)
        _raise_file_limit()
        for kind in ("services", "endpointslices"):
            for obj in store.list(kind):
                if shapes.sound(kind, obj):
                    self._apply(Event(0, kind, "ADDED", obj))
        self._unsubscribe = store.subscribe(self._on_event)

    @property
    def idle(self) -> bool:
        """The rules follow everything that has happened."""
        return not self._waiting and self._dirty.idle

    @property
    def lag(self) -> float:
        return self._lag

    def set_lag(self, seconds: float) -> None:
        """Follows so much later from now on; also changes already under way."""
        self._lag = seconds
        self._rearm()

    async def close(self) -> None:
        """Closes every port and cuts every connection."""
        self._unsubscribe()
        self._dirty.close()
        if self._timer:
            self._timer.cancel()
        for ports in self._ports.values():
            for port in ports.values():
                port.close()
        self._ports.clear()
        await self._relay.close()

    def _on_event(self, event: Event) -> None:
        if event.resource not in ("services", "endpointslices"):
            return
        if event.type == "DELETED" or shapes.sound(event.resource, event.object):
            self._waiting.append((self._loop.time(), event))
            if len(self._waiting) == 1:
                self._rearm()

    def _rearm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            self._timer = self._loop.call_at(self._waiting[0][0] + self._lag, self._catch_up)

    def _catch_up(self) -> None:
        # The loop may call a little early, by its clock's resolution.
        now = self._loop.time() + 0.001
        while self._waiting and self._waiting[0][0] + self._lag <= now:
            event = self._waiting.popleft()[1]
            try:
                self._apply(event)
            except Exception as error:
                # The rules of all other Services must go on following.
                log.warning("proxy cannot follow %s %s: %s", event.resource, event.type, error)
        self._rearm()

    def _apply(self, event: Event) -> None:
        key: Key | None = key_of(event.object)
        if event.resource == "services":
            assert key
            if event.type == "DELETED":
                self._services.pop(key, None)
            else:
                self._services[key] = event.object
            self._dirty.add(key)
        elif service := service_of(event.object):
            held = self._slices.setdefault(service, {})
            if event.type == "DELETED":
                held.pop(key_of(event.object), None)
                if not held:
                    del self._slices[service]
            else:
                held[key_of(event.object)] = event.object
            self._dirty.add(service)

    def _sync(self, key: Key) -> None:
        """Brings the ports of one Service in line with its rules."""
        held = self._ports.setdefault(key, {})
        wanted = self._rules(key)
        for place in held.keys() - wanted.keys():
            held.pop(place).close()
        for place, backends in wanted.items():
            if place not in held:
                held[place] = ServicePort(place, self._wire, self._relay)
            held[place].lead_to(backends)
        if not held:
            del self._ports[key]

    def _rules(self, key: Key) -> dict[Place, list[Place]]:
        """Where each port of each of the Service's ClusterIPs leads."""
        service = self._services.get(key)
        if service is None:
            return {}
        spec = service["spec"]
        addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
        slices = [s for s in self._slices.get(key, {}).values() if s.get("addressType") == "IPv4"]
        return {
            (address, port["port"]): backends_of(slices, port.get("name", ""))
            for address in addresses
            for port in spec.get("ports") or ()
            if address and address != "None" and ":" not in address
            if port.get("port") and port.get("protocol", "TCP") == "TCP"
        }


class ServicePort:
    """One port of one ClusterIP."""

    def __init__(self, place: Place, wire: Wire, relay: Relay) -> None:
        self._loop = asyncio.get_running_loop()
        self._wire = wire
        self._relay = relay
        self._backends: list[Place] = []
        self._listener = Listener(place, self._accept)
        self._next: asyncio.TimerHandle | None = None
        self._unusable = False

    def lead_to(self, backends: list[Place]) -> None:
        """Leads to these from now on, and nowhere if there are none."""
        if backends == self._backends and backends:
            return
        self._unwatch()
        self._backends = backends
        for backend in backends:
            self._wire.watch(backend, self._choose)
        self._choose()

    def close(self) -> None:
        self.lead_to([])

    def _unwatch(self) -> None:
        for backend in self._backends:
            self._wire.unwatch(backend, self._choose)

    def _choose(self) -> None:
        """Shows the face of a backend; comes back if another one has another face."""
        if self._next:
            self._next.cancel()
            self._next = None
        faces = [_face(self._wire, backend) for backend in self._backends]
        self._show(random.choice(faces) if faces else Face.CLOSED)
        if len(set(faces)) > 1:
            self._next = self._loop.call_later(SLICE, self._choose)

    def _show(self, face: Face) -> None:
        try:
            self._listener.show(face)
        except OSError as error:
            if not self._unusable:
                log.warning("cannot serve %s port %d: %s", *self._listener.place, error)
            self._unusable = True

    def _accept(self, client: socket.socket) -> None:
        alike = [b for b in self._backends if _face(self._wire, b) is self._listener.face]
        if alike:
            self._relay.carry(client, random.choice(alike))
        else:
            client.close()


def backends_of(slices: list[Obj], port_name: str) -> list[Place]:
    """The usable backends of a Service port: those ready, else those serving while they end.

    kubernetes/pkg/proxy/topology.go. A condition that is not set counts as ready, and serving
    follows ready.
    """
    ready: list[Place] = []
    ending: list[Place] = []
    for held in slices:
        numbers = [
            p.get("port") for p in held.get("ports") or () if (p.get("name") or "") == port_name
        ]
        for endpoint in held.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            is_ready = conditions.get("ready") is not False
            serving = conditions.get("serving", is_ready) is not False
            places = [(a, n) for a in (endpoint.get("addresses") or [])[:1] for n in numbers if n]
            if is_ready:
                ready += places
            elif serving and conditions.get("terminating"):
                ending += places
    return sorted(set(ready or ending))


def _face(wire: Wire, backend: Place) -> Face:
    face = wire.face(backend)
    if face is Face.CLOSED and not backend[0].startswith(PODS):
        return Face.OPEN
    return face


def _raise_file_limit() -> None:
    """Lets the process have as many descriptors as it may: a port costs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
