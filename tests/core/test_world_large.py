"""One daemon of a large cluster: it dials every ClusterIP, and the endpoints of some Services."""

from collections import Counter

import pytest

from probe.core.edges import EndpointSlice, Kind, PortKey
from probe.core.results import Outcome
from probe.core.rounds import Config, Dial
from probe.core.schedule import leaders
from tests.core.facts import (
    CONNECTED,
    REFUSED,
    TIMEOUT,
    Answer,
    Story,
    endpoint,
    port,
    service,
    slice_of,
)

PEERS = ("edgeprobe", "edgeprobe")
SERVICES = 20
PODS = 3


def name(number: int) -> str:
    return f"service-{number}"


def key(number: int) -> PortKey:
    return PortKey("demo-app", name(number), 80)


def vip(number: int) -> str:
    return f"10.96.0.{number}"


def backends(number: int, nodes: int, generation: int = 0) -> EndpointSlice:
    pods = (
        endpoint(f"10.{generation}.{i}.{number}", node=f"node-{(number * 7 + i * 31) % nodes}")
        for i in range(PODS)
    )
    return slice_of(*pods, service=name(number))


class Answers:
    """Everything connects but these ClusterIPs and these Services' endpoints, with what they give
    instead."""

    def __init__(self) -> None:
        self.vips: dict[str, Outcome] = {}
        self.endpoints: dict[str, Outcome] = {}

    def __call__(self, dial: Dial, now: float) -> Outcome:
        if dial.edge.kind is Kind.SERVICE:
            return self.vips.get(dial.edge.address, CONNECTED)
        return self.endpoints.get(dial.edge.key.service, CONNECTED)


class Large:
    """The daemon of one node, once it has dialed everything that is its."""

    def __init__(self, nodes: int, *, node: str = "node-0", answering: bool = True) -> None:
        self.nodes, self.answers = nodes, Answers()
        if not answering:
            self.answers.vips = {vip(i): TIMEOUT for i in range(SERVICES)}
        answer: Answer = self.answers
        self.story = Story(Config(node, peers=PEERS), answer=answer)
        peers = slice_of(
            *(endpoint(f"10.9.{i // 250}.{i % 250}", node=f"node-{i}") for i in range(nodes)),
            service=PEERS[1],
            namespace=PEERS[0],
        )
        services = [
            service(port(80), name=name(i), uid=name(i), ips=(vip(i),)) for i in range(SERVICES)
        ]
        slices = [backends(i, nodes) for i in range(SERVICES)]
        self.story.listed(services, [*slices, peers])
        self.run(60 if nodes <= 20 else nodes * 0.7)

    def run(self, seconds: float) -> None:
        self.story.run(seconds, step=0.25)

    def seen(self, number: int) -> int:
        """How many endpoints of that Service are dialed from here."""
        record = self.story.world.mirror.services["demo-app", name(number)]
        return sum(1 for _ in record.books[80].of_kind(Kind.ENDPOINT))

    def verdicts(self) -> dict[str, str]:
        return {
            name(i): self.story.verdict(key(i))
            for i in range(SERVICES)
            if self.story.verdict(key(i)) != "healthy"
        }

    def causes(self, since: float) -> Counter[str]:
        """What the verdicts that turned into failures were laid to; a drain race may come first."""
        return Counter(
            turn.new.cause or f"{turn.new.verdict} of {turn.key.service}"
            for turn in self.story.turns
            if turn.at >= since and turn.new.verdict not in ("healthy", "unknown", "drain_race")
        )


@pytest.mark.parametrize("nodes", [3, 100])
@pytest.mark.parametrize("outcome", [TIMEOUT, REFUSED], ids=["silent", "refused"])
def test_a_kube_proxy_without_rules_is_one_cause_for_all_services(
    nodes: int, outcome: Outcome
) -> None:
    large = Large(nodes)
    assert large.verdicts() == {}

    died = large.story.now
    large.answers.vips = {vip(i): outcome for i in range(SERVICES)}
    large.run(120)

    assert large.verdicts() == {name(i): "proxy_stale" for i in range(SERVICES)}
    assert large.causes(died) == {"proxy/node-0": SERVICES}

    large.answers.vips = {}
    large.run(120)
    assert large.verdicts() == {}
    assert set(large.causes(died)) == {"proxy/node-0"}


