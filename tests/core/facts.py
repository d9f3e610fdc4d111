"""Facts that tests of the core are told with: a Service, a slice, a workload, an outcome."""

from collections.abc import Callable, Iterable

from probe.core import kube, templates, wire
from probe.core.edges import (
    NO_HINTS,
    Author,
    Edge,
    Endpoint,
    EndpointSlice,
    Family,
    Hints,
    Kind,
    PortKey,
    Service,
    ServicePort,
    SlicePort,
)
from probe.core.judging import Turn
from probe.core.ports import Declared
from probe.core.results import Icmp, Outcome, Result
from probe.core.rounds import Config, Dial
from probe.core.verdicts import Judgement
from probe.core.workloads import Workload
from probe.core.world import World

NODE = "node-a"
VIP = "10.96.0.10"
KEY = PortKey("demo-app", "backend-v1", 8080)

CONNECTED = Outcome(Result.CONNECTED, 0.0004)
REFUSED = Outcome(Result.REFUSED, detail="refused by RST: nothing listens on that port")
TIMEOUT = Outcome(Result.TIMEOUT, detail="no answer within 4 s, 3 SYNs sent again")
UNREACHABLE = Outcome(Result.UNREACHABLE, icmp=Icmp(4, 3, 1, "10.0.0.1"))
REJECTED = Outcome(
    Result.REJECTED, icmp=Icmp(4, 3, 3, "10.0.0.254"), detail="ICMP 3/3 from 10.0.0.254"
)
RESET = Outcome(Result.RESET)
LOCAL_FAULT = Outcome(Result.LOCAL_FAULT, detail="our own fault: Too many open files (EMFILE)")


def port(
    number: int = 8080, target: int | str = 8080, *, name: str = "http", protocol: str = "TCP"
) -> ServicePort:
    return ServicePort(name, number, protocol, target)


def service(
    *ports: ServicePort,
    name: str = "backend-v1",
    namespace: str = "demo-app",
    uid: str = "uid-1",
    kind: str = "ClusterIP",
    ips: tuple[str, ...] = (VIP,),
    selector: tuple[tuple[str, str], ...] = (("app", "backend-v1"),),
    publish_not_ready: bool = False,
    local: bool = False,
    opted_out: bool = False,
    author: Author | None = None,
    managed: str = "",
) -> Service:
    return Service(
        namespace=namespace,
        name=name,
        uid=uid,
        type=kind,
        cluster_ips=ips,
        ports=ports or (port(),),
        selector=selector,
        publish_not_ready=publish_not_ready,
        internal_traffic_local=local,
        opted_out=opted_out,
        author=author,
        managed=managed,
    )


def endpoint(
    address: str,
    *,
    ready: bool = True,
    serving: bool | None = None,
    terminating: bool = False,
    node: str = "node-b",
    pod: str | None = None,
    hints: Hints = NO_HINTS,
) -> Endpoint:
    return Endpoint(
        address=address,
        ready=ready,
        serving=ready if serving is None else serving,
        terminating=terminating,
        node=node,
        pod=f"pod-{address}" if pod is None else pod,
        hints=hints,
    )


def leaving(address: str, *, serving: bool = True) -> Endpoint:
    return endpoint(address, ready=False, serving=serving, terminating=True)


def slice_of(
    *endpoints: Endpoint | str,
    number: int | None = 8080,
    port_name: str = "http",
    protocol: str = "TCP",
    service: str = "backend-v1",
    namespace: str = "demo-app",
    name: str = "",
    address_type: str = "IPv4",
) -> EndpointSlice:
    return EndpointSlice(
        namespace=namespace,
        name=name or f"{service}-x",
        service=service,
        address_type=address_type,
        ports=(SlicePort(port_name, number, protocol),),
        endpoints=tuple(endpoint(e) if isinstance(e, str) else e for e in endpoints),
    )


def workload(
    *declared: Declared,
    name: str = "backend-v1",
    namespace: str = "demo-app",
    kind: str = "Deployment",
    replicas: int = 2,
    labels: tuple[tuple[str, str], ...] = (("app", "backend-v1"),),
    image: str = "app:1",
    complete: bool = True,
    rolling: bool = False,
    stuck: bool = False,
    deadline: int = 600,
    invalid: tuple[tuple[str, str], ...] = (),
    author: Author | None = None,
    cause: str = "",
    restarted: str = "",
    env: str = "",
    paused: bool = False,
    revision: str = "1",
    generation: int = 1,
    managed: str = "",
    scaler: str = "",
    unplaced: bool = False,
    available: bool = False,
    fresh: bool = False,
) -> Workload:
    return Workload(
        kind=kind,
        namespace=namespace,
        name=name,
        uid="uid-w",
        generation=generation,
        replicas=replicas,
        labels=labels,
        template=print_of(labels, image, restarted, env),
        images=(image,),
        containers=("app",),
        declared=declared,
        invalid=invalid,
        complete=complete,
        rolling=rolling,
        stuck=stuck,
        paused=paused,
        progress_deadline_seconds=deadline,
        grace_seconds=30,
        revision=revision,
        change_cause=cause,
        author=author,
        managed=managed,
        scaler=scaler,
        unplaced=unplaced,
        available=available,
        fresh=fresh,
    )


