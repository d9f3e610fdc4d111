"""A World under events, outcomes and time in any order, beside a model that is only lists.

The model holds the objects as they are now and derives from them, without memory, which edges
there must be. Whatever happened before, the World must agree.
"""

from ipaddress import ip_network

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from probe.core import kube
from probe.core.edges import (
    Edge,
    Endpoint,
    EndpointSlice,
    Kind,
    PortKey,
    Scope,
    Service,
    ServicePort,
    SlicePort,
)
from probe.core.results import Outcome, Result
from probe.core.rounds import Config, Dial
from probe.core.schedule import Cadence, rank
from probe.core.targets import fault
from probe.core.verdicts import Verdict
from probe.core.workloads import Workload
from probe.core.world import World
from tests.core.facts import (
    CONNECTED,
    DECLARED_8080,
    LOCAL_FAULT,
    NODE,
    REFUSED,
    REJECTED,
    RESET,
    TIMEOUT,
    UNREACHABLE,
    edge,
    endpoint,
    workload,
)

INTERVAL = 1.0
"""Short, so that the caps bind: three sources per endpoint beside its own node."""

PEERS = ("edgeprobe", "edgeprobe")
NODES = [NODE, *(f"node-{i}" for i in range(6))]
SERVICES = ["a", "b", "c"]
SCOPE = Scope(denied_namespaces=frozenset({"denied"}), manual_targets=(ip_network("192.0.2.0/24"),))

ports = st.sampled_from(
    [
        (ServicePort("http", 80, "TCP", 8080),),
        (ServicePort("http", 80, "TCP", 9090), ServicePort("more", 81, "TCP", 8080)),
        (ServicePort("http", 80, "TCP", "web"), ServicePort("dns", 80, "UDP", 53)),
        (ServicePort("mysql", 3306, "TCP", 3306),),
        (),
    ]
)
services = st.builds(
    Service,
    namespace=st.sampled_from(["demo-app", "denied"]),
    name=st.sampled_from(SERVICES),
    uid=st.sampled_from(["1", "2"]),
    type=st.sampled_from(["ClusterIP", "ClusterIP", "ClusterIP", "ExternalName"]),
    cluster_ips=st.sampled_from([("10.96.0.1",), ("10.96.0.1", "fd00::1"), (), ("127.0.0.1",)]),
    ports=ports,
    selector=st.sampled_from([(("app", "backend-v1"),), ()]),
    publish_not_ready=st.booleans(),
    internal_traffic_local=st.booleans(),
    opted_out=st.sampled_from([False, False, False, True]),
    author=st.none(),
)
endpoints = st.builds(
    Endpoint,
    address=st.sampled_from(
        ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::2", "0.0.0.0", "127.0.0.1", "192.0.2.1"]
    ),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
    node=st.sampled_from(NODES),
    pod=st.sampled_from(["p", "q", ""]),
)
slices = st.builds(
    EndpointSlice,
    namespace=st.sampled_from(["demo-app", "denied"]),
    name=st.sampled_from(["s", "t"]),
    service=st.sampled_from([*SERVICES, ""]),
    address_type=st.sampled_from(["IPv4", "FQDN"]),
    ports=st.sampled_from(
        [
            (SlicePort("http", 8080, "TCP"), SlicePort("more", 9090, "TCP")),
            (SlicePort("http", None, "TCP"),),
            (),
        ]
    ),
    endpoints=st.lists(endpoints, max_size=5).map(tuple),
)
workloads = st.builds(
    workload,
    st.just(DECLARED_8080),
    name=st.sampled_from(["w", "x"]),
    replicas=st.integers(0, 2),
    image=st.sampled_from(["app:1", "app:2"]),
    complete=st.booleans(),
    rolling=st.booleans(),
    stuck=st.booleans(),
    deadline=st.sampled_from([5, 600]),
)
outcomes = st.sampled_from(
    [CONNECTED, CONNECTED, REFUSED, REJECTED, TIMEOUT, UNREACHABLE, RESET, LOCAL_FAULT]
)
Key = tuple[str, str]

INVALID = ("0.0.0.0", "127.0.0.1")