@pytest.mark.parametrize("rolled", [5, 10, SERVICES])
def test_a_kube_proxy_that_stands_still_is_one_cause_for_the_services_that_rolled(
    rolled: int,
) -> None:
    """Of its Services three or four are dialed whole from here: one of those must be among them."""
    large = Large(100)
    whole = [i for i in range(SERVICES) if large.seen(i) == PODS]
    others = [i for i in range(SERVICES) if i not in whole]
    assert whole
    stopped = large.story.now
    moved = sorted([whole[0], *others, *whole[1:]][:rolled])
    for number in moved:
        large.answers.vips[vip(number)] = TIMEOUT  # the pods that it leads to are gone
        large.story.store(backends(number, 100, generation=1))
    large.run(150)

    assert large.verdicts() == {name(i): "proxy_stale" for i in moved}
    assert large.causes(stopped) == {"proxy/node-0": rolled}

    large.answers.vips = {}
    large.run(150)
    assert large.verdicts() == {}
    assert set(large.causes(stopped)) == {"proxy/node-0"}


@pytest.mark.parametrize("failing", [1, 2, 3])
@pytest.mark.parametrize("outcome", [TIMEOUT, REFUSED], ids=["silent", "refused"])
def test_a_few_services_whose_endpoints_others_dial_do_not_accuse_kube_proxy(
    failing: int, outcome: Outcome
) -> None:
    large = Large(100)
    unseen = [i for i in range(SERVICES) if not large.seen(i)][:failing]
    began = large.story.now
    for number in unseen:
        large.answers.vips[vip(number)] = large.answers.endpoints[name(number)] = outcome
    large.run(150)

    assert large.verdicts() == {name(i): "endpoint_down" for i in unseen}
    assert "proxy/node-0" not in large.causes(began)
    assert large.story.turns[-1].at - began < 60 + 37 + 20


def test_a_service_with_one_bad_endpoint_of_many_does_not_accuse_kube_proxy() -> None:
    """Its ClusterIP meets that one three times in a row; the endpoints that we dial answer."""
    large = Large(100)
    number = next(i for i in range(SERVICES) if 0 < large.seen(i) < PODS)
    began = large.story.now
    large.answers.vips[vip(number)] = REFUSED
    large.run(120)

    assert large.verdicts() == {name(number): "endpoint_down"}
    assert "proxy/node-0" not in large.causes(began)


def test_an_outage_of_most_services_is_not_kube_proxys() -> None:
    """Of those that we dial whole the endpoints fail as well."""
    large = Large(100)
    began = large.story.now
    for number in range(SERVICES - 4):
        large.answers.vips[vip(number)] = large.answers.endpoints[name(number)] = REFUSED
    large.run(150)

    assert "proxy_stale" not in large.verdicts().values()
    assert "proxy/node-0" not in large.causes(began)


def test_a_service_that_never_answered_is_not_laid_to_a_kube_proxy_that_others_accuse() -> None:
    large = Large(100)
    whole = next(i for i in range(SERVICES) if large.seen(i) == PODS)
    dead = key(SERVICES)
    large.answers.vips["10.96.9.9"] = REFUSED
    large.story.store(service(port(80), name=dead.service, uid="x", ips=("10.96.9.9",)))
    large.story.store(backends(SERVICES, 100))
    large.run(150)
    assert large.story.verdict(dead) == "endpoint_down"

    large.answers.vips[vip(whole)] = TIMEOUT
    large.run(150)
    assert large.verdicts() == {name(whole): "proxy_stale"}
    assert large.story.verdict(dead) == "endpoint_down"


@pytest.mark.parametrize("nodes", [100, 500])
def test_who_is_the_first_to_tell_of_a_service_knows_what_it_has(nodes: int) -> None:
    """A node that dials none of its endpoints can only say that the ClusterIP fails."""
    first, *_, last = leaders([f"node-{i}" for i in range(nodes)], f"demo-app/{name(0)}", nodes)
    found = {}
    for node in (first, last):
        large = Large(nodes, node=node)
        large.answers.vips[vip(0)] = large.answers.endpoints[name(0)] = REFUSED
        large.run(nodes * 0.7)
        found[node] = large.story.verdict(key(0))

    assert found == {first: "not_listening", last: "endpoint_down"}


def test_most_cluster_ips_accuse_kube_proxy_where_no_service_is_dialed_whole() -> None:
    """As after a restart of the daemon, when none of them has ever answered it."""
    large = Large(100, answering=False)
    large.run(120)

    assert large.verdicts() == {name(i): "proxy_stale" for i in range(SERVICES)}
    unseen = next(i for i in range(SERVICES) if not large.seen(i))
    assert large.story.summary(key(unseen)) == (
        "the ClusterIP fails (1 timeout), as most do from here: kube-proxy's rules on this node "
        "are behind or missing; 3 of its 3 endpoints are not dialed from here"
    )
