"""Many daemons at once: who dials what, and that no target is dialed more than its cap allows.

Each daemon is a World of its own; they share nothing but the objects that they are told.
"""

from collections import Counter
from itertools import count, pairwise

import pytest

from probe.core import kube
from probe.core.edges import EndpointSlice, Family, Kind
from probe.core.judging import Turn
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from probe.core.verdicts import Verdict
from probe.core.world import World
from tests.core.facts import (
    CONNECTED,
    REFUSED,
    REJECTED,
    TIMEOUT,
    VIP,
    Answer,
    endpoint,
    port,
    service,
    slice_of,
    workload,
)

PEERS = ("edgeprobe", "edgeprobe")
VIP6 = "fd00::10"
PODS = [endpoint(f"10.0.0.{i}", node=f"node-{i}") for i in range(1, 5)]


def peers(count: int) -> EndpointSlice:
    held = (endpoint(f"10.9.0.{i}", node=f"node-{i}") for i in range(count))
    return slice_of(*held, service="edgeprobe", namespace="edgeprobe")


class Cluster:
    """This many daemons, told the same, with one network between them."""

    def __init__(self, daemons: int, interval: float = 10.0) -> None:
        self.now = 1000.0
        self.worlds = {
            f"node-{i}": World(Config(f"node-{i}", interval, peers=PEERS), self.now)
            for i in range(daemons)
        }
        self.dials: list[tuple[str, Dial]] = []
        self.turns: list[tuple[str, Turn]] = []
        self._flying: dict[str, list[Dial]] = {}
        self.tell(kube.Listed("services", ()))
        self.tell(kube.Listed("endpointslices", (peers(daemons),)))

    def tell(self, *events: kube.Event) -> None:
        for world in self.worlds.values():
            for event in events:
                world.apply(event, self.now)

    def serve(self, *slices: EndpointSlice, ips: tuple[str, ...] = (VIP,)) -> None:
        self.tell(kube.Stored("services", service(port(), ips=ips)))
        for held in slices:
            self.tell(kube.Stored("endpointslices", held))

    def run(
        self,
        seconds: float,
        answer: Answer = lambda dial, now: CONNECTED,
        *,
        after: float = 0.0,
        step: float = 0.05,
    ) -> None:
        """Each dial is answered so many seconds `after` it began."""
        end = self.now + seconds
        while self.now < end:
            before, self.now = self.now, self.now + step
            for node, world in self.worlds.items():
                dials = world.due(self.now, 1000)
                self.dials += [(node, dial) for dial in dials]
                flying = self._flying.setdefault(node, [])
                flying += dials
                done = [dial for dial in flying if dial.at + after <= self.now]
                self._flying[node] = [dial for dial in flying if dial.at + after > self.now]
                world.record([(dial, answer(dial, self.now)) for dial in done], self.now)
                if int(before) != int(self.now):
                    world.tick(self.now)
                self.turns += [(node, turn) for turn in world.judge(self.now)]

    def sources(self, address: str) -> set[str]:
        return {node for node, dial in self.dials if dial.edge.address == address}

    def most_within(self, seconds: float, *, per_port: bool = False) -> float:
        """The highest number of dials that any target met in a window of so many seconds."""
        times: dict[object, list[float]] = {}
        for _, dial in self.dials:
            target = dial.edge.key if per_port else dial.edge
            if per_port == (dial.edge.kind is Kind.SERVICE):
                times.setdefault(target, []).append(dial.at)
        return max(
            sum(start <= t < start + seconds for t in at) for at in times.values() for start in at
        )


def test_a_daemon_alone_dials_everything() -> None:
    cluster = Cluster(1)
    cluster.serve(slice_of(*PODS))
    cluster.run(30)

    assert {d.edge.address for _, d in cluster.dials} == {VIP, *(e.address for e in PODS)}


def test_two_daemons_both_dial_everything() -> None:
    cluster = Cluster(2)
    cluster.serve(slice_of(*PODS))
    cluster.run(30)

    assert {frozenset(cluster.sources(e.address)) for e in PODS} == {
        frozenset({"node-0", "node-1"})
    }
    assert cluster.sources(VIP) == {"node-0", "node-1"}


@pytest.fixture(scope="module")
def thirty() -> Cluster:
    cluster = Cluster(30)
    cluster.serve(slice_of(*PODS))
    cluster.run(120)
    return cluster


def test_of_thirty_daemons_twenty_and_its_own_node_dial_an_endpoint(thirty: Cluster) -> None:
    for held in PODS:
        found = thirty.sources(held.address)
        assert held.node in found
        assert len(found) in (20, 21)
    assert len(thirty.sources(VIP)) == 30