def print_of(labels: tuple[tuple[str, str], ...], image: str, restarted: str, env: str) -> bytes:
    annotations = {templates.RESTARTED_AT: restarted} if restarted else {}
    container = wire.Container("app", image, env=[wire.Env("MODE", env)])
    return templates.print_of(
        wire.TemplateMeta(dict(labels), annotations), wire.PodSpec([container])
    )


DECLARED_8080 = Declared(8080, "env LISTEN_ADDR=0.0.0.0:8080", False, "app")


def edge(
    address: str,
    number: int = 8080,
    *,
    kind: Kind = Kind.ENDPOINT,
    key: PortKey = KEY,
) -> Edge:
    family = Family.IPV6 if ":" in address else Family.IPV4
    return Edge(key, kind, family, address, number)


Answer = Callable[[Dial, float], Outcome]
"""What the network says to a dial made at this moment."""


def everything_connects(dial: Dial, now: float) -> Outcome:
    return CONNECTED


def answers(**by_address: Outcome) -> Answer:
    """These addresses (`at_`, dots and colons written as _) answer so, all others connect."""

    def answer(dial: Dial, now: float) -> Outcome:
        name = dial.edge.address.replace(".", "_").replace(":", "_")
        return by_address.get(f"at_{name}", CONNECTED)

    return answer


class Story:
    """A World with its clock and its network: events in, seconds pass, turns and dials remain.

    Every dial is answered in the tick after it was made, like a handshake in the same cluster.
    """

    def __init__(
        self, config: Config | None = None, *, answer: Answer = everything_connects
    ) -> None:
        self.now = 1000.0
        self.world = World(config or Config(NODE), self.now)
        self.answer = answer
        self.dials: list[Dial] = []
        self.turns: list[Turn] = []
        self._flying: list[Dial] = []

    def listed(
        self,
        services: Iterable[Service] = (),
        slices: Iterable[EndpointSlice] = (),
        deployments: Iterable[Workload] = (),
    ) -> "Story":
        """The first lists: what was there before us."""
        self.world.apply(kube.Listed("services", tuple(services)), self.now)
        self.world.apply(kube.Listed("endpointslices", tuple(slices)), self.now)
        self.world.apply(kube.Listed("deployments", tuple(deployments)), self.now)
        return self

    def store(self, *facts: Service | EndpointSlice | Workload) -> None:
        for fact in facts:
            self.world.apply(kube.Stored(_resource(fact), fact), self.now)

    def remove(self, fact: Service | EndpointSlice | Workload) -> None:
        self.world.apply(kube.Removed(_resource(fact), fact.namespace, fact.name), self.now)

    def run(self, seconds: float, *, step: float = 0.02) -> "Story":
        end = self.now + seconds
        while self.now < end:
            before, self.now = self.now, self.now + step
            done = [(dial, self.answer(dial, self.now)) for dial in self._flying]
            self.world.record(done, self.now)
            self._flying = self.world.due(self.now, 10_000)
            self.dials += self._flying
            if int(before) != int(self.now):
                self.world.tick(self.now)
            self.turns += self.world.judge(self.now)
        return self

    def confirmed(self, seconds: float) -> "Story":
        """A single run's two dials of what fails, so many seconds each."""
        self.run(seconds).world.confirm(self.now)
        return self.run(seconds)

    def verdict(self, key: PortKey = KEY) -> str:
        return str(self.judged(key).verdict)

    def summary(self, key: PortKey = KEY) -> str:
        return self.judged(key).summary

    def judged(self, key: PortKey = KEY) -> Judgement:
        return self.world.mirror.services[key.namespace, key.service].books[key.port].judgement

    def verdicts(self, key: PortKey = KEY) -> list[str]:
        """All verdicts that the Service port has gone through, in order."""
        return [str(turn.new.verdict) for turn in self.turns if turn.key == key]

    def edges(self) -> set[Edge]:
        return {edge for _, book in self.world.books() for edge in book.tracks}

    def dials_since(self, moment: float, kind: Kind | None = None) -> list[Dial]:
        return [d for d in self.dials if d.at >= moment and kind in (None, d.edge.kind)]


def standing(
    *slices: EndpointSlice, of: Service | None = None, answer: Answer = everything_connects
) -> Story:
    """A Service that was there before us, with these slices."""
    return Story(answer=answer).listed([of or service()], slices)


def _resource(fact: Service | EndpointSlice | Workload) -> str:
    if isinstance(fact, Service):
        return kube.SERVICES.name
    if isinstance(fact, EndpointSlice):
        return kube.SLICES.name
    kinds = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
    return kinds.get(fact.kind, "daemonsets")