def barred(held: Endpoint) -> bool:
    """No pod stands behind it, and SCOPE does not list it."""
    return not held.pod and held.address != "192.0.2.1"


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.config = Config(NODE, INTERVAL, settle=3.0, linger=3.0, scope=SCOPE, peers=PEERS)
        self.world = World(self.config, self.now)
        self.services: dict[Key, Service] = {}
        self.slices: dict[Key, EndpointSlice] = {}
        self.workloads: dict[Key, Workload] = {}
        self.nodes: tuple[str, ...] = (NODE,)
        self.flying: list[Dial] = []
        self.counted: dict[tuple[object, ...], int] = {}

    def apply(self, event: kube.Event) -> None:
        self.world.apply(event, self.now)

    # What the API server tells.

    @rule(service=services)
    def store_service(self, service: Service) -> None:
        self.services[service.namespace, service.name] = service
        self.apply(kube.Stored("services", service))

    @rule(slice_=slices)
    def store_slice(self, slice_: EndpointSlice) -> None:
        self.slices[slice_.namespace, slice_.name] = slice_
        self.apply(kube.Stored("endpointslices", slice_))

    @rule(held=workloads)
    def store_workload(self, held: Workload) -> None:
        self.workloads[held.namespace, held.name] = held
        self.apply(kube.Stored("deployments", held))

    @rule(
        namespace=st.sampled_from(["demo-app", "denied"]),
        name=st.sampled_from([*SERVICES, "s", "t", "w"]),
    )
    def remove(self, namespace: str, name: str) -> None:
        for resource, held in self.held():
            held.pop((namespace, name), None)
            self.apply(kube.Removed(resource, namespace, name))

    @rule(keep=st.sets(st.sampled_from([*SERVICES, "s", "t", "w", "x"])))
    def list_all(self, keep: set[str]) -> None:
        """A list (the first or a later one) in which some objects are missing."""
        for resource, held in self.held():
            for key in [key for key in held if key[1] not in keep]:
                del held[key]
            facts = tuple(held.values())
            if resource == "endpointslices":
                facts = (*facts, self.peers_slice())
            self.apply(kube.Listed(resource, facts))

    def held(self) -> list[tuple[str, dict[Key, object]]]:
        return [
            ("services", self.services),  # type: ignore[list-item]
            ("endpointslices", self.slices),  # type: ignore[list-item]
            ("deployments", self.workloads),  # type: ignore[list-item]
        ]

    @rule(nodes=st.sets(st.sampled_from(NODES)))
    def meet_peers(self, nodes: set[str]) -> None:
        self.nodes = tuple(sorted({NODE, *nodes}))
        self.apply(kube.Stored("endpointslices", self.peers_slice()))

    def peers_slice(self) -> EndpointSlice:
        held = tuple(endpoint(f"10.9.0.{i}", node=n) for i, n in enumerate(self.nodes))
        return EndpointSlice(*PEERS[:1], "peers", PEERS[1], "IPv4", (), held)

    # What time and the network do.

    @rule(seconds=st.floats(0.02, 5), room=st.integers(0, 5))
    def dial(self, seconds: float, room: int) -> None:
        self.now += seconds
        dials = self.world.due(self.now, room)
        assert len(dials) <= room
        for found in dials:
            assert fault(found.edge.address, found.edge.dial_port) is None
            assert found.edge in self.implied() or found.edge.kind is Kind.CANDIDATE
        flying = [(d.edge, self.pod(d.edge)) for d in (*self.flying, *dials) if d in dials]
        assert len(set(flying)) == len(flying)
        self.flying += dials

    @rule(outcome=outcomes, count=st.integers(1, 5))
    def land(self, outcome: Outcome, count: int) -> None:
        landed, self.flying = self.flying[:count], self.flying[count:]
        before = {id(t): t.level for _, b in self.world.books() for t in b.tracks.values()}
        self.world.record([(dial, outcome) for dial in landed], self.now)
        if outcome.result is Result.LOCAL_FAULT:
            after = {id(t): t.level for _, b in self.world.books() for t in b.tracks.values()}
            assert before == after

    @rule(stale=st.sampled_from([None, 10.0, 500.0]))
    def tick(self, stale: float | None) -> None:
        self.now += 1.0
        self.world.stale_seconds = stale
        self.world.tick(self.now)
        for turn in self.world.judge(self.now):
            assert turn.new.verdict in Verdict
            old, new = turn.old, turn.new
            assert (new.verdict, new.on_purpose) != (old.verdict, old.on_purpose)

    @rule()
    def calm(self) -> None:
        """Nothing changes and all connects: every edge comes round, and all is well."""
        self.list_all({*SERVICES, "s", "t", "w", "x"})
        self.world.stale_seconds = None
        self.world.record([(dial, CONNECTED) for dial in self.flying], self.now)
        self.flying, seen = [], set()
        for step in range(280):  # 70 s: the longest period is 7 s, removals count for 60 s
            self.now += 0.25
            dials = self.world.due(self.now, 1000)
            seen |= {d.edge for d in dials} if step > 240 else set()
            self.world.record([(dial, CONNECTED) for dial in dials], self.now)
            if step % 4 == 0:
                self.world.tick(self.now)
            self.world.judge(self.now)
        for record, book in self.world.books():
            for track in book.tracks.values():
                sampled = track.edge.kind is Kind.SERVICE and not book.connects(track.edge)
                assert track.edge in seen or sampled or track.edge.kind is Kind.CANDIDATE
            if book.usable and not book.implied.invalid:
                assert book.judgement.verdict is Verdict.HEALTHY
            assert not record.removals
        assert not self.world.mirror.rollouts or self.workloads

    # What must hold at any moment.

    @invariant()
    def edges_are_those_that_the_objects_imply(self) -> None:
        found = {
            e for _, book in self.world.books() for e in book.tracks if e.kind is not Kind.CANDIDATE
        }
        assert self.implied() == found

    @invariant()
    def nothing_is_remembered_of_what_is_gone(self) -> None:
        world = self.world
        held = set(self.services) | {(s.namespace, s.service) for s in self.slices.values()}
        assert set(world.mirror.services) - {PEERS} <= held
        keys = {book.implied.key for _, book in world.books()}
        assert world._docket.waiting.keys() | world._docket.restless.keys() <= keys
        assert {k for k, r in world.mirror.services.items() if r.books} <= set(self.services)

    @invariant()
    def counts_only_grow(self) -> None:
        counts: dict[tuple[object, ...], int] = {
            (id(book), *key): n for _, book in self.world.books() for key, n in book.counts.items()
        }
        assert all(counts[key] >= n for key, n in self.counted.items() if key in counts)
        self.counted = counts

    def teardown(self) -> None:
        fresh = World(self.config, self.now)
        fresh.apply(
            kube.Listed("endpointslices", (*self.slices.values(), self.peers_slice())), self.now
        )
        fresh.apply(kube.Listed("services", tuple(self.services.values())), self.now)
        assert self.implied() == {e for _, book in fresh.books() for e in book.tracks}
        for resource in ("endpointslices", "deployments", "services"):
            self.apply(kube.Listed(resource, ()))
        self.now += 3600
        assert self.world.due(self.now, 1000) == []
        for _ in range(2):  # rollouts end, then their linger time is over
            self.world.tick(self.now)
            self.now += 3600
        mirror = self.world.mirror
        assert not mirror.services
        assert not mirror.rollouts
        assert not mirror.rollout_failures
        assert not self.world._rounds._wheel._slots

    # The model.

    def implied(self) -> set[Edge]:
        found: set[Edge] = set()
        for service in self.services.values():
            if service.namespace == "denied" or service.opted_out or service.type == "ExternalName":
                continue
            for port in service.ports:
                if port.protocol == "TCP" and port.port != 3306:
                    found |= self.implied_by(service, port)
        return found

    def implied_by(self, service: Service, port: ServicePort) -> set[Edge]:
        key = PortKey(service.namespace, service.name, port.port)
        found = {
            edge(ip, port.port, kind=Kind.SERVICE, key=key)
            for ip in service.cluster_ips
            if ip != "127.0.0.1"
        }
        copies: dict[Edge, Endpoint] = {}
        for held, number in self.backends(service, port):
            here = edge(held.address, number, key=key)
            rivals = [e for e in (copies.get(here), held) if e]
            copies[here] = max(rivals, key=lambda e: (e.ready, e.serving, not e.terminating))
        if any(held.address in INVALID or barred(held) for held in copies.values()):
            found = set()  # behind the ClusterIP stand addresses that may not be dialed
        return found | {e for e, held in copies.items() if self.dialed_here(held, service)}

    def backends(self, service: Service, port: ServicePort) -> list[tuple[Endpoint, int]]:
        return [
            (held, number.port)
            for slice_ in self.slices.values()
            if (slice_.namespace, slice_.service) == (service.namespace, service.name)
            if slice_.address_type != "FQDN"
            for number in slice_.ports
            if number.name == port.name and number.port is not None
            for held in slice_.endpoints
        ]

    def dialed_here(self, held: Endpoint, service: Service) -> bool:
        """No Service here has so many endpoints that they fall into groups."""
        if held.address in INVALID or barred(held) or not (held.ready or held.terminating):
            return False
        sources = Cadence(INTERVAL, len(self.nodes)).sources
        shared = f"{service.namespace}/{service.name}"
        return held.node == NODE or rank(NODE, self.nodes, shared) < sources

    def pod(self, of: Edge) -> object:
        record = self.world.mirror.services.get((of.key.namespace, of.key.service))
        track = record.books[of.key.port].tracks.get(of) if record else None
        return track.endpoint and track.endpoint.pod if track else None


TestWorld = Machine.TestCase
TestWorld.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