def test_no_target_meets_more_than_two_new_connections_a_second(thirty: Cluster) -> None:
    """Over minutes; within seconds chance may gather some, as the jitter allows."""
    assert thirty.most_within(120.0) <= 2 * 120 * 1.03
    assert thirty.most_within(120.0, per_port=True) <= 2 * 120 * 1.03
    assert thirty.most_within(30.0) <= 2 * 30 * 1.2
    assert thirty.most_within(1.0, per_port=True) <= 8


def test_both_families_of_a_dual_stack_service_share_its_cap() -> None:
    cluster = Cluster(30)
    cluster.serve(
        slice_of(*PODS), slice_of("fd00::1", name="six", address_type="IPv6"), ips=(VIP, VIP6)
    )
    cluster.run(60)

    assert {d.edge.family for _, d in cluster.dials} == set(Family)
    assert cluster.most_within(30.0, per_port=True) <= 2 * 30 * 1.2


def test_failures_are_confirmed_at_the_rate_of_close_watching_and_then_dialed_as_usual() -> None:
    cluster = Cluster(30)
    cluster.serve(slice_of(*PODS))
    cluster.run(60)
    failed = cluster.now
    cluster.run(120, lambda dial, now: REFUSED)

    for per_port in (False, True):
        assert cluster.most_within(1.0, per_port=per_port) <= 20 * 1.1  # each at a moment by chance
        assert cluster.most_within(120.0, per_port=per_port) <= 2 * 120 * 1.1 + 2 * 30
    books = [book for world in cluster.worlds.values() for _, book in world.books()]
    found = Counter(book.judgement.verdict for book in books)
    assert set(found) <= {Verdict.NOT_LISTENING, Verdict.ENDPOINT_DOWN}
    assert found[Verdict.NOT_LISTENING] == 20  # which dial all four, as the cap has it
    assert max(book.judged_since - failed for book in books) < 20


@pytest.mark.slow
def test_of_a_hundred_daemons_all_that_can_tell_call_a_blackhole_one_within_45_seconds() -> None:
    """Those that dial all of the ten pods need three dials of 4 s for each; where only one of them
    is dialed or none, nobody can know. None takes it for a bad pod on its way."""
    cluster = Cluster(100)
    cluster.serve(slice_of(*(endpoint(f"10.0.0.{i}", node=f"node-{i}") for i in range(1, 11))))
    cluster.run(60, step=0.1)
    dialed = {
        node
        for node, world in cluster.worlds.items()
        if sum(len(list(book.of_kind(Kind.ENDPOINT))) >= 2 for _, book in world.books())
    }
    failed = cluster.now
    cluster.turns = []
    cluster.run(45, lambda dial, now: TIMEOUT, after=4.0, step=0.1)
    told = {(node, turn.new.verdict) for node, turn in cluster.turns if turn.at > failed}

    assert len(dialed) >= 20
    assert {(node, v) for node, v in told if node in dialed} == {
        (node, Verdict.BLACKHOLED) for node in dialed
    }


def test_an_edge_that_goes_up_and_down_gets_no_more_than_twice_its_cap() -> None:
    cluster = Cluster(30)
    cluster.serve(slice_of(*PODS))
    turn = count()
    cluster.run(120, lambda dial, now: REFUSED if next(turn) % 2 else CONNECTED)

    assert cluster.most_within(60.0) <= 2 * 2 * 60
    assert cluster.most_within(60.0, per_port=True) <= 2 * 2 * 60


def test_cluster_ips_that_are_asked_when_another_one_fails_meet_no_more_than_their_cap() -> None:
    """All daemons ask at once, and there is only one to ask."""
    cluster = Cluster(40)
    cluster.serve(slice_of(*PODS))
    cluster.tell(kube.Stored("services", service(name="other", ips=("10.96.0.11",))))
    cluster.tell(kube.Stored("endpointslices", slice_of("10.0.9.1", service="other")))
    cluster.run(60, step=0.1)
    before = len([d for _, d in cluster.dials if d.edge.address == "10.96.0.11"])
    cluster.run(60, lambda dial, now: REFUSED if dial.edge.address == VIP else CONNECTED, step=0.1)
    asked = len([d for _, d in cluster.dials if d.edge.address == "10.96.0.11"]) - before

    assert 2 * 60 < asked <= 2 * 2 * 60
    assert cluster.most_within(1.0, per_port=True) <= 20


@pytest.mark.parametrize("daemons", [1, 4, 30])
def test_a_rollout_is_watched_closely_with_twenty_dials_a_second_in_all(daemons: int) -> None:
    cluster = Cluster(daemons)
    cluster.serve(slice_of(*PODS))
    cluster.tell(kube.Stored("deployments", workload()))
    cluster.run(20)
    before = len(cluster.dials)
    cluster.tell(kube.Stored("deployments", workload(image="app:2", complete=False, rolling=True)))
    cluster.run(3)
    for i in range(20):  # a storm of slices, each of which moves the ClusterIP's next dial nearer
        cluster.tell(kube.Stored("endpointslices", slice_of(*PODS[: 2 + i % 2])))
        cluster.run(0.5)
    found = Counter(d.edge.kind for _, d in cluster.dials[before:])

    assert 20 * 13 * 0.7 <= found[Kind.SERVICE] <= 20 * 13 * 1.1
    assert cluster.most_within(5.0, per_port=True) <= 20 * 5 * 1.15


def test_2_services_without_endpoints_are_sampled_once_a_second_in_all() -> None:
    cluster = Cluster(1)
    for i in range(50):
        cluster.tell(kube.Stored("services", service(name=f"empty-{i}", ips=(f"10.96.1.{i + 1}",))))
    cluster.run(120, lambda dial, now: REJECTED)
    times = [dial.at for _, dial in cluster.dials]

    assert 115 <= len(times) <= 121
    assert min(b - a for a, b in pairwise(times)) > 0.9
    assert len({dial.edge for _, dial in cluster.dials}) == 50
    verdicts = {str(book.judgement.verdict) for _, book in cluster.worlds["node-0"].books()}
    assert verdicts == {"no_endpoints"}


def test_a_service_that_gets_endpoints_leaves_the_queue_of_the_empty_ones() -> None:
    cluster = Cluster(1)
    for i in range(200):
        cluster.tell(kube.Stored("services", service(name=f"empty-{i}", ips=(f"10.96.1.{i + 1}",))))
    cluster.serve()
    cluster.run(60, lambda dial, now: REJECTED)
    ready = cluster.now
    cluster.tell(kube.Stored("endpointslices", slice_of(*PODS)))
    cluster.run(3)

    assert any(d.at >= ready and d.edge.address == VIP for _, d in cluster.dials)


def test_when_a_daemon_leaves_its_share_moves_and_everything_else_stays() -> None:
    cluster = Cluster(30)
    cluster.serve(slice_of(*PODS))
    cluster.run(20)
    tracks = {
        node: {t.edge for _, b in w.books() for t in b.tracks.values()}
        for node, w in cluster.worlds.items()
    }
    gone = cluster.worlds.pop("node-29")
    cluster.tell(kube.Stored("endpointslices", peers(29)))
    cluster.run(0.1)
    after = {
        node: {t.edge for _, b in w.books() for t in b.tracks.values()}
        for node, w in cluster.worlds.items()
    }

    moved = sum(len(after[node] ^ tracks[node]) for node in after)
    share = sum(len(b.tracks) for _, b in gone.books()) - 1  # without its ClusterIP
    assert 0 < moved <= share  # an endpoint's own node may be its next source already
    assert all(tracks[node] <= after[node] for node in after)


def test_a_daemon_that_terminates_is_no_longer_counted() -> None:
    cluster = Cluster(2)
    held = (
        endpoint("10.9.0.0", node="node-0"),
        endpoint("10.9.0.1", node="node-1", terminating=True),
    )
    cluster.tell(
        kube.Stored("endpointslices", slice_of(*held, service="edgeprobe", namespace="edgeprobe"))
    )

    assert cluster.worlds["node-0"].nodes == ("node-0",)


def test_every_edge_comes_round_within_an_interval_and_its_jitter() -> None:
    cluster = Cluster(2)
    cluster.serve(slice_of(*PODS))
    cluster.run(100)
    times: dict[tuple[str, object], list[float]] = {}
    for node, dial in cluster.dials:
        times.setdefault((node, dial.edge), []).append(dial.at)
    gaps = [b - a for at in times.values() for a, b in pairwise(at)]

    assert max(gaps) <= 10 * 1.1 + 0.1
    assert all(at[0] <= 1000 + 10 * 0.25 + 0.1 for at in times.values())


def test_the_budget_of_a_node_bounds_all_its_dials() -> None:
    world = World(Config("node-0", dials_per_second=10.0), 0.0)
    pods = [f"10.0.0.{i}" for i in range(1, 201)]
    world.apply(kube.Listed("services", (service(),)), 0.0)
    world.apply(kube.Listed("endpointslices", (slice_of(*pods),)), 0.0)
    found: list[Dial] = []
    for step in range(1000):
        dials = world.due(step / 50, 1000)
        found += dials
        met: list[tuple[Dial, Outcome]] = [(dial, CONNECTED) for dial in dials]
        world.record(met, step / 50)

    assert 160 <= len(found) <= 201
    assert world.lateness(20.0) > 5
